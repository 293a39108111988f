"""A thread as structured items: what kind of thing was said, by whom, about what, in which round, how long.

A worker's reply is two items, its report and the tool's text below it; a pulled value likewise. Put together again,
all items of a message are that very message.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from lts_jax.llm.packing import estimated_tokens
from lts_jax.prompts import AGENTS, TOOL_USER, VALUE_SPEAKER, fence
from lts_jax.records import Message

Kind = Literal["decision", "plan", "entity", "fact", "trace"]
PRIORITY: tuple[Kind, ...] = ("decision", "plan", "entity", "fact", "trace")
"""Kinds, those first that are kept where items conflict."""

AUTHOR_TAGS = {
    "WebSurfer": "web",
    "FileSurfer": "file",
    "Coder": "code",
    "ComputerTerminal": "code",
    VALUE_SPEAKER: "shared",
    TOOL_USER: "tool",
}
_ADDRESS = re.compile(r"https?://[^\s<>\"')\]]+")
_STATED = re.compile(r"^[^\n]{3,160}?: \S")
_BROKEN = re.compile(r"\w+ failed\.\Z")
_LEDGER_PARTS = ("\n\nTeam:\n", "\n\nFacts:\n", "\n\nPlan:\n")
_BLANK = "\n\n"


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of a message that is shown or left out as a whole."""

    message: int  # its place in the thread
    part: int  # its place in the message
    kind: Kind
    author: str
    tags: frozenset[str]
    round: int  # instructions given until then
    num_tokens: int  # estimated by length, with what puts it together with other parts
    text: str
    about: str = ""  # items about the same are in conflict; "": in none


def items_of(thread: Sequence[Message], *, split_ledger: bool = False) -> list[Item]:
    """The items of a thread in order. `split_ledger`: request, team, facts and plan of the task ledger are four."""
    found: list[Item] = []
    number = 0
    for place, message in enumerate(thread):
        number += _is_instruction(message)
        parts = _parts(message, split_ledger)
        found += [replace(part, message=place, round=number) for part in parts]
    return found


def without_conflicts(items: Sequence[Item]) -> list[Item]:
    """Of items about the same the one of the highest kind, and of these the newest; all others. In order."""
    best: dict[str, Item] = {}
    for item in items:
        held = best.get(item.about)
        if held is None or PRIORITY.index(item.kind) <= PRIORITY.index(held.kind):
            best[item.about] = item
    return [item for item in items if not item.about or best[item.about] is item]


def put_together(thread: Sequence[Message], items: Sequence[Item], *, split_ledger: bool = False) -> list[Message]:
    """The messages of which any item is there, in order, with the parts that are there."""
    kept: dict[int, list[Item]] = {}
    for item in items:
        kept.setdefault(item.message, []).append(item)
    shown = []
    for place in sorted(kept):
        message, parts = thread[place], sorted(kept[place], key=lambda item: item.part)
        is_whole = len(parts) == len(_parts(message, split_ledger))
        joint = "" if _is_ledger(message) else _BLANK
        content = message.content if is_whole else joint.join(part.text for part in parts).strip()
        shown.append(Message(message.role, content, message.name))
    return shown


@lru_cache(maxsize=32_768)
def _parts(message: Message, split_ledger: bool) -> tuple[Item, ...]:
    content, author = message.content, message.name
    if _is_ledger(message):
        return _ledger_parts(message) if split_ledger else (_item(message, 0, "plan", content, tags=_ALL),)
    if _is_instruction(message):
        agent = content.partition(": ")[0]
        tag = AUTHOR_TAGS.get(agent, "")
        return (_item(message, 0, "decision", content, tags=frozenset({tag, "order"} - {""}), about=content),)
    if author == VALUE_SPEAKER:
        return _value_parts(message)
    if author == "Coder":
        return (_item(message, 0, "decision", content),)
    if author == "ComputerTerminal" or author not in AGENTS:
        return (_item(message, 0, "trace" if "Traceback" in content else "fact", content),)
    said, blank, shown = content.partition(_BLANK)
    if not blank or _BROKEN.match(said):
        return (_item(message, 0, "fact", content, about=content),)
    return (_report(message, said), _item(message, 1, "trace", shown))


def _ledger_parts(message: Message) -> tuple[Item, ...]:
    """Request, team, facts, plan; what is not there is part of what comes before."""
    content = message.content
    starts = [0, *(place for head in _LEDGER_PARTS if (place := content.find(head)) > 0), len(content)]
    pieces = [content[start:end] for start, end in pairwise(starts)]
    kinds: tuple[Kind, ...] = ("decision", "entity", "fact", "plan")
    return tuple(
        _item(message, number, kind, piece, tags=_ALL)
        for number, (kind, piece) in enumerate(zip(kinds, pieces, strict=False))
    )


def _value_parts(message: Message) -> tuple[Item, ...]:
    """Key and report of a pulled value in a fence of their own, and the text below; one item where there is none."""
    head, opened, rest = message.content.partition("\n<<<\n")
    value, closed, _ = rest.rpartition("\n>>>")
    said, blank, shown = value.partition(_BLANK)
    if not (opened and closed and blank):
        return (_item(message, 0, "fact", message.content),)
    return (
        _item(message, 0, _kind_of(said), f"{head}\n{fence(said)}", about=_about(said)),
        _item(message, 1, "trace", f"{head}\n{fence(shown)}"),
    )


def _report(message: Message, said: str) -> Item:
    return _item(message, 0, _kind_of(said), said, about=_about(said))


def _kind_of(said: str) -> Kind:
    """Two addresses or more: it tells of pages rather than of what they say."""
    return "entity" if len(set(_ADDRESS.findall(said))) > 1 else "fact"


def _about(said: str) -> str:
    """What a statement states, and on which page; of other reports the whole text."""
    if not _STATED.match(said):
        return said
    address = _ADDRESS.search(said)
    return f"{said.partition(': ')[0]} {address[0] if address else ''}"


def _item(
    message: Message, part: int, kind: Kind, text: str, *, tags: frozenset[str] = frozenset(), about: str = ""
) -> Item:
    own = AUTHOR_TAGS.get(message.name, "")
    seen = {own} if own else set()
    seen |= {"page"} if _ADDRESS.search(text) else set()
    seen |= {"value"} if kind == "fact" and _STATED.match(text) else set()
    joined = estimated_tokens(text + _BLANK)  # with what stands between it and the next part
    return Item(0, part, kind, message.name, tags | seen, 0, joined, text, about)


def _is_ledger(message: Message) -> bool:
    return message.role == "user" and message.content.startswith("Task ledger.")


def _is_instruction(message: Message) -> bool:
    speaker = message.content.partition(": ")[0]
    return message.role == "assistant" and (speaker in AGENTS or speaker == TOOL_USER)


_ALL = frozenset(("web", "file", "code", "value", "tool"))
