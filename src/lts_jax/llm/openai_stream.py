"""A streamed reply put together: server-sent events become the completion that the server would have sent whole."""

import json
from collections.abc import Iterator
from typing import Any

from lts_jax.llm.openai_message import Parts, finish_reason, thought_of

_END = b"[DONE]"


class StreamCut(ValueError):
    """The stream ended before its end: what came is a part of a reply."""


def is_whole_stream(body: bytearray) -> bool:
    """Whether the bytes read so far end with the end mark, so that nothing more is to come."""
    return bytes(body[-16:]).rstrip().endswith(_END)


def is_stream(body: bytes) -> bool:
    """Whether a body is a stream of events; a server that knows no streams answers with a JSON object."""
    return not body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def join_stream(body: bytes) -> dict[str, Any]:
    """The completion in a stream: texts, thoughts and tool arguments of the first choice joined, the last usage.

    An error that comes as an event is all that is left: `{"error": ...}`, whatever was said before it.

    Raises:
        StreamCut: neither an end mark nor a finish reason came.
        ValueError: no event at all, one that is not JSON, or text after the finish reason.
    """
    parts = Parts()
    calls: dict[int, dict[str, Any]] = {}
    reply: dict[str, Any] = {}
    refusal: str | None = None
    ended = ""  # the finish reason
    has_ended = has_begun = False
    for data in _events(body):
        has_begun = True
        if data == _END:
            has_ended = True
            break
        chunk = _parse(data)
        if chunk.get("error"):
            return {"error": chunk["error"]}
        reply |= {name: chunk[name] for name in ("model", "usage") if chunk.get(name)}
        choice = _first_choice(chunk)
        if choice.get("error"):
            return {"error": choice["error"]}
        delta = choice.get("delta") or choice.get("message")
        delta = delta if isinstance(delta, dict) else {}
        content, pieces = delta.get("content"), delta.get("tool_calls")
        if ended and (content or pieces):
            raise ValueError("the stream goes on after its finish reason")
        parts.add(content)
        parts.thought.append(thought_of(delta))
        if isinstance(delta.get("refusal"), str):
            refusal = (refusal or "") + delta["refusal"]
        if isinstance(pieces, list):
            _add_calls(calls, pieces)
        ended = ended or finish_reason(choice)
    if not has_begun and body.strip():
        raise ValueError(f"the reply is no stream of events: {body[:200].decode('utf-8', 'replace')}")
    if not (ended or has_ended):
        raise StreamCut(f"the stream was cut after {len(body)} bytes")
    message = {
        "content": "".join(parts.said) if parts.said else None,
        "reasoning_content": "".join(parts.thought),
        "refusal": refusal,
        "tool_calls": list(calls.values()),
    }
    has_said = bool(parts.said or any(parts.thought) or calls or refusal is not None)
    return reply | {"choices": [{"message": message, "finish_reason": ended}] if has_said or ended else []}


def _events(body: bytes) -> Iterator[bytes]:
    """The data of each event. Lines end with any of the three line ends; comments and other fields are skipped."""
    lines: list[bytes] = []
    for line in body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        if line.startswith(b"data:"):
            lines.append(line[5:].removeprefix(b" "))
        elif not line and lines:
            yield b"\n".join(lines).strip()
            lines = []
    if lines and lines[-1].strip() == _END:
        yield _END


def _parse(data: bytes) -> dict[str, Any]:
    try:
        chunk = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError(f"an event of the stream is not JSON: {data[:200].decode('utf-8', 'replace')}") from None
    if not isinstance(chunk, dict):
        raise ValueError(f"an event of the stream is not an object: {data[:200].decode('utf-8', 'replace')}")
    return chunk


def _first_choice(chunk: dict[str, Any]) -> dict[str, Any]:
    choices = chunk.get("choices")
    found = choices[0] if isinstance(choices, list) and choices else None
    return found if isinstance(found, dict) and found.get("index") in (0, None) else {}


def _add_calls(calls: dict[int, dict[str, Any]], pieces: list[Any]) -> None:
    """Append pieces of tool calls to the calls they belong to, by index."""
    for piece in pieces:
        function = piece.get("function") if isinstance(piece, dict) else None
        index = piece.get("index", 0) if isinstance(piece, dict) else None
        if not isinstance(function, dict) or not isinstance(index, int):
            continue
        call = calls.setdefault(index, {"function": {"name": "", "arguments": ""}})["function"]
        for name in ("name", "arguments"):
            if isinstance(function.get(name), str):
                call[name] += function[name]
