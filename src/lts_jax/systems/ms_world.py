"""Memory Sharing on the offline world: do a question's two nearest earlier questions need a page that it needs, too?

The retriever is trained on tasks of the training split, whose teacher is the truth; it searches among tasks of the test
split, none of which it has seen. A family of questions is no measure: the two best by BM25 and by the frozen encoder
are of the question's own family without exception.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import numpy as np

from lts_jax.bridge.retrieval import Lesson, bm25_order, cosine_order, lessons_of, shuffled, teach
from lts_jax.evaluation.statistics import mean_interval, minimum_detectable_effect
from lts_jax.learning.retrieval import RetrievalSettings, new_state
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.memory.encoders import Encoder
from lts_jax.memory.pool import Pair
from lts_jax.reports.tables_page import one_table
from lts_jax.systems.ms_settings import MsSettings
from lts_jax.tasks.almanac import build_almanac

NUM_TRAININGS = 5  # retrievers of each arm, which differ in the order of what they are taught
NUM_FOUND = 2
NAMES = {"trained": "trained", "bm25": "BM25", "cosine": "cosine, frozen", "shuffled": "teacher shuffled"}

Needs = Mapping[Pair, frozenset[str]]


def study_world(settings: MsSettings) -> dict[str, Any]:
    """Shares of every test task by retriever, in both pools, as JSON.

    "all", all other test tasks are the pool. "stream": tasks come in a random order, the pool starts empty and holds
    what came before; the mean over orders in which something before shares a page. A task that shares a page with no
    other counts nowhere, and is None.
    """
    encoder = make_encoder(settings.world_encoder, where="ms.world_encoder")
    pairs, needs = world_pairs()
    pool = pairs["test"]
    shares_nn = np.array([[one != other and bool(needs[one] & needs[other]) for other in pool] for one in pool])
    found: dict[str, dict[str, list[list[float | None]]]] = {"all": {}, "stream": {}}
    streams = []
    for number in range(settings.world_streams):
        streams.append(Random(f"ms/world/{number}").sample(range(len(pool)), len(pool)))
    for name, orders in _orders(settings, encoder, pairs, needs).items():
        found["all"][name] = [_shares(order, shares_nn, None) for order in orders]
        found["stream"][name] = [_shares(order, shares_nn, streams) for order in orders]
    return {"tasks": len(pool), "found": found}


def world_pairs() -> tuple[dict[str, list[Pair]], dict[Pair, frozenset[str]]]:
    """Tasks of each split as pairs, and the pages that each needs."""
    almanac = build_almanac(0)
    pairs: dict[str, list[Pair]] = {}
    needs = {}
    for number, task in enumerate(almanac.tasks):
        pair = Pair(task.question, task.answer or "unknown", task.family, 100.0, "world", float(number))
        pairs.setdefault(task.split, []).append(pair)
        needs[pair] = frozenset(need.url for need in almanac.needs[task.task_id])
    return pairs, needs


def world_table(found: Mapping[str, Any]) -> dict[str, Any]:
    """Shares with intervals over tasks, and the trained retriever's differences."""
    rows = []
    for pool in ("all", "stream"):
        by_name = {name: _rows(rows_ts) for name, rows_ts in found["found"][pool].items()}
        first, tasks = by_name["trained"]
        for name, label in NAMES.items():
            value, own_tasks = by_name[name]
            repeated = value if len(value) == len(first) else np.tile(value, len(first) // len(value))
            row = [f"{label}, {'others' if pool == 'all' else 'stream'}", _cell(value, own_tasks, "")]
            if name == "trained":
                row += ["", ""]
            else:
                less = first - repeated
                row += [_cell(less, tasks, "+"), f"{minimum_detectable_effect(less, tasks):.3f}"]
            rows.append(row)
    value, tasks = _rows(found["found"]["all"]["shuffled"])
    frozen = _rows(found["found"]["all"]["cosine"])[0]
    control = _cell(value - np.tile(frozen, len(value) // len(frozen)), tasks, "+")
    counted = len(set(_rows(found["found"]["all"]["bm25"])[1]))
    return one_table(
        "Offline world: share of the top 2 that need a page in common",
        ["", "share", "trained over it", "resolvable"],
        rows,
        f"{counted} of {found['tasks']} test tasks share a page with another; trained on the training split, "
        f"{NUM_TRAININGS} times; brackets: 95 % over tasks. The shuffled teacher over the "
        f"frozen cosine, others: {control}.",
    )


def _orders(
    settings: MsSettings, encoder: Encoder, pairs: Mapping[str, list[Pair]], needs: Needs
) -> dict[str, list[list[list[int]]]]:
    """By retriever and training: for each test task the places of all test tasks, best first."""
    pool = pairs["test"]
    questions = [pair.question for pair in pool]

    def teacher(pair: Pair, candidates: Sequence[Pair]) -> list[float]:
        return [float(bool(needs[pair] & needs[one])) for one in candidates]

    own = RetrievalSettings(
        temperature=settings.world_temperature, learning_rate=settings.learning_rate,
        num_epochs=settings.num_epochs, batch_size=settings.batch_size,
    )  # fmt: skip
    made = {
        "bm25": [bm25_order(pool, questions, len(pool))],
        "cosine": [cosine_order(None, encoder, pool, questions, len(pool))],
        "trained": [],
        "shuffled": [],
    }

    def lessons(told: Any) -> list[Lesson]:
        return lessons_of(
            pairs["train"], pairs["train"], told, num_candidates=settings.num_candidates, num_each=settings.num_each
        )

    true = lessons(teacher)
    for seed in range(NUM_TRAININGS):
        for name, taught in (("trained", true), ("shuffled", lessons(shuffled(teacher, seed)))):
            state, _ = teach(own, new_state(own, encoder.dim), taught, encoder, seed=seed)
            made[name].append(cosine_order(state, encoder, pool, questions, len(pool)))
    return made


def _shares(
    order: Sequence[Sequence[int]], shares_nn: np.ndarray, streams: Sequence[Sequence[int]] | None
) -> list[float | None]:
    """Of each task the mean share over streams of earlier tasks; without streams all other tasks are its pool."""
    count = len(order)
    sums, times = np.zeros(count), np.zeros(count)
    for stream in streams or [range(count)]:
        place_n = np.empty(count, int)
        place_n[list(stream)] = np.arange(count)
        for task in range(count):
            is_open = np.ones(count, bool) if streams is None else place_n < place_n[task]
            is_open[task] = False
            if not (shares_nn[task] & is_open).any():
                continue
            best = [place for place in order[task] if is_open[place]][:NUM_FOUND]
            sums[task] += np.mean(shares_nn[task][best])
            times[task] += 1
    return [float(total / number) if number else None for total, number in zip(sums, times, strict=True)]


def _rows(rows_ts: Sequence[Sequence[float | None]]) -> tuple[np.ndarray, list[str]]:
    """Shares of all trainings as rows, with the task of each; tasks that count nowhere are left out."""
    kept = [(value, str(task)) for row in rows_ts for task, value in enumerate(row) if value is not None]
    return np.array([value for value, _ in kept], float), [task for _, task in kept]


def _cell(values: np.ndarray, tasks: Sequence[str], sign: str) -> str:
    found = mean_interval(values, tasks)
    return f"{found.estimate:{sign}.3f} [{found.low:{sign}.3f}, {found.high:{sign}.3f}]"
