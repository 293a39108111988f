"""Find JSON objects in what a language model wrote: fenced, in prose, in Python spelling, with control characters.

Nothing here raises on any text, and the work is bounded: a reply is read up to `MAX_CHARACTERS`, nesting up to
`MAX_DEPTH`, and the search starts at most `_MAX_STARTS` times and ends when all starts together have read `_MAX_READ`
characters. That is why it is our own: the package `json_repair` has a history of replies that hang it (its issue 156,
an endless loop; 203, more than 20 seconds for 35 KB) or end it (160, RecursionError), and one such reply would stop
every team of the event loop. It also gives one value, where a reply may hold several objects.
"""

import json
import re
from dataclasses import dataclass
from functools import partial
from typing import Any

MAX_CHARACTERS = 20_000
MAX_DEPTH = 24
_MAX_STARTS = 64
_MAX_READ = 3 * MAX_CHARACTERS
_LAST_CHARACTER = 0x10FFFF

_TOKEN = re.compile(
    r"\s*(?:(?://[^\n]*(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*\*/|\#[^\n]*(?:\n|\Z))\s*)*(?:"
    r'(?P<string>"[^"\\]*(?:\\.[^"\\]*)*"|\'[^\'\\]*(?:\\.[^\'\\]*)*\')'
    r"|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<sign>[{}\[\]:,]))",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""}
_FENCED = re.compile(r"\s*+```[ \t]*+\w{0,10}+[ \t]*+\r?\n(.*)```\s*+", re.DOTALL)
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class JsonSearch:
    """The outermost objects of a text, in order; `truncated` if one was begun and the text ended inside it.

    `repeated` are keys that an object at any depth gives more than once, with values that differ.
    """

    objects: tuple[dict[str, Any], ...]
    truncated: bool = False
    repeated: frozenset[str] = frozenset()


class _Unreadable(Exception):
    """No JSON here, seen at `place`. `at_end`: because the text ended."""

    def __init__(self, place: int, at_end: bool = False) -> None:
        super().__init__(place)
        self.place = place
        self.at_end = at_end


def find_objects(text: str) -> JsonSearch:
    """All outermost objects of a text. Strict JSON is read by `json`; anything else by a lenient reader.

    JSON that was written as the text of a JSON string is read too.
    """
    text = text[:MAX_CHARACTERS]
    repeated: set[str] = set()
    try:
        value = _read_strictly(text, repeated)
        value = json.loads(value, object_pairs_hook=partial(_once, repeated)) if isinstance(value, str) else value
    except (ValueError, RecursionError):  # ValueError also for integers of thousands of digits
        return _search(text)
    return JsonSearch((value,), repeated=frozenset(repeated)) if isinstance(value, dict) else _search(text)


def is_whole_json(text: str) -> bool:
    """Whether a text is one JSON object and nothing else but a fence, so that nothing of it can be missing."""
    fenced = _FENCED.fullmatch(text)
    try:
        return isinstance(json.loads(fenced[1] if fenced else text), dict)
    except (ValueError, RecursionError):
        return False


class _KeyAgain(Exception):
    """A key is given twice."""


def _read_strictly(text: str, repeated: set[str]) -> Any:
    """A JSON value; names that an object gives several values are added to `repeated`. Most texts give none."""
    try:
        return _decode(text)
    except _KeyAgain:
        return json.loads(text, object_pairs_hook=partial(_once, repeated))


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _KeyAgain
    return found


_decode = json.JSONDecoder(object_pairs_hook=_distinct).decode  # made once: `json.loads` with a hook makes one a call


def _once(repeated: set[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of its pairs; keys with several values are added to `repeated`."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found and found[name] != value:
            repeated.add(name)
        found[name] = value
    return found


def plain_text(text: str) -> str:
    """The text without control characters (newlines and tabs stay) and without lone surrogates."""
    text = text if text.isascii() else _repair_surrogates(text)
    return text if text.replace("\n", "").isprintable() else _CONTROL.sub("", text)


def _search(text: str) -> JsonSearch:
    objects: list[dict[str, Any]] = []
    repeated: set[str] = set()
    truncated = False
    at = text.find("{")
    num_read = 0
    for _ in range(_MAX_STARTS):
        if at < 0 or num_read > _MAX_READ:
            break
        try:
            value, end = _object(text, at + 1, 1, repeated)
        except _Unreadable as error:
            truncated = truncated or error.at_end
            num_read += len(text) - at if error.at_end else error.place - at
            end = at + 1
        else:
            objects.append(value)
            num_read += end - at
        at = text.find("{", end)
    return JsonSearch(tuple(objects), truncated, frozenset(repeated))


def _object(text: str, at: int, depth: int, repeated: set[str]) -> tuple[dict[str, Any], int]:
    """The object whose brace stands before `at`. Trailing commas, comments and unquoted names are let pass."""
    pairs: list[tuple[str, Any]] = []
    while True:
        kind, token, at = _next(text, at)
        if token == "}" and kind == "sign":
            return _once(repeated, pairs), at
        if kind == "sign":
            raise _Unreadable(at)
        name = _string(token) if kind == "string" else token
        at = _expect(text, at, ":")
        value, at = _value(text, at, depth, repeated)
        pairs.append((name, value))
        kind, token, after = _next(text, at)
        if kind != "sign" or token not in ",}":
            raise _Unreadable(at)
        at = after if token == "," else at


def _array(text: str, at: int, depth: int, repeated: set[str]) -> tuple[list[Any], int]:
    found: list[Any] = []
    while True:
        kind, token, after = _next(text, at)
        if kind == "sign" and token == "]":
            return found, after
        value, at = _value(text, at, depth, repeated)
        found.append(value)
        kind, token, after = _next(text, at)
        if kind != "sign" or token not in ",]":
            raise _Unreadable(at)
        at = after if token == "," else at


def _value(text: str, at: int, depth: int, repeated: set[str]) -> tuple[Any, int]:
    kind, token, at = _next(text, at)
    if kind == "string":
        return _string(token), at
    if kind == "number":
        return _number(token), at
    if kind == "word" and token.lower() in _WORDS:
        return _WORDS[token.lower()], at
    if kind == "sign" and token in "{[" and depth < MAX_DEPTH:
        return (_object if token == "{" else _array)(text, at, depth + 1, repeated)
    raise _Unreadable(at)


def _expect(text: str, at: int, sign: str) -> int:
    _, token, after = _next(text, at)
    if token != sign:
        raise _Unreadable(at)
    return after


def _next(text: str, at: int) -> tuple[str, str, int]:
    match = _TOKEN.match(text, at)
    if match is None or match.lastgroup is None:
        # An opened quote that never closes is an end of text, too.
        rest = text[at:].lstrip()
        raise _Unreadable(at, at_end=not rest or rest[0] in "\"'")
    return match.lastgroup, match[match.lastgroup], match.end()


def _string(token: str) -> str:
    inner = token[1:-1]
    return _repair_surrogates(_ESCAPE.sub(_unescape, inner)) if "\\" in inner else inner


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    return chr(min(int(code[1:], 16), _LAST_CHARACTER)) if len(code) > 1 else _ESCAPED.get(code, code)


def _repair_surrogates(text: str) -> str:
    """Pairs of surrogates become their character, lone ones the replacement character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _number(token: str) -> int | float:
    digits = token.lstrip("+-")
    return int(token) if digits.isdecimal() and len(digits) < 19 else float(token)
