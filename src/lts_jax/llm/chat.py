"""The one protocol behind which every language model stands, and what can go wrong with one."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from lts_jax.records import Message, ModelCall


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered. Tokens as the endpoint counts them; `seconds` is measured, 0 for a simulated model.

    `thought` is what a reasoning model wrote before it spoke: it is kept and never read as speech. `is_cut` says that a
    limit of tokens, or a filter, ended the reply before the model did.
    """

    reply: str
    prompt_tokens: int
    completion_tokens: int
    model: str = ""
    attempts: int = 1
    seconds: float = 0.0
    thought: str = ""
    is_cut: bool = False


class FailureKind(StrEnum):
    """Why a call failed for good."""

    OTHER = "other"
    DEADLINE = "deadline"  # no reply in the time of the call or of its last attempt
    CONNECTION = "connection"  # refused, reset, cut, or not HTTP
    RATE_LIMIT = "rate_limit"  # 429, for longer than the call may take
    QUOTA = "quota"  # 402, or words that say so: the account at the endpoint has nothing left
    SERVER_ERROR = "server_error"  # 5xx and 408
    KEY_REFUSED = "key_refused"  # 401, or a 400 or 403 that speaks of a key
    REDIRECT = "redirect"  # 3xx; the messages and the key go nowhere else
    NOT_FOUND = "not_found"  # 404: no such model, or no such address
    REQUEST_REFUSED = "request_refused"  # any other 4xx
    HELD_BACK = "held_back"  # a filter of the endpoint refused what was asked or said
    TOO_LARGE = "too_large"  # a reply past the limit of bytes
    UNREADABLE = "unreadable"  # not JSON, or not a chat completion
    NO_TEXT = "no_text"  # a completion that says nothing, or thinks without saying anything


ENDPOINT_IS_DOWN = frozenset(
    {FailureKind.CONNECTION, FailureKind.QUOTA, FailureKind.KEY_REFUSED, FailureKind.REDIRECT, FailureKind.NOT_FOUND}
)
"""Kinds that have nothing to do with what was asked: any other call would fail as well."""


class ModelFailure(Exception):
    """A call failed for good: retries are used up, or a retry cannot help. The message is one line.

    `attempts` were made, and `prompt_tokens` and `completion_tokens` counted by the endpoint although no reply came of
    them.
    """

    def __init__(
        self,
        message: str = "",
        *,
        attempts: int = 1,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        kind: FailureKind = FailureKind.OTHER,
    ) -> None:
        super().__init__(message)
        self.attempts = attempts
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens
        self.kind = kind


class BudgetExhausted(ModelFailure):
    """The run's tokens, dollars or seconds are used up; no further call is made."""


class ChatModel(Protocol):
    """A language model. Stateless: the reply follows from messages and seed, as far as the model allows."""

    @property
    def name(self) -> str:
        """Model name, as it appears in records."""
        ...

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """Answer the messages. `seed` is in [0, 2^31); `json_reply` asks for a JSON object where the model can.

        Raises:
            ModelFailure: the call failed for good.
        """
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What one request wants of its reply. None: the model's own default."""

    temperature: float | None = None
    top_p: float | None = None
    max_completion_tokens: int | None = None
    stop: tuple[str, ...] = ()  # texts that end the reply, themselves left out
    schema: Mapping[str, Any] | None = None  # JSON schema that the reply keeps to


@runtime_checkable
class TunableModel(Protocol):
    """A chat model that also takes wishes, and tells its reply while it is made."""

    async def complete_as(
        self,
        messages: Sequence[Message],
        *,
        seed: int,
        json_reply: bool = False,
        wish: Wish | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        """As `ChatModel.complete`. `on_text` is called on the event loop with each piece, in order.

        Raises:
            ModelFailure: the call failed for good.
        """
        ...


Ask = Callable[[str, Sequence[Message]], Awaitable[ModelCall]]
"""Ask a model inside a rollout: (purpose, messages) -> the recorded call. Never raises on model failure: the call's
`error` says what happened. Seeding, budget, latency and recording are the caller's."""
