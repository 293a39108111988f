"""What a reply must look like, read from the request itself: for a model whose tokens can be held to a grammar.

A grammar is a JSON schema, or a regular expression as text. The requests are those of `lts_jax.prompts`; a request in
JSON that is none of them may be answered by any object, and whatever asks for words by any words.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lts_jax.prompts import OPENINGS, SELECTION_MARKER, TOOLS
from lts_jax.records import Message
from lts_jax.wording import LEDGER_FIELDS, SHORT_FIELDS, SHORT_LEDGER

MAX_REASON, MAX_INSTRUCTION, MAX_ARGUMENT = 160, 400, 300  # characters: a small model may not find an end by itself

_AGENTS = re.compile(r"next_speaker is one of (.+?); instruction_or_question is")
_OFFERED = " Tools: "
_ENTRY = re.compile(r"^\[(\d+)\] ", re.MULTILINE)  # of a key that is shown


def reply_grammar(messages: Sequence[Message], *, json_reply: bool) -> Mapping[str, Any] | str | None:
    """The grammar of a reply to the last message: a ledger, a tool call, a selection of keys, a verdict, an object."""
    asked = messages[-1].content if messages else ""
    if _asks_for(asked, "ledger"):
        asking = next((one.content for one in reversed(messages) if _AGENTS.search(one.content)), "")
        agents = _AGENTS.search(asking)
        return _ledger(None if agents is None else agents[1].split(", "), is_short=SHORT_LEDGER in asking)
    if _asks_for(asked, "act") and _OFFERED in asked:
        try:
            tools, _ = json.JSONDecoder().raw_decode(asked, asked.rindex(_OFFERED) + len(_OFFERED))
            return {"anyOf": [_call(tool, arguments) for tool, arguments in tools.items()]}
        except (ValueError, AttributeError, TypeError):
            pass  # not our words, whatever they begin with
    if _asks_for(asked, "select"):
        return _selection(_ENTRY.findall(asked))
    if _asks_for(asked, "judge"):
        return "YES|NO"
    return {"type": "object"} if json_reply else None


def _asks_for(text: str, purpose: str) -> bool:
    """Whether a text is this request, or ends with it where messages of one role became one."""
    opening = OPENINGS[purpose] + "\n"
    return text.startswith(opening) or f"\n\n{opening}" in text


def _ledger(agents: Sequence[str] | None, *, is_short: bool) -> Mapping[str, Any]:
    speaker = {"type": "string", "maxLength": 40} if agents is None else {"type": "string", "enum": list(agents)}
    values: dict[str, Mapping[str, Any]] = {name: {"type": "boolean"} for name in LEDGER_FIELDS[:3]} | {
        LEDGER_FIELDS[3]: speaker,
        LEDGER_FIELDS[4]: {"type": "string", "minLength": 1, "maxLength": MAX_INSTRUCTION},
    }
    if is_short:
        return _object({name: values[name] for name in SHORT_FIELDS})
    reason = {"type": "string", "maxLength": MAX_REASON}
    return _object({name: _object({"reason": reason, "answer": value}) for name, value in values.items()})


def _selection(entries: Sequence[str]) -> str:
    """At most three of the entries that are shown, or none."""
    one = "|".join(dict.fromkeys(entries))
    chosen = f"(({one})(, ({one})){{0,2}})?" if one else ""
    return f"{SELECTION_MARKER} \\[{chosen}\\]"


def _call(tool: str, arguments: Sequence[str]) -> Mapping[str, Any]:
    """One tool's call. Arguments of our own tools are texts and page numbers; those of a user's may be anything."""
    own = any(tool in tools for tools in TOOLS.values())
    text = {"type": "string", "maxLength": MAX_ARGUMENT}
    page = {"type": "integer", "minimum": 1, "maximum": 99}
    kinds = {name: (page if name == "page" else text) if own else {} for name in arguments}
    needed = [name for name in arguments if name != "page"] if own else []
    return _object({"tool": {"const": tool}, "arguments": _object(kinds, needed)})


def _object(properties: Mapping[str, Any], required: Sequence[str] | None = None) -> Mapping[str, Any]:
    needed = list(properties) if required is None else list(required)
    return {"type": "object", "properties": dict(properties), "required": needed, "additionalProperties": False}
