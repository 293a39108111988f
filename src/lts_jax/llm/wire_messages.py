"""Messages as an endpoint takes them. No form loses a text: a speaker, a system message, a turn go where they can."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lts_jax.llm.well_formed import replace_surrogates
from lts_jax.records import Message

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BETWEEN = "\n\n"  # of texts that become one message


@dataclass(frozen=True, slots=True)
class MessageForm:
    """Which forms of messages an endpoint is believed to take."""

    names: bool = True  # False: the speaker stands before the text
    neighbours: bool = True  # False: messages of one role that follow each other become one
    system: bool = True  # False: a system message stands at the head of the user message after it


def wire_messages(messages: Sequence[Message], form: MessageForm = MessageForm()) -> list[dict[str, str]]:
    """Messages as the API wants them. A name outside its pattern of 1 to 64 letters, digits, _ and - is left out."""
    wire = [_wire_message(message, form.names) for message in messages]
    if not form.system:
        wire = _without_system(wire)
    return wire if form.neighbours else _merged(wire)


def has_names(wire: Sequence[dict[str, str]]) -> bool:
    """Whether any message names its speaker."""
    return any("name" in message for message in wire)


def has_neighbours(wire: Sequence[dict[str, str]]) -> bool:
    """Whether two messages of one role follow each other."""
    return any(first["role"] == second["role"] for first, second in pairwise(wire))


def has_system(wire: Sequence[dict[str, str]]) -> bool:
    """Whether there is a system message."""
    return any(message["role"] == "system" for message in wire)


def _wire_message(message: Message, with_name: bool) -> dict[str, str]:
    content = replace_surrogates(message.content)
    if not _NAME.fullmatch(message.name):
        return {"role": message.role, "content": content}
    if with_name:
        return {"role": message.role, "content": content, "name": message.name}
    return {"role": message.role, "content": f"{message.name}: {content}"}


def _without_system(wire: list[dict[str, str]]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    waiting: list[str] = []
    for message in wire:
        if message["role"] == "system":
            waiting.append(message["content"])
            continue
        if waiting and message["role"] != "user":
            found.append({"role": "user", "content": _BETWEEN.join(waiting)})
            waiting = []
        found.append(message | {"content": _BETWEEN.join([*waiting, message["content"]])})
        waiting = []
    return [*found, {"role": "user", "content": _BETWEEN.join(waiting)}] if waiting else found


def _merged(wire: list[dict[str, str]]) -> list[dict[str, str]]:
    """Neighbours of one role as one message. Where speakers differ, all of its texts say who speaks."""
    runs: list[list[dict[str, str]]] = []
    for message in wire:
        if runs and runs[-1][0]["role"] == message["role"]:
            runs[-1].append(message)
        else:
            runs.append([message])
    return [_one_of(run) for run in runs]


def _one_of(run: list[dict[str, str]]) -> dict[str, str]:
    if len({message.get("name") for message in run}) == 1:
        return run[0] | {"content": _BETWEEN.join(message["content"] for message in run)}
    texts = [f"{message['name']}: {message['content']}" if "name" in message else message["content"] for message in run]
    return {"role": run[0]["role"], "content": _BETWEEN.join(texts)}
