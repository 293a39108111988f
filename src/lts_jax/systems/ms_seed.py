"""One pool of Memory Sharing: filled by interaction, its retrievers trained, its test items measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

import numpy as np

from lts_jax.bridge.answer_likelihood import AnswerScorer, with_shots
from lts_jax.bridge.answer_writing import AnswerWriter
from lts_jax.bridge.retrieval import Teacher, bm25_order, cosine_order, lessons_of, shuffled, teach
from lts_jax.learning.retrieval import RetrievalSettings, RetrieverState, new_state
from lts_jax.llm.word_counts import bits_per_word
from lts_jax.memory.encoders import Encoder
from lts_jax.memory.pool import Pair, of_domain, prompt_with
from lts_jax.seeds import coordinate_seed
from lts_jax.systems.ms_filling import NUM_FOUND, Filled, agreement, diversity, fill, right_share, teacher_of
from lts_jax.systems.ms_settings import MsSettings
from lts_jax.tasks.exemplars import DOMAINS, Exemplar, ExemplarSet, draw_exemplars
from lts_jax.tasks.scoring.words import f1

TRAINED, SHUFFLED, RELEASED, FROZEN, BM25, RANDOM = "trained", "shuffled", "released", "cosine", "bm25", "random"
RETRIEVERS = (TRAINED, BM25, FROZEN, SHUFFLED, RELEASED, RANDOM)
LEARNED: Mapping[str, tuple[Literal["contrastive", "bce_head"], bool]] = {
    TRAINED: ("contrastive", False),
    SHUFFLED: ("contrastive", True),
    RELEASED: ("bce_head", False),
}
"""Loss of each trained retriever, and whether its teacher is shuffled."""

SCOPES = ("domain", "single")  # one pool per domain, or a single one
MAX_SHOTS = 3
FIFTHS = (20, 40, 60, 80, 100)  # percent of the pool, by order of entry
WRITTEN = (0, 2)  # pairs before the question of a written answer
BLOCK = 9  # test items whose prompts are scored together

States = Mapping[str, RetrieverState]


def trained(
    settings: MsSettings, filled: Filled, teacher: Teacher, encoder: Encoder, seed: int, arm: str, scope: str = "domain"
) -> RetrieverState:
    """A retriever after the first pass over the initial pairs and the pass over those that problems added."""
    loss, is_shuffled = LEARNED[arm]
    own = RetrievalSettings(
        loss, settings.temperature, settings.learning_rate,
        num_epochs=settings.num_epochs, batch_size=settings.batch_size,
    )  # fmt: skip
    told = shuffled(teacher, seed) if is_shuffled else teacher
    state = new_state(own, encoder.dim)
    passes = (
        (filled.initial, filled.initial, settings.num_each_first),
        (filled.later, filled.pool, settings.num_each),
    )
    for stored, pool, each in passes:
        lessons = []
        for domain in DOMAINS if scope == "domain" else (None,):
            parts = of_domain(stored, domain), of_domain(pool, domain)
            lessons += lessons_of(*parts, told, num_candidates=settings.num_candidates, num_each=each)
        state, _ = teach(own, state, lessons, encoder, seed=seed)
    return state


@dataclass(frozen=True)
class Finder:
    """Finds pairs for test items by any of the retrievers."""

    encoder: Encoder
    states: Mapping[str, States]  # by scope, then by arm
    seed: int

    def found(self, pool: Sequence[Pair], items: Sequence[Exemplar], name: str, scope: str) -> list[list[Pair]]:
        """The `MAX_SHOTS` best pairs of each item's pool, best first."""
        made: list[list[Pair]] = [[] for _ in items]
        for domain in DOMAINS:
            places = [place for place, item in enumerate(items) if item.domain == domain]
            own = of_domain(pool, domain if scope == "domain" else None)
            orders = self._orders(own, [items[place].question for place in places], name, scope)
            for place, order in zip(places, orders, strict=True):
                made[place] = [own[one] for one in order]
        return made

    def _orders(self, pool: Sequence[Pair], questions: Sequence[str], name: str, scope: str) -> list[list[int]]:
        if not pool:
            return [[] for _ in questions]
        if name == BM25:
            return bm25_order(pool, questions, MAX_SHOTS)
        if name == RANDOM:
            rngs = [Random(coordinate_seed("random pair", self.seed, question)) for question in questions]
            return [rng.sample(range(len(pool)), min(MAX_SHOTS, len(pool))) for rng in rngs]
        state = None if name == FROZEN else self.states[scope][name]
        return cosine_order(state, self.encoder, pool, questions, MAX_SHOTS)


def study_seed(
    settings: MsSettings,
    seed: int,
    encoder: Encoder,
    scorer: AnswerScorer | None = None,
    writer: AnswerWriter | None = None,
    held: Sequence[Pair] = (),
) -> dict[str, Any]:
    """Everything about one pool, as JSON: per test item what is found and how many bits its answer takes.

    Args:
        settings: of the study.
        seed: of everything drawn.
        encoder: phi.
        scorer: a language model as teacher and measure; the truth, and counted words, without.
        writer: a language model that answers, too.
        held: pairs that were there before.
    """
    initial, problems, tests = settings.sizes
    drawn = draw_exemplars(seed, initial_per_domain=initial, problems_per_domain=problems, tests_per_kind=tests)
    filled = fill(settings, drawn, seed, held)
    reader = scorer if settings.is_taught_by_model else None
    teacher = teacher_of(filled, reader)
    own = {arm: trained(settings, filled, teacher, encoder, seed, arm) for arm in LEARNED}
    single = own
    if reader is None:  # a language model reads the candidates of one scope only
        single = {arm: trained(settings, filled, teacher, encoder, seed, arm, "single") for arm in LEARNED}
    finder = Finder(encoder, {"domain": own, "single": single}, seed)
    measured = drawn.tests[: settings.num_measured]
    shots = shots_of(finder, filled, measured, is_thrifty=scorer is not None)
    bits = _bits(shots, measured, scorer)
    return {
        "written": {} if writer is None else _written(shots, measured, writer),
        "kinds": [item.kind for item in drawn.tests],
        "found": _found(finder, filled, drawn.tests),
        "bits": bits,
        "admission": _admission(filled),
        "teacher": {} if reader is None else agreement(settings, filled, teacher),
        "start": _starts(settings, drawn, seed, encoder) if reader is None else {},
        "taus": _taus(settings, drawn, seed, encoder) if reader is None else {},
    }


def shots_of(
    finder: Finder, filled: Filled, items: Sequence[Exemplar], *, is_thrifty: bool
) -> dict[str, list[list[Pair]]]:
    """Which pairs stand before each item's question, by condition. Thrifty: what a language model has the time for."""
    made: dict[str, list[list[Pair]]] = {}
    for name in RETRIEVERS:
        found = finder.found(filled.pool, items, name, "domain")
        is_whole = not is_thrifty or name in (TRAINED, BM25)
        for count in range(MAX_SHOTS + 1) if is_whole else (NUM_FOUND,):
            made[f"{name} {count}"] = [one[:count] for one in found]
    for name in (TRAINED,) if is_thrifty else (TRAINED, BM25):
        found = finder.found(filled.pool, items, name, "single")
        made[f"{name} single"] = [one[:NUM_FOUND] for one in found]
    for percent in FIFTHS:
        part = _part(filled.pool, percent)
        found = finder.found(part, items, TRAINED, "domain")
        made[f"size {percent}"] = [one[:NUM_FOUND] for one in found]
    return made


def _part(pool: Sequence[Pair], percent: int) -> list[Pair]:
    """The first pairs of each domain, by order of entry."""
    parts = [of_domain(pool, domain) for domain in DOMAINS]
    return [pair for part in parts for pair in part[: round(len(part) * percent / 100)]]


def _found(finder: Finder, filled: Filled, items: Sequence[Exemplar]) -> dict[str, list[float]]:
    made = {}
    for scope in SCOPES:
        for name in RETRIEVERS:
            found = finder.found(filled.pool, items, name, scope)
            made[f"{name} {scope}"] = [right_share(filled, one, item) for one, item in zip(found, items, strict=True)]
    return made


def _bits(
    shots: Mapping[str, Sequence[Sequence[Pair]]], items: Sequence[Exemplar], scorer: AnswerScorer | None
) -> dict[str, list[float]]:
    made: dict[str, list[float]] = {name: [] for name in shots}
    for start_place in range(0, len(items), BLOCK):
        block = items[start_place : start_place + BLOCK]
        asked = [
            with_shots(Pair(item.question, item.answer, item.domain, 100.0, "", 0.0), shots[name][start_place + place])
            for name in shots
            for place, item in enumerate(block)
        ]
        if scorer is None:
            bits = [bits_per_word(one.prompt, one.answer) for one in asked]
        else:
            bits = [one.bits_per_token for one in scorer.score(asked)]
        for number, name in enumerate(shots):
            made[name] += bits[number * len(block) : (number + 1) * len(block)]
    return made


def _written(
    shots: Mapping[str, Sequence[Sequence[Pair]]], items: Sequence[Exemplar], writer: AnswerWriter
) -> dict[str, list[float]]:
    """Token F1 of written answers, by number of the trained retriever's pairs."""
    made: dict[str, list[float]] = {str(count): [] for count in WRITTEN}
    for first in range(0, len(items), BLOCK):
        block = items[first : first + BLOCK]
        for count, scores in made.items():
            told = shots[f"{TRAINED} {count}"][first : first + BLOCK]
            prompts = [prompt_with(some, item.question) for some, item in zip(told, block, strict=True)]
            answers = writer.write(prompts)
            scores += [f1(said, item.answer).score for said, item in zip(answers, block, strict=True)]
    return made


def _admission(filled: Filled) -> dict[str, float]:
    gate = filled.gate
    return {"passed": gate.num_passed, "low": gate.num_low, "unreadable": gate.num_unreadable}


def _starts(settings: MsSettings, drawn: ExemplarSet, seed: int, encoder: Encoder) -> dict[str, Any]:
    """The interactive start alone: one agent writes all questions, or all write."""
    only = replace(drawn, problems=())
    return {
        name: _alone(settings, only, seed, encoder, fill(settings, only, seed, one_writes=one_writes))
        for name, one_writes in (("all write", False), ("one writes", True))
    }


def _taus(settings: MsSettings, drawn: ExemplarSet, seed: int, encoder: Encoder) -> dict[str, Any]:
    """Other thresholds of admission, the two ends among them."""
    made = {}
    for tau in (0.0, settings.tau, 101.0):
        own = replace(settings, tau=tau)
        made[f"{tau:g}"] = _alone(own, drawn, seed, encoder, fill(own, drawn, seed))
    return made


def _alone(
    settings: MsSettings, drawn: ExemplarSet, seed: int, encoder: Encoder, filled: Filled
) -> dict[str, float | None]:
    """What one pool is and what its trained retriever finds in it, of the simulated teacher."""
    state = trained(settings, filled, teacher_of(filled, None), encoder, seed, TRAINED)
    finder = Finder(encoder, {"domain": {TRAINED: state}}, seed)
    found = finder.found(filled.pool, drawn.tests, TRAINED, "domain")
    right = [filled.kind[pair] == filled.asked[pair] for pair in filled.pool]
    shares = [right_share(filled, one, item) for one, item in zip(found, drawn.tests, strict=True)]
    spread = diversity(filled.pool, encoder)
    return {
        "pairs": float(len(filled.pool)),
        "right": float(np.mean(right)) if right else None,
        "diversity": spread if np.isfinite(spread) else None,
        "found": float(np.mean(shares)),
    }
