"""The model client that a team's orchestrator and agents are given: every call goes through the team's openings.

So AutoGen's calls are seeded, paid from the budget, redacted, timed and recorded like those of any other team.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from autogen_core import CancellationToken
from autogen_core.models import ChatCompletionClient, CreateResult, LLMMessage, ModelInfo, RequestUsage
from autogen_core.tools import Tool, ToolSchema
from pydantic import BaseModel

from lts_jax.adapters.autogen.messages import native_request, read_reply
from lts_jax.records import ModelCall, StopReason
from lts_jax.teams.ledger import Ledger
from lts_jax.teams.ports import BudgetStop, EndpointStop, TeamPorts, ask_model
from lts_jax.teams.tolerant_json import is_whole_json
from lts_jax.wording import LEDGER_FIELDS

TEXT_MODEL = ModelInfo(
    vision=False, function_calling=False, json_output=True, family="unknown", structured_output=False
)
"""What a `ChatModel` of ours can do."""

_WHOLE = ("ledger", "answer")  # purposes whose reply is nothing where it was cut at its limit
T = TypeVar("T")


class CallFailed(RuntimeError):
    """A call failed for good. AutoGen ends the team with it."""


class CallGate:
    """The one way out of a team: what it waits for passes here, until it is closed. Remembers why a call failed."""

    def __init__(self, ports: TeamPorts) -> None:
        self.failure: tuple[StopReason, str] | None = None
        self._ports = ports
        self._under_way: set[asyncio.Future[Any]] = set()
        self._closed = False

    async def call(self, purpose: str, messages: Sequence[Any]) -> ModelCall:
        """Ask a model through the openings.

        Raises:
            CallFailed: the call failed.
            asyncio.CancelledError: the team was stopped.
        """
        call = await self.wait(ask_model(self._ports, purpose, messages))
        if call.error:
            self.failure = (StopReason.MODEL_ERROR, call.error)
            raise CallFailed(call.error)
        return call

    async def wait(self, work: Awaitable[T]) -> T:
        """The result of some work of the team.

        Raises:
            CallFailed: the run's budget is used up, or the endpoint fails whatever is asked.
            asyncio.CancelledError: the team was stopped.
        """
        under_way = asyncio.ensure_future(work)
        self._under_way.add(under_way)
        try:
            if self._closed:
                under_way.cancel()
            return await under_way
        except (BudgetStop, EndpointStop) as stop:
            is_budget = isinstance(stop, BudgetStop)
            self.failure = (StopReason.BUDGET if is_budget else StopReason.MODEL_ERROR, str(stop))
            raise CallFailed(str(stop)) from None
        finally:
            self._under_way.discard(under_way)

    def close(self) -> None:
        """Stop the team: what is under way is dropped, and nothing more begins."""
        self._closed = True
        for under_way in tuple(self._under_way):
            under_way.cancel()


class PortedClient(ChatCompletionClient):
    """A `ChatCompletionClient` whose calls are the team's own. `purpose` is how the next call is recorded."""

    def __init__(
        self,
        gate: CallGate,
        model_info: ModelInfo,
        purpose: str = "work",
        show: Callable[[str, str], str] = lambda _, reply: reply,
    ) -> None:
        """Ask through `gate`. `show`: (purpose, reply) -> what the caller gets of the reply."""
        self.purpose = purpose
        self._show = show
        self._gate = gate
        self._model_info = model_info
        self._usage = RequestUsage(0, 0)

    async def create(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[Tool | ToolSchema] = (),
        tool_choice: Tool | Literal["auto", "required", "none"] = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
    ) -> CreateResult:
        """One call through the team's openings. Raises `CallFailed`."""
        options: dict[str, Any] = {"json_output": json_output, "extra_create_args": extra_create_args or {}}
        if tools:
            options |= {"tools": tools, "tool_choice": tool_choice}
        request = native_request(messages, options, unnamed_end=self.purpose != "work")
        call = await self._gate.call(self.purpose, request)
        self._usage.prompt_tokens += call.prompt_tokens
        self._usage.completion_tokens += call.completion_tokens
        is_half = call.is_cut and self.purpose in _WHOLE and not is_whole_json(call.reply)
        said = self._show(self.purpose, "" if is_half else call.reply)
        return read_reply(call, said, with_tools=bool(tools))

    async def create_stream(
        self, messages: Sequence[LLMMessage], **options: Any
    ) -> AsyncGenerator[str | CreateResult, None]:
        """The call of `create` as a stream of one piece. Raises `CallFailed`."""
        result = await self.create(messages, **options)
        if isinstance(result.content, str):
            yield result.content
        yield result

    async def close(self) -> None:
        """Nothing to close: the endpoint's client belongs to whoever made it."""

    def actual_usage(self) -> RequestUsage:
        """Tokens of all calls so far."""
        return self._usage

    def total_usage(self) -> RequestUsage:
        """Tokens of all calls so far."""
        return self._usage

    def count_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        """A rough count, four characters a token."""
        return sum(len(each.content) // 4 for each in native_request(messages, {}, unnamed_end=False))

    def remaining_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        """A rough guess, against a window of 128,000 tokens."""
        return 128_000 - self.count_tokens(messages)

    @property
    def capabilities(self) -> ModelInfo:
        """As `model_info`; the older name."""
        return self._model_info

    @property
    def model_info(self) -> ModelInfo:
        """What the model can do."""
        return self._model_info


def ledger_json(ledger: Ledger) -> str:
    """A ledger in the strict spelling that AutoGen's orchestrator reads."""
    answers = (
        ledger.is_request_satisfied,
        ledger.is_in_loop,
        ledger.is_progress_being_made,
        ledger.next_speaker,
        ledger.instruction,
    )
    fields = zip(LEDGER_FIELDS, answers, strict=True)
    return json.dumps({name: {"reason": "", "answer": answer} for name, answer in fields})
