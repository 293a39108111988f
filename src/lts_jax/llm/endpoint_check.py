"""Five small questions to an endpoint, that tell what it takes of what teams ask, and what a call costs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lts_jax.llm.chat import Completion, ModelFailure
from lts_jax.llm.openai_client import OpenAIChatModel
from lts_jax.llm.openai_settings import OpenAIChatSettings
from lts_jax.llm.request_shape import RequestShape, first_shape
from lts_jax.records import Message

MAX_TOKENS = 2000  # of an answer, thoughts included
SHORT_LIMIT = 16  # tokens of the answer that is to be cut
PLAIN = (Message("user", "Reply with the one word: ready"),)
THREAD = (
    Message("system", "You are WebSurfer. You reply in JSON."),
    Message("user", "Task ledger. How many herons are on the pond?", "Orchestrator"),
    Message("assistant", "WebSurfer: count the herons.", "Orchestrator"),
    Message("user", "There are 7 herons on the pond.", "WebSurfer"),
    Message("user", 'Reply with one JSON object and nothing else: {"herons": number}'),
)
LONG = (Message("user", "Write the numbers from 1 to 100, one a line."),)


@dataclass(frozen=True, slots=True)
class EndpointCheck:
    """What came of the questions, by their names: a completion, or why there was none."""

    answers: Mapping[str, Completion | ModelFailure]
    wanted: RequestShape  # what was asked with
    taken: RequestShape  # what of it the endpoint takes
    streams: RequestShape | None  # the same of a request for a stream; None if that was not answered

    @property
    def completions(self) -> list[Completion]:
        """The answers that came."""
        return [answer for answer in self.answers.values() if isinstance(answer, Completion)]


async def check_endpoint(settings: OpenAIChatSettings) -> EndpointCheck:
    """Ask one after the other.

    Raises:
        ModelFailure: the plainest question was not answered.
        UserError: settings that cannot be used, see `OpenAIChatModel`.
    """
    usual = OpenAIChatModel(replace(settings, max_completion_tokens=MAX_TOKENS, stream=False))
    short = OpenAIChatModel(replace(settings, max_completion_tokens=SHORT_LIMIT, stream=False))
    streaming = OpenAIChatModel(replace(settings, max_completion_tokens=MAX_TOKENS, stream=True))
    models = (usual, short, streaming)
    try:
        answers: dict[str, Completion | ModelFailure] = {"plain": await usual.complete(PLAIN, seed=1)}
        answers["thread"] = await _ask(usual, THREAD, json_reply=True)
        answers["again"] = await _ask(usual, THREAD, json_reply=True)
        answers["stream"] = await _ask(streaming, THREAD, json_reply=True)
        answers["limit"] = await _ask(short, LONG)
    finally:
        for model in models:
            await model.close()
    has_stream = isinstance(answers["stream"], Completion)
    return EndpointCheck(answers, first_shape(settings), usual.shape, streaming.shape if has_stream else None)


async def _ask(
    model: OpenAIChatModel, messages: tuple[Message, ...], *, json_reply: bool = False
) -> Completion | ModelFailure:
    try:
        return await model.complete(messages, seed=1, json_reply=json_reply)
    except ModelFailure as failure:
        return failure
