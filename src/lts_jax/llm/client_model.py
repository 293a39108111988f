"""An `openai.AsyncOpenAI` client of the caller's own as a chat model: Azure, other authentication, a proxy.

Retries and connections are the client's; the deadline of a call is ours, and so are budget and journal.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lts_jax.errors import UserError, describe
from lts_jax.llm.chat import Completion, FailureKind, ModelFailure
from lts_jax.llm.learnt_shape import LearntShape
from lts_jax.llm.openai_problem import read_problem
from lts_jax.llm.openai_settings import OpenAIChatSettings
from lts_jax.llm.openai_wire import NoText, one_line, read_reply
from lts_jax.llm.request_shape import request_body
from lts_jax.llm.transport import HttpReply, Problem
from lts_jax.records import Message

_KINDS = {
    "APITimeoutError": FailureKind.DEADLINE,
    "APIConnectionError": FailureKind.CONNECTION,
    "AuthenticationError": FailureKind.KEY_REFUSED,
    "PermissionDeniedError": FailureKind.REQUEST_REFUSED,
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
    _learnt: LearntShape = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a client that would block the event loop."""
        kinds = [kind.__name__ for kind in type(self.client).__mro__]
        create = getattr(self.client.chat.completions, "create", None)
        if "AsyncOpenAI" not in kinds and not asyncio.iscoroutinefunction(create):
            raise UserError(f"model: expected an AsyncOpenAI client, got {type(self.client).__name__}")
        object.__setattr__(self, "_learnt", LearntShape(self.settings))

    @property
    def name(self) -> str:
        """Model name, as it appears in records."""
        return self.settings.model

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """Ask once; the client retries as it is set to. Of a request that is refused, parts are left out in turn.

        Raises:
            ModelFailure: the call failed for good, or took longer than its deadline.
        """
        settings, loop = self.settings, asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(settings.call_deadline_seconds):
                found = await self._ask(messages, seed, json_reply)
        except TimeoutError:
            raise ModelFailure(
                f"no reply within {settings.call_deadline_seconds:g} s", kind=FailureKind.DEADLINE
            ) from None
        return replace(found, seconds=loop.time() - started)

    async def _ask(self, messages: Sequence[Message], seed: int, json_reply: bool) -> Completion:
        shape, attempts = self._learnt.shape, 0
        while True:
            attempts += 1
            body = request_body(self.settings, shape, messages, seed, json_reply)
            outcome = await self._attempt(body, messages)
            if isinstance(outcome, Completion):
                self._learnt.worked(shape, body)
                return replace(outcome, attempts=attempts)
            other = self._learnt.after(shape, body, outcome, 0)
            if other is None:
                raise ModelFailure(one_line(outcome.text, 200), attempts=attempts, kind=outcome.kind)
            shape = other

    async def _attempt(self, body: dict[str, Any], messages: Sequence[Message]) -> Completion | Problem:
        settings = self.settings
        try:
            reply = await self.client.chat.completions.create(**body)
        except TimeoutError:
            raise
        except Exception as error:
            return _problem_of(error)
        whole = HttpReply(200, {}, reply.model_dump_json().encode())
        try:
            return read_reply(whole, messages, settings.model, settings.api_key_variable)
        except ValueError as error:
            kind = FailureKind.NO_TEXT if isinstance(error, NoText) else FailureKind.UNREADABLE
            raise ModelFailure(one_line(str(error), 200), kind=kind) from error


def _problem_of(error: Exception) -> Problem:
    """What an exception of the client says: as its response does, or else by its name."""
    status = getattr(error, "status_code", None)
    kinds = (kind.__name__ for kind in type(error).__mro__)
    known = next((_KINDS[kind] for kind in kinds if kind in _KINDS), FailureKind.OTHER)
    if not isinstance(status, int) or not 400 <= status < 600:
        return Problem(describe(error), may_retry=False, kind=known)
    said = read_problem(HttpReply(status, {}, str(getattr(error, "message", "") or error).encode()), "the client")
    kind = said.kind if said.kind in (FailureKind.QUOTA, FailureKind.KEY_REFUSED, FailureKind.HELD_BACK) else known
    return Problem(describe(error), may_retry=False, kind=kind, status=status)
