"""An `openai.AsyncOpenAI` client of the caller's own as a chat model: Azure, other authentication, a proxy.

Retries and connections are the client's; the deadline of a call is ours, and so are budget and journal.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lts_jax.errors import UserError, describe
from lts_jax.llm.chat import Completion, FailureKind, ModelFailure
from lts_jax.llm.openai_settings import OpenAIChatSettings
from lts_jax.llm.openai_wire import read_completion, wire_messages
from lts_jax.llm.request_shape import first_shape, request_body
from lts_jax.records import Message

_KINDS = {
    "APITimeoutError": FailureKind.DEADLINE,
    "APIConnectionError": FailureKind.CONNECTION,
    "AuthenticationError": FailureKind.KEY_REFUSED,
    "PermissionDeniedError": FailureKind.KEY_REFUSED,
    "NotFoundError": FailureKind.NOT_FOUND,
    "RateLimitError": FailureKind.RATE_LIMIT,
    "InternalServerError": FailureKind.SERVER_ERROR,
    "BadRequestError": FailureKind.REQUEST_REFUSED,
    "UnprocessableEntityError": FailureKind.REQUEST_REFUSED,
}
"""Why a call failed, by the name of the client's exception."""


def is_client(value: Any) -> bool:
    """Whether this is a client of the `openai` package, or looks like one."""
    return hasattr(value, "chat") and hasattr(value.chat, "completions")


@dataclass(frozen=True)
class ClientModel:
    """`ChatModel` over a client. `settings` name the model and the options of a request."""

    client: Any
    settings: OpenAIChatSettings

    def __post_init__(self) -> None:
        """Refuse a client that would block the event loop."""
        kinds = [kind.__name__ for kind in type(self.client).__mro__]
        create = getattr(self.client.chat.completions, "create", None)
        if "AsyncOpenAI" not in kinds and not asyncio.iscoroutinefunction(create):
            raise UserError(f"model: expected an AsyncOpenAI client, got {type(self.client).__name__}")

    @property
    def name(self) -> str:
        """Model name, as it appears in records."""
        return self.settings.model

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """Ask once; the client retries as it is set to.

        Raises:
            ModelFailure: the call failed for good, or took longer than its deadline.
        """
        settings = self.settings
        body = request_body(settings, first_shape(settings), wire_messages(messages), seed, json_reply)
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(settings.call_deadline_seconds):
                reply = await self.client.chat.completions.create(**body)
            found = read_completion(reply.model_dump_json().encode(), messages, settings.model)
        except TimeoutError:
            raise ModelFailure(
                f"no reply within {settings.call_deadline_seconds:g} s", kind=FailureKind.DEADLINE
            ) from None
        except ValueError as error:
            raise ModelFailure(str(error), kind=FailureKind.UNREADABLE) from error
        except Exception as error:
            kinds = (kind.__name__ for kind in type(error).__mro__)
            known = next((_KINDS[kind] for kind in kinds if kind in _KINDS), FailureKind.OTHER)
            raise ModelFailure(describe(error), kind=known) from error
        seconds = asyncio.get_running_loop().time() - started
        return Completion(
            found.reply, found.prompt_tokens, found.completion_tokens, found.model or settings.model, 1, seconds
        )
