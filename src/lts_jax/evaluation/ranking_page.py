"""The report of a sweep as one self-contained page: no network, no external font, style or script."""

import json
import math
from collections.abc import Sequence

from lts_jax.evaluation.figures import Dot, dot_plot
from lts_jax.evaluation.html import page
from lts_jax.evaluation.page_tables import cell, scroll_table, stacked
from lts_jax.evaluation.ranking_report import ALPHA, SweepReport, number_form, sweep_headline
from lts_jax.evaluation.ranking_rows import RankedRow, Ranking, short_names, value_text
from lts_jax.evaluation.ranking_sections import over_settings, tradeoff
from lts_jax.evaluation.ranking_text import p_text
from lts_jax.evaluation.svg import ACCENT, INK, SOFT, quote
from lts_jax.evaluation.table import interval, number

TITLE = "What the sweep found"
MAX_TABLE, MAX_DOTS = 100, 40


def ranking_html(report: SweepReport) -> str:
    """The whole page as text. Long sweeps show their first rows and the reference; report.json has all."""
    sections = [
        _header(report),
        _ranking_table(report),
        _intervals(report.ranking),
        over_settings(report),
        tradeoff(report),
        _other_measures(report),
        _reading(report),
    ]
    return page(TITLE, sections)


def shown_rows(ranking: Ranking, count: int) -> list[RankedRow]:
    """The first rows, and the reference wherever it is."""
    return [row for row in ranking.rows if row.rank <= count or row.label == ranking.reference]


def _header(report: SweepReport) -> str:
    cells = "".join(
        f"<div><dt>{quote(name)}</dt><dd>{quote(value)}</dd></div>" for name, value in report.header.items()
    )
    return f'<h1>{TITLE}</h1><p class="lead">{quote(sweep_headline(report.ranking))}</p><dl class="facts">{cells}</dl>'


def _ranking_table(report: SweepReport) -> str:
    ranking = report.ranking
    rows, form = shown_rows(ranking, MAX_TABLE), number_form(ranking)
    heads = [
        ("", ""),
        *_setting_heads(ranking),
        (f"{quote(ranking.measure)}<small>interquartile mean</small>", "group"),
        ("mean", ""),
        ("rank<small>95 % of resamples</small>", ""),
        ("against the<br>reference", "group"),
        ("smallest<br>resolved", ""),
        ("P(better)", "group"),
        ("p<small>Holm</small>", "group"),
        ("p<small>single</small>", ""),
        ("seeds", "group"),
    ]
    body = "".join(_row(row, ranking, form) for row in rows)
    return (
        f'<h2>Ranking by {quote(ranking.measure)}</h2><p class="soft">Differences are paired over seeds with '
        f"{quote(ranking.reference)}. Small figures are 95 % intervals.{_left_out(ranking, rows)}</p>"
        f"{scroll_table(heads, body)}"
    )


def _row(row: RankedRow, ranking: Ranking, form: str) -> str:
    reference = row.label == ranking.reference
    missing = [f"{row.num_nan} not a number"] * bool(row.num_nan) + [f"{row.num_absent} not run"] * bool(row.num_absent)
    ranks = "–" if row.rank_low is None else f"{row.rank_low}–{row.rank_high}"
    cells = [
        cell(str(row.rank)),
        *_setting_cells(row, ranking),
        cell(stacked(row.iqm, form), "group"),
        cell(number(row.mean, form, "–")),
        cell(ranks),
        cell("reference" if reference else stacked(row.difference, "+" + form), "group"),
        cell("" if reference else number(row.resolution, form, "–")),
        cell("" if reference else stacked(row.improvement, ".2f"), "group"),
        cell("" if reference else quote(p_text(row.p_holm)), "group"),
        cell("" if reference else quote(p_text(row.p_value))),
        cell(str(row.num_seeds) + "".join(f"<small>{quote(one)}</small>" for one in missing), "group"),
    ]
    own = ' class="own"' if reference else ""
    return f"<tr{own}>{''.join(cells)}</tr>"


def _intervals(ranking: Ranking) -> str:
    if len(ranking.rows) < 2:
        return ""
    rows, form = shown_rows(ranking, MAX_DOTS), number_form(ranking)
    label_width = min(380, max(130, 7 * max(len(row.label) for row in rows) + 14))
    levels = [_dot(row, ranking, interval(row.iqm, form), form) for row in rows]
    differences = [
        Dot(
            row.label,
            row.difference,
            color=ACCENT if row.p_holm < ALPHA else SOFT,
            text=interval(row.difference, "+" + form),
            tip=f"{row.label}\nminus {ranking.reference}: {interval(row.difference, '+' + form)}\n"
            f"P(better) {interval(row.improvement)}\nHolm p {p_text(row.p_holm)}",
        )
        for row in rows
        if row.label != ranking.reference
    ]
    level = dot_plot(
        levels,
        title=f"{ranking.measure}, interquartile mean",
        width=label_width + 520,
        label_width=label_width,
        text_width=170,
    )
    difference = dot_plot(
        differences,
        title=f"{ranking.measure} minus that of {ranking.reference}",
        zero_line=True,
        width=label_width + 520,
        label_width=label_width,
        text_width=170,
    )
    return (
        f'<h2>Intervals</h2><p class="soft">Best first; the reference is black.{_left_out(ranking, rows)} The intervals '
        "of the first figure hold the luck that all rows share, so they may overlap where a paired difference is clear. In "
        "the second, blue rows are told from the reference (Holm-adjusted p &lt; .05), grey ones are not.</p>"
        f'<div class="scroll">{level}</div><div class="scroll">{difference}</div>'
    )


def _dot(row: RankedRow, ranking: Ranking, shown: str, form: str) -> Dot:
    tip = (
        f"{row.label}\nrank {row.rank}: {interval(row.iqm, form)}\nmean {number(row.mean, form)}, {row.num_seeds} seeds"
    )
    color = INK if row.label == ranking.reference else "#3a86b8"
    return Dot(row.label, row.iqm, color=color, text=shown, tip=tip)


def _other_measures(report: SweepReport) -> str:
    ranking = report.ranking
    known = {name: means for name, means in report.means.items() if any(map(math.isfinite, means))}
    if not known:
        return ""
    rows = shown_rows(ranking, MAX_TABLE)
    heads = [("", ""), *_setting_heads(ranking), *((quote(name).replace("_", "<br>", 1), "group") for name in known)]
    body = "".join(
        f"<tr{' class=own' if row.label == ranking.reference else ''}>{cell(str(row.rank))}"
        f"{''.join(_setting_cells(row, ranking))}"
        + "".join(cell(_significant(means[row.rank - 1]), "group") for means in known.values())
        + "</tr>"
        for row in rows
    )
    return (
        '<h2>Other measures</h2><p class="soft">Means over seeds, in the order of the ranking; values that are not '
        f"numbers are left out.{_left_out(ranking, rows)}</p>{scroll_table(heads, body)}"
    )


def _reading(report: SweepReport) -> str:
    notes = "".join(f"<li>{quote(note)}</li>" for note in report.notes)
    settings = ""
    if report.settings:
        shown = json.dumps(report.settings, indent=1, ensure_ascii=False, default=str)
        settings = f'<details><summary>Settings</summary><pre class="scroll">{quote(shown)}</pre></details>'
    return f"<h2>How to read this</h2><ul>{notes}</ul>{settings}"


def _setting_heads(ranking: Ranking) -> list[tuple[str, str]]:
    names = short_names(ranking.varied)
    return [(quote(names[field]).replace("_", "<br>", 1), "texts") for field in ranking.varied]


def _setting_cells(row: RankedRow, ranking: Ranking) -> list[str]:
    return [f'<td class="setting">{quote(value_text(row.setting[field]))}</td>' for field in ranking.varied]


def _left_out(ranking: Ranking, rows: Sequence[RankedRow]) -> str:
    count = len(ranking.rows) - len(rows)
    return f" {count:,} further rows are in report.json." if count else ""


def _significant(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    decimals = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 6)}f}"
