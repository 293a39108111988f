"""Attack strings for regular expressions: read off each pattern, what it repeats is repeated, and then fails."""

import re
import re._constants as codes
import re._parser as parser
from collections.abc import Iterator, Sequence
from typing import Any

_CATEGORY = {
    codes.CATEGORY_DIGIT: "1",
    codes.CATEGORY_SPACE: " ",
    codes.CATEGORY_WORD: "a",
    codes.CATEGORY_NOT_DIGIT: "a",
    codes.CATEGORY_NOT_SPACE: "a",
    codes.CATEGORY_NOT_WORD: " ",
}
_REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)


def attacks(pattern: re.Pattern[Any]) -> list[tuple[str, str, str]]:
    """(head, pump, tail) triples: the attack of length n is the head, the pump again and again, and the tail."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    found = dict.fromkeys(_attacks(list(parser.parse(text, pattern.flags & ~re.UNICODE & ~re.DEBUG)), ""))
    return list(found)


def _attacks(nodes: Sequence[Any], head: str) -> Iterator[tuple[str, str, str]]:
    for code, value in nodes:
        if code in _REPEATS:
            _, high, inside = value
            if high > 1:
                for pump in _pumps(inside):
                    yield from ((head, pump, "\x02"), ("", pump, "\x02"), ("", pump, head or " "))
                    if head:
                        yield "", head + pump, "\x02"
        for inside in _inner(code, value):
            yield from _attacks(list(inside), head)
        head += _sample([(code, value)])
    if head:
        yield "", head, "\x02"
        yield "", head[:-1] or head, "\x02"


def _pumps(inside: Any) -> list[str]:
    """What one turn of a repeat may be; of a set of characters each kind, alone and in turn."""
    nodes = list(inside)
    if len(nodes) == 1 and nodes[0][0] is codes.IN and nodes[0][1][0][0] is not codes.NEGATE:
        members = list(dict.fromkeys(_of_set([each]) for each in nodes[0][1]))
        return [*members[:8], "".join(members[:8])] if len(members) > 1 else members
    if len(nodes) == 1 and nodes[0][0] in (codes.ANY, codes.IN, codes.NOT_LITERAL):
        return [_sample(nodes), " ", "_"]
    return [_sample(nodes) or "a"]


def _inner(code: Any, value: Any) -> list[Any]:
    if code in _REPEATS:
        return [value[2]]
    if code is codes.SUBPATTERN:
        return [value[3]]
    if code is codes.BRANCH:
        return list(value[1])
    if code in (codes.ASSERT, codes.ASSERT_NOT):
        return [value[1]]
    return [value] if code is codes.ATOMIC_GROUP else []


def _sample(nodes: Sequence[Any]) -> str:
    """A short text that these nodes match, but for what they assert."""
    made = ""
    for code, value in nodes:
        if code is codes.LITERAL:
            made += chr(value)
        elif code is codes.NOT_LITERAL:
            made += "a" if value != ord("a") else "b"
        elif code is codes.ANY:
            made += "a"
        elif code is codes.IN:
            made += _of_set(value)
        elif code in _REPEATS:
            made += _sample(list(value[2])) * max(min(value[0], 400), 0)
        elif code is codes.BRANCH:
            made += _sample(list(value[1][0]))
        elif code in (codes.SUBPATTERN, codes.ATOMIC_GROUP):
            made += _sample(list(value[3] if code is codes.SUBPATTERN else value))
    return made


def _of_set(members: Sequence[Any]) -> str:
    if members[0][0] is codes.NEGATE:
        return next(one for one in "a b1_.-" if not re.fullmatch(_set_text(members[1:]), one))
    code, value = members[0]
    if code is codes.LITERAL:
        return chr(value)
    if code is codes.RANGE:
        return chr(value[0])
    return _CATEGORY[value]


def _set_text(members: Sequence[Any]) -> str:
    classes = {
        codes.CATEGORY_DIGIT: r"\d",
        codes.CATEGORY_SPACE: r"\s",
        codes.CATEGORY_WORD: r"\w",
        codes.CATEGORY_NOT_DIGIT: r"\D",
        codes.CATEGORY_NOT_SPACE: r"\S",
        codes.CATEGORY_NOT_WORD: r"\W",
    }
    told = [
        re.escape(chr(value)) if code is codes.LITERAL
        else f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}" if code is codes.RANGE
        else classes[value]
        for code, value in members
    ]  # fmt: skip
    return "[" + "".join(told) + "]"
