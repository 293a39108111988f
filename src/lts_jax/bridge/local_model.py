"""A language model in this process: a Llama or Qwen3 from a local folder, as a `ChatModel` that teams ask."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lts_jax.errors import UserError
from lts_jax.llm.chat import Completion, FailureKind, ModelFailure, Wish
from lts_jax.llm.reply_grammars import reply_grammar
from lts_jax.llm.wire_messages import MessageForm, wire_messages
from lts_jax.records import Message

if TYPE_CHECKING:
    from lts_jax.models.generator import Generator, Reply
    from lts_jax.models.sampling import Sampling

PREFIX = "jax:"
"""How the name of a model in this process begins; the rest is its folder."""


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Which folder, and how its model replies where a request does not say."""

    folder: str
    temperature: float = 0.2  # and top_p: what SmolLM2's authors advise
    top_p: float = 0.9
    max_completion_tokens: int = 512
    max_rows: int = 8  # replies under way at one time; the other requests wait
    max_places: int = 8_192  # tokens whose keys and values are kept: of SmolLM2-135M 46 kB each
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    call_deadline_seconds: float = 600.0  # of one call, from when it begins to wait for a row

    def __post_init__(self) -> None:
        for name in ("max_rows", "max_places", "max_completion_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"model.{name}: expected at least 1, got {getattr(self, name)}")


class LocalModel:
    """`ChatModel` over a `Generator`. Calls wait for each other only where there is no row for them."""

    def __init__(self, settings: LocalSettings) -> None:
        """Read the weights.

        Raises:
            UserError: whatever the folder lacks, or a setting that cannot be.
        """
        from lts_jax.models.sampling import Sampling

        self.settings = settings
        self._defaults = Sampling(settings.temperature, settings.top_p, settings.max_completion_tokens)
        self.generator = _generator(settings.folder, settings.max_rows, settings.max_places, settings.compute_dtype)

    @property
    def name(self) -> str:
        """Name in records: that of the folder."""
        return PREFIX + Path(self.settings.folder).resolve().name

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """Answer the messages. A reply keeps to the grammar that the request speaks of, if any (`reply_grammar`).

        Raises:
            ModelFailure: the prompt is longer than the context, or its template does not take the messages.
        """
        return await self.complete_as(messages, seed=seed, json_reply=json_reply)

    async def complete_as(
        self,
        messages: Sequence[Message],
        *,
        seed: int,
        json_reply: bool = False,
        wish: Wish | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        """As `complete`, with what a request wishes; `on_text` is called on this event loop with each piece.

        Raises:
            ModelFailure: as `complete`; or a schema that cannot be kept to.
        """
        from lts_jax.models.generator import Request, TooLong

        wish = wish or Wish()
        started, loop = time.monotonic(), asyncio.get_running_loop()
        ended: asyncio.Future[Reply] = loop.create_future()
        grammar = reply_grammar(messages, json_reply=json_reply) if wish.schema is None else wish.schema
        try:
            request = Request(
                prompt=self.generator.chat.prompt(wire_messages(messages, MessageForm(names=False))),
                seed=seed,
                sampling=self._sampling(wish),
                grammar=grammar,
                on_text=None if on_text is None else lambda text: _call(loop, on_text, text),
                on_end=lambda reply: _call(loop, _settle, ended, reply),
            )
            self.generator.submit(request)
        except TooLong as problem:
            raise ModelFailure(str(problem), kind=FailureKind.REQUEST_REFUSED) from None
        except (UserError, ValueError) as problem:
            raise ModelFailure(" ".join(str(problem).split()), kind=FailureKind.REQUEST_REFUSED) from None
        try:
            async with asyncio.timeout(self.settings.call_deadline_seconds):
                reply = await ended
        except TimeoutError:
            deadline = f"no reply within {self.settings.call_deadline_seconds:g} s"
            raise ModelFailure(deadline, kind=FailureKind.DEADLINE) from None
        finally:
            request.is_cancelled = not ended.done() or ended.cancelled()
        return self._completion(reply, time.monotonic() - started)

    def _sampling(self, wish: Wish) -> "Sampling":
        """The defaults, with what a request wishes instead."""
        changes: dict[str, Any] = {"stop": wish.stop}
        for ours, value in (
            ("temperature", wish.temperature), ("top_p", wish.top_p), ("max_tokens", wish.max_completion_tokens)
        ):  # fmt: skip
            if value is not None:
                changes[ours] = value
        return replace(self._defaults, **changes)

    def _completion(self, reply: "Reply", seconds: float) -> Completion:
        counts = (reply.prompt_tokens, reply.completion_tokens)
        if reply.ending in ("failed", "cancelled"):
            said = reply.problem or "the model was closed"
            raise ModelFailure(said, prompt_tokens=counts[0], completion_tokens=counts[1])
        if not reply.text.strip():
            told = f"the reply is empty after {reply.completion_tokens} tokens"
            raise ModelFailure(told, prompt_tokens=counts[0], completion_tokens=counts[1], kind=FailureKind.NO_TEXT)
        return Completion(reply.text, *counts, self.name, seconds=seconds, is_cut=reply.ending == "length")


def local_options(settings: LocalSettings) -> Mapping[str, Any]:
    """What else than name, messages and seed decides a reply, for records of calls: the weights' digest first."""
    from lts_jax.models.weights import digest

    return {
        "weights": digest(settings.folder)[:16],
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_completion_tokens": settings.max_completion_tokens,
        "compute_dtype": settings.compute_dtype,
    }


@lru_cache(maxsize=2)
def _generator(
    folder: str, max_rows: int, max_places: int, compute_dtype: Literal["float32", "bfloat16"]
) -> "Generator":
    """The generator of a folder; one object for equal settings, so that weights are read once."""
    from lts_jax.models.chat_format import ChatFormat
    from lts_jax.models.decoding import load_decoder
    from lts_jax.models.generator import Generator
    from lts_jax.models.qwen3_settings import context_length, settings_from_json
    from lts_jax.models.token_masks import need_masks

    need_masks()
    path = Path(folder)
    settings = settings_from_json(path, compute_dtype=compute_dtype)
    chat = ChatFormat(path)
    if chat.tokenizer.get_vocab_size() > settings.vocabulary_size:
        raise UserError(f"{path}: tokenizer.json has more tokens than config.json's vocab_size")
    context = min(context_length(path) or max_places, max_places)
    weights = load_decoder(path, settings)
    return Generator(settings, weights, chat, context=context, max_rows=max_rows, max_places=max_places)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> None:
    """Call a function on an event loop; nothing where that loop has ended and nobody waits any more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)


def _settle(ended: "asyncio.Future[Reply]", reply: "Reply") -> None:
    if not ended.done():
        ended.set_result(reply)
