"""What it means to have understood a question: what to find, how to read it off a page, how to conclude."""

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lts_jax.llm.simulated.pages import Document

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class Need(NamedTuple):
    """One thing to find: "the `attribute` of `subject`". No attribute holds " of " or a colon, no subject a colon."""

    attribute: str
    subject: str

    def __str__(self) -> str:
        return f"the {self.attribute} of {self.subject}"


@dataclass(frozen=True, slots=True)
class Reading:
    """How an attribute is read.

    `read` takes a page (or the text of a file, if `in_file`) and gives the value's text, or None where it does not
    stand there. `title` makes the page's title of the subject. `look_for` are texts that find the value within a long
    page. `gathered` values are collected over all parts of a listing; the others stand on one page.
    """

    read: Callable[[Document], str | None] = lambda document: None
    look_for: tuple[str, ...] = ()
    title: str = "{}"
    gathered: bool = False
    in_file: Callable[[str], str | None] | None = None

    def value_on(self, document: Document) -> str | None:
        """The value on a page, or None; a page that is not formed as expected does not give it."""
        try:
            return self.read(document)
        except (LookupError, ValueError):
            return None

    def value_in(self, text: str) -> str | None:
        """The value in the text of a file, or None; as for pages."""
        try:
            return self.in_file(text) if self.in_file is not None else None
        except (LookupError, ValueError, AttributeError, csv.Error):
            return None


@dataclass(frozen=True, slots=True)
class Conclusion:
    """An answer, and the arithmetic that gives it as a Python expression ("" where there is none)."""

    text: str
    expression: str = ""


Values = Mapping[Need, str]


def _nothing_more(value: str) -> tuple[Need, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Understanding:
    """A question understood.

    `needs` follow from the question alone; if `source` (one of them) is found, `expand` gives the further ones from its
    value. `conclude` works out the answer from the values; it raises LookupError or ValueError if some are missing.
    """

    needs: tuple[Need, ...]
    readings: Mapping[str, Reading]
    conclude: Callable[[Values], Conclusion]
    source: Need | None = None
    expand: Callable[[str], tuple[Need, ...]] = _nothing_more

    def reading(self, need: Need) -> Reading:
        """How a need is read; for attributes that nobody asked for, a reading that finds nothing."""
        return self.readings.get(need.attribute, _UNREADABLE)

    def title(self, need: Need) -> str:
        """Title of the page that should hold a need."""
        return self.reading(need).title.format(need.subject)


_UNREADABLE = Reading()


def items(value: str) -> list[str]:
    """The items of a value: "A; B" gives ["A", "B"], "none" gives []."""
    return [] if value == "none" else value.split("; ")


def join_items(parts: list[str]) -> str:
    """The value of some items; the inverse of `items`."""
    return "; ".join(parts) or "none"


def numbers(text: str) -> list[float]:
    """The numbers in a text, thousands commas dropped."""
    return [float(each) for each in _NUMBER.findall(text.replace(",", ""))]


def names(text: str) -> list[str]:
    """Names enumerated in a sentence: "A", "A and B", "A, B and C"."""
    head, _, last = text.rpartition(" and ")
    return [*head.split(", "), last] if head else [last]


def named_or_listed(
    named: str | None,
    attribute: str,
    source: Need,
    readings: Mapping[str, Reading],
    conclude: Callable[[Values], Conclusion],
) -> Understanding:
    """One need per subject; the subjects are named in the question, or else listed on the source's page."""
    if named:
        return Understanding(tuple(Need(attribute, name) for name in names(named)), readings, conclude)

    def expand(value: str) -> tuple[Need, ...]:
        return tuple(Need(attribute, name) for name in items(value))

    return Understanding((source,), readings, conclude, source, expand)


def print_number(value: float, digits: int) -> str:
    """A number as an answer, with that many decimals."""
    return f"{value:.{digits}f}"


def weighted_sum(terms: list[tuple[float, float]], *, digits: int = 0, scale: float = 1.0) -> Conclusion:
    """scale * sum(a * b), rounded. Raises ValueError without terms."""
    if not terms:
        raise ValueError("nothing to add")
    total = scale * sum(a * b for a, b in terms)
    written = " + ".join(f"{_plain(a)} * {_plain(b)}" if a != 1 else _plain(b) for a, b in terms)
    factor = f" * {_plain(scale)}" if scale != 1 else ""
    return Conclusion(print_number(total, digits), f"round(({written}){factor}, {digits})")


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
