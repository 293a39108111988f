"""The memory that a team keeps for itself, and the six tools by which its agents work on it and on their own context.

As in AgeMem (arXiv 2601.01885): add, update, delete and retrieve are of a store that outlives the context, summary and
filter of the context itself. The store is a `MemoryBank` with lives: what is updated or deleted stays in the log, and
every edit is kept. Whatever is wrong with a call is a failed result that says what was expected, never an exception.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lts_jax.errors import show
from lts_jax.memory.bank import EditRefused, MemoryBank
from lts_jax.memory.encoders import Encoder
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.key_schema import visible
from lts_jax.memory.trust import Provenance
from lts_jax.prompts import MAX_MEMORY_CHARACTERS, TOOL_USER, VALUE_SPEAKER
from lts_jax.records import Drawer, Message, Origin, OwnTool, Step, ToolResult

NUM_RETRIEVED = 5
"""Entries that one retrieval brings; AgeMem's top k."""

MEMORY_TOOLS = (
    OwnTool(
        "Add_memory",
        ("content",),
        "Add_memory(content: str)",
        "Keep a text in the memory. It stays there when it is gone from here.",
        "memory",
    ),
    OwnTool(
        "Update_memory",
        ("memory_id", "content"),
        "Update_memory(memory_id: int, content: str)",
        "Put a text in the place of a memory, which is then gone.",
        "memory",
    ),
    OwnTool("Delete_memory", ("memory_id",), "Delete_memory(memory_id: int)", "Take a memory out.", "memory"),
    OwnTool(
        "Retrieve_memory",
        ("query",),
        "Retrieve_memory(query: str)",
        f"The {NUM_RETRIEVED} memories nearest to a query, each behind its number.",
        "memory",
    ),
    OwnTool(
        "Summary_context",
        ("summary",),
        "Summary_context(summary: str)",
        "Put a summary in the place of all that was said so far, but for the request and the last instruction.",
        "thread",
    ),
    OwnTool(
        "Filter_context",
        ("criteria",),
        "Filter_context(criteria: str)",
        "Take out of what was said so far every message that holds all of these words.",
        "thread",
    ),
)
"""What teams are told of them."""

MEMORY_TOOL_NAMES = frozenset(tool.name for tool in MEMORY_TOOLS)
_TYPES: Mapping[str, type] = {"memory_id": int, "content": str, "query": str, "summary": str, "criteria": str}
_SIGNATURES = {tool.name: tool for tool in MEMORY_TOOLS}
_OWN_WORDS = GuardSettings(keys="off")  # nobody but the writer is shown them
_SUMMARY_SPEAKER = "Context"


@dataclass(frozen=True, slots=True)
class Moment:
    """When and after what a tool is called: number of the step under way, seconds, origins that the team has read."""

    step: int
    seconds: float
    seen: tuple[str, ...] = ()


class _Wrong(ValueError):
    """What is wrong with a call, for the model."""


class MemoryTools:
    """The drawer of one team, and what its agents can do to it and to their context."""

    def __init__(self, team: int, encoder: Encoder | None = None) -> None:
        """An empty drawer. Without an `encoder` the newest memories are retrieved, not the nearest."""
        self._team, self._encoder = team, encoder
        self._bank = MemoryBank(_OWN_WORDS)
        self._does: dict[str, Callable[[dict[str, Any], Moment], str]] = {
            "Add_memory": self._add,
            "Update_memory": self._update,
            "Delete_memory": self._delete,
            "Retrieve_memory": self._retrieve,
        }

    def use(self, tool: str, arguments: Mapping[str, Any], moment: Moment) -> ToolResult:
        """Work on the drawer: what the tool says, or why it refuses. Never raises."""
        try:
            if tool not in self._does:
                raise _Wrong("it works on what was said so far, which these agents keep elsewhere")
            return ToolResult(self._does[tool](_checked(tool, arguments), moment), tool=tool)
        except (_Wrong, EditRefused) as problem:
            return _refusal(tool, problem)

    def change(self, tool: str, arguments: Mapping[str, Any], thread: list[Message]) -> tuple[ToolResult, bool]:
        """Work on a thread whose first message is the request and whose last is the instruction. Never raises.

        Returns:
            what the tool says, or why it refuses; whether values of the shared memory left the thread.
        """
        held = [message for message in thread if message.name == VALUE_SPEAKER]
        try:
            given = _checked(tool, arguments)
            told = _summarise(thread, given["summary"]) if "summary" in given else _filter(thread, given["criteria"])
        except _Wrong as problem:
            return _refusal(tool, problem), False
        kept = [message for message in thread if message.name == VALUE_SPEAKER]
        return ToolResult(told, tool=tool), len(kept) < len(held)

    def record(self) -> Drawer:
        """What became of the drawer."""
        return Drawer(self._team, self._bank.entries, self._bank.edits, self._bank.pulls)

    def _add(self, given: dict[str, Any], moment: Moment) -> str:
        made = self._bank.add(self._step(given["content"], moment), moment.seconds, _provenance(moment))
        return f"Kept as memory {made.entry}."

    def _update(self, given: dict[str, Any], moment: Moment) -> str:
        old, step = given["memory_id"], self._step(given["content"], moment)
        made = self._bank.update(old, step, moment.seconds, _provenance(moment))
        return f"Memory {old} is now memory {made.entry}."

    def _delete(self, given: dict[str, Any], moment: Moment) -> str:
        self._bank.delete(given["memory_id"], self._team, moment.step, moment.seconds)
        return f"Memory {given['memory_id']} is gone."

    def _retrieve(self, given: dict[str, Any], moment: Moment) -> str:
        living = self._bank.list_entries(self._team, include_own=True)[::-1]  # the newest first, also among equals
        if not living:
            return "The memory is empty."
        if self._encoder is not None:
            vector_nd = np.asarray(self._encoder.encode([given["query"], *(each.value for each in living)]))
            order = np.argsort(-(vector_nd[1:] @ vector_nd[0]), kind="stable")
            living = [living[place] for place in order]
        chosen = [each.entry for each in living[:NUM_RETRIEVED]]
        values = [self._bank.pull(self._team, entry, moment.step, moment.seconds) for entry in chosen]
        return "\n".join(f"[{entry}] {value}" for entry, value in zip(chosen, values, strict=True))

    def _step(self, content: str, moment: Moment) -> Step:
        return Step(self._team, moment.step, TOOL_USER, "", "", content, content)


def _provenance(moment: Moment) -> Provenance:
    return Provenance(Origin.MODEL, TOOL_USER, moment.seen)


def _refusal(tool: str, problem: ValueError) -> ToolResult:
    return ToolResult(f"{tool}: {problem}", failed=True, tool=tool)


def _checked(tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call, if they are those of the tool."""
    told = _SIGNATURES[tool]
    missing = [name for name in told.arguments if name not in arguments]
    unknown = [name for name in arguments if name not in told.arguments]
    if missing or unknown:
        problem = f"{missing[0]} is missing" if missing else f"there is no argument {show(str(unknown[0])[:60])}"
        raise _Wrong(f"{problem}; it is called as {told.signature}")
    return {name: _NUMBER_OR_TEXT[_TYPES[name]](name, arguments[name]) for name in told.arguments}


def _number(name: str, given: Any) -> int:
    if isinstance(given, str) and given.strip().isdecimal() and len(given) < 10:  # as models write numbers
        return int(given)
    if not isinstance(given, int) or isinstance(given, bool):
        raise _Wrong(f"{name}: expected the number of a memory, got {show(given)}")
    return given


def _text(name: str, given: Any) -> str:
    if not isinstance(given, str):
        raise _Wrong(f"{name}: expected a text, got {show(given)}")
    text = visible(given).strip()
    if not text:
        raise _Wrong(f"{name}: expected a text, got an empty one")
    if len(text) > MAX_MEMORY_CHARACTERS:  # refused, not cut: half a fact may say the contrary
        raise _Wrong(f"{name}: expected at most {MAX_MEMORY_CHARACTERS:,} characters, got {len(text):,}")
    return text


_NUMBER_OR_TEXT: Mapping[type, Callable[[str, Any], Any]] = {int: _number, str: _text}


def _summarise(thread: list[Message], summary: str) -> str:
    num_between = len(thread) - 2
    if num_between < 1:
        raise _Wrong("expected something between the request and the last instruction, found nothing")
    thread[1:-1] = [Message("user", f"Summary of what was said so far:\n{summary}", _SUMMARY_SPEAKER)]
    return f"{num_between} messages gave way to the summary."


def _filter(thread: list[Message], criteria: str) -> str:
    words = criteria.casefold().split()
    kept = [one for one in thread[1:-1] if not all(word in one.content.casefold() for word in words)]
    num_taken = len(thread) - 2 - len(kept)
    if num_taken < 1:
        raise _Wrong(f"no message but the request and the last instruction holds all of the words {show(criteria)}")
    thread[1:-1] = kept
    return f"{num_taken} messages were taken out."
