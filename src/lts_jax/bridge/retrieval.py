"""Pairs of texts become lessons of a retriever, and a retriever's map becomes an order of pairs.

For every stored pair x the best of BM25 over the pool are its candidates, a teacher scores each in [0, 1], the best of
them are positives and the worst negatives (Memory Sharing, arXiv 2404.09982). A new question is all that is known at
search, so x is looked for by its bare question; a candidate is found by question and answer.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import jax.numpy as jnp
import numpy as np

from lts_jax.errors import UserError, describe
from lts_jax.learning.retrieval import Lessons, RetrievalSettings, RetrieverState, train
from lts_jax.memory.encoders import Encoder
from lts_jax.memory.pool import Pair, pair_text
from lts_jax.models.retriever import body
from lts_jax.seeds import coordinate_seed
from lts_jax.tasks.word_search import best, index_words

Teacher = Callable[[Pair, Sequence[Pair]], Sequence[float]]
"""How much each of some pairs helps to give the answer of the first: from 0 to 1, in their order."""

_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Sides:
    """Which candidates of a stored pair are its positives and its negatives, by place; no place is in both."""

    positives: tuple[int, ...]
    negatives: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lesson:
    """A stored pair, its candidates and what the teacher made of them."""

    pair: Pair
    candidates: tuple[Pair, ...]
    sides: Sides


def bm25_order(pool: Sequence[Pair], texts: Sequence[str], num_results: int) -> list[list[int]]:
    """Places in the pool of the pairs that fit each text best by words, best first; fewer where fewer share a word."""
    index = index_words([_words(pair_text(pair)) for pair in pool])
    return [best(index, _words(text), num_results) for text in texts]


def candidates_of(stored: Sequence[Pair], pool: Sequence[Pair], num_candidates: int = 10) -> list[list[Pair]]:
    """BM25's best of the pool for the question and answer of each stored pair, itself left out."""
    orders = bm25_order(pool, [pair_text(pair) for pair in stored], num_candidates + 1)
    return [
        [pool[place] for place in order if pool[place] != pair][:num_candidates]
        for pair, order in zip(stored, orders, strict=True)
    ]


def choose_sides(scores: Sequence[float], num_each: int = 3) -> Sides:
    """The best scored as positives and the worst as negatives, `num_each` of either; ties keep the candidates' order.

    Fewer than twice `num_each` candidates give half of them to either side. What scores no better than the worst is no
    positive and what scores as the best no negative (ours: by its place alone the release makes a positive of anything,
    if the teacher found nothing better), so that scores that are all the same teach nothing.
    """
    each = min(num_each, len(scores) // 2)
    if not each:
        return Sides((), ())
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    lowest, highest = min(scores), max(scores)
    return Sides(
        tuple(place for place in order[:each] if scores[place] > lowest),
        tuple(place for place in order[-each:] if scores[place] < highest),
    )


def by_rank(values: Sequence[float]) -> list[float]:
    """Values squashed to [0, 1] by rank: the lowest 0, the highest 1, ties at their mean rank; one alone gives .5."""
    array = np.asarray(values, float)
    if len(array) < 2:
        return [0.5] * len(array)
    below = (array[None] < array[:, None]).sum(1)
    equal = (array[None] == array[:, None]).sum(1)
    return [float(rank) for rank in (below + (equal - 1) / 2) / (len(array) - 1)]


def shuffled(teacher: Teacher, seed: int) -> Teacher:
    """The control: the same scores, given to the candidates in another order."""

    def scores(pair: Pair, candidates: Sequence[Pair]) -> list[float]:
        found = teacher(pair, candidates)
        rng = np.random.default_rng(coordinate_seed("shuffled teacher", seed, pair.question, pair.answer))
        return [found[place] for place in rng.permutation(len(found))]

    return scores


def lessons_of(
    stored: Sequence[Pair], pool: Sequence[Pair], teacher: Teacher, *, num_candidates: int = 10, num_each: int = 3
) -> list[Lesson]:
    """What each stored pair teaches, given a pool that it need not be in.

    Raises:
        UserError: the teacher fails, or gives something else than one finite number for each candidate.
    """
    found = []
    for pair, candidates in zip(stored, candidates_of(stored, pool, num_candidates), strict=True):
        try:
            scores = [float(score) for score in teacher(pair, candidates)] if candidates else []
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"teacher: scoring the candidates of a pair raises {describe(error)}") from error
        if len(scores) != len(candidates) or not np.isfinite(scores).all():
            raise UserError(f"teacher: expected {len(candidates)} finite scores, got {scores}")
        found.append(Lesson(pair, tuple(candidates), choose_sides(scores, num_each)))
    return found


def teach(
    settings: RetrievalSettings, state: RetrieverState, lessons: Sequence[Lesson], encoder: Encoder, *, seed: int
) -> tuple[RetrieverState, float]:
    """Train on lessons for the settings' epochs, each in an order of its own; the mean loss of the last epoch.

    Without a lesson that teaches something the state comes back as it is, and the loss is NaN.
    """
    useful = [lesson for lesson in lessons if lesson.sides.positives]
    if not useful:
        return state, float("nan")
    one = _arrays(useful, encoder)
    size = settings.batch_size
    per_epoch = -(-len(useful) // size)
    rows = np.concatenate(
        [
            np.pad(_order(seed, epoch, len(useful)), (0, per_epoch * size - len(useful)), constant_values=len(useful))
            for epoch in range(settings.num_epochs)
        ]
    ).reshape(-1, size)  # the row behind the last is padding, which teaches nothing
    state, losses = train(settings, state, (_rows(one, batch) for batch in rows))
    return state, float(np.mean(losses[-per_epoch:]))


def cosine_order(
    state: RetrieverState | None, encoder: Encoder, pool: Sequence[Pair], questions: Sequence[str], num_results: int
) -> list[list[int]]:
    """Places in the pool of the pairs nearest to each question by cosine of the bodies, best first.

    `state` None is the frozen encoder's own cosine. Ties keep the pool's order; an empty pool gives nothing.
    """
    if not pool or not questions:
        return [[] for _ in questions]
    stored_nd, query_bd = encoder.encode([pair_text(pair) for pair in pool]), encoder.encode(list(questions))
    if state is not None:
        stored_nd, query_bd = (np.asarray(body(state.params, jnp.asarray(table))) for table in (stored_nd, query_bd))
    order_bn = np.argsort(-(query_bd @ stored_nd.T), axis=1, kind="stable")
    return [[int(place) for place in order[:num_results]] for order in order_bn]


def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng(coordinate_seed("lessons", seed, epoch, count)).permutation(count)


def _arrays(lessons: Sequence[Lesson], encoder: Encoder) -> Lessons:
    """Tables of all lessons and a row of padding behind them."""
    width = max(len(lesson.candidates) for lesson in lessons)
    width += -width % 10  # equal shapes for pools of nearly any size: one compiled program
    candidate_bcd = np.zeros((len(lessons) + 1, width, encoder.dim), np.float32)
    sides_bc = np.zeros((2, len(lessons) + 1, width), bool)
    query_bd = np.zeros((len(lessons) + 1, encoder.dim), np.float32)
    query_bd[:-1] = encoder.encode([lesson.pair.question for lesson in lessons])
    for row, lesson in enumerate(lessons):
        candidate_bcd[row, : len(lesson.candidates)] = encoder.encode([pair_text(one) for one in lesson.candidates])
        sides_bc[0, row, list(lesson.sides.positives)] = True
        sides_bc[1, row, list(lesson.sides.negatives)] = True
    return Lessons(*map(jnp.asarray, (query_bd, candidate_bcd, *sides_bc)))


def _rows(lessons: Lessons, row_b: np.ndarray) -> Lessons:
    return Lessons(*(getattr(lessons, item.name)[row_b] for item in fields(lessons)))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
