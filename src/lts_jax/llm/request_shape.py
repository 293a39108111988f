"""The optional parts of a request, and which of them to leave out when an endpoint refuses one.

Servers differ in what they know: response formats, tools, streams, usage in streams, seeds. A request starts with
everything that the settings ask for; a refusal (400 or 422) takes one part away, and what then worked is kept.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lts_jax.llm.openai_settings import JsonMode, OpenAIChatSettings

REPLY_TOOL = "reply"
_ANY_OBJECT = {"type": "object", "additionalProperties": True}
_FORMATS: dict[str, dict[str, Any]] = {
    "json_object": {"response_format": {"type": "json_object"}},
    "json_schema": {
        "response_format": {"type": "json_schema", "json_schema": {"name": REPLY_TOOL, "schema": _ANY_OBJECT}}
    },
    "tool": {
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": REPLY_TOOL,
                    "description": "Give the reply, a JSON object.",
                    "parameters": _ANY_OBJECT,
                },
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": REPLY_TOOL}},
    },
}


@dataclass(frozen=True, slots=True)
class RequestShape:
    """Optional parts that an endpoint is believed to take."""

    json_modes: tuple[JsonMode, ...]  # the first is used; none is the prompt alone
    stream: bool
    stream_usage: bool = True
    seed: bool = True
    max_tokens_field: str = "max_completion_tokens"  # older servers know "max_tokens"


def first_shape(settings: OpenAIChatSettings) -> RequestShape:
    """What the settings ask for."""
    return RequestShape(settings.json_modes, settings.stream)


def request_body(
    settings: OpenAIChatSettings, shape: RequestShape, messages: Sequence[Any], seed: int, json_reply: bool
) -> dict[str, Any]:
    """The request in the API's terms. `messages` are as it wants them."""
    body: dict[str, Any] = {"model": settings.model, "messages": messages}
    if shape.seed:
        body["seed"] = seed
    if settings.temperature is not None:
        body["temperature"] = settings.temperature
    if settings.max_completion_tokens is not None:
        body[shape.max_tokens_field] = settings.max_completion_tokens
    if json_reply and shape.json_modes:
        body |= _FORMATS[shape.json_modes[0]]
    if shape.stream:
        body["stream"] = True
    if shape.stream and shape.stream_usage:
        body["stream_options"] = {"include_usage": True}
    return body


def without_refused(shape: RequestShape, refusal: str, body: dict[str, Any]) -> RequestShape | None:
    """The shape to try after a refusal of `body`; None if it holds nothing that the refusal can mean.

    A part that the refusal names goes first. A refusal that names none may still mean the JSON mode, because servers
    differ in how they say so.
    """
    said = set(re.findall(r"[a-z_]+", refusal.lower()))
    if "stream_options" in body and said & {"stream_options", "include_usage"}:
        return replace(shape, stream_usage=False)
    if "max_completion_tokens" in body and "max_completion_tokens" in said:
        return replace(shape, max_tokens_field="max_tokens")
    if "seed" in body and "seed" in said:
        return replace(shape, seed=False)
    if "stream" in body and said & {"stream", "streaming"}:
        return replace(shape, stream=False)
    if "response_format" in body or "tools" in body:
        return replace(shape, json_modes=shape.json_modes[1:])
    return None
