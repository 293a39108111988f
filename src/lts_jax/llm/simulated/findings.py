"""The sentences in which the simulated model's workers report, and how it reads them again.

They are the only memory it has: a reply's report, a pulled value and a fact sheet are read by the same patterns.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from lts_jax.llm.simulated.understanding import Need

_FOUND = re.compile(
    r"The ([^\n:]+?) of ([^\n:]+?): ([^\n]*?) "
    r"\(page (\d+) of (\d+), (?:updated (\d{4}-\d\d-\d\d)|undated), <([^>\n]+)>\)\."
)
_MISSED = re.compile(
    r"The page <([^>\n]+)> did not give the ([^\n:]+?) of ([^\n:]+?), "
    r"(seen in full|searched for \"|on viewport \d+ of \d+)"
)
_OTHER = re.compile(r"The page <([^>\n]+)> is about ([^\n]+?), not about ")
_FAILED = re.compile(r"The page <([^>\n]+)> could not be opened: ([^\n]*?)\.(?: |$)", re.MULTILINE)
_LISTED = re.compile(r"The search for the ([^\n:]+?) of ([^\n:]+?) lists (?:no page\.|\d+ pages: ([^\n]*))")
_PAGE = re.compile(r"([^;\n]+?) <([^>\n]+)>")
_STATED = re.compile(
    r"\b(?:(found)|(searched) for|read a page for|could not open a page for|looked for) "
    r"the ([^\n:]+?) of ([^\n:]+?)(?:: |, which| and listed (no )?| without|$)"
)
_BROKEN = re.compile(r"\w+ failed\.")
_ADDRESS = re.compile(r"https?://[^\s<>\"']+")
_FUNCTION = "get_shared_memory_value"
_READ = re.compile(rf"\b{_FUNCTION}\((\d+)\)")
_ASKED = re.compile(r"find the ([^\n:]+?) of ([^\n:]+?)\.?$")


@dataclass(frozen=True, slots=True)
class Finding:
    """A value found: on part `part` of `num_parts` of a page; `updated` is empty for files."""

    need: Need
    value: str
    part: int
    num_parts: int
    updated: str
    url: str

    def __str__(self) -> str:
        when = f"updated {self.updated}" if self.updated else "undated"
        return f"{_capital(self.need)}: {self.value} (page {self.part} of {self.num_parts}, {when}, <{self.url}>)."


@dataclass(frozen=True, slots=True)
class Miss:
    """A page that did not give a need. `extent`: "seen" in full, "searched" for one text, or "viewport" of several.

    Without a need it is about the one that the last instruction named; the same holds for `Search`.
    """

    need: Need | None
    url: str
    extent: str


@dataclass(frozen=True, slots=True)
class Search:
    """What a search for a need listed: (title, address), best first."""

    need: Need | None
    pages: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Note:
    """What one text says."""

    findings: tuple[Finding, ...] = ()
    misses: tuple[Miss, ...] = ()
    useless_urls: tuple[str, ...] = ()  # pages that could not be opened, or are about something else
    failure: str = ""  # why a page could not be opened
    searches: tuple[Search, ...] = ()
    absent: Need | None = None  # what a pulled value is said not to give


def miss_sentence(need: Need, url: str, extent: str) -> str:
    """Sentence for a page without the value; `extent` is "seen in full", 'searched for "x"' or "on viewport i of n"."""
    return f"The page <{url}> did not give {need}, {extent}."


def about_other(url: str, title: str, subject: str) -> str:
    """Sentence for a page about something else."""
    return f"The page <{url}> is about {title}, not about {subject}."


def failure_sentence(url: str, reason: str) -> str:
    """Sentence for a page that could not be opened."""
    return f"The page <{url}> could not be opened: {reason}."


def results_sentence(need: Need, pages: list[tuple[str, str]]) -> str:
    """Sentence for the results of a search."""
    if not pages:
        return f"The search for {need} lists no page."
    return f"The search for {need} lists {len(pages)} pages: " + "; ".join(f"{t} <{u}>" for t, u in pages) + "."


def _capital(need: Need) -> str:
    return f"The {need.attribute} of {need.subject}"


@lru_cache(maxsize=16384)
def read_note(text: str) -> Note:
    """Read the sentences of a text. Of a worker's reply only the report counts, not the tool's text below it.

    A failed call stands there without a report: its tool, "failed.", and what the tool said.
    """
    said, _, shown = text.partition("\n\n")
    if not _BROKEN.fullmatch(said):
        return scan(said)
    failure = shown.partition("\n")[0].rstrip(".") or "no reply"
    if failure.startswith("No results found"):
        return Note(searches=(Search(None, ()),), failure=failure)
    if failure.startswith("No match for"):
        return Note(misses=tuple(Miss(None, url, "searched") for url in _ADDRESS.findall(shown)), failure=failure)
    return Note(useless_urls=tuple(_ADDRESS.findall(shown)[:1]) or ("",), failure=failure)


@lru_cache(maxsize=16384)
def read_pulled(text: str) -> Note:
    """Read the key and the value in a shared-memory message."""
    head, _, value = text.partition("\n<<<\n")
    note = scan(value.partition("\n\n")[0])
    said = stated_need(head.partition("): ")[2])
    return replace(note, absent=said[0]) if said is not None and said[1] == "nothing" else note


def scan(text: str) -> Note:
    """Read all sentences of a text."""
    if "The " not in text:
        return _SILENCE
    findings = tuple(
        Finding(Need(attribute, subject), value, int(part), int(num_parts), updated, url)
        for attribute, subject, value, part, num_parts, updated, url in _FOUND.findall(text)
    )
    if " page" not in text:
        return Note(findings) if findings else _SILENCE
    misses = tuple(
        Miss(Need(attribute, subject), url, "viewport" if extent[0] == "o" else extent.partition(" ")[0])
        for url, attribute, subject, extent in _MISSED.findall(text)
    )
    failures = _FAILED.findall(text)
    others = _OTHER.findall(text)
    searches = tuple(
        Search(Need(attribute, subject), tuple((title.strip(), url) for title, url in _PAGE.findall(pages)))
        for attribute, subject, pages in _LISTED.findall(text)
    )
    useless = tuple(url for url, _ in (*failures, *others))
    return Note(findings, misses, useless, failures[0][1] if failures else "", searches)


_SILENCE = Note()


@lru_cache(maxsize=16384)
def asked_need(text: str) -> Need | None:
    """The need that an instruction names, or None."""
    found = _ASKED.search(text)
    return Need(*found.groups()) if found else None


def numbers_read(text: str) -> list[int]:
    """The memory entries whose values an instruction wants printed."""
    return [int(number) for number in _READ.findall(text)]


def reading_instruction(numbers: list[str]) -> str:
    """The instruction to print values of the shared memory; see `numbers_read`."""
    return "Write a Python program: " + "; ".join(f"print({_FUNCTION}({number}))" for number in numbers) + "."


def reading_program(numbers: list[int]) -> str:
    """The program that does so."""
    return "\n".join(f"print({_FUNCTION}({number}))" for number in numbers)


@lru_cache(maxsize=16384)
def stated_need(key: str) -> tuple[Need, str] | None:
    """The need that a memory key is about, and what it offers: a "value", fitting "pages", or "nothing"."""
    found = _STATED.search(key)
    if found is None:
        return None
    offers = "value" if found[1] else "pages" if found[2] and not found[5] else "nothing"
    return Need(found[3], found[4]), offers
