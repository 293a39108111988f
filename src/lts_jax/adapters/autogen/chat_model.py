"""Any model client of AutoGen as a `ChatModel`: the other direction of `client.py`."""

import asyncio
from collections.abc import Sequence

from autogen_core.models import ChatCompletionClient, CreateResult, ModelInfo

from lts_jax.adapters.autogen.messages import NativeRequest, native_messages, reply_text
from lts_jax.llm.chat import Completion, FailureKind, ModelFailure
from lts_jax.records import Message


class AutogenChatModel:
    """A `ChatCompletionClient` behind the protocol of `ChatModel`.

    Calls that AutoGen's agents make arrive with their tools and schemas and are passed on as they are; our own requests
    (summaries, selections, the aggregated answer) are passed on as text.
    """

    __slots__ = ("_client", "_deadline_seconds", "_name", "_sends_seed")

    def __init__(
        self, client: ChatCompletionClient, name: str, *, sends_seed: bool = True, deadline_seconds: float = 600.0
    ) -> None:
        """Ask `client`, as `name` in records. `sends_seed`: the endpoint takes a seed, as OpenAI's does.

        Raises:
            ValueError: a deadline of no time.
        """
        if not deadline_seconds > 0:
            raise ValueError(f"deadline_seconds: expected more than 0, got {deadline_seconds!r}")
        self._client = client
        self._name = name
        self._sends_seed = sends_seed
        self._deadline_seconds = deadline_seconds

    @property
    def name(self) -> str:
        """Model name, as it appears in records."""
        return self._name

    @property
    def model_info(self) -> ModelInfo:
        """What the client says its model can do."""
        return self._client.model_info

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """Answer the messages through the client. Raises `ModelFailure` for whatever the client raises."""
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._deadline_seconds):
                result = await self._create(messages, seed, json_reply)
        except TimeoutError:
            problem = f"no reply within {self._deadline_seconds:g} seconds"
            raise ModelFailure(problem, kind=FailureKind.DEADLINE) from None
        except Exception as error:  # clients of many endpoints stand behind this, each with errors of its own
            raise ModelFailure(" ".join(f"{type(error).__name__}: {error}".split())[:500]) from error
        seconds = asyncio.get_running_loop().time() - started
        usage = result.usage
        return Completion(reply_text(result), usage.prompt_tokens, usage.completion_tokens, self._name, 1, seconds)

    async def _create(self, messages: Sequence[Message], seed: int, json_reply: bool) -> CreateResult:
        extra = {"seed": seed} if self._sends_seed else {}
        if isinstance(messages, NativeRequest):
            options = dict(messages.options)
            given = options.pop("extra_create_args", {})
            return await self._client.create(messages.native, extra_create_args={**given, **extra}, **options)
        wants_json = json_reply and bool(self._client.model_info.get("json_output"))
        return await self._client.create(
            native_messages(messages), json_output=wants_json or None, extra_create_args=extra
        )
