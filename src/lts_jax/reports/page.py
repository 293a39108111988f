"""One self-contained page around sections of markup: no network, no external font, style or script.

A policy in the page's head lets the browser run our one script, by its hash, and load nothing: the second wall behind
the escaping of texts.

Whatever comes as text is escaped here or by `quote`; what is called markup must be escaped already.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256

from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.style import SCRIPT, STYLE
from lts_jax.reports.svg import Figure, quote
from lts_jax.reports.text import interval, number

Head = tuple[str, str]
"""The markup over a column, and the class of its cells: "" for numbers, "group" where a block begins, "texts"."""

Row = tuple[Sequence[str], bool]
"""Cells as markup, and whether the row is the one that the page is about."""


def policy(scripts: Sequence[str], *, asks_server: bool = False) -> str:
    """What the browser may do on a page: run these scripts, and load nothing, or from the page's own server alone.

    Styles may stand in attributes, as figures need them; they can load nothing.
    """
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    asked = "connect-src 'self'; " if asks_server else ""
    return (
        f"default-src 'none'; script-src {hashes}; {asked}"
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def page(
    title: str, sections: Sequence[str], *, scripts: Sequence[str] = (), style: str = "", asks_server: bool = False
) -> str:
    """A whole page; empty sections are left out. `scripts` and `style` come after the page's own."""
    scripts = (SCRIPT, *scripts)
    run = "".join(f"<script>{script}</script>" for script in scripts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(scripts, asks_server=asks_server)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{quote(title)}</title><style>{STYLE}{style}</style></head><body><main>\n"
        + "\n".join(section for section in sections if section)
        + f'\n</main><div id="tip" role="status"></div>{run}</body></html>\n'
    )


def opening(title: str, lead: str, facts: Sequence[str]) -> str:
    """The first lines: a title, what came out, and under what circumstances in short."""
    return f'<h1>{quote(title)}</h1><p class="lead">{quote(lead)}</p><p class="soft">{quote(" · ".join(facts))}</p>'


def section(title: str, *blocks: str, intro: str = "") -> str:
    """A heading, an introduction in grey (markup, may be empty) and blocks of markup; nothing without a block."""
    if not any(blocks):
        return ""
    return f"<h2>{quote(title)}</h2>" + (f'<p class="soft">{intro}</p>' if intro else "") + "".join(blocks)


def table(heads: Sequence[Head], rows: Sequence[Row]) -> str:
    """A table that scrolls sideways where the page is too narrow."""
    head = "".join(f'<th class="{css_class}">{markup}</th>' for markup, css_class in heads)
    lines = [
        (' class="own"' if is_own else "")
        + ">"
        + "".join(
            f'<td class="{css_class}">{cell}</td>' if css_class else f"<td>{cell}</td>"
            for cell, (_, css_class) in zip(cells, heads, strict=True)
        )
        for cells, is_own in rows
    ]
    body = "".join(f"<tr{line}</tr>" for line in lines)
    return scroll_box(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def stack(value: Interval, form: str, bounds_form: str | None = None) -> str:
    """The cell of an estimate with its interval below it."""
    estimate = number(value.estimate, form, "–")
    bounds = interval(value, form, bounds_form).removeprefix(number(value.estimate, form)).strip()
    return quote(estimate) + (f"<small>{quote(bounds)}</small>" if bounds else "")


def grid(figures: Sequence[str], *, pair: bool = False) -> str:
    """Figures side by side, as many as the page has room for, or at most two wide ones."""
    return f'<div class="grid{" pair" * pair}">{"".join(f"<div>{figure}</div>" for figure in figures)}</div>'


def scroll_box(markup: str) -> str:
    """A box that scrolls sideways on a narrow screen; a figure may grow a little in it."""
    limit = f' style="max-width:{markup.width * 1.15:.0f}px"' if isinstance(markup, Figure) and markup else ""
    return f'<div class="scroll"{limit}>{markup}</div>' if markup else ""


def bullets(notes: Sequence[str]) -> str:
    """A list of texts."""
    return f"<ul>{''.join(f'<li>{quote(note)}</li>' for note in notes)}</ul>" if notes else ""


def fold(summary: str, markup: str) -> str:
    """Something that opens with a click."""
    return f"<details><summary>{quote(summary)}</summary>{markup}</details>" if markup else ""


def facts_list(facts: Mapping[str, str]) -> str:
    """Names and values, side by side."""
    cells = "".join(f"<div><dt>{quote(name)}</dt><dd>{quote(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="facts">{cells}</dl>' if facts else ""


def glossary(meanings: Mapping[str, str], colors: Mapping[str, str]) -> str:
    """A line for each name, behind its colour."""
    lines = "".join(
        f'<div><dt><i style="background:{colors[name]}"></i><span>{quote(name)}</span></dt>'
        f"<dd>{quote(meaning)}</dd></div>"
        for name, meaning in meanings.items()
    )
    return f'<dl class="glossary">{lines}</dl>' if lines else ""
