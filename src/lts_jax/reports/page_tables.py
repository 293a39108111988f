"""Tables of the report page. Every text is escaped; a wide table scrolls inside its own box."""

import math
from collections.abc import Sequence

from lts_jax.evaluation.comparison import BreakdownRow, ComparisonRow
from lts_jax.evaluation.measures import MEASURES
from lts_jax.evaluation.statistics import UNKNOWN, Interval
from lts_jax.records import Rollout
from lts_jax.reports.report import Report
from lts_jax.reports.svg import quote
from lts_jax.reports.table import interval, number, short_count
from lts_jax.reports.timeline import excerpt


def comparison(report: Report) -> str:
    """The main table: one row per policy, intervals under the estimates."""
    heads = [
        ("policy", ""),
        ("score", ""),
        ("score against<br>reference", "group"),
        ("runtime<br>seconds", "group"),
        ("time saved<br>percent", ""),
        ("answered", "group"),
        ("steps<br>per team", ""),
        ("tokens", ""),
        ("US dollars", ""),
        ("overhead<br>seconds", ""),
    ]
    body = "".join(_comparison_row(row, report) for row in report.rows)
    return (
        "<h2>Comparison</h2>"
        f'<p class="soft">Means with 95 % intervals. Differences are paired with {quote(report.reference)} over tasks '
        f"and seeds. Tokens, dollars and overhead are means per rollout.</p>{scroll_table(heads, body)}"
    )


def _comparison_row(row: ComparisonRow, report: Report) -> str:
    is_reference = row.policy == report.reference
    cells = [
        cell(quote(row.policy) + ("<small>reference</small>" if is_reference else "")),
        cell(stacked(row.score, ".3f", ".2f")),
        cell("–" if is_reference else stacked(row.score_difference, "+.3f", "+.2f"), "group"),
        cell(stacked(row.runtime_seconds, ",.0f"), "group"),
        cell("–" if is_reference else stacked(row.runtime_reduction_percent, "+.1f")),
        cell(number(row.answered, ".2f", "–"), "group"),
        cell(number(row.steps_per_team, ".1f", "–")),
        cell(short_count(row.tokens)),
        cell(number(row.usd or math.nan, ".3f", "–")),
        cell(number(row.overhead_seconds, ".1f", "–")),
    ]
    own = ' class="own"' if row.policy == report.highlight and not is_reference else ""
    return f"<tr{own}>{''.join(cells)}</tr>"


def breakdown(report: Report) -> str:
    """Score and runtime by kind of task; nothing where all tasks are of one kind."""
    if not report.breakdown:
        return ""
    groups = list(dict.fromkeys(row.group for row in report.breakdown))
    sizes = {row.group: row.num_tasks for row in report.breakdown}
    blocks = [f"score<br>{_two_lines(group)}<small>{sizes[group]} tasks</small>" for group in groups]
    blocks += [f"seconds<br>{_two_lines(group)}<small>{sizes[group]} tasks</small>" for group in groups]
    first = (0, len(groups))  # columns that begin a block
    heads = [("policy", "")] + [(block, "group" if column in first else "") for column, block in enumerate(blocks)]
    by_cell = {(row.policy, row.group): row for row in report.breakdown}
    lines = []
    for policy in dict.fromkeys(row.policy for row in report.breakdown):
        cells = [by_cell.get((policy, group), BreakdownRow(policy, group, 0, UNKNOWN, UNKNOWN)) for group in groups]
        texts = [stacked(cell.score, ".3f", ".2f") for cell in cells]
        texts += [stacked(cell.runtime_seconds, ",.0f") for cell in cells]
        texts = [cell(one, "group" if column in first else "") for column, one in enumerate(texts)]
        own = ' class="own"' if policy == report.highlight and policy != report.reference else ""
        lines.append(f"<tr{own}>{cell(quote(policy))}{''.join(texts)}</tr>")
    return (
        '<h2>By kind of task</h2><p class="soft">Means with 95 % intervals; no interval below five tasks.</p>'
        + scroll_table(heads, "".join(lines))
    )


def entries_table(rollout: Rollout) -> str:
    """The memory bank of one rollout, folded; nothing where it stayed empty."""
    if not rollout.entries:
        return ""
    heads = [("entry", ""), ("key", "texts"), ("written by", ""), ("seconds", ""), ("pulled by", "texts")]
    lines = []
    for entry in rollout.entries:
        readers = [f"team {pull.reader}, step {pull.step}" for pull in rollout.pulls if pull.entry == entry.entry]
        cells = [
            cell(str(entry.entry)),
            cell(quote(excerpt(entry.key, 300)), "texts"),
            cell(f"team {entry.team}, step {entry.step}"),
            cell(f"{entry.seconds:.0f}"),
            cell("; ".join(readers) or "–", "texts"),
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f"<details><summary>The memory bank of this rollout, {len(lines)} entries</summary>"
        f"{scroll_table(heads, ''.join(lines))}</details>"
    )


def measures_table() -> str:
    """What every measure means, with its unit, its better direction and its chance level."""
    heads = [("measure", ""), ("meaning", "texts"), ("unit", "texts"), ("better", "texts"), ("by chance", "texts")]
    lines = "".join(
        f"<tr>{cell(quote(name))}{cell(quote(one.meaning), 'texts')}{cell(quote(one.unit), 'texts')}"
        f"{cell(quote(one.better or '–'), 'texts')}{cell(quote(one.chance or '–'), 'texts')}</tr>"
        for name, one in MEASURES.items()
    )
    return scroll_table(heads, lines)


def scroll_table(heads: Sequence[tuple[str, str]], body: str) -> str:
    """A table that scrolls sideways where the page is too narrow; `heads` are (markup, class)."""
    head = "".join(f'<th class="{css_class}">{markup}</th>' for markup, css_class in heads)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def cell(markup: str, css_class: str = "") -> str:
    """One cell of a table; the markup must be escaped already."""
    return f'<td class="{css_class}">{markup}</td>' if css_class else f"<td>{markup}</td>"


def stacked(value: Interval, form: str, bounds_form: str | None = None) -> str:
    """The estimate with its interval below it."""
    estimate = number(value.estimate, form, "–")
    bounds = interval(value, form, bounds_form).removeprefix(number(value.estimate, form)).strip()
    return quote(estimate) + (f"<small>{quote(bounds)}</small>" if bounds else "")


def _two_lines(name: str) -> str:
    return quote(name).replace(" ", "<br>", 1)
