"""One policy against the reference: means, paired differences with intervals, and sharing beside its chance level."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lts_jax.evaluation import statistics as stats
from lts_jax.evaluation.chance import YARDSTICK, pull_rate
from lts_jax.evaluation.measures import RolloutMeasures, measure, ratio
from lts_jax.evaluation.statistics import UNKNOWN, Cell, Interval
from lts_jax.records import Rollout

SCORES, SECONDS = (0.0, 1.0), (0.0, math.inf)  # what a mean cannot leave
Measured = dict[Cell, RolloutMeasures]
UNPAIRED: dict[str, Any] = {
    "num_pairs": 0,
    "score_difference": UNKNOWN,
    "score_p_value": math.nan,
    "score_resolution": math.nan,
    "runtime_reduction_percent": UNKNOWN,
    "runtime_resolution_percent": math.nan,
    "speed_up": math.nan,
}
"""What the reference has in place of a comparison with itself."""


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One policy over all its rollouts, and paired with the reference over tasks and seeds.

    Fractions with a chance level are pooled: sum of numerators over sum of denominators. NaN means that there was
    nothing to measure. The paired fields of the reference itself are NaN.
    """

    policy: str
    num_rollouts: int
    num_tasks: int
    num_pairs: int  # cells (task, seed, rollout) shared with the reference
    num_unscored: int  # rollouts without a reward; they stay out of every score
    num_out_of_budget: int  # rollouts in which a team was stopped by the budget
    score: Interval
    runtime_seconds: Interval
    runtime_interquartile_seconds: float
    score_difference: Interval  # policy - reference, paired
    score_p_value: float  # sign flips of whole tasks
    score_resolution: float  # smallest true difference found with 80 % power
    runtime_reduction_percent: Interval  # 100 * (reference - policy) / reference, paired
    runtime_resolution_percent: float
    speed_up: float  # mean reference runtime / mean runtime, on the pairs
    first_seconds: float
    answered: float  # answer rate
    precision: float  # mean score of the rollouts with an answer; AssistantBench's (arXiv 2407.15711), as the next
    exact_match: float  # rollouts whose score is exactly 1, of those with a score
    steps_per_team: float
    failed_step_fraction: float
    stalled_fraction: float
    admission_fraction: float
    read_rate: float
    read_rate_chance: float
    cross_share: float
    cross_share_chance: float
    reach: float
    reach_chance: float
    tokens: float  # mean per rollout, like the next five
    usd: float
    team_seconds: float
    model_seconds: float
    overhead_seconds: float
    overhead_tokens: float
    stop_reasons: Mapping[str, int]
    completion_seconds: tuple[float, ...]  # sorted


@dataclass(frozen=True, slots=True)
class BreakdownRow:
    """One policy on the tasks of one group: a difficulty, or families seen or not seen in training."""

    policy: str
    group: str
    num_tasks: int
    score: Interval
    runtime_seconds: Interval


@dataclass(frozen=True, slots=True)
class Versus:
    """The highlighted policy against another one, paired: score difference and runtime reduction with intervals."""

    policy: str
    score_difference: Interval  # highlighted - policy
    score_p_value: float
    runtime_reduction_percent: Interval  # 100 * (policy - highlighted) / policy


@dataclass(frozen=True, slots=True)
class PullRate:
    """The pull rate q behind the chance levels of reading, and the policy that it comes from ("": all together)."""

    rate: float
    policy: str = ""


def measure_policy(policy: str, rollouts: Sequence[Rollout], *, own_listed: bool = False) -> Measured:
    """Measures of a policy's rollouts by (task, seed, rollout).

    Raises ValueError without rollouts, and for two rollouts with the same coordinates.
    """
    if not rollouts:
        raise ValueError(f"expected at least one rollout of policy {policy!r}, got none")
    measured: Measured = {}
    for rollout in rollouts:
        cell = (rollout.task.task_id, rollout.coordinates.seed, rollout.coordinates.rollout)
        if cell in measured:
            raise ValueError(f"policy {policy!r}: two rollouts of task {cell[0]!r}, seed {cell[1]}, number {cell[2]}")
        measured[cell] = measure(rollout, own_listed=own_listed)
    return measured


def common_pull_rate(measured: Mapping[str, Measured]) -> PullRate:
    """The pull rate of the policy "all" if it showed any key, else of all policies together."""
    rate = pull_rate(measured.get(YARDSTICK, {}).values())
    if math.isfinite(rate):
        return PullRate(rate, YARDSTICK)
    return PullRate(pull_rate(one for cells in measured.values() for one in cells.values()))


def compare(policy: str, measured: Mapping[str, Measured], *, reference: str, seed: int = 0) -> ComparisonRow:
    """The row of `policy`, paired with `reference`; `measured` holds both. `seed` is of the sign flips.

    Read rate and reach by chance are those of an indifferent reader with the `common_pull_rate` of `measured`.
    """
    own, other = measured[policy], measured[reference]
    tasks = [cell[0] for cell in own]
    all_measures = list(own.values())

    def values(name: str) -> list[float]:
        return [getattr(one, name) for one in all_measures]

    def mean(name: str) -> float:
        finite = [value for value in values(name) if math.isfinite(value)]
        return math.fsum(finite) / len(finite) if finite else math.nan

    def pooled(numerator: str, denominator: str) -> float:
        return ratio(sum(values(numerator)), sum(values(denominator)))

    rate = common_pull_rate(measured).rate
    num_entries = sum(values("num_entries"))
    stop_reasons: dict[str, int] = {}
    for one in all_measures:
        for reason, count in one.stop_reasons.items():
            stop_reasons[reason] = stop_reasons.get(reason, 0) + count
    return ComparisonRow(
        policy=policy,
        num_rollouts=len(own),
        num_tasks=len(set(tasks)),
        num_unscored=sum(not math.isfinite(score) for score in values("score")),
        num_out_of_budget=sum(one.ran_out_of_budget for one in all_measures),
        score=stats.mean_interval(values("score"), tasks, within=SCORES),
        runtime_seconds=stats.mean_interval(values("runtime_seconds"), tasks, within=SECONDS),
        runtime_interquartile_seconds=float(stats.interquartile_mean(values("runtime_seconds"))),
        **(UNPAIRED if policy == reference else _pair_figures(own, other, seed)),
        first_seconds=mean("first_seconds"),
        answered=mean("answered"),
        precision=mean("precision"),
        exact_match=mean("exact_match"),
        steps_per_team=mean("steps_per_team"),
        failed_step_fraction=pooled("num_failed_steps", "num_steps"),
        stalled_fraction=pooled("num_stalls", "num_rounds"),
        admission_fraction=pooled("num_admitted", "num_decisions"),
        read_rate=pooled("num_entries_pulled", "num_entries"),
        read_rate_chance=ratio(math.fsum(one.entries_pulled_at(rate) for one in all_measures), num_entries),
        cross_share=pooled("num_cross_pulls", "num_pulls"),
        cross_share_chance=pooled("num_shown_to_others", "num_shown"),
        reach=pooled("num_readers", "num_entries"),
        reach_chance=ratio(math.fsum(one.readers_at(rate) for one in all_measures), num_entries),
        tokens=mean("tokens"),
        usd=mean("usd"),
        team_seconds=mean("team_seconds"),
        model_seconds=mean("model_seconds"),
        overhead_seconds=mean("overhead_seconds"),
        overhead_tokens=mean("overhead_tokens"),
        stop_reasons=dict(sorted(stop_reasons.items())),
        completion_seconds=tuple(sorted(values("runtime_seconds"))),
    )


def versus(highlight: str, policy: str, measured: Mapping[str, Measured], *, seed: int = 0) -> Versus:
    """Compare `highlight` with `policy` on the cells both have."""
    paired = _pair_figures(measured[highlight], measured[policy], seed)
    return Versus(
        policy=policy,
        score_difference=paired["score_difference"],
        score_p_value=paired["score_p_value"],
        runtime_reduction_percent=paired["runtime_reduction_percent"],
    )


def _pair_figures(own: Measured, other: Measured, seed: int) -> dict[str, Any]:
    score = _pair(own, other, lambda one: one.score)
    runtime = _pair(own, other, lambda one: one.runtime_seconds)
    score_change = score.policy - score.reference
    sums, _ = stats.task_sums(score_change, score.tasks)
    return {
        "num_pairs": len(runtime.tasks),
        "score_difference": stats.difference_interval(score, within=(-1.0, 1.0)),
        "score_p_value": float(stats.sign_flip_p_values(sums[None], seed=seed, num_flips=stats.NUM_FLIPS)[0]),
        "score_resolution": stats.minimum_detectable_effect(score_change, score.tasks),
        "runtime_reduction_percent": stats.reduction_interval(runtime),
        "runtime_resolution_percent": stats.reduction_resolution(runtime),
        "speed_up": ratio(float(np.sum(runtime.reference)), float(np.sum(runtime.policy))),
    }


def _pair(own: Measured, other: Measured, value: Callable[[RolloutMeasures], float]) -> stats.Paired:
    return stats.pair_cells(
        {cell: value(one) for cell, one in other.items()}, {cell: value(one) for cell, one in own.items()}
    )


def break_down(
    rollouts_by_policy: Mapping[str, Sequence[Rollout]],
    measured: Mapping[str, Measured],
    *,
    new_families: Collection[str] = (),
) -> tuple[BreakdownRow, ...]:
    """Rows by difficulty (easy first), then by whether the family was kept out of training; no group of all tasks."""
    tasks = {one.task.task_id: one.task for rollouts in rollouts_by_policy.values() for one in rollouts}
    order = {"easy": 0, "medium": 1, "hard": 2}
    difficulties = sorted({one.difficulty for one in tasks.values()}, key=lambda one: (order.get(one.lower(), 3), one))
    groups = {one or "other": {name for name in tasks if tasks[name].difficulty == one} for one in difficulties}
    groups["seen families"] = {name for name in tasks if tasks[name].family not in new_families}
    groups["new families"] = tasks.keys() - groups["seen families"]
    return tuple(
        _group_row(policy, group, members, measured[policy])
        for policy in measured
        for group, members in groups.items()
        if 0 < len(members) < len(tasks)
    )


def _group_row(policy: str, group: str, members: Collection[str], measured: Measured) -> BreakdownRow:
    cells = [cell for cell in measured if cell[0] in members]
    names = [cell[0] for cell in cells]
    return BreakdownRow(
        policy=policy,
        group=group,
        num_tasks=len(set(names)),
        score=stats.mean_interval([measured[cell].score for cell in cells], names, within=SCORES),
        runtime_seconds=stats.mean_interval([measured[cell].runtime_seconds for cell in cells], names, within=SECONDS),
    )
