"""What goes over the wire to an OpenAI-compatible endpoint and what comes back: plain values, nothing trusted."""

import json
from collections.abc import Sequence
from typing import Any

from lts_jax.llm.chat import Completion
from lts_jax.llm.openai_message import finish_reason, get, is_cut, read_message
from lts_jax.llm.openai_problem import problem_inside
from lts_jax.llm.openai_stream import is_stream, join_stream
from lts_jax.llm.transport import HttpReply, Problem
from lts_jax.llm.well_formed import replace_surrogates
from lts_jax.records import Message

_MODEL_CHARACTERS = 200  # of a model's name, which is kept with every call
_EXCERPT = 1000  # characters of an unusable reply in an error


def read_reply(
    reply: HttpReply, messages: Sequence[Message], model: str, key_variable: str, *, streamed: bool = False
) -> Completion | Problem:
    """What a successful response to `messages` holds: a completion, or the failure inside it.

    `key_variable` is named where the key was refused; the rest is that of `read_completion`.
    """
    body = _parse(reply.body, streamed)
    return problem_inside(body, reply.headers, key_variable) or _completion(body, reply.body, messages, model)


def read_completion(body: bytes, messages: Sequence[Message], model: str, *, streamed: bool = False) -> Completion:
    """The completion in the body of a successful response to `messages`.

    Tokens are the endpoint's; where it gives none they are estimated at one per four bytes, so that a budget still
    ends. `model` is the name where the endpoint gives none. Thoughts are told from what is said, see `read_speech`. A
    refusal counts as the reply. Where there is no text, the first tool call is the reply: its arguments if it is the
    tool that carries replies, or else a JSON object of the tool's name and its arguments. `streamed` says that a stream
    was asked for.

    Raises:
        NoText: a completion that says nothing.
        ValueError: no completion in the body, saying what was found; `StreamCut` if it is a part of one.
    """
    return _completion(_parse(body, streamed), body, messages, model)


def _completion(reply: object, body: bytes, messages: Sequence[Message], model: str) -> Completion:
    choices = get(reply, "choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError(f"the reply holds no choices: {_excerpt(body)}")
    usage = get(reply, "usage")
    speech = read_message(get(choices[0], "message"))
    if speech is None or not speech.text:
        raise NoText(_nothing_said(choices[0], None if speech is None else speech.thought, usage, body))
    name = get(reply, "model")
    return Completion(
        reply=speech.text,
        prompt_tokens=_count(get(usage, "prompt_tokens"), [message.content for message in messages]),
        completion_tokens=_count(get(usage, "completion_tokens"), [speech.text, speech.thought]),
        model=replace_surrogates(name)[:_MODEL_CHARACTERS] if isinstance(name, str) and name else model,
        thought=speech.thought,
        is_cut=is_cut(choices[0]),
    )


def _nothing_said(choice: object, thought: str | None, usage: object, body: bytes) -> str:
    """Why a completion says nothing, and what helps."""
    ended = f"finish_reason {finish_reason(choice) or 'not given'}"
    tokens = get(usage, "completion_tokens")
    if thought is not None or _reasoning_tokens(usage):
        spent = f" ({tokens} tokens)" if isinstance(tokens, int) else ""
        raised = "; raise --model.max-completion-tokens" if is_cut(choice) else ""
        return f"the model reasoned{spent} and said nothing, {ended}{raised}"
    if is_cut(choice):
        return f"the reply is empty, {ended}; raise --model.max-completion-tokens"
    if get(get(choice, "message"), "content") in ("", None):
        return f"the reply is empty, {ended}"
    return f"the first choice holds no text, {ended}: {_excerpt(body)}"


def _reasoning_tokens(usage: object) -> bool:
    return bool(get(get(usage, "completion_tokens_details"), "reasoning_tokens"))


def stated_tokens(body: bytes, *, streamed: bool = False) -> tuple[int, int]:
    """Prompt and completion tokens that a response states, 0 if it states none: what an unusable reply cost."""
    try:
        usage = get(_parse(body, streamed), "usage")
    except ValueError:
        return 0, 0
    return _count(get(usage, "prompt_tokens"), []), _count(get(usage, "completion_tokens"), [])


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


def one_line(text: str, num_characters: int) -> str:
    """The text on one line, cut to a number of characters, without what a terminal would obey."""
    line = " ".join(replace_surrogates(text).split())
    return "".join(character if character.isprintable() else "?" for character in line)[:num_characters]


def _count(found: Any, texts: Sequence[str]) -> int:
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**40:
        return found
    return sum(-(-len(text.encode("utf-8", "replace")) // 4) for text in texts)
