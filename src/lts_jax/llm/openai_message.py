"""What the message of a choice says and thinks: text, parts, tool calls, refusals, in any form that gateways send."""

import json
from dataclasses import dataclass, field

from lts_jax.llm.request_shape import REPLY_TOOL
from lts_jax.llm.speech import Speech, read_speech
from lts_jax.llm.well_formed import replace_surrogates

_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "reasoning_text", "thinking", "thought")
_THOUGHT_NAMES = frozenset(_THOUGHT_FIELDS)
_THOUGHT_PARTS = ("thinking", "reasoning", "redacted", "thought", "summary", "analysis")
_CUT = frozenset({"length", "max_tokens", "model_length", "max_output_tokens", "content_filter", "token_limit"})


@dataclass(slots=True)
class Parts:
    """Texts of a message in order: what is said, and what is thought."""

    said: list[str] = field(default_factory=list)
    thought: list[str] = field(default_factory=list)

    def add(self, content: object) -> None:
        """Take a content: text, a list of parts of any kind, or an object, which is a JSON reply."""
        if isinstance(content, str):
            self.said.append(content)
        elif isinstance(content, dict) and not ("type" in content or "text" in content):
            if content:
                self.said.append(json.dumps(content, ensure_ascii=False))
        elif isinstance(content, dict | list):
            for part in [content] if isinstance(content, dict) else content:
                self._add_part(part)

    def _add_part(self, part: object) -> None:
        kind = get(part, "type")
        if get(part, "thought") is True or str(kind or "").lower().startswith(_THOUGHT_PARTS):
            self.thought += [text for name in ("thinking", "text", "summary") for text in _texts(get(part, name))]
        elif kind in (None, "text", "output_text", "refusal", "input_text", "message"):
            self.said += _texts(part)


def _texts(value: object, depth: int = 0) -> list[str]:
    """The texts in a part: itself, its `text` (or the `value` of that), or the texts of a list."""
    if isinstance(value, str):
        return [value]
    if depth < 4 and isinstance(value, list):
        return [text for item in value for text in _texts(item, depth + 1)]
    if depth < 4 and isinstance(value, dict):
        found = next((value[name] for name in ("text", "value", "content", "refusal") if value.get(name)), None)
        return _texts(found, depth + 1)
    return []


def read_message(message: object) -> Speech | None:
    """What a message says and thinks; None where it says nothing at all, not even a tool call or a refusal.

    A thought beside an empty text is a `Speech` with no text. Where there is no text, the first tool call is what is
    said: its arguments if it is the tool that carries replies, or else a JSON object of the tool's name and arguments.
    """
    content = get(message, "content")
    if isinstance(content, str) and not _may_think(message):
        found = read_speech(replace_surrogates(content))
        if found.text.strip():
            return found
    parts = Parts()
    parts.add(content)
    parts.thought.append(thought_of(message))
    found = read_speech(replace_surrogates("".join(parts.said)))
    thought = replace_surrogates("\n".join(text for text in (*parts.thought, found.thought) if text.strip()))
    said = found.text
    if not said.strip():
        refusal = get(message, "refusal")
        instead = _call_text(get(message, "tool_calls")) or _call_text([{"function": get(message, "function_call")}])
        said = instead or (refusal if isinstance(refusal, str) else "")
    if not said.strip() and not thought:
        return None
    return Speech(replace_surrogates(said) if said.strip() else "", thought)


def thought_of(message: object) -> str:
    """What a message, or a piece of one, keeps in a field of its own for thoughts; the first of several names."""
    if not _may_think(message):
        return ""
    return next((text for name in _THOUGHT_FIELDS for text in _texts(get(message, name)) if text), "")


def _may_think(message: object) -> bool:
    return isinstance(message, dict) and not _THOUGHT_NAMES.isdisjoint(message)


def finish_reason(choice: object) -> str:
    """Why a choice ended, lower case; "" where it does not say. Some servers send "" or "null" before the end."""
    reason = get(choice, "finish_reason")
    if reason == "stop":  # nearly always
        return "stop"
    told = reason.strip().lower() if isinstance(reason, str) else ""
    return "" if told in {"null", "none"} else told


def is_cut(choice: object) -> bool:
    """Whether a choice was ended by the limit of tokens, or by a filter, before the model ended it."""
    return finish_reason(choice) in _CUT


def get(value: object, name: str) -> object:
    """A field of an object; None where there is neither."""
    return value.get(name) if isinstance(value, dict) else None


def _call_text(calls: object) -> str | None:
    """What the first readable tool call says."""
    for call in calls if isinstance(calls, list) else ():
        function = get(call, "function")
        name, arguments = get(function, "name"), get(function, "arguments")
        if isinstance(arguments, dict):  # some servers send the object itself
            arguments = json.dumps(arguments, ensure_ascii=False)
        if isinstance(name, str) and isinstance(arguments, str):
            return arguments if name == REPLY_TOOL else json.dumps({"tool": name, "arguments": arguments})
    return None
