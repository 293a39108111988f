"""The report of a run as a page."""

import math
from collections.abc import Mapping, Sequence

from lts_jax.evaluation.comparison import BreakdownRow, ComparisonRow
from lts_jax.evaluation.measures import MEASURES
from lts_jax.evaluation.statistics import UNKNOWN, Interval
from lts_jax.records import Rollout
from lts_jax.reports.axes import Frame
from lts_jax.reports.charts import Distribution, Dot, DotAxis, cumulative_chart, dot_plot, line_chart
from lts_jax.reports.kinds_section import kinds_section
from lts_jax.reports.page import (
    bullets,
    facts_list,
    fold,
    glossary,
    grid,
    opening,
    page,
    scroll_box,
    section,
    stack,
    table,
)
from lts_jax.reports.palette import name_colors
from lts_jax.reports.report import Report, find_row, headline, is_simulated
from lts_jax.reports.svg import Figure, quote
from lts_jax.reports.text import interval, number, short_count
from lts_jax.reports.tradeoff import tradeoff_section
from lts_jax.reports.verdict import verdict
from lts_jax.reports.viewer import viewer_section
from lts_jax.reports.viewer_script import VIEWER_SCRIPT, VIEWER_STYLE

TITLE = "What sharing saved"
COMPLETION = "Share of rollouts that had their final answer by each time. Further left is faster."


def report_html(report: Report, rollouts: Mapping[str, Sequence[Rollout]] | None = None) -> str:
    """The whole page as text; `rollouts` by line are what it was built from, to be looked into, else the example is."""
    example = report.example
    if rollouts is None:
        rollouts = {} if example is None else {report.example_policy: [example]}
    facts = [
        f"{report.num_tasks} tasks",
        f"{report.num_seeds} rollout{'s' * (report.num_seeds > 1)} of each",
        f"up to {report.num_teams} teams",
        f"clock: {report.clock} ({'simulated latencies' if is_simulated(report) else 'wall time'})",
    ]
    sections = [
        opening(TITLE, headline(report), [*facts, *([report.calls] if report.calls else [])]),
        _verdict(report),
        tradeoff_section(report),
        comparison_section(report),
        section("The policies", glossary(report.glossary, _colors(report))),
        differences_section(report),
        _versus(report),
        section("Completion times", scroll_box(completion_chart(report)), intro=COMPLETION),
        sharing_section(report),
        kinds_section(report.kinds),
        _breakdown(report),
        _learning(report),
        viewer_section(rollouts, example),
        section("How to read this", bullets(report.notes), fold("What every measure means", _measures_table())),
        section("This run", facts_list(report.header)),
    ]
    return page(TITLE, sections, scripts=[VIEWER_SCRIPT], style=VIEWER_STYLE)


def _verdict(report: Report) -> str:
    said = verdict(report)
    return section(said[0], bullets(said[1:])) if said else ""


def completion_chart(report: Report) -> Figure:
    """The share of rollouts that had their final answer by each time, a line per policy; further left is faster."""
    strong = (report.reference, report.highlight)
    series = [Distribution(row.policy, row.completion_seconds, row.policy in strong) for row in report.rows]
    return cumulative_chart(series, Frame("", f"seconds on the {report.clock} clock", 1000, 400))


def comparison_section(report: Report) -> str:
    """The table of what came out, a row for each policy."""
    heads = [
        ("policy", ""),
        ("score", ""),
        ("score against<br>reference", "group"),
        ("runtime<br>seconds", "group"),
        ("time saved<br>percent", ""),
        ("answered", "group"),
        ("precision", ""),
        ("exact<br>match", ""),
        ("steps<br>per team", ""),
        ("tokens", ""),
        ("US dollars", ""),
        ("overhead<br>seconds", ""),
    ]
    intro = (
        f"Means with 95 % intervals. Differences are paired with {quote(report.reference)} over tasks and seeds. "
        "Tokens, dollars and overhead are means per rollout."
    )
    rows = [(_comparison_cells(row, report), _is_own(row.policy, report)) for row in report.rows]
    return section("Comparison", table(heads, rows), intro=intro)


def _comparison_cells(row: ComparisonRow, report: Report) -> list[str]:
    is_reference = row.policy == report.reference
    return [
        quote(row.policy) + ("<small>reference</small>" if is_reference else ""),
        stack(row.score, ".3f", ".2f"),
        "–" if is_reference else stack(row.score_difference, "+.3f", "+.2f"),
        stack(row.runtime_seconds, ",.0f"),
        "–" if is_reference else stack(row.runtime_reduction_percent, "+.1f"),
        number(row.answered, ".2f", "–"),
        number(row.precision, ".3f", "–"),
        number(row.exact_match, ".3f", "–"),
        number(row.steps_per_team, ".1f", "–"),
        short_count(row.tokens),
        number(row.usd or math.nan, ".3f", "–"),
        number(row.overhead_seconds, ".1f", "–"),
    ]


def differences_section(report: Report) -> str:
    """Every policy against the reference: score difference and time saved."""
    rows, own = [row for row in report.rows if row.policy != report.reference], find_row(report, report.highlight)
    if not rows:
        return ""
    scores = {row.policy: row.score_difference for row in rows}
    seconds = {row.policy: row.runtime_reduction_percent for row in rows}
    score = DotAxis("Score difference", zero_line=True, resolution=own.score_resolution)
    saved = DotAxis("Time saved, percent of the reference's", zero_line=True, resolution=own.runtime_resolution_percent)
    intro = "Paired over tasks and seeds. Bars are 95 % intervals; one that crosses zero is not resolved."
    if math.isfinite(own.score_resolution):
        intro += f" The grey band is what this comparison cannot resolve for {quote(report.highlight)} (80 % power)."
    plots = [_dots(report, scores, score, "+.3f"), _dots(report, seconds, saved, "+.1f")]
    return section(f"Differences from {report.reference}", grid(plots, pair=True), intro=intro)


def _versus(report: Report) -> str:
    """The highlighted policy against each of the others; nothing where there are fewer than two."""
    own = report.highlight
    if own == report.reference or len(report.versus) < 2:
        return ""
    scores = {one.policy: one.score_difference for one in report.versus}
    seconds = {one.policy: one.runtime_reduction_percent for one in report.versus}
    plots = [
        _dots(report, scores, DotAxis(f"Score: {own} minus ...", zero_line=True), "+.3f"),
        _dots(report, seconds, DotAxis(f"Time {own} saves, percent of ...", zero_line=True), "+.1f"),
    ]
    intro = f"The same pairing, one rival a row: right of zero, {quote(own)} is better."
    return section(f"{own} against each of the others", grid(plots, pair=True), intro=intro)


def sharing_section(report: Report) -> str:
    """Admission fraction, read rate, cross share and reach, each beside its chance level.

    Nothing where no policy could have shared; policies without an entry are named under the panels.
    """
    if not any(math.isfinite(row.admission_fraction) for row in report.rows):
        return ""
    rows = [row for row in report.rows if math.isfinite(row.read_rate)]
    without = [row.policy for row in report.rows if not math.isfinite(row.read_rate)]
    panels, blocks = [], []
    for title, value, chance, bounds in (
        ("Admission fraction", lambda row: row.admission_fraction, lambda row: 0.5, (0.0, 1.0)),
        ("Read rate", lambda row: row.read_rate, lambda row: row.read_rate_chance, (0.0, 1.0)),
        ("Cross share", lambda row: row.cross_share, lambda row: row.cross_share_chance, (0.0, 1.0)),
        ("Reach, other teams per entry", lambda row: row.reach, lambda row: row.reach_chance, None),
    ):
        levels = {row.policy: (value(row), chance(row)) for row in rows}
        if not rows:
            continue
        if len({f"{one:.2f}" for pair in levels.values() for one in pair}) == 1:
            blocks.append(f'<p class="soft">{title}: {value(rows[0]):.2f} for every policy, as by chance.</p>')
        else:
            panels.append(_levels(report, levels, title, bounds))
    if without:
        names = quote(", ".join(without))
        blocks.append(f'<p class="soft">Nothing to show for {names}: nothing was admitted.</p>')
    source = report.pull_rate.policy or "all policies together"
    intro = (
        "Dots are measured; dashed ticks are the chance level. Admission: a coin. Read rate and reach: a reader who "
        f"pulls each key that it is shown as often as keys of {quote(source)} were pulled. Cross share: a reader who "
        "pulls of all that is shown, whoever wrote it."
    )
    return section("What was shared, and who read it", grid(panels, pair=True) if panels else "", *blocks, intro=intro)


def _breakdown(report: Report) -> str:
    """Score and runtime by kind of task; nothing where all tasks are of one kind."""
    sizes = {row.group: row.num_tasks for row in report.breakdown}
    heads = [("policy", "")]
    for measure in ("score", "seconds"):
        heads += [
            (
                f"{measure}<br>{quote(group).replace(' ', '<br>', 1)}<small>{size} tasks</small>",
                "group" * (not number),
            )
            for number, (group, size) in enumerate(sizes.items())
        ]
    by_cell = {(row.policy, row.group): row for row in report.breakdown}
    rows = []
    for policy in dict.fromkeys(row.policy for row in report.breakdown):
        cells = [by_cell.get((policy, group), BreakdownRow(policy, group, 0, UNKNOWN, UNKNOWN)) for group in sizes]
        scores = [stack(cell.score, ".3f", ".2f") for cell in cells]
        seconds = [stack(cell.runtime_seconds, ",.0f") for cell in cells]
        rows.append(([quote(policy), *scores, *seconds], _is_own(policy, report)))
    intro = "Means with 95 % intervals; no interval below five tasks."
    return section("By kind of task", table(heads, rows) if rows else "", intro=intro)


def _learning(report: Report) -> str:
    charts = [line_chart(one.x, one.y, Frame(one.name, one.x_name, 360, 190)) for one in report.curves]
    intro = "Faint: every value. Strong: the mean of the last tenth of the run."
    return section("Learning curves", grid(charts) if charts else "", intro=intro)


def _measures_table() -> str:
    """What every measure means, with its unit, its better direction and its chance level."""
    heads = [("measure", ""), *((name, "texts") for name in ("meaning", "unit", "better", "by chance"))]
    rows = [
        ([quote(text) for text in (name, one.meaning, one.unit, one.better or "–", one.chance or "–")], False)
        for name, one in MEASURES.items()
    ]
    return table(heads, rows)


def _dots(report: Report, intervals: Mapping[str, Interval], axis: DotAxis, form: str) -> Figure:
    colors = _colors(report)
    dots = [
        Dot(
            policy,
            value,
            color=colors[policy],
            text=number(value.estimate, form, "–"),
            tip=f"{policy}\n{axis.title}: {interval(value, form)}",
            strong=policy == report.highlight,
        )
        for policy, value in intervals.items()
    ]
    return dot_plot(dots, axis)


def _levels(
    report: Report,
    levels: Mapping[str, tuple[float, float]],
    title: str,
    bounds: tuple[float, float] | None,
) -> Figure:
    """Values beside their chance levels."""
    colors = _colors(report)
    finite = [one for pair in levels.values() for one in pair if math.isfinite(one)]
    dots = [
        Dot(
            policy,
            Interval(value, math.nan, math.nan),
            chance,
            colors[policy],
            f"{number(value, '.2f', '–')} ({number(chance, '.2f', '–')})",
            f"{policy}\n{title}: {number(value)}; by chance {number(chance)}",
            policy == report.highlight,
        )
        for policy, (value, chance) in levels.items()
    ]
    return dot_plot(dots, DotAxis(title, bounds or (0.0, max(1.0, 1.1 * max(finite))), text_title="(by chance)"))


def _colors(report: Report) -> dict[str, str]:
    return name_colors([*(row.policy for row in report.rows), *report.glossary])


def _is_own(policy: str, report: Report) -> bool:
    return policy == report.highlight and policy != report.reference
