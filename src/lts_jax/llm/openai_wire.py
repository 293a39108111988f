"""What goes over the wire to an OpenAI-compatible endpoint and what comes back: plain values, nothing trusted."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from lts_jax.llm.chat import Completion
from lts_jax.llm.well_formed import well_formed
from lts_jax.records import Message

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EXCERPT = 1000  # characters of an unusable reply in an error


def wire_messages(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Messages as the API wants them. A name outside its pattern of 1 to 64 letters, digits, _ and - is left out."""
    return [
        {"role": message.role, "content": well_formed(message.content)}
        | ({"name": message.name} if _NAME.fullmatch(message.name) else {})
        for message in messages
    ]


def read_completion(body: bytes, messages: Sequence[Message], model: str) -> Completion:
    """The completion in the body of a successful response to `messages`.

    Tokens are the endpoint's; where it gives none they are estimated at one per four bytes, so that a budget still
    ends. `model` is the name where the endpoint gives none. A refusal counts as the reply.

    Raises:
        ValueError: no usable choice in the body, saying what was found.
    """
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError(f"the reply is not JSON: {body[:_EXCERPT].decode('utf-8', 'replace')}") from None
    choices = _get(reply, "choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError(f"the reply holds no choices: {repr(reply)[:_EXCERPT]}")
    text = _content(_get(choices[0], "message"))
    if text is None:
        raise ValueError(f"the first choice holds no text: {repr(choices[0])[:_EXCERPT]}")
    usage = _get(reply, "usage")
    name = _get(reply, "model")
    return Completion(
        reply=well_formed(text),
        prompt_tokens=_count(_get(usage, "prompt_tokens"), [message.content for message in messages]),
        completion_tokens=_count(_get(usage, "completion_tokens"), [text]),
        model=name if isinstance(name, str) and name else model,
    )


def stated_prompt_tokens(body: bytes) -> int:
    """Prompt tokens that the body of a response states, 0 if it states none: what an unusable reply cost."""
    try:
        usage = _get(json.loads(body), "usage")
    except (ValueError, RecursionError):
        return 0
    return _count(_get(usage, "prompt_tokens"), [])


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


def error_text(body: object) -> str:
    """What an error body says: its `message` if there is one."""
    inner = _get(body, "error") or body
    message = _get(inner, "message") or inner
    if not message:
        return "no explanation"
    return message if isinstance(message, str) else repr(message)


def one_line(text: str, num_characters: int) -> str:
    """The text on one line, cut to a number of characters, without what a terminal would obey."""
    line = " ".join(well_formed(text).split())
    return "".join(character if character.isprintable() else "?" for character in line)[:num_characters]


def _content(message: object) -> str | None:
    content = _get(message, "content")
    if isinstance(content, list):  # some gateways reply in parts
        texts = [_get(part, "text") for part in content]
        return "".join(texts) if texts and all(isinstance(text, str) for text in texts) else None  # type: ignore[arg-type]
    if content is None:
        content = _get(message, "refusal")
    return content if isinstance(content, str) else None


def _count(found: Any, texts: Sequence[str]) -> int:
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**40:
        return found
    return sum(-(-len(text.encode("utf-8", "replace")) // 4) for text in texts)


def _get(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None
