"""The optional parts of a request, and what to leave out or to write otherwise when an endpoint refuses one.

Servers differ in what they know: names of speakers, roles that do not alternate, system messages, seeds, usage in
streams, the name of the limit, response formats. A request starts with everything that the settings ask for. A part
that a refusal speaks of goes first; of a refusal that speaks of none every part that has not yet worked may be meant,
and they go in the order of `PARTS`, the JSON mode last.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lts_jax.llm.openai_settings import JsonMode, OpenAIChatSettings
from lts_jax.llm.wire_messages import MessageForm, has_names, has_neighbours, has_system, wire_messages
from lts_jax.records import Message

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
    form: MessageForm = field(default_factory=MessageForm)


def first_shape(settings: OpenAIChatSettings) -> RequestShape:
    """What the settings ask for."""
    return RequestShape(settings.json_modes, settings.stream)


def request_body(
    settings: OpenAIChatSettings, shape: RequestShape, messages: Sequence[Message], seed: int, json_reply: bool
) -> dict[str, Any]:
    """The request in the API's terms."""
    body: dict[str, Any] = {"model": settings.model, "messages": wire_messages(messages, shape.form)}
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


@dataclass(frozen=True, slots=True)
class _Part:
    """One thing that an endpoint may not take."""

    is_in: Callable[[Mapping[str, Any]], bool]  # whether a request holds it
    told: re.Pattern[str]  # how a refusal speaks of it
    without: Callable[[RequestShape], RequestShape]
    guessed: bool = True  # whether a refusal that names nothing may mean it


def _told(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _has_json_mode(body: Mapping[str, Any]) -> bool:
    return "response_format" in body or "tools" in body


def _other_limit(shape: RequestShape) -> RequestShape:
    return replace(shape, max_tokens_field="max_tokens")


PARTS: dict[str, _Part] = {
    "name": _Part(
        lambda body: has_names(body["messages"]),
        _told(r"(?<!model )(?<!tool )(?<!function )\bnames?\b(?! of)(?! must be| is not a known| for model)"),
        lambda shape: replace(shape, form=replace(shape.form, names=False)),
    ),
    "neighbours": _Part(
        lambda body: has_neighbours(body["messages"]),
        _told(
            r"alternat|consecutive|successive|interleav|same role|in a row|back.to.back|multiple user messages"
            r"|roles? must|order of (?:the )?(?:roles|messages)|expected (?:role|last role)|last message"
        ),
        lambda shape: replace(shape, form=replace(shape.form, neighbours=False)),
    ),
    "system": _Part(
        lambda body: has_system(body["messages"]),
        _told(
            r"\bsystem\b|alternat|\bdeveloper (?:message|instruction|role)"
            r"|\brole\b.{0,60}(?:support|allow|valid|permit|unknown)"
        ),
        lambda shape: replace(shape, form=replace(shape.form, system=False)),
    ),
    "seed": _Part(lambda body: "seed" in body, _told(r"\bseed\b"), lambda shape: replace(shape, seed=False)),
    "stream_options": _Part(
        lambda body: "stream_options" in body,
        _told(r"stream_?options|include_?usage"),
        lambda shape: replace(shape, stream_usage=False),
    ),
    "max_completion_tokens": _Part(
        lambda body: "max_completion_tokens" in body, _told(r"max_?completion_?tokens"), _other_limit
    ),
    "stream": _Part(
        lambda body: "stream" in body,
        _told(r"\bstream(?:ing|ed|s)?\b"),
        lambda shape: replace(shape, stream=False),
        guessed=False,
    ),
    "json_mode": _Part(
        _has_json_mode,
        _told(
            r"response_?format|json_?(?:object|schema|mode)|\btools?\b|tool_?choice|guided|grammar|structured"
            r"|function call"
        ),
        lambda shape: replace(shape, json_modes=shape.json_modes[1:]),
    ),
}
"""What may be left out or written otherwise, in the order in which it is."""

_OF_WHAT_WAS_ASKED = _told(
    r"context (?:length|window|size)|too (?:long|large|many tokens)|maximum (?:context|number of tokens)|prompt is too"
    r"|paused|suspended|deprecat|retired"
    r"|does not exist|not found|no such model|unknown model|not available|temperature|region|country|territory"
)


def parts_of(body: Mapping[str, Any], *, but: frozenset[str] = frozenset()) -> frozenset[str]:
    """Names of the `PARTS` that a request holds, `but` those: they are not looked for."""
    return frozenset(name for name, part in PARTS.items() if name not in but and part.is_in(body))


def without_refused(
    shape: RequestShape, refusal: str, body: Mapping[str, Any], proven: frozenset[str] = frozenset()
) -> RequestShape | None:
    """The shape to try after a refusal of `body`; None if it holds nothing that the refusal can mean.

    `proven` are parts that the endpoint is known to take: they are left out only if the refusal speaks of them. A
    refusal of what is asked (too long, flagged, no such model) is none of a part.
    """
    held = parts_of(body)
    for name, part in PARTS.items():
        if name in held and part.told.search(refusal):
            return part.without(shape)
    if _OF_WHAT_WAS_ASKED.search(refusal):
        return None
    for name, part in PARTS.items():
        if name in held and part.guessed and name not in proven:
            return part.without(shape)
    return None


def both(one: RequestShape, other: RequestShape) -> RequestShape:
    """What both shapes hold: calls in flight may have learnt different things."""
    return RequestShape(
        json_modes=min(one.json_modes, other.json_modes, key=len),
        stream=one.stream and other.stream,
        stream_usage=one.stream_usage and other.stream_usage,
        seed=one.seed and other.seed,
        max_tokens_field=min(one.max_tokens_field, other.max_tokens_field, key=len),
        form=MessageForm(
            one.form.names and other.form.names,
            one.form.neighbours and other.form.neighbours,
            one.form.system and other.form.system,
        ),
    )
