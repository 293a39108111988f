"""Runs side by side as a page, and as text for a terminal."""

from collections.abc import Sequence

from lts_jax.reports.axes import Frame
from lts_jax.reports.overlay import by_name, overlay, smoothed
from lts_jax.reports.page import bullets, glossary, grid, opening, page, section, table
from lts_jax.reports.palette import name_colors
from lts_jax.reports.run_page import comparison_section, differences_section, sharing_section
from lts_jax.reports.side_by_side import SideBySide, outcome_words
from lts_jax.reports.svg import quote, shorten
from lts_jax.reports.text import comparison_tables, plain_table, wrapped

TITLE = "Runs side by side"
MAX_VALUE = 40  # letters of a setting's value in a terminal


def side_by_side_html(found: SideBySide) -> str:
    """The whole page as text."""
    report, colors = found.report, name_colors(found.names)
    lead = " ".join(outcome_words(report)) if report is not None else "These runs were trained, not evaluated."
    places = dict(zip(found.names, found.paths, strict=True))
    sections = [
        opening(TITLE, lead, [f"{len(found.names)} runs", *([f"{report.num_tasks} tasks"] if report else [])]),
        section("The runs", glossary(places, colors)),
        _differing(found),
        _curves(found),
        *([comparison_section(report), differences_section(report), sharing_section(report)] if report else []),
        section("How to read this", bullets(found.notes)),
    ]
    return page(TITLE, sections)


def side_by_side_text(found: SideBySide) -> str:
    """The same as plain text."""
    rows = [[one.setting, *(shorten(value, MAX_VALUE) for value in one.values)] for one in found.differences]
    blocks = [plain_table(["what differs", *found.names], rows) if rows else "no setting differs"]
    named = by_name(found.curves)
    if named:
        last = [[name, *(_last(found, name, run) for run in found.names)] for name in named]
        blocks.append(plain_table(["last tenth of training", *found.names], last))
    if found.report is not None:
        blocks += ["\n".join(map(wrapped, outcome_words(found.report))), *comparison_tables(found.report)]
    blocks.append("\n".join(map(wrapped, found.notes)))
    return "\n\n".join(blocks) + "\n"


def _differing(found: SideBySide) -> str:
    heads = [("setting", ""), *((quote(name), "texts") for name in found.names)]
    rows: list[tuple[Sequence[str], bool]] = [
        ([quote(one.setting), *map(quote, one.values)], False) for one in found.differences
    ]
    body = table(heads, rows) if rows else "<p>No setting differs.</p>"
    return section("What differs between them", body)


def _curves(found: SideBySide) -> str:
    colors = name_colors(found.names)
    charts = [
        overlay(
            [smoothed(run, colors[run], curve) for run, curve in own.items()],
            Frame(name, next(iter(own.values())).x_name, 360, 190),
        )
        for name, own in by_name(found.curves).items()
    ]
    intro = "Means of the last tenth of the run at each place, in the colours of the runs above."
    return section("Learning curves", grid(charts) if charts else "", intro=intro)


def _last(found: SideBySide, name: str, run: str) -> str:
    own = next((curve for curve in found.curves.get(run, ()) if curve.name == name), None)
    return "-" if own is None else f"{smoothed(run, '', own).y[-1]:.4g}"
