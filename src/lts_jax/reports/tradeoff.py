"""Score against runtime, the figure that opens a run's page."""

import math

from lts_jax.evaluation.comparison import ComparisonRow
from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.axes import Frame
from lts_jax.reports.page import scroll_box, section
from lts_jax.reports.point_chart import Origin, Point, PointSeries, point_chart
from lts_jax.reports.report import Report, find_row
from lts_jax.reports.svg import Figure, quote
from lts_jax.reports.text import interval


def tradeoff_section(report: Report) -> str:
    """The figure under its heading."""
    intro = (
        f"Up and to the left is better; in the shaded corner a policy is faster than {quote(report.reference)} and "
        f"scores higher. Bars are 95 % intervals of the paired difference from {quote(report.reference)}: one that "
        "crosses a dashed line is not resolved."
    )
    return section("Score against runtime", scroll_box(tradeoff_chart(report)), intro=intro)


def tradeoff_chart(report: Report) -> Figure:
    """Mean score against mean runtime, a named point per policy; bars are intervals paired with the reference.

    Dashed lines go through the reference, and the corner that is faster and better is shaded.
    """
    reference = find_row(report, report.reference)
    series = [PointSeries(row.policy, [policy_point(row, reference, report)]) for row in report.rows]
    frame = Frame("mean score", f"mean runtime, seconds on the {report.clock} clock", 860, 420)
    place = (reference.runtime_seconds.estimate, reference.score.estimate)
    origin = Origin(*place, "faster and better") if all(map(math.isfinite, place)) else None
    return point_chart(series, frame, named=True, origin=origin)


def policy_point(row: ComparisonRow, reference: ComparisonRow, report: Report) -> Point:
    """A policy's means, with bars as wide as the intervals of its paired differences; the reference has none."""
    tip = f"{row.policy}\nscore {interval(row.score, '.3f')}\n{interval(row.runtime_seconds, ',.0f')} s"
    if row is not reference:
        tip += f"\nagainst {reference.policy}: score {interval(row.score_difference, '+.3f')}"
        tip += f"\ntime saved {interval(row.runtime_reduction_percent, '+.1f')} %"
    per_percent = -reference.runtime_seconds.estimate / 100
    return Point(
        _around(row.runtime_seconds.estimate, row.runtime_reduction_percent, per_percent),
        _around(row.score.estimate, row.score_difference, 1.0),
        tip,
        row.policy in (report.reference, report.highlight),
    )


def _around(mean: float, difference: Interval, scale: float) -> Interval:
    """The mean, with the width of the difference's interval in the mean's unit; no bounds where there are none."""
    ends = [mean + scale * (bound - difference.estimate) for bound in (difference.low, difference.high)]
    return Interval(mean, min(ends), max(ends)) if all(map(math.isfinite, ends)) else Interval(mean, math.nan, math.nan)
