"""Sections of the report page that are figures of the comparison."""

import math
from collections.abc import Sequence

from lts_jax.evaluation.comparison import ComparisonRow
from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.figures import Dot, Series, cumulative_chart, dot_plot, policy_colors
from lts_jax.reports.report import Report, find_row
from lts_jax.reports.svg import quote
from lts_jax.reports.table import interval, number


def differences(report: Report) -> str:
    """Every policy against the reference: score difference and time saved."""
    rows = [row for row in report.rows if row.policy != report.reference]
    if not rows:
        return ""
    own = find_row(report, report.highlight)
    score = _difference_plot(
        report, "Score difference", "+.3f", [(row.policy, row.score_difference) for row in rows], own.score_resolution
    )
    runtime = _difference_plot(
        report,
        "Time saved, percent of the reference's",
        "+.1f",
        [(row.policy, row.runtime_reduction_percent) for row in rows],
        own.runtime_resolution_percent,
    )
    band = (
        f" The grey band is what this comparison cannot resolve for {quote(report.highlight)} (80 % power)."
        if math.isfinite(own.score_resolution)
        else ""
    )
    return (
        f"<h2>Differences from {quote(report.reference)}</h2>"
        '<p class="soft">Paired over tasks and seeds. Bars are 95 % intervals; one that crosses zero is not resolved.'
        f'{band}</p><div class="grid pair"><div>{score}</div><div>{runtime}</div></div>'
    )


def versus(report: Report) -> str:
    """The highlighted policy against each of the others; nothing where there are fewer than two."""
    if report.highlight == report.reference or len(report.versus) < 2:
        return ""
    own = quote(report.highlight)
    scores = [(one.policy, one.score_difference) for one in report.versus]
    seconds = [(one.policy, one.runtime_reduction_percent) for one in report.versus]
    score = _difference_plot(report, f"Score: {report.highlight} minus ...", "+.3f", scores)
    runtime = _difference_plot(report, f"Time {report.highlight} saves, percent of ...", "+.1f", seconds)
    return (
        f"<h2>{own} against each of the others</h2>"
        f'<p class="soft">The same pairing, one rival a row: right of zero, {own} is better.</p>'
        f'<div class="grid pair"><div>{score}</div><div>{runtime}</div></div>'
    )


def completion(report: Report) -> str:
    """The distribution of completion times of every policy."""
    colors = _colors(report)
    series = [
        Series(
            row.policy,
            row.completion_seconds,
            (),
            colors[row.policy],
            row.policy in (report.reference, report.highlight),
        )
        for row in report.rows
    ]
    chart = cumulative_chart(series, x_title=f"seconds on the {report.clock} clock")
    return (
        "<h2>Completion times</h2>"
        '<p class="soft">Share of rollouts that had their final answer by each time. Further left is faster.</p>'
        f'<div class="scroll">{chart}</div>'
    )


def sharing(report: Report) -> str:
    """Admission fraction, read rate, cross share and reach, each beside its chance level.

    Nothing where no policy could have shared; policies without an entry are named under the panels.
    """
    rows = [row for row in report.rows if math.isfinite(row.read_rate)]
    if not any(math.isfinite(row.admission_fraction) for row in report.rows):
        return ""
    without = [row.policy for row in report.rows if not math.isfinite(row.read_rate)]
    absent = (
        f'<p class="soft">Nothing to show for {quote(", ".join(without))}: nothing was admitted.</p>' if without else ""
    )
    return f"<h2>What was shared, and who read it</h2>{_sharing_panels(report, rows) if rows else ''}{absent}"


def _sharing_panels(report: Report, rows: Sequence[ComparisonRow]) -> str:
    reaches = [one for row in rows for one in (row.reach, row.reach_chance) if math.isfinite(one)]
    reach_end = max(1.0, 1.1 * max(reaches))
    panels = [
        _level_plot(report, rows, "Admission fraction", "admission_fraction", 0.5, (0.0, 1.0)),
        _level_plot(report, rows, "Read rate", "read_rate", "read_rate_chance", (0.0, 1.0)),
        _level_plot(report, rows, "Cross share", "cross_share", "cross_share_chance", (0.0, 1.0)),
        _level_plot(report, rows, "Reach, other teams per entry", "reach", "reach_chance", (0.0, reach_end)),
    ]
    source = report.pull_rate.policy or "all policies together"
    return (
        '<p class="soft">Dots are measured; dashed ticks are the chance level. Admission: a coin. Read rate and '
        f"reach: a reader who pulls each key that it is shown as often as keys of {quote(source)} were pulled. Cross "
        "share: a reader who does not care who wrote.</p>"
        f'<div class="grid pair">{"".join(f"<div>{panel}</div>" for panel in panels)}</div>'
    )


def _difference_plot(
    report: Report, title: str, form: str, intervals: Sequence[tuple[str, Interval]], resolution: float = math.nan
) -> str:
    colors = _colors(report)
    dots = [
        Dot(
            policy,
            value,
            color=colors[policy],
            text=number(value.estimate, form, "–"),
            tip=f"{policy}\n{title}: {interval(value, form)}",
        )
        for policy, value in intervals
    ]
    return dot_plot(dots, title=title, zero_line=True, resolution=resolution)


def _level_plot(
    report: Report,
    rows: Sequence[ComparisonRow],
    title: str,
    name: str,
    chance: str | float,
    bounds: tuple[float, float],
) -> str:
    dots, colors = [], _colors(report)
    for row in rows:
        value = getattr(row, name)
        level = chance if isinstance(chance, float) else getattr(row, chance)
        dots.append(
            Dot(
                row.policy,
                Interval(value, math.nan, math.nan),
                level,
                colors[row.policy],
                f"{number(value, '.2f', '–')} ({number(level, '.2f', '–')})",
                f"{row.policy}\n{title}: {number(value)}; by chance {number(level)}",
            )
        )
    return dot_plot(dots, title=title, bounds=bounds, text_title="(by chance)")


def _colors(report: Report) -> dict[str, str]:
    return policy_colors([row.policy for row in report.rows], reference=report.reference, highlight=report.highlight)
