"""How well a number ranks what is wanted above what is not: the area under the ROC curve."""

import math
from collections.abc import Sequence

import numpy as np

from lts_jax.evaluation.statistics import (
    MIN_TASKS,
    NUM_RESAMPLES,
    UNKNOWN,
    Interval,
    percentile_interval,
    task_weights,
)


def auc(scores: Sequence[float] | np.ndarray, labels: Sequence[bool] | np.ndarray) -> float:
    """P(score of a wanted one > score of another) + P(equal) / 2; Hanley and McNeil 1982.

    1/2 is a coin, 1 is perfect, 0 is perfectly wrong. NaN where one of the two is missing.

    Args:
        scores: f64[D], finite.
        labels: bool[D], whether each is wanted.

    Raises:
        ValueError: lengths differ, or a score is not finite.
    """
    score_d, label_d = _checked(scores, labels)
    return float(_areas(score_d, label_d, np.ones((1, len(score_d))))[0])


def auc_interval(
    scores: Sequence[float] | np.ndarray,
    labels: Sequence[bool] | np.ndarray,
    tasks: Sequence[str],
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES // 4,
) -> Interval:
    """`auc` with its 95 % interval: tasks are resampled with all their decisions."""
    score_d, label_d = _checked(scores, labels)
    if not len(score_d):
        return UNKNOWN
    _, task_d = np.unique(np.asarray(tasks), return_inverse=True)
    num_tasks = int(task_d.max()) + 1
    if num_tasks < MIN_TASKS:
        return Interval(auc(score_d, label_d), math.nan, math.nan)
    weight_rb = task_weights(num_tasks, num_resamples, seed)
    drawn = np.array([_areas(score_d, label_d, weight_b[None, task_d])[0] for weight_b in weight_rb])
    return percentile_interval(auc(score_d, label_d), drawn[np.isfinite(drawn)], num_tasks)


def _areas(score_d: np.ndarray, label_d: np.ndarray, weight_rd: np.ndarray) -> np.ndarray:
    """Weighted areas, f64[R]: the weight of the pairs in order, over that of all pairs."""
    levels, level_d = np.unique(score_d, return_inverse=True)
    if not len(levels):
        return np.full(len(weight_rd), math.nan)
    wanted_rl = np.array([np.bincount(level_d, weight_d * label_d, len(levels)) for weight_d in weight_rd])
    others_rl = np.array([np.bincount(level_d, weight_d * ~label_d, len(levels)) for weight_d in weight_rd])
    below_rl = np.cumsum(others_rl, axis=1) - others_rl / 2
    pairs_r = wanted_rl.sum(axis=1) * others_rl.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return (wanted_rl * below_rl).sum(axis=1) / np.where(pairs_r > 0, pairs_r, math.nan)


def _checked(
    scores: Sequence[float] | np.ndarray, labels: Sequence[bool] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    score_d, label_d = np.asarray(scores, np.float64), np.asarray(labels, bool)
    if score_d.shape != label_d.shape or score_d.ndim != 1:
        raise ValueError(f"scores, labels: expected the same length, got {score_d.shape} and {label_d.shape}")
    if not np.isfinite(score_d).all():
        raise ValueError("scores: expected finite numbers")
    return score_d, label_d
