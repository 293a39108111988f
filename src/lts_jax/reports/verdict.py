"""What learning saved, in plain words: against a coin of its own rate, rules, and other trained controllers."""

import math

from lts_jax.evaluation.comparison import ComparisonRow, Versus
from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.report import LEARNED, Report, find_row, is_simulated

COIN = "random_matched"
NO_RULE = ("magentic_one", "m1_parallel", COIN)  # lines that are no rule for admitting
GAIN_OF_TIME = 0.2  # score that the whole of the reference's runtime is worth, where rules are ranked


def verdict(report: Report) -> list[str]:
    """A line for each opponent of the highlighted controller; nothing where that is no trained controller."""
    if not _is_learned(report.highlight):
        return []
    against = {one.policy: one for one in report.versus}
    seconds = "simulated seconds" if is_simulated(report) else "wall seconds"
    found = [(COIN, "a coin that admits as often")]
    best, fastest = best_rule(report), fastest_rule(report)
    if best is not None and fastest is not None:
        is_one = best.policy == fastest.policy
        found.append((best.policy, f"the best {'and fastest ' if is_one else ''}rule here, {best.policy}"))
        found += [] if is_one else [(fastest.policy, f"the fastest rule here, {fastest.policy}")]
    found += [
        (name, "the paper's method, lts" if name == "lts" else name)
        for name in against
        if _is_learned(name) and name != report.highlight
    ]
    lines = [f"against {words}: {_compared(against[name])}" for name, words in found if name in against]
    if not lines:
        return []
    runs = f"{report.num_tasks} tasks x {report.num_seeds} rollouts, {seconds}, 95 % intervals"
    return [f"What learning saved: {report.highlight} ({runs})", *lines]


def best_rule(report: Report) -> ComparisonRow | None:
    """The rule of the largest gain, score + 0.2 * share of the reference's runtime saved; None without a rule."""
    reference = find_row(report, report.reference).runtime_seconds.estimate

    def gain(row: ComparisonRow) -> float:
        return row.score.estimate + GAIN_OF_TIME * (1.0 - row.runtime_seconds.estimate / reference)

    return max(_rules(report), key=gain, default=None)


def fastest_rule(report: Report) -> ComparisonRow | None:
    """The rule of the least runtime; None without a rule."""
    return min(_rules(report), key=lambda row: row.runtime_seconds.estimate, default=None)


def _rules(report: Report) -> list[ComparisonRow]:
    return [
        row
        for row in report.rows
        if row.policy not in NO_RULE and not _is_learned(row.policy) and math.isfinite(row.score.estimate)
    ]


def _is_learned(name: str) -> bool:
    return name.lower().startswith(LEARNED)


def _compared(one: Versus) -> str:
    time, score = one.runtime_reduction_percent, one.score_difference
    if not math.isfinite(time.low):
        return "too few paired tasks to say"
    return (
        f"{abs(time.estimate):.1f} % {'less' if time.estimate >= 0 else 'more'} time{_bounds(time, '.1f')}, "
        f"score {score.estimate:+.3f}{_bounds(score, '+.2f')}"
    )


def _bounds(value: Interval, form: str) -> str:
    low, high = value.low, value.high
    if form == ".1f" and value.estimate < 0:
        low, high = -high, -low
    resolved = "resolved" if not low <= 0 <= high else "not resolved"
    return f" ({resolved}: {low:{form}} to {high:{form}})"
