"""What one admission is worth, by kind of step: fitted to rollouts in which a coin decided.

Where an admission is drawn with a known probability p, its deviation z - p is independent of all that came before. So
the regression of a rollout's runtime (or score), centred per task, on the summed deviations of each kind of step tells
what one admission of that kind does, as far as effects add up.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lts_jax.admission.step_kinds import KINDS, RIGHT, StepLabel, label_decisions
from lts_jax.evaluation.auc import auc_interval
from lts_jax.evaluation.statistics import (
    MIN_TASKS,
    NUM_RESAMPLES,
    Interval,
    percentile_interval,
    task_weights,
)
from lts_jax.records import Rollout


@dataclass(frozen=True, slots=True)
class KindRow:
    """One kind of step, new or repeated, over all decisions of some rollouts.

    Effects are of one admission on its rollout: negative seconds are saved.
    """

    kind: str
    is_new: bool
    num_decisions: int
    share: float  # of all decisions
    admitted: float  # fraction of them
    read_rate: float  # entries that another team pulled / entries; NaN without an entry
    seconds: Interval
    score: Interval


def kind_table(
    rollouts: Sequence[Rollout],
    labels: Sequence[Sequence[StepLabel]] | None = None,
    *,
    world_seed: int = 0,
    seed: int = 0,
) -> tuple[KindRow, ...]:
    """A row for each kind of step, new and repeated, that occurs; kinds in the order of `KINDS`.

    Args:
        rollouts: of simulated teams on the offline world, under a policy that draws, several of each task.
        labels: of their decisions, as `label_decisions` gives them; by default these.
        world_seed: of the offline world.
        seed: of the resamples.
    """
    if labels is None:
        labels = [label_decisions(rollout, world_seed) for rollout in rollouts]
    cells = [(kind, is_new) for kind in KINDS for is_new in (True, False)]
    flat = [
        (number, label, decision, rollout)
        for number, (rollout, own) in enumerate(zip(rollouts, labels, strict=True))
        for label, decision in zip(own, rollout.decisions, strict=True)
    ]
    deviation_rk = np.zeros((len(rollouts), len(cells)))
    for number, label, decision, _ in flat:
        place = cells.index((label.kind, label.is_new))
        deviation_rk[number, place] += decision.action - decision.admit_probability
    tasks = [rollout.task.task_id for rollout in rollouts]
    seconds, scores = (
        admission_effects(deviation_rk, [outcome(rollout) for rollout in rollouts], tasks, seed=seed)
        for outcome in (lambda rollout: rollout.seconds, lambda rollout: rollout.outcome.score)
    )
    read = [{pull.entry for pull in rollout.pulls if pull.reader != pull.writer} for rollout in rollouts]
    rows = []
    for place, (kind, is_new) in enumerate(cells):
        own = [(number, one) for number, label, one, _ in flat if (label.kind, label.is_new) == (kind, is_new)]
        stored = [(number, one.entry) for number, one in own if one.entry >= 0]
        if own:
            rows.append(
                KindRow(
                    kind=kind,
                    is_new=is_new,
                    num_decisions=len(own),
                    share=len(own) / len(flat),
                    admitted=len(stored) / len(own),
                    read_rate=sum(entry in read[number] for number, entry in stored) / (len(stored) or math.nan),
                    seconds=seconds[place],
                    score=scores[place],
                )
            )
    return tuple(rows)


def admission_effects(
    deviation_rk: np.ndarray,
    outcomes: Sequence[float] | np.ndarray,
    tasks: Sequence[str],
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> list[Interval]:
    """Effect of one admission of each kind k: least squares of y_r - mean_task(y) on x_rk - mean_task(x), one each.

    Intervals: 95 %, tasks resampled with all their rollouts. NaN for a kind whose deviation never differs between
    rollouts of one task (a policy that does not draw), and for all kinds where no task has two rollouts. Rollouts
    without a finite outcome are left out.

    Args:
        deviation_rk: f64[R, kinds], for each rollout the sum of z - p over its decisions of each kind.
        outcomes: f64[R], such as runtime in seconds.
        tasks: the task of each rollout.
        seed: of the resamples.
        num_resamples: how many.
    """
    outcome_r = np.asarray(outcomes, np.float64)
    counted = np.isfinite(outcome_r)
    x_rk, y_r = np.asarray(deviation_rk, np.float64)[counted], outcome_r[counted]
    names, task_r = np.unique(np.asarray(tasks)[counted], return_inverse=True)
    x_rk, y_r = _centred(x_rk, task_r), _centred(y_r[:, None], task_r)[:, 0]
    gram_bkk, moment_bk = np.zeros((len(names), x_rk.shape[1], x_rk.shape[1])), np.zeros((len(names), x_rk.shape[1]))
    np.add.at(gram_bkk, task_r, x_rk[:, :, None] * x_rk[:, None, :])
    np.add.at(moment_bk, task_r, x_rk * y_r[:, None])
    moves_k = np.abs(x_rk).max(axis=0, initial=0.0) > 1e-9
    estimate_k = np.full(x_rk.shape[1], math.nan)
    drawn_rk = np.full((0, x_rk.shape[1]), math.nan)
    if moves_k.any():
        gram_bkk, moment_bk = gram_bkk[:, moves_k][:, :, moves_k], moment_bk[:, moves_k]
        estimate_k[moves_k] = _solved(gram_bkk.sum(axis=0)[None], moment_bk.sum(axis=0)[None])[0]
        if len(names) >= MIN_TASKS:
            weight_rb = task_weights(len(names), num_resamples, seed)
            drawn_rk = np.full((num_resamples, len(moves_k)), math.nan)
            drawn_rk[:, moves_k] = _solved(np.tensordot(weight_rb, gram_bkk, 1), weight_rb @ moment_bk)
    return [
        percentile_interval(float(estimate), drawn[np.isfinite(drawn)], len(names))
        if drawn.size and math.isfinite(estimate)
        else Interval(float(estimate), math.nan, math.nan)
        for estimate, drawn in zip(estimate_k, drawn_rk.T, strict=True)
    ]


def controller_auc(
    rollouts: Sequence[Rollout],
    wanted: Callable[[StepLabel], bool] = lambda label: label.kind == RIGHT and label.is_new,
    *,
    world_seed: int = 0,
    seed: int = 0,
) -> Interval:
    """How well a controller's probability of admission ranks the wanted steps, by default new right values, first.

    Args:
        rollouts: of the controller, on tasks that it was not trained on.
        wanted: which steps.
        world_seed: of the offline world.
        seed: of the resamples.
    """
    found = [
        (decision.admit_probability, wanted(label), rollout.task.task_id)
        for rollout in rollouts
        for decision, label in zip(rollout.decisions, label_decisions(rollout, world_seed), strict=True)
    ]
    scores, labels, tasks = zip(*found, strict=True) if found else ((), (), ())
    return auc_interval(scores, labels, tasks, seed=seed)


def _centred(value_rk: np.ndarray, task_r: np.ndarray) -> np.ndarray:
    """Values minus their mean over the rollouts of the same task."""
    count_b = np.maximum(np.bincount(task_r), 1)
    total_bk = np.zeros((len(count_b), value_rk.shape[1]))
    np.add.at(total_bk, task_r, value_rk)
    return value_rk - (total_bk / count_b[:, None])[task_r]


def _solved(gram_rkk: np.ndarray, moment_rk: np.ndarray) -> np.ndarray:
    """Least squares from normal equations, f64[R, kinds]; the shortest solution where they leave a choice."""
    return np.einsum("rij,rj->ri", np.linalg.pinv(gram_rkk, rcond=1e-10, hermitian=True), moment_rk)
