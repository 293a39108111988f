"""Reading what tools return: pages, search results, files. Parsed once per text."""

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_HEADING = re.compile(r"<(\S+)> \| updated (\d{4}-\d\d-\d\d) \| page (\d+) of (\d+)")
_VIEWPORT = re.compile(r"\[viewport (\d+) of (\d+)\]\s*$")
_RESULT = re.compile(r"^\d+\. (.+)\n\s*<(\S+)>", re.MULTILINE)
_FIELD = re.compile(r"([A-Z][^:|]{0,40}): (.+)")


@dataclass(frozen=True, slots=True)
class Document:
    """A page, or the viewport of one. `whole` is false where more viewports exist; a table may then be cut."""

    title: str
    url: str
    updated: str  # YYYY-MM-DD
    part: int
    num_parts: int
    text: str
    fields: Mapping[str, str]
    table: tuple[tuple[str, ...], ...]  # header first; empty where there is none or its header is out of sight
    table_complete: bool
    viewport: int
    num_viewports: int

    def row(self, first: str, column: int = 0) -> tuple[str, ...] | None:
        """The table row whose cell in `column` is `first`."""
        return next((row for row in self.table[1:] if len(row) > column and row[column] == first), None)

    def column(self, name: str) -> int:
        """Position of a column, or -1."""
        return self.table[0].index(name) if self.table and name in self.table[0] else -1


@lru_cache(maxsize=8192)
def read_document(text: str) -> Document | None:
    """Parse a page or a viewport; None for anything else."""
    title, _, rest = text.partition("\n")
    second, _, body = rest.partition("\n")
    heading = _HEADING.match(second)
    if heading is None:
        return None
    url, updated, part, num_parts = heading.groups()
    foot = _VIEWPORT.search(body)
    viewport, num_viewports = (int(foot[1]), int(foot[2])) if foot else (1, 1)
    lines = body.split("\n")
    stated = (_FIELD.fullmatch(line) for line in lines if ": " in line)
    fields = {found[1]: found[2] for found in stated if found and found[1] not in ("See also", "Next page")}
    table, complete = _table(lines, viewport, num_viewports)
    return Document(
        title, url, updated, int(part), int(num_parts), body, fields, table, complete, viewport, num_viewports
    )


def _table(lines: list[str], viewport: int, num_viewports: int) -> tuple[tuple[tuple[str, ...], ...], bool]:
    """The first table with a header, and whether both its ends are in sight."""
    rows: list[tuple[str, ...]] = []
    ends_early = False
    for place, line in enumerate(lines):
        if line.startswith("| "):
            if not rows and viewport > 1 and not any(each.strip() for each in lines[:place]):
                return (), False  # the header is on the viewport before
            rows.append(tuple(cell.strip() for cell in line.strip().strip("|").split("|")))
        elif rows:
            ends_early = not line.startswith("[viewport")
            break
    return tuple(rows), bool(rows) and (ends_early or num_viewports == viewport)


@lru_cache(maxsize=4096)
def read_results(text: str) -> tuple[tuple[str, str], ...]:
    """(title, address) of the results of a search, best first."""
    return tuple(_RESULT.findall(text))


@lru_cache(maxsize=1024)
def read_rows(text: str) -> tuple[dict[str, str], ...]:
    """The rows of a CSV file as the file tool shows it (a line with the name, then the content)."""
    content = text.partition("\n\n")[2] or text
    return tuple(
        {str(name): str(cell) for name, cell in row.items()} for row in csv.DictReader(content.strip().split("\n"))
    )


@lru_cache(maxsize=1024)
def read_json(text: str) -> Any:
    """The JSON value in a file as the file tool shows it, or None."""
    start = text.find("{")
    try:
        return json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else None
    except ValueError:
        return None
