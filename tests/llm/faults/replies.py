"""Bodies of a fault endpoint: what a well-behaved server answers, and what others have answered instead."""

import json
from collections.abc import Callable
from typing import Any

HUGE_CHARACTERS = 6 * 2**20
Asked = dict[str, Any]
"""The request's body as parsed JSON; empty if it was none."""


def reply_text(asked: Asked) -> str:
    """The reply of a well-behaved server: it names the seed, so that a reply can be told from another call's."""
    seed = asked.get("seed", 0)
    wants_json = "response_format" in asked or "tools" in asked
    return json.dumps({"reply_to": seed}) if wants_json else f"reply to {seed}"


def good_body(asked: Asked) -> bytes:
    """A whole completion, or a whole stream if one was asked for."""
    return _stream(good_events(asked)) if asked.get("stream") else _json(good_completion(asked))


def good_completion(asked: Asked) -> dict[str, Any]:
    """A chat completion. With tools in the request it calls the first of them."""
    message: dict[str, Any] = {"role": "assistant", "content": reply_text(asked)}
    if asked.get("tools"):
        message = {"role": "assistant", "content": None, "tool_calls": [_tool_call(asked, reply_text(asked))]}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "fault", "choices": [choice], "usage": USAGE}


def good_events(asked: Asked) -> list[bytes]:
    """The events of a stream, in order, with usage if it was asked for."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    text = reply_text(asked)
    if asked.get("tools"):
        call = _tool_call(asked, "")
        deltas = [{"role": "assistant", "content": None, "tool_calls": [call]}]
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": letter}}]} for letter in text]
    else:
        deltas += [{"content": letter} for letter in text]
    events = [_event([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    events.append(_event([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    options = asked.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        events.append(_event([], usage=USAGE))
    return [*events, b"[DONE]"]


USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def _with_usage(usage: Any) -> Callable[[Asked], bytes]:
    return lambda asked: _json(good_completion(asked | {"stream": False}) | {"usage": usage})


def _with_message(message: Any) -> Callable[[Asked], bytes]:
    return lambda asked: _json(good_completion(asked) | {"choices": [{"index": 0, "message": message}]})


def _with_content(content: Callable[[Asked], Any]) -> Callable[[Asked], bytes]:
    return lambda asked: _with_message({"role": "assistant", "content": content(asked)})(asked)


def _fixed(body: bytes) -> Callable[[Asked], bytes]:
    return lambda asked: body


BODIES: dict[str, Callable[[Asked], bytes]] = {
    "ok": good_body,
    "empty_body": _fixed(b""),
    "html": _fixed(b"<!doctype html><html><body>Please sign in</body></html>"),
    "half_json": lambda asked: _json(good_completion(asked))[:-30],
    "list_body": _fixed(b"[1, 2, 3]"),
    "no_choices": _fixed(b'{"id": "1", "object": "chat.completion", "usage": {"prompt_tokens": 12}}'),
    "empty_choices": _fixed(b'{"choices": []}'),
    "wrong_types": _fixed(b'{"choices": {"0": "a"}, "usage": "many", "model": 7}'),
    "wrong_fields": _fixed(b'{"completions": [{"text": "hello"}], "tokens": 5}'),
    "null_content": _with_content(lambda asked: None),
    "number_content": _with_content(lambda asked: 5),
    "nested_content": _with_content(lambda asked: [{"type": "text", "text": [reply_text(asked)]}]),
    "content_in_parts": _with_content(lambda asked: [{"type": "text", "text": reply_text(asked)}]),
    "huge_content": _with_content(lambda asked: reply_text(asked) + " pad" * (HUGE_CHARACTERS // 4)),
    "lone_surrogate": _with_content(lambda asked: reply_text(asked) + " \ud83d"),
    "control_characters": _with_content(lambda asked: reply_text(asked) + "\x00\x1b[2J\u202e"),
    "invalid_utf8": _fixed(b'{"choices": [{"message": {"content": "\xff\xfe\xe9"}}]}'),
    "deep_nesting": _fixed(b'{"choices": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "long_number": _fixed(b'{"choices": ' + b"9" * 20_000 + b"}"),
    "two_documents": lambda asked: _json(good_completion(asked)) * 2,
    "byte_order_mark": lambda asked: b"\xef\xbb\xbf" + _json(good_completion(asked)),
    "error_inside": _fixed(b'{"error": {"message": "no capacity", "code": 503}}'),
    "no_usage": _with_usage(None),
    "nan_usage": _with_usage({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}),
    "negative_usage": _with_usage({"prompt_tokens": -12, "completion_tokens": -3}),
    "absurd_usage": _with_usage({"prompt_tokens": 10**30, "completion_tokens": 10**30}),
    "text_usage": _with_usage({"prompt_tokens": "12", "completion_tokens": [3]}),
    "wrong_model": lambda asked: _json(good_completion(asked) | {"model": ["another", "model"]}),
    "tool_calls_unasked": lambda asked: _json(good_completion(asked | {"tools": [_TOOL]})),
    "tool_calls_unreadable": _with_message({"content": None, "tool_calls": [None, {"function": "search("}]}),
    "tool_calls_no_list": _with_message({"content": None, "tool_calls": "search()"}),
    "tool_arguments_cut": _with_message(
        {"content": None, "tool_calls": [{"function": {"name": "reply", "arguments": '{"a": [1,'}}]}
    ),
}
"""Kinds that answer 200 with a correct length, and the body of each."""


def _cut(asked: Asked) -> bytes:
    return _stream(good_events(asked)[:4])


def _disordered(asked: Asked) -> bytes:
    events = good_events(asked)
    return _stream([*events[-3:-1], *events[:-3], events[-1]])  # the end comes first


STREAMS: dict[str, Callable[[Asked], bytes]] = {
    "stream_cut": _cut,
    "stream_cut_in_event": lambda asked: _cut(asked)[:-9],
    "stream_disordered": _disordered,
    "stream_of_garbage": lambda asked: b"data: {not json\n\ndata: [1]\n\ndata\n\n: hm\n\n" * 3 + b"data: [DONE]\n\n",
    "stream_of_nothing": _fixed(b"data: [DONE]\n\n"),
    "stream_error": lambda asked: _stream(good_events(asked)[:3]) + b'data: {"error": {"message": "overloaded"}}\n\n',
    "stream_without_done": lambda asked: _stream(good_events(asked)[:-1]),
    "stream_without_usage": lambda asked: _stream(good_events(asked | {"stream_options": None})),
    "stream_with_comments": lambda asked: b": ping\r\n\r\n".join(
        b"event: x\r\nid: 1\r\ndata:" + event + b"\r\n\r\n" for event in good_events(asked)
    ),
    "stream_ignored": lambda asked: _json(good_completion(asked)),
}
"""Kinds that answer a request for a stream; one without gets a good completion."""

_TOOL: dict[str, Any] = {"type": "function", "function": {"name": "reply"}}


def _tool_call(asked: Asked, arguments: str) -> dict[str, Any]:
    name = asked["tools"][0]["function"]["name"]
    return {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def _event(choices: list[Any], **more: Any) -> bytes:
    return _json({"id": "1", "object": "chat.completion.chunk", "model": "fault", "choices": choices} | more)


def _stream(events: list[bytes]) -> bytes:
    return b"".join(b"data: " + event + b"\n\n" for event in events)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
