"""Who chooses which shared values a team reads, instead of a call of the team's own model.

A reader of your own is a function of one request that gives the numbers of entries, the wanted first:

    def short(request, *, max_tokens=100):
        return [each.entry for each in request.entries if each.num_tokens <= max_tokens]

Where it needs more, it is a function of its settings that returns a `ReadingPolicy`. No reader here asks a model. What
a reader may see and what becomes of its choice: see `reading_policy`; guards and limits hold whatever it says.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Literal

import numpy as np

from lts_jax.errors import UserError
from lts_jax.llm.chat import Ask
from lts_jax.llm.packing import by_density, exactly, greedily, in_order
from lts_jax.llm.relevance import RelevanceWeights, relevance, role_score, stage_score
from lts_jax.memory.encoded_texts import EncodedTexts, TextEncoder
from lts_jax.memory.hybrid import simplemem
from lts_jax.memory.key_scores import bm25_scores, cosines, over_largest
from lts_jax.memory.reading_policy import ReadableEntry, Reading, ReadingPolicy, ReadingRequest
from lts_jax.seeds import rollout_coordinates, uniform

RightlyStated = Callable[[str, str], Collection[object]]
"""(question, text) -> what the question needs and the text states rightly; for the reader that knows the truth."""

Score = Callable[[ReadingRequest], Sequence[float]]
"""One number an entry, the larger the better; 0 or less: not worth reading."""

TrainedScorer = Callable[[str], Callable[[ReadingRequest], Sequence[float]]]
"""File of a trained reader -> its score of each entry; loaded where arrays are."""

SELECT = "select"


@dataclass(frozen=True, slots=True)
class ScoringReader:
    """Reads what scores best, within the budget and `top`; `pack` says how the budget is filled."""

    name: str
    score: Score
    top: int
    pack: Callable[..., list[int]] = greedily

    async def choose(self, request: ReadingRequest, ask: Ask) -> Reading:
        """The chosen entries, the best first; the later of equal ones first."""
        started = perf_counter()
        entries = _newest_first(request)
        scores = list(self.score(replace(request, entries=entries)))
        tokens = [each.num_tokens for each in entries]
        places = self.pack(scores, tokens, request.budget_tokens, min(self.top, request.max_values))
        places = sorted(places, key=lambda place: -scores[place])
        chosen = tuple(entries[place].entry for place in places)
        return Reading(chosen, tuple(float(scores[place]) for place in places), 0.0, perf_counter() - started)


@dataclass(frozen=True, slots=True)
class ChoosingReader:
    """A reader that chooses by a function of its own."""

    name: str
    chooses: Callable[[ReadingRequest], Reading]

    async def choose(self, request: ReadingRequest, ask: Ask) -> Reading:
        """The function's choice, timed."""
        started = perf_counter()
        return replace(self.chooses(request), seconds=perf_counter() - started)


def select() -> None:
    """The team's own model names the values that it wants, in a call of its own: LTS (arXiv 2602.05965).

    The default, and the only one that asks a model.
    """
    return


def newest(*, top: int = 3) -> ReadingPolicy:
    """Read the newest entries.

    Args:
        top: values at most before one step; `reading.max_pulled_per_step` holds too.
    """
    return ScoringReader("newest", _by_age, _at_least_one("newest", top))


def cosine(*, top: int = 3, minimum: float = 0.0, encoder: TextEncoder) -> ReadingPolicy:
    """Read the entries whose keys are nearest to the instruction.

    Args:
        top: values at most before one step.
        minimum: cosine that a key must exceed.
    """
    texts = EncodedTexts(encoder)
    _expect_unit("cosine", "minimum", minimum, low=-1.0)

    def score(request: ReadingRequest) -> Sequence[float]:
        found = cosines(texts, request.instruction, _keys(request))
        return np.where(found > minimum, np.maximum(found, 1e-9), 0.0).tolist()

    return ScoringReader("cosine", score, _at_least_one("cosine", top))


def bm25(*, top: int = 3) -> ReadingPolicy:
    """Read the entries whose keys share the most telling words with the instruction, by BM25 (k1 1.5, b .75).

    Args:
        top: values at most before one step.
    """

    def score(request: ReadingRequest) -> Sequence[float]:
        return bm25_scores(request.instruction, _keys(request)).tolist()

    return ScoringReader("bm25", score, _at_least_one("bm25", top))


def hybrid(*, top: int = 3, share: float = 0.5, encoder: TextEncoder) -> ReadingPolicy:
    """Read by nearness and by words: share * cosine + (1 - share) * BM25 over the largest BM25.

    Args:
        top: values at most before one step.
        share: of nearness.
    """
    texts = EncodedTexts(encoder)
    _expect_unit("hybrid", "share", share)

    def score(request: ReadingRequest) -> Sequence[float]:
        near = np.maximum(cosines(texts, request.instruction, _keys(request)), 0.0)
        words = over_largest(bm25_scores(request.instruction, _keys(request)))
        return (share * near + (1.0 - share) * words).tolist()

    return ScoringReader("hybrid", score, _at_least_one("hybrid", top))


def rcr(
    *,
    top: int = 3,
    role: float = 0.3,
    stage: float = 0.1,
    recency: float = 0.3,
    similarity: float = 0.3,
    pack: Literal["greedy", "density"] = "greedy",
    encoder: TextEncoder,
) -> ReadingPolicy:
    """Read what fits role, stage and instruction and is recent, the best first: RCR-Router (arXiv 2508.04903).

    alpha = w_role * role + w_stage * stage + w_recency * exp(-.1 * age) + w_similarity * cosine; the weights are ours.

    Args:
        top: values at most before one step.
        role: weight of keys that state a value, which a team that plans its next step wants most.
        stage: weight of the stage in which an entry was found; 1 where nobody has read it yet, .5 after.
        recency: weight of entries that are few steps old.
        similarity: weight of the cosine of key and instruction.
        pack: whether the best, or the best per token, come first where a budget is set.
    """
    score = _alpha(RelevanceWeights(role, stage, recency, similarity), EncodedTexts(encoder))
    return ScoringReader("rcr", score, _at_least_one("rcr", top), {"greedy": greedily, "density": by_density}[pack])


def knapsack(
    *,
    top: int = 3,
    role: float = 0.3,
    stage: float = 0.1,
    recency: float = 0.3,
    similarity: float = 0.3,
    encoder: TextEncoder,
) -> ReadingPolicy:
    """Read the set of entries whose alpha, as of `rcr`, is the largest in all that the budget holds.

    Without `reading.budget_tokens` it is `rcr`.

    Args:
        top: values at most before one step.
        role: see `rcr`.
        stage: see `rcr`.
        recency: see `rcr`.
        similarity: see `rcr`.
    """
    score = _alpha(RelevanceWeights(role, stage, recency, similarity), EncodedTexts(encoder))
    return ScoringReader("knapsack", score, _at_least_one("knapsack", top), exactly)


def at_random(*, top: int = 3) -> ReadingPolicy:
    """Read any entries, by chance: what a reader must beat.

    Args:
        top: values at most before one step.
    """

    def score(request: ReadingRequest) -> Sequence[float]:
        where = (*rollout_coordinates(request.coordinates), request.team, request.step, "read")
        return [1.0 - uniform(*where, each.entry) for each in request.entries]

    return ScoringReader("random", score, _at_least_one("random", top))


def oracle(*, top: int = 3, rightly_stated: RightlyStated) -> ReadingPolicy:
    """Know the offline world: read what states, rightly, most of what the question needs and the thread lacks.

    Each further value counts by what it adds to those before it. What the best reader could reach.

    Args:
        top: values at most before one step.
    """
    _at_least_one("oracle", top)

    def choose(request: ReadingRequest) -> Reading:
        entries = _newest_first(request)
        known: set[object] = set()
        known.update(*(rightly_stated(request.question, message.content) for message in request.thread))
        stated = [set(rightly_stated(request.question, each.value)) for each in entries]
        order: list[int] = []
        worth: list[float] = []
        while len(order) < len(stated):
            gains = [-1 if place in order else len(stated[place] - known) for place in range(len(stated))]
            best = max(range(len(gains)), key=gains.__getitem__)
            if gains[best] < 1:
                break
            order.append(best)
            worth.append(float(gains[best]))
            known |= stated[best]
        tokens = [each.num_tokens for each in entries]
        kept = in_order(order, tokens, request.budget_tokens, min(top, request.max_values))
        scores = dict(zip(order, worth, strict=True))
        return Reading(tuple(entries[place].entry for place in kept), tuple(scores[place] for place in kept))

    return ChoosingReader("oracle", choose)


def trained(*, file: str, top: int = 3, minimum: float = 0.0, trained_scorer: TrainedScorer) -> ReadingPolicy:
    """Read the entries whose keys are nearest to the instruction for a retriever that learned it from readings.

    Its score is the cosine of W phi(instruction) and W phi(key); see `bridge.trained_reader`.

    Args:
        file: that `save_reader` wrote, for the encoder of this run.
        top: values at most before one step.
        minimum: entries of a lower cosine are not read.
    """
    _expect_unit("trained", "minimum", minimum, low=-1.0)
    scorer = trained_scorer(file)

    def score(request: ReadingRequest) -> Sequence[float]:
        found = np.asarray(scorer(request))
        return np.where(found > minimum, np.maximum(found, 1e-9), 0.0).tolist()

    return ScoringReader("trained", score, _at_least_one("trained", top))


READERS: dict[str, Callable[..., ReadingPolicy | None]] = {
    SELECT: select,
    "newest": newest,
    "cosine": cosine,
    "bm25": bm25,
    "hybrid": hybrid,
    "rcr": rcr,
    "knapsack": knapsack,
    "random": at_random,
    "simplemem": simplemem,
    "trained": trained,
    "oracle": oracle,
}
"""Readers by the name that the command line uses. One line here is all that a new one needs."""

SUPPLIED = ("encoder", "rightly_stated", "trained_scorer")
"""Parameters that whoever makes a reader gives, so a text may not: what scores in arrays may not be loaded here."""


def _newest_first(request: ReadingRequest) -> list[ReadableEntry]:
    return sorted(request.entries, key=lambda each: -each.entry)


def _keys(request: ReadingRequest) -> list[str]:
    return [each.key for each in request.entries]


def _by_age(request: ReadingRequest) -> Sequence[float]:
    """1, 1/2, 1/3, ...: the newest come first."""
    return [1.0 / (1 + rank) for rank in range(len(request.entries))]


def _alpha(weights: RelevanceWeights, texts: EncodedTexts) -> Score:
    def score(request: ReadingRequest) -> Sequence[float]:
        near = cosines(texts, request.instruction, _keys(request))
        return [
            relevance(
                weights,
                role=role_score(each.key, (), (), _STATES_A_VALUE),
                stage=stage_score((request.stage,) if each.num_uses == 0 else (), request.stage),
                age=max(0, request.step - each.step),
                similarity=float(nearness),
            )
            for each, nearness in zip(request.entries, near, strict=True)
        ]

    return score


_STATES_A_VALUE = (": ", "found", "updated", "printed", "is ")  # words of keys that state what was found


def _at_least_one(name: str, top: int) -> int:
    if top < 1:
        raise UserError(f"{name}(top): expected at least 1, got {top}")
    return top


def _expect_unit(name: str, setting: str, value: float, low: float = 0.0) -> None:
    if not low <= value <= 1.0:
        raise UserError(f"{name}({setting}): expected from {low:g} to 1, got {value}")
