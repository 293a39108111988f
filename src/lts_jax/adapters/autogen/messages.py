"""AutoGen's messages as ours and back: requests become text messages, and replies with tool calls become one text.

A reply is always carried as text, so that a rollout's record, its journal and its budget see every call in one form.
What a text message cannot hold (tools, images, a schema) travels beside it in a `NativeRequest`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from autogen_core import FunctionCall
from autogen_core.models import (
    AssistantMessage,
    CreateResult,
    FunctionExecutionResultMessage,
    LLMMessage,
    RequestUsage,
    SystemMessage,
    UserMessage,
)

from lts_jax.records import Message, ModelCall

_CALLS = "function_calls"


class NativeRequest(tuple[Message, ...]):
    """Messages of a call as ours, with the same call as AutoGen's clients take it: `native` and `options`."""

    native: tuple[LLMMessage, ...]
    options: Mapping[str, Any]  # keyword arguments of `ChatCompletionClient.create`


def native_request(messages: Sequence[LLMMessage], options: Mapping[str, Any], *, unnamed_end: bool) -> NativeRequest:
    """A call of AutoGen's as messages of ours. `unnamed_end`: the last message is a request, not something said."""
    texts = [_message(each) for each in messages]
    if unnamed_end and texts:
        texts[-1] = Message(texts[-1].role, texts[-1].content)
    request = NativeRequest(texts)
    request.native, request.options = tuple(messages), options
    return request


def native_messages(messages: Sequence[Message]) -> list[LLMMessage]:
    """Messages of ours as AutoGen's. A message without a speaker gets its role as name; AutoGen wants one."""
    return [_native(each) for each in messages]


def reply_text(result: CreateResult) -> str:
    """A reply as text: its words, or its tool calls as one JSON object."""
    if isinstance(result.content, str):
        return result.content
    calls = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in result.content]
    return json.dumps({_CALLS: calls, "thought": result.thought}, ensure_ascii=False)


def read_reply(call: ModelCall, reply: str, *, with_tools: bool) -> CreateResult:
    """The reply that `reply_text` wrote, as AutoGen's clients give it. `with_tools`: the call offered tools."""
    usage = RequestUsage(call.prompt_tokens, call.completion_tokens)
    found = _calls(reply) if with_tools else None
    if found is None:
        return CreateResult(finish_reason="stop", content=reply, usage=usage, cached=False)
    calls, thought = found
    return CreateResult(finish_reason="function_calls", content=calls, usage=usage, cached=False, thought=thought)


def _calls(reply: str) -> tuple[list[FunctionCall], str | None] | None:
    try:
        value = json.loads(reply)
        thought = value["thought"]
        return [FunctionCall(**call) for call in value[_CALLS]], thought if isinstance(thought, str) else None
    except (ValueError, KeyError, TypeError):
        return None


def _message(message: LLMMessage) -> Message:
    if isinstance(message, SystemMessage):
        return Message("system", message.content)
    if isinstance(message, FunctionExecutionResultMessage):
        return Message("user", "\n".join(f"{each.name}: {each.content}" for each in message.content))
    role = "assistant" if isinstance(message, AssistantMessage) else "user"
    return Message(role, _content(message), message.source)


def _content(message: UserMessage | AssistantMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    parts = []
    for part in message.content:
        if isinstance(part, FunctionCall):
            parts.append(f"{part.name} {part.arguments}")
        else:
            parts.append(part if isinstance(part, str) else "<image>")
    return "\n".join(parts)


def _native(message: Message) -> LLMMessage:
    if message.role == "system":
        return SystemMessage(content=message.content)
    kind = AssistantMessage if message.role == "assistant" else UserMessage
    return kind(content=message.content, source=message.name or message.role)
