"""The report of a sweep as a page."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lts_jax.evaluation.profiles import performance_profile
from lts_jax.evaluation.ranking import RankedRow, Ranking, short_names, value_text, values_text
from lts_jax.evaluation.statistics import UNKNOWN
from lts_jax.reports.axes import Frame
from lts_jax.reports.charts import Dot, DotAxis, dot_plot
from lts_jax.reports.overlay import Line, overlay
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
from lts_jax.reports.palette import ACCENT, INK, SOFT, name_colors
from lts_jax.reports.settings_figures import over_settings, tradeoff
from lts_jax.reports.svg import Figure, quote
from lts_jax.reports.sweep_report import ALPHA, PROVEN, SweepReport, number_form, sweep_headline, top_rows
from lts_jax.reports.text import interval, number, p_text

TITLE = "What the sweep found"
MAX_TABLE, MAX_DOTS, MAX_PROFILES = 50, 40, 5
WIDE = DotAxis("", label_width=330, plot_width=210, text_width=160)  # the texts are intervals


def sweep_html(report: SweepReport, curves: str = "") -> str:
    """The whole page as text. Long sweeps show their first rows and the reference; report.json has all.

    `curves` is the section of learning curves, as markup.
    """
    ranking = report.ranking
    facts = [report.header.get("side", ""), f"{len(ranking.rows):,} configurations", f"{ranking.num_seeds} seeds"]
    settings = json.dumps(report.settings, indent=1, ensure_ascii=False, default=str) if report.settings else ""
    sections = [
        opening(TITLE, sweep_headline(ranking), [fact for fact in facts if fact]),
        _ranking_table(ranking),
        _intervals(ranking),
        over_settings(ranking),
        tradeoff(report),
        _profiles(report),
        curves,
        _other_measures(report),
        section("How to read this", bullets(report.notes)),
        section(
            "This sweep",
            facts_list(report.header),
            fold("Settings", f'<pre class="scroll">{quote(settings)}</pre>' if settings else ""),
        ),
    ]
    return page(TITLE, sections)


def level_plot(ranking: Ranking, count: int = MAX_DOTS) -> Figure:
    """Interquartile means of the first `count` configurations and the reference, which is black."""
    form = number_form(ranking)
    dots = [
        Dot(
            values_text(row, ranking.varied),
            row.iqm,
            color=INK if row.is_reference else ACCENT,
            text=interval(row.iqm, form),
            tip=f"{row.label}\nrank {row.rank}: {interval(row.iqm, form)}\nmean {number(row.mean, form)}, "
            f"{row.num_seeds} seeds",
        )
        for row in top_rows(ranking, count)
    ]
    return dot_plot(dots, replace(WIDE, title=f"{ranking.measure}, interquartile mean"))


def difference_plot(ranking: Ranking, count: int = MAX_DOTS) -> Figure:
    """Paired differences from the reference: blue where they are proven (Holm-adjusted p < 0.05), else grey."""
    form, dots = "+" + number_form(ranking), []
    for row in top_rows(ranking, count):
        name, shown = values_text(row, ranking.varied), interval(row.difference, form)
        if row.is_reference:
            dots.append(Dot(name, UNKNOWN, text="reference", tip=f"{row.label}\nthe reference"))
            continue
        tip = (
            f"{row.label}\nminus {ranking.reference}: {shown}\nP(better) {interval(row.improvement)}\n"
            f"Holm p {p_text(row.p_holm)}"
        )
        dots.append(Dot(name, row.difference, color=ACCENT if row.p_holm < ALPHA else SOFT, text=shown, tip=tip))
    return dot_plot(dots, replace(WIDE, title=f"{ranking.measure}, difference from the reference", zero_line=True))


def _ranking_table(ranking: Ranking) -> str:
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
    rows = top_rows(ranking, MAX_TABLE)
    intro = f"Differences are paired over seeds with {quote(ranking.reference)}. Small figures are 95 % intervals."
    body = table(heads, [(_ranked_cells(row, ranking), row.is_reference) for row in rows])
    return section(f"Ranking by {ranking.measure}", body, intro=intro + _left_out(ranking, rows))


def _ranked_cells(row: RankedRow, ranking: Ranking) -> list[str]:
    form, own = number_form(ranking), row.is_reference
    missing = [f"{row.num_nan} not a number"] * bool(row.num_nan) + [f"{row.num_absent} not run"] * bool(row.num_absent)
    return [
        _setting_cell(row, ranking),
        stack(row.iqm, form),
        number(row.mean, form, "–"),
        "–" if row.rank_low is None else f"{row.rank_low}–{row.rank_high}",
        "reference" if own else stack(row.difference, "+" + form),
        "" if own else number(row.resolution, form, "–"),
        "" if own else stack(row.improvement, ".2f"),
        "" if own else quote(p_text(row.p_holm)),
        "" if own else quote(p_text(row.p_value)),
        str(row.num_seeds) + "".join(f"<small>{quote(one)}</small>" for one in missing),
    ]


def _intervals(ranking: Ranking) -> str:
    if len(ranking.rows) < 2:
        return ""
    names, plots = short_names(ranking.varied), (level_plot(ranking), difference_plot(ranking))
    row_words = quote(f"A row is {' · '.join(names.values())}. ") if len(names) > 1 else ""
    intro = (
        f"{row_words}Best first; the reference is black.{_left_out(ranking, top_rows(ranking, MAX_DOTS))} The "
        "intervals of the first figure hold the luck that all rows share, so they may overlap where a paired "
        f"difference is clear. In the second, rows that differ from the reference are blue{quote(PROVEN)}, others grey."
    )
    figures = [scroll_box(plot) for plot in plots]
    return section("Intervals", grid(figures, pair=True) if plots[0].width <= 574 else "".join(figures), intro=intro)


def profile_plot(report: SweepReport) -> Figure:
    """The share of runs above each value, for the first configurations and the reference."""
    ranking = report.ranking
    values = {row.label: one for row, one in zip(ranking.rows, report.values, strict=True)}
    rows = [row for row in top_rows(ranking, MAX_PROFILES) if np.isfinite(values[row.label]).any()]
    finite = np.concatenate([np.array(values[row.label]) for row in rows])
    finite = finite[np.isfinite(finite)]
    thresholds = np.linspace(finite.min(), finite.max(), 101)
    shares = performance_profile(np.array([values[row.label] for row in rows]), thresholds.tolist())
    colors = name_colors([row.label for row in rows])
    lines = [
        Line(row.label, colors[row.label], thresholds.tolist(), share.tolist())
        for row, share in zip(rows, shares, strict=True)
    ]
    return overlay(lines, Frame(f"share of runs above, by {ranking.measure}", ranking.measure, 760, 320))


def _profiles(report: SweepReport) -> str:
    ranking = report.ranking
    if len(ranking.rows) < 2 or ranking.num_seeds < 2 or not report.values:
        return ""
    colors = name_colors([row.label for row in top_rows(ranking, MAX_PROFILES)])
    legend = {row.label: f"rank {row.rank}" for row in top_rows(ranking, MAX_PROFILES)}
    intro = "Performance profiles: the share of seeds whose value exceeds each threshold. Higher throughout is better."
    if ranking.better == "down":
        intro = "The share of seeds whose value exceeds each threshold. Lower throughout is better."
    return section("Profiles over seeds", glossary(legend, colors), scroll_box(profile_plot(report)), intro=intro)


def _other_measures(report: SweepReport) -> str:
    ranking = report.ranking
    known = {name: means for name, means in report.means.items() if any(map(math.isfinite, means))}
    heads = [("configuration", ""), *((quote(name).replace("_", "<br>", 1), "group") for name in known)]
    by_label = {id(row): place for place, row in enumerate(ranking.rows)}
    shown = top_rows(ranking, MAX_TABLE)
    rows = [
        (
            [_setting_cell(row, ranking), *(_significant(means[by_label[id(row)]]) for means in known.values())],
            row.is_reference,
        )
        for row in shown
    ]
    intro = "Means over seeds, in the order of the ranking; values that are not numbers are left out."
    return section("Other measures", table(heads, rows) if known else "", intro=intro + _left_out(ranking, shown))


def _setting_cell(row: RankedRow, ranking: Ranking) -> str:
    """Rank and words of a setting, its numbers below."""
    names = short_names(ranking.varied)
    words = [field for field in ranking.varied if isinstance(row.setting[field], str)]
    rest = [f"{names[field]} {value_text(row.setting[field])}" for field in ranking.varied if field not in words]
    first = ", ".join(value_text(row.setting[field]) for field in words) or (rest.pop(0) if rest else row.label)
    below = f'<small class="wrap">{quote(", ".join(rest))}</small>' if rest else ""
    return f"{row.rank}. {quote(first)}{below}"


def _left_out(ranking: Ranking, rows: Sequence[RankedRow]) -> str:
    count = len(ranking.rows) - len(rows)
    return f" {count:,} further rows are in report.json." if count else ""


def _significant(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    decimals = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 6)}f}"
