"""The report of a sweep as one self-contained page: no network, no external font, style or script."""

import json
import math
from collections.abc import Sequence

from lts_jax.evaluation.ranking_rows import RankedRow, Ranking, short_names, value_text, values_text
from lts_jax.evaluation.statistics import UNKNOWN
from lts_jax.reports.figures import Dot, dot_plot
from lts_jax.reports.html import page
from lts_jax.reports.page_tables import cell, scroll_table, stacked
from lts_jax.reports.ranking_figures import framed
from lts_jax.reports.ranking_report import ALPHA, SweepReport, number_form, sweep_headline
from lts_jax.reports.ranking_sections import over_settings, tradeoff
from lts_jax.reports.ranking_text import p_text
from lts_jax.reports.svg import INK, SOFT, quote
from lts_jax.reports.table import interval, number

TITLE = "What the sweep found"
MAX_TABLE, MAX_DOTS = 50, 40
TOLD = "#1f78b4"  # not the accent, which a dot plot would print bold


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
    return [row for row in ranking.rows if row.rank <= count or row.rank == ranking.reference_rank]


def _header(report: SweepReport) -> str:
    cells = "".join(
        f"<div><dt>{quote(name)}</dt><dd>{quote(value)}</dd></div>" for name, value in report.header.items()
    )
    return f'<h1>{TITLE}</h1><p class="lead">{quote(sweep_headline(report.ranking))}</p><dl class="facts">{cells}</dl>'


def _ranking_table(report: SweepReport) -> str:
    ranking = report.ranking
    rows, form = shown_rows(ranking, MAX_TABLE), number_form(ranking)
    heads = [
        ("configuration", ""),
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
    reference = row.rank == ranking.reference_rank
    missing = [f"{row.num_nan} not a number"] * bool(row.num_nan) + [f"{row.num_absent} not run"] * bool(row.num_absent)
    ranks = "–" if row.rank_low is None else f"{row.rank_low}–{row.rank_high}"
    cells = [
        _setting_cell(row, ranking),
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
    rows = shown_rows(ranking, MAX_DOTS)
    label_width = min(330, max(110, 7 * max(len(values_text(row, ranking.varied)) for row in rows) + 14))
    width = label_width + 370
    level = dot_plot(
        [_level_dot(row, ranking) for row in rows],
        title=f"{ranking.measure}, interquartile mean",
        width=width,
        label_width=label_width,
        text_width=160,
    )
    difference = dot_plot(
        [_difference_dot(row, ranking) for row in rows],
        title=f"{ranking.measure}, difference from the reference",
        zero_line=True,
        width=width,
        label_width=label_width,
        text_width=160,
    )
    figures = framed(level, width) + framed(difference, width)
    return (
        f'<h2>Intervals</h2><p class="soft">{_row_words(ranking)}Best first; the reference is black.'
        f"{_left_out(ranking, rows)} The intervals of the first figure hold the luck that all rows share, so they may "
        "overlap where a paired difference is clear. In the second, blue rows are told from the reference "
        "(Holm-adjusted p &lt; .05), grey ones are not.</p>"
        + (f'<div class="grid pair">{figures}</div>' if width <= 574 else figures)
    )


def _level_dot(row: RankedRow, ranking: Ranking) -> Dot:
    form = number_form(ranking)
    shown = interval(row.iqm, form)
    tip = f"{row.label}\nrank {row.rank}: {shown}\nmean {number(row.mean, form)}, {row.num_seeds} seeds"
    color = INK if row.rank == ranking.reference_rank else TOLD
    return Dot(values_text(row, ranking.varied), row.iqm, color=color, text=shown, tip=tip)


def _difference_dot(row: RankedRow, ranking: Ranking) -> Dot:
    if row.rank == ranking.reference_rank:
        return Dot(values_text(row, ranking.varied), UNKNOWN, text="reference", tip=f"{row.label}\nthe reference")
    shown = interval(row.difference, "+" + number_form(ranking))
    return Dot(
        values_text(row, ranking.varied),
        row.difference,
        color=TOLD if row.p_holm < ALPHA else SOFT,
        text=shown,
        tip=f"{row.label}\nminus {ranking.reference}: {shown}\nP(better) {interval(row.improvement)}\n"
        f"Holm p {p_text(row.p_holm)}",
    )


def _other_measures(report: SweepReport) -> str:
    ranking = report.ranking
    known = {name: means for name, means in report.means.items() if any(map(math.isfinite, means))}
    if not known:
        return ""
    rows = shown_rows(ranking, MAX_TABLE)
    heads = [("configuration", ""), *((quote(name).replace("_", "<br>", 1), "group") for name in known)]
    body = "".join(
        f"<tr{' class=own' if row.rank == ranking.reference_rank else ''}>{_setting_cell(row, ranking)}"
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


def _setting_cell(row: RankedRow, ranking: Ranking) -> str:
    """Rank and words of a setting, its numbers below."""
    names = short_names(ranking.varied)
    words = [field for field in ranking.varied if isinstance(row.setting[field], str)]
    rest = [f"{names[field]} {value_text(row.setting[field])}" for field in ranking.varied if field not in words]
    first = ", ".join(value_text(row.setting[field]) for field in words) or (rest.pop(0) if rest else row.label)
    below = f'<small style="white-space:normal;max-width:22em">{quote(", ".join(rest))}</small>' if rest else ""
    return cell(f"{row.rank}. {quote(first)}{below}")


def _row_words(ranking: Ranking) -> str:
    names = short_names(ranking.varied)
    return quote(f"A row is {' · '.join(names[field] for field in ranking.varied)}. ") if len(names) > 1 else ""


def _left_out(ranking: Ranking, rows: Sequence[RankedRow]) -> str:
    count = len(ranking.rows) - len(rows)
    return f" {count:,} further rows are in report.json." if count else ""


def _significant(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    decimals = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 6)}f}"
