"""Runs side by side as a record: the settings that differ, learning curves, and a paired comparison of what came out.

The same task with the same seed is the same luck in every run that was evaluated with equal settings, so runs are
paired over their common (task, seed, rollout). What every evaluation holds, the reference without a memory, shows
whether that holds: where it came out otherwise in two runs, more than the controller differs between them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from lts_jax.errors import UserError
from lts_jax.evaluation.curves import Curve, learning_curves
from lts_jax.evaluation.statistics import Cell, Interval
from lts_jax.records import Rollout
from lts_jax.reports.report import Report, ReportSettings, build_report, json_plain

ABSENT = "–"


@dataclass(frozen=True, slots=True)
class SeenRun:
    """What lies in the folder of one run."""

    name: str
    path: str
    settings: Mapping[str, Any]  # as plain values, with `parts` and `versions` beside them
    metrics: Sequence[Mapping[str, Any]] = ()
    line: str = ""  # of its evaluation, whose rollouts are compared; empty without an evaluation
    rollouts: Sequence[Rollout] = ()  # of that line
    unshared: Sequence[Rollout] = ()  # of the reference without a memory


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that is not the same in all runs."""

    setting: str
    values: tuple[str, ...]  # in the order of the runs


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Runs side by side, ready to be printed, stored or drawn."""

    names: tuple[str, ...]
    paths: tuple[str, ...]
    lines: tuple[str, ...]  # which line of its evaluation each run is compared by; empty without one
    differences: tuple[Difference, ...]
    curves: Mapping[str, tuple[Curve, ...]] = field(default_factory=dict)  # of each run that has any
    report: Report | None = None  # the runs in place of policies, the first one as the reference
    notes: tuple[str, ...] = ()


def side_by_side(runs: Sequence[SeenRun], *, own_listed: bool = False) -> SideBySide:
    """Put runs beside each other; the first is what the others are compared with.

    Raises:
        UserError: fewer than two runs, two evaluations without a common task, or nothing to compare.
    """
    if len(runs) < 2:
        raise UserError(f"compare: expected at least two runs, got {len(runs)}")
    if len({run.path for run in runs}) < len(runs):
        raise UserError("compare: expected every run once")
    curves = {run.name: learning_curves(run.metrics) for run in runs if run.metrics}
    tested = [run for run in runs if run.rollouts]
    for one, other in combinations(tested, 2):
        _check_common(one, other)
    report = None
    if len(tested) > 1:
        rollouts = {run.name: run.rollouts for run in tested}
        report = build_report(rollouts, ReportSettings(tested[0].name, tested[1].name, own_listed=own_listed))
    elif len(curves) < 2:
        raise UserError("compare: expected two runs that were evaluated, or two that were trained")
    return SideBySide(
        names=tuple(run.name for run in runs),
        paths=tuple(run.path for run in runs),
        lines=tuple(run.line for run in runs),
        differences=differences([run.settings for run in runs]),
        curves=curves,
        report=report,
        notes=(*_run_notes(runs), *_luck_notes(tested), *(report.notes if report is not None else ())),
    )


def side_by_side_json(found: SideBySide) -> dict[str, Any]:
    """The same as JSON values."""
    plain = {name: json_plain(getattr(found, name)) for name in SideBySide.__slots__ if name != "report"}
    rows = None if found.report is None else json_plain({"rows": found.report.rows, "versus": found.report.versus})
    return plain | {"report": rows}


def differences(settings: Sequence[Mapping[str, Any]]) -> tuple[Difference, ...]:
    """The settings that are not the same everywhere, by their dotted names, in the order of the first to have them."""
    flat = [_flat(one) for one in settings]
    names = dict.fromkeys(name for one in flat for name in one)
    rows = {name: tuple(one.get(name, ABSENT) for one in flat) for name in names}
    return tuple(Difference(name, values) for name, values in rows.items() if len(set(values)) > 1)


def outcome_words(report: Report) -> list[str]:
    """A sentence for each run but the first."""
    return [
        f"{row.policy} against {report.reference}: time saved {_said(row.runtime_reduction_percent, '+.1f', ' %')}, "
        f"score {_said(row.score_difference, '+.3f')}."
        for row in report.rows
        if row.policy != report.reference
    ]


def _said(value: Interval, form: str, unit: str = "") -> str:
    if not math.isfinite(value.estimate):
        return "nothing to compare"
    told = f"{value.estimate:{form}}{unit}"
    if not math.isfinite(value.low):
        return f"{told} (too few common tasks for an interval)"
    verdict = "unresolved" if value.low <= 0 <= value.high else "resolved"
    return f"{told} [{value.low:{form}}, {value.high:{form}}] ({verdict})"


def _flat(value: Any, name: str = "") -> dict[str, str]:
    if isinstance(value, Mapping):
        return {
            key: text
            for own, inner in value.items()
            for key, text in _flat(inner, f"{name}.{own}" if name else str(own)).items()
        }
    return {name: str(value)}


def _check_common(one: SeenRun, other: SeenRun) -> None:
    tasks, others = ({rollout.task.task_id for rollout in run.rollouts} for run in (one, other))
    if not tasks & others:
        raise UserError(
            f"{one.path} and {other.path}: no common task: {len(tasks)} such as {min(tasks)} here, "
            f"{len(others)} such as {min(others)} there"
        )


def _run_notes(runs: Sequence[SeenRun]) -> list[str]:
    notes = []
    if any(run.rollouts for run in runs):
        lines = [f"{run.name}: {run.line}" for run in runs if run.rollouts]
        notes.append(f"Compared are these lines of the evaluations: {', '.join(lines)}.")
    for run in runs:
        missing = [word for word, there in (("evaluated", run.rollouts), ("trained", run.metrics)) if not there]
        if missing:
            notes.append(f"{run.name} was not {' or '.join(missing)} in its folder.")
    return notes


def _luck_notes(runs: Sequence[SeenRun]) -> list[str]:
    """Whether the reference without a memory came out the same in the first run and each of the others."""
    notes = []
    for other in runs[1:]:
        first, second = (_results(run.unshared) for run in (runs[0], other))
        common = sorted(first.keys() & second.keys())
        num_same = sum(first[cell] == second[cell] for cell in common)
        if not common:
            continue
        if num_same == len(common):
            notes.append(
                f"The teams without a memory came out the same in {runs[0].name} and {other.name}, all {num_same} "
                "rollouts: the same luck in both."
            )
            continue
        notes.append(
            f"The teams without a memory came out the same in {num_same} of {len(common)} rollouts of {runs[0].name} "
            f"and {other.name}: more differs between these runs than what was learned (see their settings)."
        )
    return notes


def _results(rollouts: Sequence[Rollout]) -> dict[Cell, tuple[str, float]]:
    return {
        (one.task.task_id, one.coordinates.seed, one.coordinates.rollout): (repr(one.reward_agg), one.seconds)
        for one in rollouts
    }
