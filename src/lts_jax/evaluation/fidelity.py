"""Credit fidelity: how near a scheme's credit comes to the true effect of each decision.

The truth of a decision is what changes when it alone is flipped and the rollout replayed with all random numbers kept
(`trajectory.flipped`). A scheme may order decisions as the truth does (rank correlation), know which help and which
hurt (sign agreement), and speak in the effect's own units (calibration slope). What a scheme knows of decisions within
one rollout is measured apart: a number copied to a whole rollout can follow the rollout's reward, and tells its
decisions from each other not at all.

Flat arrays, one row per decision, a task label per row. Intervals are over tasks: cluster bootstraps, and of means
Hall's transformed t.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lts_jax.credit.returns import total_reward
from lts_jax.evaluation.statistics import (
    MIN_TASKS,
    UNKNOWN,
    Interval,
    detectable_effect,
    least_squares,
    mean_interval,
    percentile_interval,
    rank_correlations,
    task_weights,
)
from lts_jax.trajectory import Trajectory

NUM_RESAMPLES = 2000
ROUNDING = 1e-6  # of the largest magnitude; credit is computed in 32 bits


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How near credit comes to effect. A figure that cannot be known is NaN, and `reason` says why."""

    num_decisions: int
    num_with_effect: int  # of them, flipping which changes anything
    num_tasks: int
    rank_correlation: Interval  # Spearman's, ties at their mean rank; chance is 0
    rank_resolution: float  # smallest true rank correlation that would be distinguished from 0 four times in five
    sign_agreement: Interval  # of the decisions with an effect; credit 0 agrees by half; chance is 1/2
    constant_sign_agreement: float  # what credit of one sign for every decision would reach, the better sign
    calibration_slope: Interval  # of the least-squares line of effect on credit; 1 is credit in the effect's units
    signal_to_noise: Interval  # r^2 / (1 - r^2), r Pearson's; chance is above 0 where rows are few
    credit_variance: float  # divisor: number of decisions
    reason: str = ""


def effect_of_admission(trajectory: Trajectory, *, first_weight: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """What the action taken was worth against its flip: reward R - R(flipped), and seconds saved.

    R = R_agg + first_weight * R_first; seconds saved = runtime(flipped) - runtime, so that positive is good in both.

    Args:
        trajectory: one group [G, K, T], or several stacked [B, G, K, T], with `flipped`.
        first_weight: lambda_first of the return.

    Returns:
        reward_effect_gkt and seconds_saved_gkt, f64 of the trajectory's shape; NaN where nothing was replayed.

    Raises:
        ValueError: the trajectory carries no flipped rollouts.
    """
    flipped = trajectory.flipped
    if flipped is None:
        raise ValueError("effect_of_admission needs trajectory.flipped; make it with bridge.flips.flip_decisions")
    return_g = total_reward(trajectory.reward_agg_g, trajectory.reward_first_g, first_weight=first_weight)
    flipped_gkt = total_reward(flipped.reward_agg_gkt, flipped.reward_first_gkt, first_weight=first_weight)
    reward_effect_gkt = np.asarray(return_g, float)[..., None, None] - np.asarray(flipped_gkt, float)
    seconds_gkt = np.asarray(flipped.runtime_gkt, float) - np.asarray(trajectory.runtime_g, float)[..., None, None]
    return reward_effect_gkt, seconds_gkt


def credit_fidelity(
    credit: np.ndarray,
    effect: np.ndarray,
    tasks: Sequence[str],
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Fidelity:
    """Compare credit with effect, row by row. Rows without a finite effect are left out.

    Args:
        credit: [n] a scheme's number for each decision.
        effect: [n] the decision's true effect, in whatever units.
        tasks: the task of each row.
        seed: of the resamples; the same for all schemes, so that their intervals rest on the same tasks.
        num_resamples: of the bootstrap.

    Raises:
        ValueError: lengths that differ, or a credit that is no number.
    """
    credit, effect, labels = _check_rows(credit, effect, tasks)
    names, task = np.unique(labels, return_inverse=True)
    matters = effect != 0.0
    agrees = np.where(credit[matters] == 0.0, 0.5, np.sign(credit[matters]) == np.sign(effect[matters]))
    sign = UNKNOWN
    if len(credit) and not _is_constant(credit):
        sign = mean_interval(agrees, labels[matters].tolist(), within=(0.0, 1.0))
    positive = float(np.mean(effect[matters] > 0.0)) if matters.any() else math.nan
    rank = slope = signal = UNKNOWN
    resolution = math.nan
    reason = _reason(credit, effect)
    if not reason:
        # The first row is the data itself, every task once; the others are its resamples.
        weight_rb = np.vstack([np.ones(len(names)), task_weights(len(names), num_resamples, seed)])
        ranks = rank_correlations(credit, effect, task, weight_rb)
        slopes, squares = least_squares(credit, effect, task, weight_rb)
        rank, slope = _bounds(ranks, len(names)), _bounds(slopes, len(names))
        signal = _ratio(_bounds(squares, len(names)))
        resolution = _resolution(ranks[1:], len(names))
        if len(names) < MIN_TASKS:
            reason = f"no intervals from {len(names)} tasks; they need {MIN_TASKS}"
    return Fidelity(
        num_decisions=len(credit),
        num_with_effect=int(matters.sum()),
        num_tasks=len(names),
        rank_correlation=rank,
        rank_resolution=resolution,
        sign_agreement=sign,
        constant_sign_agreement=max(positive, 1.0 - positive),
        calibration_slope=slope,
        signal_to_noise=signal,
        credit_variance=float(np.var(credit)) if len(credit) else math.nan,
        reason=reason,
    )


def within_rollout_fidelity(
    credit: np.ndarray,
    effect: np.ndarray,
    tasks: Sequence[str],
    rollouts: Sequence[int] | np.ndarray,
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Fidelity:
    """`credit_fidelity` of credit and effect with each rollout's mean removed from both.

    Rows of a rollout that has fewer than two with an effect that is known are left out. Credit that is one number for
    a whole rollout becomes zero, which is constant: nothing is known, and `reason` says so. `rollouts` numbers the
    rollout of each row, over all tasks.
    """
    rollouts = np.asarray(rollouts)
    if rollouts.shape != (len(tasks),):
        raise ValueError(f"expected one rollout number per row, got {rollouts.shape} for {len(tasks)} rows")
    known = np.isfinite(np.asarray(effect, float))
    credit, effect, names = _check_rows(credit, effect, tasks)
    _, rollout, sizes = np.unique(rollouts[known], return_inverse=True, return_counts=True)
    several = (sizes >= 2)[rollout] if len(rollout) else np.array([], bool)
    credit, effect = (_center(values[several], rollout[several]) for values in (credit, effect))
    return credit_fidelity(credit, effect, names[several].tolist(), seed=seed, num_resamples=num_resamples)


def _check_rows(
    credit: np.ndarray, effect: np.ndarray, tasks: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    credit, effect = np.asarray(credit, float), np.asarray(effect, float)
    if not credit.shape == effect.shape == (len(tasks),):
        raise ValueError(
            f"expected one credit, effect and task per row, got {credit.shape}, {effect.shape}, {len(tasks)}"
        )
    known = np.isfinite(effect)
    if not np.isfinite(credit[known]).all():
        raise ValueError("credit must be a number for every decision whose effect is known")
    return credit[known], effect[known], np.array(tasks, dtype=str)[known]


def _is_constant(values: np.ndarray) -> bool:
    return len(values) == 0 or bool(np.ptp(values) <= ROUNDING * np.max(np.abs(values)))


def _reason(credit: np.ndarray, effect: np.ndarray) -> str:
    if len(credit) < 2:
        return "fewer than two decisions"
    if _is_constant(credit):
        return "the credit is the same for every decision"
    if _is_constant(effect):
        return "the effect is the same for every decision"
    return ""


def _center(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Values minus the mean of their group, rounded so that what is equal but for 32 bits stays equal."""
    if not len(values):
        return values
    means = np.bincount(group, weights=values) / np.maximum(np.bincount(group), 1)
    unit = max(float(np.max(np.abs(values))), np.finfo(float).tiny) * ROUNDING
    return np.round((values - means[group]) / unit) * unit


def _bounds(figure_r: np.ndarray, num_tasks: int) -> Interval:
    """The first figure, bounded by the others; no bounds where fewer than half of the resamples have the figure."""
    estimate, resampled = float(figure_r[0]), figure_r[1:]
    usable = resampled[np.isfinite(resampled)]
    if 2 * len(usable) < len(resampled):
        return Interval(estimate, math.nan, math.nan)
    return percentile_interval(estimate, usable, num_tasks)


def _ratio(square: Interval) -> Interval:
    """r^2 / (1 - r^2) of an estimate and its bounds; a rising map, so that bounds stay bounds."""
    values = (square.estimate, square.low, square.high)
    return Interval(*(math.inf if value >= 1.0 else value / (1.0 - value) for value in values))


def _resolution(resampled: np.ndarray, num_tasks: int) -> float:
    """Smallest true figure that is distinguished from 0 four times in five, by the bootstrap's standard error."""
    usable = resampled[np.isfinite(resampled)]
    if num_tasks < MIN_TASKS or 2 * len(usable) < len(resampled):
        return math.nan
    return detectable_effect(float(np.std(usable, ddof=1)), num_tasks)
