"""Tool calls in chat messages: their spellings, and one canonical form in which equal calls are equal texts."""

import json
import re
from typing import Any

from lts_jax.llm.well_formed import replace_surrogates
from lts_jax.logs.importers.files import json_text, message_text
from lts_jax.storage import parse_json

API_OUTPUT = "API output:"  # how a tool's result opens in a user message of agents without a tool interface


def canonical_call(name: str, arguments: Any) -> str:
    """One spelling of a tool call: `name({"a":1,"b":2})`, keys sorted, no spaces.

    `arguments` is an object, or its JSON text; a text that is no JSON stays as it is, with single spaces.
    """
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments) if arguments.strip() else {}
        except (ValueError, RecursionError):
            return f"{name}({' '.join(replace_surrogates(arguments).split())})"
    if arguments is None:
        arguments = {}
    return f"{name}({json_text(arguments, in_one_spelling=True)})"


def message_calls(message: dict[str, Any], following: dict[str, Any] | None) -> list[tuple[str, str, Any]]:
    """The tool calls of a message as (id, name, arguments), in whichever of the three spellings."""
    listed = message.get("tool_calls")
    listed = listed if isinstance(listed, list) else []
    if not listed and isinstance(message.get("function_call"), dict):
        listed = [{"function": message["function_call"]}]
    calls = []
    for call in listed:
        function = call.get("function", call) if isinstance(call, dict) else None
        if isinstance(function, dict) and "name" in function:
            calls.append((str(call.get("id") or ""), str(function.get("name") or ""), function.get("arguments")))
    if calls or following is None:
        return calls
    text = message_text(message.get("content"))
    if "Action:" not in text or not message_text(following.get("content")).startswith(API_OUTPUT):
        return calls
    action = re.sub(r"^```(?:json)?|```$", "", text.rsplit("Action:", 1)[1].strip()).strip()
    try:
        parsed = parse_json(action, "")
    except ValueError:
        return [("", "", action)]
    return [("", str(parsed.get("name") or ""), parsed.get("arguments"))] if isinstance(parsed, dict) else calls
