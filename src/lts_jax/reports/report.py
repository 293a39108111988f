"""The report: one row per policy, compared pairwise with a reference, and what is needed to draw it.

`build_report` is pure: rollouts in, frozen record out. `report_json` is its JSON form; `text.py` prints it in a
terminal and `run_page.py` makes the page.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lts_jax.evaluation.comparison import (
    BreakdownRow,
    ComparisonRow,
    PullRate,
    Versus,
    break_down,
    common_pull_rate,
    compare,
    measure_policy,
    versus,
)
from lts_jax.evaluation.curves import Curve, learning_curves
from lts_jax.evaluation.reading_costs import ReadingCost, reading_costs, told
from lts_jax.evaluation.statistics import MIN_TASKS, Interval
from lts_jax.evaluation.step_effects import KindRow
from lts_jax.records import Rollout
from lts_jax.reports.calls_told import calls_told, counted


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """How policies are compared.

    `own_listed` and `pulled_listed` say which keys teams were shown, the defaults being those of the memory's reading
    settings: the first sets chance levels, the second is only noted.
    """

    reference: str = "m1_parallel"
    highlight: str | None = None  # by default one named as in `LEARNED`, the first of these, else the last one
    own_listed: bool = False
    pulled_listed: bool = False
    new_families: Collection[str] = ()  # task families kept out of training, shown apart
    seed: int = 0  # of resamples and sign flips


@dataclass(frozen=True, slots=True)
class Background:
    """What a report shows beside the comparison."""

    header: Mapping[str, str] = field(default_factory=dict)  # what was run, when and with which model
    metrics: Sequence[Mapping[str, Any]] = ()  # lines of a training run's metrics file
    example: Rollout | None = None  # drawn step by step
    glossary: Mapping[str, str] = field(default_factory=dict)  # a line on policies, by name
    kinds: Sequence[KindRow] = ()  # what an admission is worth, from rollouts in which a coin decided


@dataclass(frozen=True, slots=True)
class Report:
    """Evaluation of several policies on the same tasks, ready to be printed, stored or drawn."""

    reference: str
    highlight: str  # the policy that the report is about; the reference where there is no other
    header: Mapping[str, str]
    notes: tuple[str, ...]
    clock: str
    num_tasks: int
    num_seeds: int  # distinct (seed, rollout number): how often a task was run
    num_teams: int
    pull_rate: PullRate  # behind the chance levels of reading
    rows: tuple[ComparisonRow, ...]
    versus: tuple[Versus, ...]  # the highlighted policy against each of the others
    breakdown: tuple[BreakdownRow, ...]
    curves: tuple[Curve, ...]
    kinds: tuple[KindRow, ...] = ()  # what an admission is worth, by kind of step; empty where nobody asked
    example: Rollout | None = None
    example_policy: str = ""  # whose rollout the example is
    glossary: Mapping[str, str] = field(default_factory=dict)  # a line on each policy that one is known of
    readings: tuple[ReadingCost, ...] = ()  # what lines with another reader save, against the same without
    calls: str = ""  # how many model calls there were, how many failed, and why; empty where there were none


LEARNED = ("admission_value", "lts", "learned")  # how names of trained controllers begin; what a report is about
ON_PAGE_ONLY = ("example", "example_policy", "glossary")  # left out of the JSON


def build_report(
    rollouts_by_policy: Mapping[str, Sequence[Rollout]],
    settings: ReportSettings | None = None,
    background: Background | None = None,
) -> Report:
    """Compare policies on the rollouts of the same tasks and seeds. What the endpoint failed is left out, and told.

    Raises ValueError for an unknown reference or highlight, a policy without rollouts, or two rollouts of one policy
    with the same task, seed and number.
    """
    settings, background = settings or ReportSettings(), background or Background()
    reference, highlight, seed = settings.reference, settings.highlight, settings.seed
    for name in [reference] if highlight is None else [reference, highlight]:
        if name not in rollouts_by_policy:
            raise ValueError(f"expected one of the policies {sorted(rollouts_by_policy)}, got {name!r}")
    everything = [rollout for rollouts in rollouts_by_policy.values() for rollout in rollouts]
    rollouts_by_policy = counted(rollouts_by_policy)
    measured = {
        policy: measure_policy(policy, rollouts, own_listed=settings.own_listed)
        for policy, rollouts in rollouts_by_policy.items()
    }
    example = background.example
    highlight = highlight or _default_highlight(list(measured), reference)
    report = Report(
        reference=reference,
        highlight=highlight,
        header=dict(background.header),
        notes=(),
        clock=" and ".join(sorted({rollout.clock for rollout in everything})),
        num_tasks=len({rollout.task.task_id for rollout in everything}),
        num_seeds=len({(rollout.coordinates.seed, rollout.coordinates.rollout) for rollout in everything}),
        num_teams=max(rollout.num_teams for rollout in everything),
        pull_rate=common_pull_rate(measured),
        rows=tuple(compare(policy, measured, reference=reference, seed=seed) for policy in measured),
        versus=tuple(versus(highlight, policy, measured, seed=seed) for policy in measured if policy != highlight),
        breakdown=break_down(rollouts_by_policy, measured, new_families=settings.new_families),
        curves=learning_curves(background.metrics),
        kinds=tuple(background.kinds),
        example=example,
        example_policy="" if example is None else _line_of(example, rollouts_by_policy),
        glossary={name: background.glossary[name] for name in measured if name in background.glossary},
        readings=reading_costs(rollouts_by_policy),
        calls=calls_told(everything),
    )
    return replace(report, notes=_notes(report, settings))


def report_json(report: Report) -> dict[str, Any]:
    """The report as JSON values; NaN and infinities become null. The example stays behind as its coordinates."""
    fields = {name: getattr(report, name) for name in Report.__slots__ if name not in ON_PAGE_ONLY}
    document = {name: json_plain(value) for name, value in fields.items()}
    document["example"] = None
    if report.example is not None:
        document["example"] = {"policy": report.example.policy, **asdict(report.example.coordinates)}
    return document


def find_row(report: Report, policy: str) -> ComparisonRow:
    """The row of a policy."""
    return next(row for row in report.rows if row.policy == policy)


def is_simulated(report: Report) -> bool:
    """Whether times are drawn from a latency model instead of measured."""
    return report.clock != "real"


def headline(report: Report) -> str:
    """What the comparison says about the highlighted policy, in words, and whether the data can tell."""
    row = find_row(report, report.highlight)
    if report.highlight == report.reference:
        return f"Only the reference, {report.reference}, was run: there is nothing to compare it with."
    reduction, difference = row.runtime_reduction_percent, row.score_difference
    if not math.isfinite(reduction.low):
        return f"Too few paired tasks to compare: an interval needs at least {MIN_TASKS}."
    faster = "less" if reduction.estimate >= 0 else "more"
    low, high = (reduction.low, reduction.high) if reduction.estimate >= 0 else (-reduction.high, -reduction.low)
    higher = "higher" if difference.estimate >= 0 else "lower"
    return (
        f"{report.highlight} needs {abs(reduction.estimate):.1f} % {faster} time than {report.reference} "
        f"({_verdict(reduction)}; 95 % interval {low:.1f} to {high:.1f} % {faster}), at a "
        f"score {abs(difference.estimate):.3f} {higher} ({_verdict(difference)}; {difference.low:+.3f} to "
        f"{difference.high:+.3f}).{_best_alternatives(report)}"
    )


def _best_alternatives(report: Report) -> str:
    others = [
        row
        for row in report.rows
        if row.policy not in (report.reference, report.highlight)
        and row.admission_fraction > 0
        and math.isfinite(row.score.estimate)
        and math.isfinite(row.runtime_reduction_percent.estimate)
    ]
    if not others:
        return ""
    fastest = max(others, key=lambda row: row.runtime_reduction_percent.estimate)
    best = max(others, key=lambda row: row.score.estimate)
    saves = f"saves most time ({fastest.runtime_reduction_percent.estimate:.1f} %)"
    own = find_row(report, report.highlight).score.estimate
    scores = f"scores highest ({best.score.estimate:.3f}, against {own:.3f})"
    subject = "" if best is fastest else f"{best.policy} "
    return f" Among the other ways to share, {fastest.policy} {saves} and {subject}{scores}."


def _verdict(interval: Interval) -> str:
    if not math.isfinite(interval.low):
        return "unknown"
    return "unresolved" if interval.low <= 0 <= interval.high else "resolved"


def _default_highlight(policies: Sequence[str], reference: str) -> str:
    learned = [name for name in policies if name.lower().startswith(LEARNED)]
    learned.sort(key=lambda name: LEARNED.index(next(start for start in LEARNED if name.lower().startswith(start))))
    others = [name for name in policies if name != reference]
    return (learned or others[-1:] or [reference])[0]


def _line_of(rollout: Rollout, rollouts_by_policy: Mapping[str, Sequence[Rollout]]) -> str:
    """The name under which a rollout is compared; its own policy's where it is none of them."""
    holders = (name for name, some in rollouts_by_policy.items() if any(one is rollout for one in some))
    return next(holders, rollout.policy)


def _notes(report: Report, settings: ReportSettings) -> tuple[str, ...]:
    clock = (
        f"Clock: {report.clock}. Latencies are drawn from a model of token counts and tool times, not measured."
        if is_simulated(report)
        else "Clock: real. Seconds are wall time."
    )
    return (
        clock,
        f"{report.num_tasks} tasks, {report.num_seeds} rollout{'s' * (report.num_seeds > 1)} of each (seeds), up to "
        f"{report.num_teams} teams. Brackets: 95 % intervals over tasks, each with all its seeds; the training of the "
        "controllers at hand is not part of them.",
        f"Differences and reductions are paired with {report.reference} over tasks and seeds; reduction = "
        "100 * (reference - policy) / reference.",
        *_chance_notes(report, settings),
        *_resolution_notes(report),
        *map(told, report.readings),
        *_caveats(report),
    )


def _chance_notes(report: Report, settings: ReportSettings) -> list[str]:
    admitted = "Admitted by chance: 0.50, a coin decides."
    listed = "the part of shown keys that other teams wrote, as own keys are listed"
    cross = f"Cross share by chance: {listed if settings.own_listed else '1, own keys are hidden'}."
    again = f"Pulled keys are {'listed again' if settings.pulled_listed else 'not listed again while held'}."
    notes = [f"{admitted} {cross} {again}"]
    if math.isfinite(report.pull_rate.rate):
        source = report.pull_rate.policy or "all policies together"
        own = (
            f" (the reach of {source} is its own chance)" if report.pull_rate.policy and not settings.own_listed else ""
        )
        notes.append(
            "Read rate and reach by chance: every key that a team is shown is pulled with one rate, "
            f"q = {report.pull_rate.rate:.2f} = pulled / shown keys of {source}{own}; shown to n teams, a key is read "
            "with probability 1 - (1 - q)^n and reaches q * n. Values above chance: more readily pulled than keys of "
            f"{source}, for what they say or because fewer stood side by side."
        )
    return notes


def _resolution_notes(report: Report) -> list[str]:
    row = find_row(report, report.highlight)
    if not math.isfinite(row.score_resolution):
        return []
    return [
        f"Smallest effect this comparison finds with 80 % power ({row.policy}): score {row.score_resolution:.3f}, "
        f"runtime {row.runtime_resolution_percent:.1f} %. Smaller ones may exist unseen."
    ]


def _caveats(report: Report) -> list[str]:
    """What a reader of the tables must not overlook."""
    notes = [
        f"{row.policy} was run on {row.num_tasks} of {report.num_tasks} tasks: its means are over other tasks than the "
        "rest, only its paired differences compare like with like."
        for row in report.rows
        if row.num_tasks < report.num_tasks
    ]
    for row in report.rows:
        count, many = row.num_out_of_budget, row.num_out_of_budget > 1
        if count:
            whose = "their scores say" if many else "its score says"
            notes.append(f"{count} rollout{'s' * many} of {row.policy} ran out of budget; {whose} nothing.")
    notes += [
        f"{' and '.join(same)} came out the same in every rollout: here they are one policy." for same in _same(report)
    ]
    unscored = sum(one.num_unscored for one in report.rows)
    if unscored:
        words = "rollout has no score and stays" if unscored == 1 else "rollouts have no score and stay"
        notes.append(f"{unscored} {words} out of every score.")
    return notes


def _same(report: Report) -> list[list[str]]:
    """Names of policies whose rollouts took the same time, score and tokens throughout."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for row in report.rows:
        groups.setdefault((row.completion_seconds, row.score.estimate, row.tokens), []).append(row.policy)
    return [names for names in groups.values() if len(names) > 1]


def json_plain(value: Any) -> Any:
    """JSON values: records become objects, tuples lists, numbers that JSON does not know null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): json_plain(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [json_plain(one) for one in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: json_plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value
