"""The interface of reading: what a choice among stored values may look at, and what it returns.

The default is the paper's (arXiv 2602.05965): the team's own model names the values it wants in a call of its own. A
`ReadingPolicy` in its place may rank by similarity, fill a budget of tokens, be trained, or know the truth.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from lts_jax.llm.chat import Ask
from lts_jax.records import Coordinates, Message, Origin, Trust


@dataclass(frozen=True, slots=True)
class ReadableEntry:
    """An entry that a team may read now: it lives, is trusted enough, and is not in the team's context."""

    entry: int
    key: str  # as the team is shown it
    value: str  # as it would enter the team's context: cleaned and cut
    num_tokens: int  # of the value, estimated by its length
    team: int  # that wrote it
    step: int
    seconds: float  # of its admission, on the rollout's clock
    origin: Origin
    trust: Trust
    num_uses: int  # pulls so far by other teams than its writer


@dataclass(frozen=True, slots=True)
class ReadingRequest:
    """What a choice may look at, before a step of a team."""

    question: str
    instruction: str  # of the last step, since the next one is not given yet; the question before the first
    role: str  # who reads: the agent that the instruction is for, or "orchestrator"
    stage: str  # "work" before a step; systems name others
    entries: Sequence[ReadableEntry]  # in order of admission
    budget_tokens: int | None  # at most this many tokens of values; None: no such limit
    max_values: int  # at most this many values
    coordinates: Coordinates
    team: int
    step: int
    seconds: float  # the rollout's clock
    thread: Sequence[Message] = ()  # the team's context


@dataclass(frozen=True, slots=True)
class Reading:
    """The values that enter a team's context, by entry, in this order; each with its score where there is one.

    `log_prob` is of this choice under a policy that samples, else 0. `seconds` is what choosing took without the model,
    on the real clock; a call through `ask` is timed and paid for by itself.
    """

    entries: tuple[int, ...]
    scores: tuple[float, ...] = ()
    log_prob: float = 0.0
    seconds: float = 0.0


def entries_of(reading: Reading, offered: Collection[int]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """What of a reading counts: entries that were offered, each once, in its order, with their scores if all have one.

    Whatever else stands there, such as an entry of another team, or a text, is left out.
    """
    scores = reading.scores if len(reading.scores) == len(reading.entries) else (0.0,) * len(reading.entries)
    kept: dict[int, float] = {}
    for entry, score in zip(reading.entries, scores, strict=True):
        if isinstance(entry, int) and not isinstance(entry, bool) and entry in offered:
            kept.setdefault(entry, float(score))
    return tuple(kept), tuple(kept.values()) if reading.scores and len(reading.scores) == len(scores) else ()


class ReadingPolicy(Protocol):
    """Chooses, before each step of a team, which values it reads.

    What it chooses beyond the request's entries, its budget or its number of values is left out by who called it.
    """

    @property
    def name(self) -> str:
        """As it appears in records."""
        ...

    async def choose(self, request: ReadingRequest, ask: Ask) -> Reading:
        """Choose. `ask` is for policies that consult a language model."""
        ...
