"""How a pool of Memory Sharing is filled, and the truth about what is in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lts_jax.bridge.answer_likelihood import AnswerScorer, with_shots
from lts_jax.bridge.retrieval import Teacher, by_rank, lessons_of
from lts_jax.memory.encoders import Encoder
from lts_jax.memory.pool import Pair, of_domain
from lts_jax.memory.pool_admission import Gate
from lts_jax.systems.ms_settings import MsSettings
from lts_jax.tasks.exemplars import DOMAINS, Exemplar, ExemplarSet
from lts_jax.tasks.exemplars.interaction import Given, Habits, answer, start

UNKNOWN = "unknown"  # kind of a pair that was there before
NUM_FOUND = 2  # pairs before a question; the paper's


@dataclass(frozen=True, slots=True)
class Filled:
    """A pool with the truth about its pairs, which no retriever is shown."""

    initial: tuple[Pair, ...]
    later: tuple[Pair, ...]
    kind: Mapping[Pair, str]  # of the answer
    asked: Mapping[Pair, str]  # the kind that the question asks for
    gate: Gate

    @property
    def pool(self) -> tuple[Pair, ...]:
        """All pairs in order of entry."""
        return self.initial + self.later


def fill(
    settings: MsSettings, drawn: ExemplarSet, seed: int, held: Sequence[Pair] = (), *, one_writes: bool = False
) -> Filled:
    """A pool from agents alone: the interactive start, then problems; what the judge scores below tau stays out.

    Args:
        settings: agents, judge and tau.
        drawn: known answers and problems.
        seed: of everything drawn.
        held: pairs that were there before, of an outliving pool.
        one_writes: one agent writes all questions of the start.
    """
    habits = Habits(settings.right_probability, settings.judge_noise)
    gate, kind, asked = Gate(settings.tau), dict.fromkeys(held, UNKNOWN), dict.fromkeys(held, UNKNOWN)
    known = {(pair.question, pair.answer): pair for pair in held}  # entered once; the truth about it may be told again

    def passed(given: Sequence[Given], first: int) -> list[Pair]:
        found = []
        for place, one in enumerate(given):
            score, old = gate.score(one.reply), known.get((one.question, one.answer))
            if old is not None:
                kind[old], asked[old] = one.kind, one.asked
            elif score is not None:
                found.append(Pair(one.question, one.answer, one.domain, score, one.author, float(first + place)))
                kind[found[-1]], asked[found[-1]] = one.kind, one.asked
        return found

    initial = passed(start(drawn.initial, settings.num_agents, habits, seed, one_writes=one_writes), len(held))
    later = passed(answer(drawn.problems, settings.num_agents, habits, seed), len(held) + len(drawn.initial))
    return Filled((*held, *initial), tuple(later), kind, asked, gate)


def teacher_of(filled: Filled, scorer: AnswerScorer | None) -> Teacher:
    """Whether a candidate's answer is of the same kind; with a language model, the rank of what it makes of the answer.

    The second is the mean log p of a token of the answer given question and candidate, squashed to [0, 1] by rank.
    """
    if scorer is None:
        return lambda pair, candidates: [float(filled.kind[one] == filled.kind[pair] != UNKNOWN) for one in candidates]

    def scores(pair: Pair, candidates: Sequence[Pair]) -> list[float]:
        found = scorer.score([with_shots(pair, [one]) for one in candidates])
        return by_rank([-one.bits_per_token for one in found])

    return scores


def agreement(settings: MsSettings, filled: Filled, teacher: Teacher) -> dict[str, float]:
    """How often what a teacher makes of candidates is the truth: shares of right kinds among its sides and all of them.

    Over the pairs that problems added, each with candidates of its domain's pool.
    """
    right: dict[str, list[bool]] = {"positives": [], "negatives": [], "candidates": []}
    for domain in DOMAINS:
        for lesson in lessons_of(
            of_domain(filled.later, domain), of_domain(filled.pool, domain), teacher,
            num_candidates=settings.num_candidates, num_each=settings.num_each,
        ):  # fmt: skip
            is_right = [filled.kind[one] == filled.kind[lesson.pair] for one in lesson.candidates]
            right["positives"] += [is_right[place] for place in lesson.sides.positives]
            right["negatives"] += [is_right[place] for place in lesson.sides.negatives]
            right["candidates"] += is_right
    return {name: float(np.mean(some)) if some else 0.0 for name, some in right.items()}


def right_share(filled: Filled, found: Sequence[Pair], item: Exemplar) -> float:
    """Share of the first two whose answer is of the item's kind; what is not found is not right."""
    return sum(filled.kind[pair] == item.kind for pair in found[:NUM_FOUND]) / NUM_FOUND


def diversity(pairs: Sequence[Pair], encoder: Encoder) -> float:
    """Mean of 1 - cosine over pairs of questions of one domain, then over domains."""
    means = []
    for domain in DOMAINS:
        vector_nd = encoder.encode([pair.question for pair in of_domain(pairs, domain)])
        cosine_nn = vector_nd @ vector_nd.T
        if len(vector_nd) > 1:
            means.append(1 - float(np.mean(cosine_nn[np.triu_indices(len(vector_nd), 1)])))
    return float(np.mean(means)) if means else float("nan")
