"""What goes over the wire to an OpenAI-compatible endpoint and what comes back: plain values, nothing trusted."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from lts_jax.llm.chat import Completion, FailureKind
from lts_jax.llm.openai_stream import is_stream, join_stream
from lts_jax.llm.request_shape import REPLY_TOOL
from lts_jax.llm.transport import HttpReply, Problem
from lts_jax.llm.well_formed import replace_surrogates
from lts_jax.records import Message

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MODEL_CHARACTERS = 200  # of a model's name, which is kept with every call
_EXCERPT = 1000  # characters of an unusable reply in an error


def wire_messages(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Messages as the API wants them. A name outside its pattern of 1 to 64 letters, digits, _ and - is left out."""
    return [
        {"role": message.role, "content": replace_surrogates(message.content)}
        | ({"name": message.name} if _NAME.fullmatch(message.name) else {})
        for message in messages
    ]


def read_completion(body: bytes, messages: Sequence[Message], model: str, *, streamed: bool = False) -> Completion:
    """The completion in the body of a successful response to `messages`.

    Tokens are the endpoint's; where it gives none they are estimated at one per four bytes, so that a budget still
    ends. `model` is the name where the endpoint gives none. A refusal counts as the reply. Where there is no text, the
    first tool call is the reply: its arguments if it is the tool that carries replies, or else a JSON object of the
    tool's name and its arguments. `streamed` says that a stream was asked for.

    Raises:
        NoText: a completion that says nothing.
        ValueError: no completion in the body, saying what was found; `StreamCut` if it is a part of one.
    """
    reply = _parse(body, streamed)
    choices = _get(reply, "choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError(f"the reply holds no choices: {_excerpt(body)}")
    text = _content(_get(choices[0], "message"))
    if text is None:
        raise NoText(f"the first choice holds no text: {_excerpt(body)}")
    usage = _get(reply, "usage")
    name = _get(reply, "model")
    return Completion(
        reply=replace_surrogates(text),
        prompt_tokens=_count(_get(usage, "prompt_tokens"), [message.content for message in messages]),
        completion_tokens=_count(_get(usage, "completion_tokens"), [text]),
        model=replace_surrogates(name)[:_MODEL_CHARACTERS] if isinstance(name, str) and name else model,
    )


def stated_prompt_tokens(body: bytes, *, streamed: bool = False) -> int:
    """Prompt tokens that the body of a response states, 0 if it states none: what an unusable reply cost."""
    try:
        usage = _get(_parse(body, streamed), "usage")
    except ValueError:
        return 0
    return _count(_get(usage, "prompt_tokens"), [])


class NoText(ValueError):
    """A completion that holds neither text nor a tool call."""


def _parse(body: bytes, streamed: bool) -> object:
    if streamed and is_stream(body):
        return join_stream(body)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError(f"the reply is not JSON: {_excerpt(body)}") from None


def _excerpt(body: bytes) -> str:
    return body[:_EXCERPT].decode("utf-8", "replace")


def retry_after_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """Seconds that a response asks to wait (`retry-after-ms`, or `retry-after` as seconds or date); 0 if it does not.

    `now` is the time that a date is compared with, by default the present.
    """
    for name, unit_seconds in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit_seconds
        except (KeyError, ValueError):
            continue
        return seconds if seconds > 0.0 else 0.0  # also for NaN
    try:
        date = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError, TypeError):
        return 0.0
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def read_problem(reply: HttpReply, key_variable: str) -> Problem:
    """What to make of a response that is not a success."""
    status = reply.status
    if status in {401, 403}:  # the body may quote the key
        text = f"HTTP {status}: the key in {key_variable} was refused"
        return Problem(text, may_retry=False, kind=FailureKind.KEY_REFUSED, status=status)
    body = _error_body(reply.body)
    is_quota = _get(_get(body, "error") or body, "code") == "insufficient_quota"
    told_not_to = reply.headers.get("x-should-retry") == "false" or is_quota
    return Problem(
        f"HTTP {status}: {error_text(body)}",
        may_retry=not told_not_to and (status in {408, 429} or status >= 500),
        kind=FailureKind.QUOTA if is_quota else _status_kind(status),
        status=status,
        retry_after_seconds=retry_after_seconds(reply.headers),
    )


def _status_kind(status: int) -> FailureKind:
    if status == 429:
        return FailureKind.RATE_LIMIT
    if status >= 500 or status == 408:
        return FailureKind.SERVER_ERROR
    if status < 300:
        return FailureKind.UNREADABLE
    if status == 404:
        return FailureKind.NOT_FOUND
    return FailureKind.REDIRECT if status < 400 else FailureKind.REQUEST_REFUSED


def _error_body(body: bytes) -> object:
    text = body.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def error_text(body: object) -> str:
    """What an error body says: its `message` if there is one."""
    inner = _get(body, "error") or body
    message = _get(inner, "message") or inner
    if not message:
        return "no explanation"
    return message if isinstance(message, str) else repr(message)


def one_line(text: str, num_characters: int) -> str:
    """The text on one line, cut to a number of characters, without what a terminal would obey."""
    line = " ".join(replace_surrogates(text).split())
    return "".join(character if character.isprintable() else "?" for character in line)[:num_characters]


def _content(message: object) -> str | None:
    content = _get(message, "content")
    if isinstance(content, list):  # some gateways reply in parts
        texts = [_get(part, "text") for part in content]
        content = "".join(texts) if texts and all(isinstance(text, str) for text in texts) else None  # type: ignore[arg-type]
    if isinstance(content, str) and content:
        return content
    called = _call_text(_get(message, "tool_calls"))
    if called is not None:
        return called
    if content is None:
        content = _get(message, "refusal")
    return content if isinstance(content, str) else None


def _call_text(calls: object) -> str | None:
    """What the first readable tool call says."""
    for call in calls if isinstance(calls, list) else ():
        function = _get(call, "function")
        name, arguments = _get(function, "name"), _get(function, "arguments")
        if isinstance(arguments, dict):  # some servers send the object itself
            arguments = json.dumps(arguments, ensure_ascii=False)
        if isinstance(name, str) and isinstance(arguments, str):
            return arguments if name == REPLY_TOOL else json.dumps({"tool": name, "arguments": arguments})
    return None


def _count(found: Any, texts: Sequence[str]) -> int:
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**40:
        return found
    return sum(-(-len(text.encode("utf-8", "replace")) // 4) for text in texts)


def _get(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None
