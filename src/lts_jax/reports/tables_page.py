"""A study that is tables: as plain text for a terminal, and as a page with figures.

Its document holds JSON values only: name, title, headline, foot, and tables of title, intro, heads and rows of texts.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from lts_jax.reports.page import grid, opening, page, section, table
from lts_jax.reports.svg import Figure, quote
from lts_jax.reports.text import WIDTH


def one_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], intro: str = "") -> dict[str, Any]:
    """A table of a document. The first column names the rows; an empty head belongs to it."""
    return {"title": title, "intro": intro, "heads": list(heads), "rows": [list(row) for row in rows]}


def tables_text(document: Mapping[str, Any]) -> str:
    """Headline, tables and foot, filled to `WIDTH` columns; only a table of long cells is wider."""
    blocks = [textwrap.fill(document["headline"], WIDTH)]
    for one in document["tables"]:
        lines = [one["title"], *(textwrap.wrap(one["intro"], WIDTH) if one["intro"] else ())]
        blocks.append("\n".join([*lines, *_aligned(one["heads"], one["rows"])]))
    blocks.append(textwrap.fill(document["foot"], WIDTH))
    return "\n\n".join(blocks)


def tables_html(document: Mapping[str, Any], figures: Sequence[Figure] = ()) -> str:
    """The same as a page, with the figures above the tables."""
    sections = [opening(document["title"], document["headline"], [document["foot"]])]
    if figures:
        sections.append(section("Figures", grid(figures, pair=True)))
    for one in document["tables"]:
        heads = [(quote(head), "num" if place else "") for place, head in enumerate(one["heads"])]
        rows = [([quote(cell) for cell in row], False) for row in one["rows"]]
        sections.append(section(one["title"], table(heads, rows), intro=quote(one["intro"])))
    return page(document["title"], sections)


def _aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[place]) for line in (heads, *rows)) for place in range(len(heads))]
    return [
        "  ".join(
            f"{cell:>{width}}" if place else f"{cell:<{width}}"
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (heads, *rows)
    ]
