"""Ways to read a value off a page that several topics share."""

import re
from collections.abc import Callable

from lts_jax.llm.simulated.pages import Document
from lts_jax.llm.simulated.understanding import Reading, join_items


def fields_or_sentence(*names: str, form: str, sentence: str, look_for: tuple[str, ...], title: str = "{}") -> Reading:
    """Values in `Field: value` lines or in one sentence; `form` is filled with the fields, or the sentence's groups."""
    pattern = re.compile(sentence)

    def read(document: Document) -> str | None:
        if all(name in document.fields for name in names):
            return form.format(*(document.fields[name] for name in names))
        found = pattern.search(document.text)
        return form.format(*found.groups()) if found else None

    return Reading(read, look_for, title)


def column_of(name: str, *, title: str = "{}", keep: Callable[[dict[str, str]], bool] | None = None) -> Reading:
    """The cells of one column of a whole table, of the rows that `keep` accepts."""

    def read(document: Document) -> str | None:
        place = document.column(name)
        if place < 0 or not document.table_complete:
            return None
        header = document.table[0]
        rows = [row for row in document.table[1:] if len(row) == len(header)]
        return join_items([row[place] for row in rows if keep is None or keep(dict(zip(header, row, strict=True)))])

    return Reading(read, ("| ",), title, gathered=True)
