"""The report as one self-contained page: no network, no external font, style or script; every text is escaped."""

import math
from collections.abc import Sequence

from lts_jax.evaluation.comparison import ComparisonRow
from lts_jax.evaluation.figures import Dot, Series, cumulative_chart, dot_plot, line_chart, policy_colors
from lts_jax.evaluation.measures import MEASURES
from lts_jax.evaluation.page_style import SCRIPT, STYLE
from lts_jax.evaluation.report import Report, find_row, headline, is_simulated
from lts_jax.evaluation.statistics import Interval
from lts_jax.evaluation.svg import quote
from lts_jax.evaluation.table import interval, number, short_count
from lts_jax.evaluation.timeline import excerpt, timeline
from lts_jax.records import Rollout

TITLE = "What sharing saved"


def report_html(report: Report) -> str:
    """The whole page as text."""
    sections = [
        _header(report),
        _comparison(report),
        _differences(report),
        _completion(report),
        _sharing(report),
        _breakdown(report),
        _learning(report),
        _example(report),
        _reading(report),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{TITLE}</title><style>{STYLE}</style></head><body><main>\n"
        + "\n".join(section for section in sections if section)
        + f'\n</main><div id="tip" role="status"></div><script>{SCRIPT}</script></body></html>\n'
    )


def _header(report: Report) -> str:
    facts = {
        "clock": f"{report.clock} ({'simulated latencies' if is_simulated(report) else 'wall time'})",
        "tasks": str(report.num_tasks),
        "seeds": str(report.num_seeds),
        "teams": str(report.num_teams),
        "compared with": report.reference,
    }
    cells = "".join(
        f"<div><dt>{quote(name)}</dt><dd>{quote(value)}</dd></div>"
        for name, value in {**report.header, **facts}.items()
    )
    return f'<h1>{TITLE}</h1><p class="lead">{quote(headline(report))}</p><dl class="facts">{cells}</dl>'


def _comparison(report: Report) -> str:
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
        f'<p class="soft">Means with 95 % intervals. Differences are paired with {quote(report.reference)} over tasks and '
        "seeds. Tokens, dollars and overhead are means per rollout.</p>"
        f'<div class="scroll"><table><thead><tr>{_heads(heads)}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _comparison_row(row: ComparisonRow, report: Report) -> str:
    is_reference = row.policy == report.reference
    cells = [
        _cell(quote(row.policy) + ("<small>reference</small>" if is_reference else "")),
        _cell(_stacked(row.score, ".3f", ".2f")),
        _cell("–" if is_reference else _stacked(row.score_difference, "+.3f", "+.2f"), "group"),
        _cell(_stacked(row.runtime_seconds, ",.0f"), "group"),
        _cell("–" if is_reference else _stacked(row.runtime_reduction_percent, "+.1f")),
        _cell(number(row.answered, ".2f", "–"), "group"),
        _cell(number(row.steps_per_team, ".1f", "–")),
        _cell(short_count(row.tokens)),
        _cell(number(row.usd, ".3f", "–")),
        _cell(number(row.overhead_seconds, ".1f", "–")),
    ]
    own = ' class="own"' if row.policy == report.highlight and not is_reference else ""
    return f"<tr{own}>{''.join(cells)}</tr>"


def _differences(report: Report) -> str:
    rows = [row for row in report.rows if row.policy != report.reference]
    if not rows:
        return ""
    colors = _colors(report)
    row = find_row(report, report.highlight)
    score = dot_plot(
        [
            Dot(
                one.policy,
                one.score_difference,
                color=colors[one.policy],
                text=number(one.score_difference.estimate, "+.3f"),
            )
            for one in rows
        ],
        title="Score difference",
        x_title="higher is better",
        zero_line=True,
        resolution=row.score_resolution,
        width=520,
    )
    runtime = dot_plot(
        [
            Dot(
                one.policy,
                one.runtime_reduction_percent,
                color=colors[one.policy],
                text=number(one.runtime_reduction_percent.estimate, "+.1f") + " %",
            )
            for one in rows
        ],
        title="Time saved, percent of the reference's runtime",
        x_title="right is faster",
        zero_line=True,
        resolution=row.runtime_resolution_percent,
        width=520,
    )
    band = (
        f" The grey band is what this comparison cannot resolve for {quote(report.highlight)} (80 % power)."
        if math.isfinite(row.score_resolution)
        else ""
    )
    return (
        f"<h2>Differences from {quote(report.reference)}</h2>"
        f'<p class="soft">Paired over tasks and seeds; bars are 95 % intervals, and one that crosses zero is not resolved.{band}'
        f'</p><div class="grid pair"><div>{score}</div><div>{runtime}</div></div>'
    )


def _completion(report: Report) -> str:
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


def _sharing(report: Report) -> str:
    rows = [row for row in report.rows if math.isfinite(row.read_rate)]
    if not rows:
        return ""
    reach_end = max(
        1.0, *(one for row in rows for one in (row.reach * 1.1, row.reach_chance * 1.1) if math.isfinite(one))
    )
    panels = [
        _level_plot(report, rows, "Admission fraction", "admission_fraction", 0.5, (0.0, 1.0)),
        _level_plot(report, rows, "Read rate", "read_rate", "read_rate_chance", (0.0, 1.0)),
        _level_plot(report, rows, "Cross share", "cross_share", "cross_share_chance", (0.0, 1.0)),
        _level_plot(report, rows, "Reach, other teams per entry", "reach", "reach_chance", (0.0, reach_end)),
    ]
    return (
        "<h2>What was shared, and who read it</h2>"
        '<p class="soft">Dots are measured; dashed ticks are the chance level. Admission: a coin. Read rate and reach: a '
        "reader who makes the same selections but names listed keys at random. Cross share: a reader who does not care "
        "who wrote.</p>"
        f'<div class="grid pair">{"".join(f"<div>{panel}</div>" for panel in panels)}</div>'
    )


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
                number(value, ".2f", "–"),
                f"{row.policy}\n{title}: {number(value)}; by chance {number(level)}",
            )
        )
    return dot_plot(dots, title=title, bounds=bounds, width=520)


def _breakdown(report: Report) -> str:
    if not report.breakdown:
        return ""
    groups = list(dict.fromkeys(row.group for row in report.breakdown))
    sizes = {row.group: row.num_tasks for row in report.breakdown}
    heads = [("policy", "")]
    heads += [(f"{quote(group)}, {sizes[group]} tasks<br>score", "group") for group in groups]
    heads += [(f"{quote(group)}<br>seconds", "group") for group in groups]
    by_cell = {(row.policy, row.group): row for row in report.breakdown}
    lines = []
    for policy in dict.fromkeys(row.policy for row in report.breakdown):
        cells = [by_cell[policy, group] for group in groups if (policy, group) in by_cell]
        texts = [_cell(_stacked(cell.score, ".3f", ".2f"), "group") for cell in cells]
        texts += [_cell(_stacked(cell.runtime_seconds, ",.0f"), "group") for cell in cells]
        own = ' class="own"' if policy == report.highlight != report.reference else ""
        lines.append(f"<tr{own}>{_cell(quote(policy))}{''.join(texts)}</tr>")
    return (
        '<h2>By difficulty</h2><p class="soft">Means with 95 % intervals; fewer tasks, wider intervals.</p>'
        f'<div class="scroll"><table><thead><tr>{_heads(heads)}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _learning(report: Report) -> str:
    if not report.curves:
        return ""
    charts = "".join(
        f"<div>{line_chart(one.x, one.y, title=one.name, x_title=one.x_name)}</div>" for one in report.curves
    )
    return (
        '<h2>Learning curves</h2><p class="soft">Faint: every value. Strong: the mean of the last tenth of the run.</p>'
        f'<div class="grid">{charts}</div>'
    )


def _example(report: Report) -> str:
    rollout = report.example
    if rollout is None:
        return ""
    return (
        f"<h2>One rollout, {quote(rollout.policy)}</h2>"
        f"<p>{quote(excerpt(rollout.task.question, 400))}</p>"
        '<p class="soft">A bar is a step, its number the step\'s; thin lines are the orchestrator at work. Filled marks were '
        "pulled, open ones were not. Point at anything for its texts; pointing at an entry lights up where it went.</p>"
        f'<div class="scroll">{timeline(rollout)}</div>{_entries(rollout)}'
    )


def _entries(rollout: Rollout) -> str:
    if not rollout.entries:
        return ""
    heads = [("entry", ""), ("key", "texts"), ("written by", ""), ("seconds", ""), ("pulled by", "texts")]
    lines = []
    for entry in rollout.entries:
        readers = [f"team {pull.reader}, step {pull.step}" for pull in rollout.pulls if pull.entry == entry.entry]
        cells = [
            _cell(str(entry.entry)),
            _cell(quote(excerpt(entry.key, 300)), "texts"),
            _cell(f"team {entry.team}, step {entry.step}"),
            _cell(f"{entry.seconds:.0f}"),
            _cell("; ".join(readers) or "–", "texts"),
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f"<details><summary>The memory bank of this rollout, {len(lines)} entries</summary>"
        f'<div class="scroll"><table><thead><tr>{_heads(heads)}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
        "</details>"
    )


def _reading(report: Report) -> str:
    notes = "".join(f"<li>{quote(note)}</li>" for note in report.notes)
    heads = [("measure", ""), ("meaning", "texts"), ("unit", "texts"), ("better", "texts"), ("by chance", "texts")]
    lines = "".join(
        f"<tr>{_cell(quote(name))}{_cell(quote(one.meaning), 'texts')}{_cell(quote(one.unit), 'texts')}"
        f"{_cell(quote(one.better or '–'), 'texts')}{_cell(quote(one.chance or '–'), 'texts')}</tr>"
        for name, one in MEASURES.items()
    )
    return (
        f"<h2>How to read this</h2><ul>{notes}</ul><details><summary>What every measure means</summary>"
        f'<div class="scroll"><table><thead><tr>{_heads(heads)}</tr></thead><tbody>{lines}</tbody></table></div></details>'
    )


def _colors(report: Report) -> dict[str, str]:
    return policy_colors([row.policy for row in report.rows], reference=report.reference, highlight=report.highlight)


def _heads(heads: Sequence[tuple[str, str]]) -> str:
    return "".join(f'<th class="{css_class}">{markup}</th>' for markup, css_class in heads)


def _cell(markup: str, css_class: str = "") -> str:
    return f'<td class="{css_class}">{markup}</td>' if css_class else f"<td>{markup}</td>"


def _stacked(value: Interval, form: str, bounds_form: str | None = None) -> str:
    """The estimate with its interval below it."""
    estimate = number(value.estimate, form, "–")
    bounds = interval(value, form, bounds_form).removeprefix(number(value.estimate, form)).strip()
    return quote(estimate) + (f"<small>{quote(bounds)}</small>" if bounds else "")
