"""A page of the offline world as HTML: the same lines, with tables, links and paragraphs marked up."""

import re
from html import escape
from itertools import groupby

from lts_jax.tasks.almanac.records import Page

_LINKED = re.compile(r"(See also: |)(.*?)\s*<(https://[^<>\s]+)>")


def href(url: str) -> str:
    """Where the page at `https://HOST/PATH` stands on the website: `/HOST/PATH`."""
    return "/" + url.removeprefix("https://")


def page_document(title: str, body: str) -> str:
    """A whole HTML document around a body."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def page_body(page: Page) -> str:
    """Heading, date and blocks of a page. Blank lines part blocks; lines that begin with a bar are a table."""
    title, about, *lines = page.text.split("\n")
    blocks = [f"<h1>{escape(title)}</h1>", f"<p>{escape(about.partition(' | ')[2])}</p>"]
    for is_table, group in groupby(lines, key=lambda line: line.startswith("|")):
        rows = list(group)
        blocks += [_table(rows)] if is_table else [f"<p>{_text(line)}</p>" for line in rows if line]
    return "\n".join(blocks)


def _table(lines: list[str]) -> str:
    rows = [[escape(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
    head = "".join(f"<th>{cell}</th>" for cell in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows[1:])
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"


def _text(line: str) -> str:
    linked = _LINKED.fullmatch(line)
    if linked is None:
        return escape(line)
    before, text, url = linked.groups()
    return f'{escape(before)}<a href="{escape(href(url))}">{escape(text.rstrip(":") or url)}</a>'
