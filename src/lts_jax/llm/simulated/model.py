"""`SimulatedModel`: a stand-in for a language model that sees the chat messages and a seed, and nothing else."""

from collections.abc import Callable, Sequence

from lts_jax.llm.chat import Completion
from lts_jax.llm.simulated import answering, extracting, orchestrating, recalling, selecting, working
from lts_jax.llm.simulated.chances import Chances
from lts_jax.llm.simulated.settings import SimulatedModelSettings
from lts_jax.prompts import OPENINGS
from lts_jax.records import Message

_REPLIES: dict[str, Callable[[Sequence[Message], Chances, SimulatedModelSettings], str]] = {
    "facts": orchestrating.facts,
    "plan": orchestrating.plan,
    "ledger": orchestrating.ledger,
    "act": working.act,
    "report": working.report,
    "code": working.code,
    "summarize": working.summarize,
    "select": selecting.select,
    "answer": answering.answer,
    "facts_update": orchestrating.facts_update,
    "plan_update": orchestrating.plan_update,
    "aggregate": answering.aggregate,
    "judge": selecting.judge,
    "quality": answering.quality,
    "extract": extracting.extract,
    "reflect": recalling.reflect,
    "recall": recalling.recall,
}
_PURPOSES = {opening: purpose for purpose, opening in OPENINGS.items()}
_REPEATING = {"answer": 1.0, "facts": 1 / 6}  # share of `repeats_itself`
_CUT_CHARACTERS = 1280  # 320 tokens
_NO_REQUEST = "I can only answer the requests of a team."


class SimulatedModel:
    """Answers every request of `lts_jax.prompts` as a limited language model would.

    It plans in an order of its own, mistypes, misreads, gives up, makes things up and trusts what it should check, as
    `SimulatedModelSettings` says. The same messages and seed give the same reply in every process. Tokens are counted
    as characters // 4 of each message; no time is measured.
    """

    __slots__ = ("_name", "settings")

    def __init__(self, settings: SimulatedModelSettings | None = None, name: str = "simulated") -> None:
        self.settings = SimulatedModelSettings() if settings is None else settings
        self._name = name

    @property
    def name(self) -> str:
        """Model name, as it appears in records."""
        return self._name

    def reply(self, messages: Sequence[Message], seed: int) -> str:
        """The reply to a chat. A request that does not start with one of `prompts.OPENINGS` gets a plain sentence."""
        return self._said(messages, seed)[0]

    def _said(self, messages: Sequence[Message], seed: int) -> tuple[str, bool]:
        """The reply, and whether it was cut while it repeated itself."""
        purpose = _PURPOSES.get(messages[-1].content.partition("\n")[0]) if messages else None
        if purpose is None:
            return _NO_REQUEST, False
        text = _REPLIES[purpose](messages, Chances(seed, purpose), self.settings)
        repeats = self.settings.repeats_itself * _REPEATING.get(purpose, 0.0)
        if repeats and Chances(seed, f"{purpose}/repeats").happens(repeats):
            last = "\n" + text.rpartition("\n")[2]
            return (text + last * (_CUT_CHARACTERS // len(last)))[: max(len(text), _CUT_CHARACTERS)], True
        return text, False

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """`reply` as a completion; `json_reply` changes nothing."""
        text, is_cut = self._said(messages, seed)
        prompt_tokens = sum([len(message.content) // 4 for message in messages])  # a list: faster than a generator
        return Completion(text, prompt_tokens, len(text) // 4, self._name, is_cut=is_cut)
