"""What adapters of agent frameworks share: tools as texts, tool calls in replies, and the shared memory as a tool.

A model behind `OpenPorts` replies in text, so that a rollout's record, journal and budget see every call in one form.
A framework's tools are told to it in words, and a reply that is one JSON object {"tool": ..., "arguments": {...}} is
read as a call of one of them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lts_jax.errors import UserError
from lts_jax.records import Message, ModelCall, OwnTool, Task
from lts_jax.teams.own_team import OpenPorts
from lts_jax.teams.tolerant_json import find_objects

Reads = Literal["tool", "select"]
"""How values are read: by a tool that takes an entry's number, or by the run's reader before every model call."""

READ_MEMORY = OwnTool(
    "read_shared_memory", ("entry",), "read_shared_memory(entry: int) -> str", "What a parallel team has found."
)


@dataclass(frozen=True, slots=True)
class ToolText:
    """One tool of a framework's, as the model is told of it."""

    name: str
    says: str
    parameters: Mapping[str, Any]  # JSON schema of its arguments


@dataclass(slots=True)
class Side:
    """One team while a framework runs it: what its agents are made from. `model` and `tools` are the framework's."""

    task: Task
    ports: OpenPorts
    reads: Reads
    model: Any = None
    tools: Any = ()
    _values: list[Message] = field(default_factory=list)

    @property
    def described_tools(self) -> tuple[OwnTool, ...]:
        """The tools of the world, those that the user brought, and the shared memory where it is read by a tool."""
        return (*self.ports.tools, *([READ_MEMORY] if self.reads == "tool" else []))

    async def call(self, messages: Sequence[Message], tools: Sequence[ToolText] = ()) -> ModelCall:
        """One call of the model, told of the tools and of what other teams have shared. Raises `CallFailed`."""
        told = [_tools_message(tools)] if tools else []
        if self.reads == "select":
            for entry, key, value in await self.ports.select_values():
                self._values.append(Message("user", f"A parallel team found (entry {entry}, {key}): {value}"))
            return await self.ports.call([*told, *messages, *self._values])
        lines = [f"[{entry}] {key}" for entry, key in self.ports.list_keys()]
        if lines:
            head = "Parallel teams have found what follows; read_shared_memory gives the whole of an entry."
            told.append(Message("system", "\n".join([head, *lines])))
        return await self.ports.call([*told, *messages])

    async def use_tool(self, name: str, arguments: Mapping[str, Any]) -> str:
        """What a tool of the world, or the shared memory, gives, as text."""
        if name != READ_MEMORY.name:
            return (await self.ports.use_tool(name, arguments)).text
        try:
            value = await self.ports.pull(int(arguments.get("entry", -1)))
        except (TypeError, ValueError):
            value = None
        return "there is no such entry" if value is None else value


def check_reads(reads: str) -> None:
    """Refuse another way to read than there are. Raises UserError."""
    if reads not in ("tool", "select"):
        raise UserError(f"reads: expected tool or select, got {reads!r}")


def read_call(reply: str, names: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
    """The call of one of these tools in a reply, (name, arguments); None where it is none."""
    for found in find_objects(reply).objects:
        name, arguments = found.get("tool", found.get("name")), found.get("arguments", {})
        if name in names and isinstance(arguments, dict):
            return str(name), arguments
    return None


def call_text(name: str, arguments: Mapping[str, Any] | str) -> str:
    """A tool call as a step's action, and as the model reads it back."""
    inner = arguments if isinstance(arguments, str) else json.dumps(dict(arguments), ensure_ascii=False, default=str)
    return f"{name} {inner}"


def parameters_of_tool(tool: OwnTool) -> dict[str, Any]:
    """JSON schema of a described tool's arguments, by its signature; those with a default are not required."""
    inner = tool.signature.partition("(")[2].rpartition(")")[0]
    pieces = [piece.strip() for piece in inner.split(",") if ":" in piece]
    kinds = {"int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}
    properties = {}
    for piece in pieces:
        name, _, kind = piece.partition(":")
        properties[name.strip()] = {"type": kinds.get(kind.partition("=")[0].strip(), "string")}
    needed = [piece.partition(":")[0].strip() for piece in pieces if "=" not in piece]
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def _tools_message(tools: Sequence[ToolText]) -> Message:
    lines = [f"- {tool.name} {json.dumps(dict(tool.parameters))}: {' '.join(tool.says.split())}" for tool in tools]
    head = 'To use a tool, reply with one JSON object alone: {"tool": name, "arguments": {...}}. Tools:'
    return Message("system", "\n".join([head, *lines]))
