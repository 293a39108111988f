"""Self-contained facts: what a model's reply becomes before it is stored (SimpleMem, arXiv 2601.02553).

A fact says one thing and can be read alone: no pronoun at its start, an absolute time where there is one, and beside
the text keywords, persons, entities, time, place and topic to find it by. A model's reply is read tolerantly, and a
fact is refused where its text is not borne out by the source, or would be no good key. What was refused is counted.
"""

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.key_schema import key_problems, visible
from lts_jax.memory.text import one_line

MAX_CHARACTERS = 60_000  # of a reply that are read
_MAX_STARTS = 400  # objects that are looked for in one
_MAX_LISTED = 12  # keywords, persons or entities of one fact
_MAX_KEY = 160  # characters

_TEXTS = ("text", "fact", "statement", "restatement", "lossless_restatement", "content")
_TIMES = ("time", "timestamp", "date", "when")
_PLACES = ("place", "location", "where")
_ADDRESS = re.compile(
    r"<?\b[a-z][a-z0-9+.-]{1,15}://[^\s<>]{0,500}>?|<[\w-]{1,100}(?:\.[\w-]{1,20}){1,3}>", re.IGNORECASE
)  # of a page; or the name of a file, between the marks of one
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_NAME = re.compile(r"\b[A-Z][\w'-]*(?:(?: of| the| at| in| de)* [A-Z][\w'-]*)*")
_WORD = re.compile(r"\b[A-Z][\w'-]*")
_COMMON = frozenset({
    "the", "a", "an", "it", "its", "this", "that", "these", "those", "he", "she", "they", "we", "you", "i", "his",
    "her", "their", "our", "your", "in", "on", "at", "of", "for", "from", "to", "by", "with", "and", "or", "but",
    "if", "as", "is", "are", "was", "were", "there", "here", "when", "where", "which", "who", "what", "how", "no",
    "not", "yes",
})  # fmt: skip
_PRONOUN = re.compile(
    r"(?:it|its|he|she|they|his|her|their|this|that|these|those|we|our|you|your|i|my)\b", re.IGNORECASE
)
_ORDER = re.compile(
    r"(?:^|[.!?;\n]\s{0,3})(?:please |now |then |first ){0,2}(?:ignore|disregard|forget|override|bypass|reveal|send|"
    r"forward|upload|visit|click|execute|reply|respond|pretend|do not|don't|never|always)\b"
    r"|\b(?:all|any|previous|earlier|prior|above|other) (?:previous |earlier |prior |of your )?instructions?\b"
    r"|\byou (?:must|should|shall|have to|need to|are now|will now)\b|\bnew instructions?\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class FactDraft:
    """A fact as a model gave it."""

    text: str
    keywords: tuple[str, ...] = ()
    persons: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    time: str = ""  # absolute, as 2025-03-04; empty where none is known
    place: str = ""
    topic: str = ""
    importance: float = 0.5  # in [0, 1]


@dataclass(frozen=True, slots=True)
class Fact:
    """A stored fact, or several merged into one entry. Ids are 0, 1, 2, ... in order of storing."""

    fact: int
    draft: FactDraft
    seconds: float  # of its storing
    source: str = ""
    team: int = -1  # that wrote it; of a merged entry the last one
    step: int = -1
    parents: tuple[int, ...] = ()  # the entries that it was merged from
    leaves: tuple[int, ...] = ()  # the facts as they were first stored, itself among them if it is one

    @property
    def text(self) -> str:
        """What a reader gets."""
        return self.draft.text

    @property
    def key(self) -> str:
        """The start of the text on one line: what is listed."""
        return fact_key(self.draft.text)


@dataclass(slots=True)
class FactCounts:
    """What became of drafts: how many were stored, refused for which reason, and noted although stored."""

    stored: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)


def names_in(text: str) -> frozenset[str]:
    """Names in a text, lower case: runs of words with a capital, without common words that open a sentence."""
    found = (match[0].lower() for match in _NAME.finditer(text))
    return frozenset(name for name in found if name not in _COMMON)


def numbers_in(text: str) -> frozenset[str]:
    """Numbers, clock times and dates in a text, thousands commas dropped."""
    return frozenset(match[0].replace(",", "") for match in _NUMBER.finditer(text))


def fact_key(text: str) -> str:
    """A text as a key: one line without addresses of pages and files, at most 160 characters, cut between words."""
    line = _ADDRESS.sub("(address)", one_line(text))
    return line if len(line) <= _MAX_KEY else line[:_MAX_KEY].rsplit(" ", 1)[0]


def parse_facts(reply: str) -> tuple[list[FactDraft], int]:
    """The facts in a model's reply, and how many objects in it were none. Never raises.

    Read are a list of objects, {"facts": [...]}, one object a line, in prose or a fence, in Python spelling, and a
    list that was cut off; a fact's text may stand under several names, and lists may be texts with commas.
    """
    drafts: list[FactDraft] = []
    num_unreadable = 0
    for found in _objects(reply[:MAX_CHARACTERS]):
        inner = found.get("facts") if isinstance(found.get("facts"), list) else [found]
        for each in inner if isinstance(inner, list) else ():
            draft = _draft(each) if isinstance(each, Mapping) else None
            if draft is None:
                num_unreadable += 1
            else:
                drafts.append(draft)
    return drafts, num_unreadable


def problem_of(draft: FactDraft, source: str, guards: GuardSettings) -> str:
    """Why a draft is refused, in words; empty where it is not.

    `source` is all that its writer was shown. A number that the source lacks, apart from the fact's own time, is made
    up; a text that shares neither a number nor a name with it has no support.
    """
    text = draft.text
    if guards.keys != "off" and key_problems(fact_key(text), guards.max_key_characters):
        return "no key"
    if _ORDER.search(text):
        return "instruction"
    if _PRONOUN.match(text):
        return "not self-contained"
    own, known = numbers_in(text), numbers_in(source)
    if own - known - numbers_in(draft.time):
        return "number not in the source"
    if not (own & known) and not (_words(text) & _words(source)):
        return "no support"
    return ""


def accepted(
    drafts: Sequence[FactDraft], source: str, counts: FactCounts, guards: GuardSettings | None = None
) -> list[FactDraft]:
    """The drafts that may be stored, invisible characters taken out; the others are counted by reason.

    A fact without a time is stored and noted.
    """
    guards = GuardSettings() if guards is None else guards
    kept: list[FactDraft] = []
    for draft in drafts:
        problem = problem_of(draft, source, guards)
        if problem:
            counts.refused[problem] += 1
            continue
        counts.stored += 1
        counts.noted["without time"] += not draft.time
        kept.append(draft)
    return kept


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)} - _COMMON


def _objects(text: str) -> list[dict[str, Any]]:
    """Outermost objects of a text, in order; of one that cannot be read the inner ones."""
    found: list[dict[str, Any]] = []
    at = text.find("{")
    for _ in range(_MAX_STARTS):
        if at < 0:
            break
        value, end = _read(text, at)
        if isinstance(value, dict):
            found.append(value)
        at = text.find("{", end)
    return found


def _read(text: str, at: int) -> tuple[Any, int]:
    try:
        value, end = json.JSONDecoder(strict=False).raw_decode(text, at)
        return value, end
    except (ValueError, RecursionError):
        pass
    end = text.find("}", at) + 1
    piece = text[at:end]
    if end and piece.count("{") == 1 and len(piece) < 4_000:
        try:
            return ast.literal_eval(piece), end
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            pass
    return None, at + 1


def _draft(found: Mapping[str, Any]) -> FactDraft | None:
    text = next((found[name] for name in _TEXTS if isinstance(found.get(name), str)), "")
    text = "\n".join(line.strip() for line in visible(str(text)).splitlines() if line.strip())
    if not text:
        return None
    return FactDraft(
        text,
        _listed(found.get("keywords")),
        _listed(found.get("persons")),
        _listed(found.get("entities")),
        _said(found, _TIMES),
        _said(found, _PLACES),
        _said(found, ("topic",)),
        _importance(found.get("importance")),
    )


def _listed(value: Any) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else ()
    texts = (one_line(visible(str(item)))[:80] for item in items if isinstance(item, (str, int, float)))
    return tuple(dict.fromkeys(text for text in texts if text))[:_MAX_LISTED]


def _said(found: Mapping[str, Any], names: Sequence[str]) -> str:
    value = next((found[name] for name in names if isinstance(found.get(name), (str, int))), "")
    text = one_line(visible(str(value)))[:80]
    return "" if text.lower() in {"none", "null", "unknown", "n/a", "-"} else text


def _importance(value: Any) -> float:
    number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.5
    return 0.5 if math.isnan(number) else min(1.0, max(0.0, number))
