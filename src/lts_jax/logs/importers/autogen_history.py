"""Chat histories of AutoGen 0.2: messages with a role and a name, alone or as the `chat_history` of a ChatResult.

Who speaks is the name; the role is only how the message was put to a model. The first message is the request.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from lts_jax.logs.importers.autogen_messages import TeamLog
from lts_jax.logs.importers.files import message_text
from lts_jax.logs.importers.tool_calls import message_calls


def team_of_history(value: Any) -> TeamLog | None:
    """The team of a chat history, in the messages of today's AutoGen; None where it is no such history."""
    whole = isinstance(value, dict)
    history = value.get("chat_history", value.get("messages")) if whole else value
    if not isinstance(history, list) or not history or not all(map(_is_message, history)):
        return None
    if not whole and not any(message.get("name") for message in history):
        return None
    return TeamLog(list(_messages(history)), None, has_ended=whole and "chat_history" in value)  # a ChatResult is whole


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and isinstance(message.get("role"), str) and "content" in message


def _messages(history: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    is_first = True
    for message in history:
        text = message_text(message.get("content"))
        speaker = str(message.get("name") or message["role"])
        calls = message_calls(message, None)
        if message["role"] == "system":
            continue
        if is_first:
            yield {"source": "user", "content": text, "type": "TextMessage"}
            is_first = False
        elif calls:
            called = [{"name": name, "arguments": arguments} for _, name, arguments in calls]
            yield {"source": speaker, "content": called, "type": "ToolCallRequestEvent"}
        elif text.strip():  # an empty reply of a user's proxy says nothing
            yield {"source": speaker, "content": text, "type": "TextMessage"}
