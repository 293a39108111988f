"""What the simulated model does with a memory of its team's own: it keeps all that it is told, and looks first.

It sees that it is told something, or was, in the messages alone (`prompts.LISTENING`, `prompts.WAS_TOLD`).
"""

import json
from collections.abc import Sequence

from lts_jax.llm.simulated.task_view import question_in
from lts_jax.prompts import LISTENING, MAX_MEMORY_CHARACTERS, TELLER, TOOL_USER, WAS_TOLD
from lts_jax.records import Message

_KEEP, _LOOK = "Keep in the memory: ", "Look into the memory for: "


def next_move(thread: Sequence[Message]) -> tuple[str, str] | None:
    """Next speaker and instruction; ("", "") where nothing is left to keep; None where the memory is not asked.

    Args:
        thread: from the task ledger on.
    """
    head = thread[0].content if thread else ""
    given = [message.content for message in thread if message.content.startswith(f"{TOOL_USER}: ")]
    if question_in(head) == LISTENING:
        texts = [part for message in thread if message.name == TELLER for part in _parts(message.content)]
        return (TOOL_USER, _KEEP + texts[len(given)]) if len(given) < len(texts) else ("", "")
    if f"\n{WAS_TOLD}\n" in head and not given:
        return TOOL_USER, _LOOK + question_in(head)[:MAX_MEMORY_CHARACTERS]
    return None


def call_memory(instruction: str) -> str:
    """The tool call that carries an instruction of `next_move` out, as JSON; empty for any other."""
    _, _, asked = instruction.partition(": ")
    if asked.startswith(_KEEP):
        return json.dumps({"tool": "Add_memory", "arguments": {"content": asked.removeprefix(_KEEP)}})
    if asked.startswith(_LOOK):
        return json.dumps({"tool": "Retrieve_memory", "arguments": {"query": asked.removeprefix(_LOOK)}})
    return ""


def _parts(text: str) -> list[str]:
    """A text in pieces that one call takes."""
    return [text[start : start + MAX_MEMORY_CHARACTERS] for start in range(0, len(text), MAX_MEMORY_CHARACTERS)]
