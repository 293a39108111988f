"""The OpenAI chat-completions format, seen from the server: request bodies to calls, completions to bodies."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from lts_jax.llm.chat import Completion, Wish
from lts_jax.records import Message

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_DONE = b"data: [DONE]\n\n"
_STREAM_PIECE = 64  # characters of a reply in one event of a stream


class BadRequest(ValueError):
    """A request body that asks for nothing a chat model can do. The message says what was expected."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a request body asks for. `request_id` is a digest of the body: same request, same id."""

    messages: tuple[Message, ...]
    seed: int
    json_reply: bool
    stream: bool
    stream_usage: bool
    request_id: str


def read_request(body: bytes) -> ChatRequest:
    """The call in a request body. Read are messages (text or text parts, roles, names), seed, response_format, n,
    stream and stream_options; other fields are ignored. A missing seed is 0; any integer is taken modulo 2^31.

    Raises:
        BadRequest: not JSON, or a field that cannot be served.
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
    if not isinstance(asked, dict):
        raise BadRequest("the body: expected a JSON object")
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages: expected a list of at least one message")
    seed = asked.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise BadRequest("seed: expected an integer")
    if asked.get("n") not in (None, 1):
        raise BadRequest("n: expected 1, there is one reply to a request")
    return ChatRequest(
        messages=tuple(_message(message, f"messages[{place}]") for place, message in enumerate(messages)),
        seed=(seed or 0) % 2**31,
        json_reply=_wants_json(asked.get("response_format")),
        stream=asked.get("stream") is True,
        stream_usage=_part(asked.get("stream_options"), "include_usage") is True,
        request_id="chatcmpl-" + blake2b(body, digest_size=12).hexdigest(),
    )


def read_wish(body: bytes) -> Wish:
    """What a request body that `read_request` took wishes of its reply: temperature, top_p, max_completion_tokens or
    the older max_tokens, stop, and the schema of a response format json_schema.

    Raises:
        BadRequest: a field that cannot be served.
    """
    asked = json.loads(body)
    limit = asked.get("max_completion_tokens", asked.get("max_tokens"))
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise BadRequest(f"max_completion_tokens: expected a whole number of at least 1, got {json.dumps(limit)[:40]}")
    stop = asked.get("stop")
    stop = [] if stop is None else [stop] if isinstance(stop, str) else stop
    if not isinstance(stop, list) or len(stop) > 4 or not all(isinstance(one, str) and one for one in stop):
        raise BadRequest("stop: expected a text, or at most four of them, none empty")
    return Wish(
        temperature=_number(asked, "temperature", 0.0, 2.0),
        top_p=_number(asked, "top_p", 1e-6, 1.0),
        max_completion_tokens=limit,
        stop=tuple(stop),
        schema=_schema(asked.get("response_format")),
    )


def completion_body(request: ChatRequest, completion: Completion, model: str) -> bytes:
    """Body of the response. `model` is the name where the completion gives none."""
    message = {"role": "assistant", "content": completion.reply, "refusal": None}
    reason = "length" if completion.is_cut else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    head = _head(request, completion, model, "chat.completion")
    return _json(head | {"choices": [choice], "usage": _usage(completion)})


def stream_body(request: ChatRequest, completion: Completion, model: str) -> bytes:
    """The response as server-sent events: role, text in pieces, end, usage if it was asked for, [DONE]."""
    text = completion.reply
    pieces = [text[start : start + _STREAM_PIECE] for start in range(0, len(text), _STREAM_PIECE)]
    name = completion.model or model
    events = [stream_piece(request, name, piece) for piece in ["", *pieces]]
    return b"".join([*events, stream_end(request, completion, model)])


def stream_piece(request: ChatRequest, name: str, piece: str) -> bytes:
    """One event with a piece of the reply of the model `name`; the first, empty one says who speaks."""
    delta = {"content": piece} if piece else {"role": "assistant", "content": ""}
    return _event(_chunk(request, name) | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def stream_end(request: ChatRequest, completion: Completion, model: str) -> bytes:
    """The last events: how it ended, usage if it was asked for, [DONE]."""
    head = _chunk(request, completion.model or model)
    reason = "length" if completion.is_cut else "stop"
    end = _event(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    usage = _event(head | {"choices": [], "usage": _usage(completion)}) if request.stream_usage else b""
    return end + usage + _DONE


def stream_error(message: str) -> bytes:
    """The last event of a stream that fails on its way."""
    return b"data: " + error_body(500, message, "model_failure") + b"\n\n"


def models_body(model: str) -> bytes:
    """Body of the list of models: the one there is."""
    return _json({"object": "list", "data": [{"id": model, "object": "model", "created": 0, "owned_by": "lts-jax"}]})


def error_body(status: int, message: str, code: str | None = None) -> bytes:
    """Body of an error, as OpenAI's clients expect it."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return _json({"error": {"message": message, "type": kind, "param": None, "code": code}})


def _message(found: object, where: str) -> Message:
    role = _part(found, "role")
    if not isinstance(role, str) or role not in _ROLES:
        raise BadRequest(f"{where}.role: expected one of {', '.join(_ROLES)}")
    name = _part(found, "name")
    if name is not None and not isinstance(name, str):
        raise BadRequest(f"{where}.name: expected text")
    content = _part(found, "content")
    if content is None and role == "assistant":
        content = ""
    if isinstance(content, list):
        texts = [_part(part, "text") if _part(part, "type") == "text" else None for part in content]
        content = "".join(texts) if all(isinstance(text, str) for text in texts) else None  # type: ignore[arg-type]
    if not isinstance(content, str):
        raise BadRequest(f"{where}.content: expected text, or a list of text parts")
    return Message(_ROLES[role], content, name or "")


def _wants_json(response_format: object) -> bool:
    if response_format is None:
        return False
    kind = _part(response_format, "type")
    if kind not in ("text", "json_object", "json_schema"):
        raise BadRequest("response_format.type: expected text, json_object or json_schema")
    return kind != "text"


def _number(asked: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    value = asked.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise BadRequest(f"{name}: expected a number from {least:g} to {most:g}, got {json.dumps(value)[:40]}")
    return float(value)


def _schema(response_format: object) -> Mapping[str, Any] | None:
    """The schema that a response format names; None where it names none, or one that says no more than "an object"."""
    if _part(response_format, "type") != "json_schema":
        return None
    schema = _part(_part(response_format, "json_schema"), "schema")
    if schema is not None and not isinstance(schema, dict):
        raise BadRequest("response_format.json_schema.schema: expected a JSON object")
    says = set(schema or {}) - {"type", "additionalProperties"}
    return schema if says else None


def _event(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + _json(chunk) + b"\n\n"


def _chunk(request: ChatRequest, name: str) -> dict[str, Any]:
    return {"id": request.request_id, "object": "chat.completion.chunk", "created": int(time.time()), "model": name}


def _head(request: ChatRequest, completion: Completion, model: str, kind: str) -> dict[str, Any]:
    name = completion.model or model
    return {"id": request.request_id, "object": kind, "created": int(time.time()), "model": name}


def _usage(completion: Completion) -> Mapping[str, int]:
    return {
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "total_tokens": completion.prompt_tokens + completion.completion_tokens,
    }


def _part(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()  # ASCII, so that any text can be sent
