"""The study of a stream of tasks: its pool by hand, and what its arms have in common where the pool is empty."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lts_jax.admission.offline_truth import truth_of
from lts_jax.admission.rules import admit_all
from lts_jax.llm.simulated.findings import Finding
from lts_jax.memory.earlier import EarlierEntry
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.records import Coordinates
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import ModelSettings, almanac_tasks, almanac_tools, make_model

FOLDER = str(Path(__file__).parents[2] / "experiments" / "ms")


@pytest.fixture(scope="module")
def stream():
    sys.path.insert(0, FOLDER)
    try:
        import stream
    finally:
        sys.path.remove(FOLDER)
        sys.modules.pop("stream", None)
    return stream


class FirstLetter:
    """A text's first letter as one of 26 directions."""

    def encode(self, texts):
        return np.eye(26, dtype=np.float32)[[ord(text[0]) - ord("a") for text in texts]]


def test_a_pool_holds_each_entry_once_and_gives_the_nearest_last(stream) -> None:
    pool = stream.Pool(FirstLetter())
    assert pool.nearest("a", 2) == [] and pool.random(2, "s") == []
    first, second, third = (EarlierEntry(key, "v") for key in ("apple", "berry", "bean"))
    pool.add([first, second])
    pool.add([second, third, EarlierEntry("berry", "other")])
    assert [one.key for one in pool.entries] == ["apple", "berry", "bean", "berry"]
    assert pool.nearest("axe", 1) == [first]
    assert pool.nearest("box", 3) == [pool.entries[3], third, second]
    assert pool.random(2, "s", 1) == pool.random(2, "s", 1) and len(pool.random(9, "s")) == 4


def test_the_oracle_knows_right_values_from_wrong_ones(stream) -> None:
    task = almanac_tasks(0, "test", 1)[0]
    need, values = next((need, values) for need, values in truth_of(task.question).values.items() if values)
    part, value = next(iter(values.items()))
    made = [Finding(need, text, part, 1, "2025-01-01", "https://a.example/") for text in (value, "no such value")]
    right, wrong = (EarlierEntry(f"found {number}", str(one)) for number, one in enumerate(made))
    pool = stream.Pool(HashingEncoder())
    pool.add([wrong, right])
    assert pool.stating(task.question, 5, rightly=True) == [right]
    assert pool.stating(task.question, 5, rightly=False) == [wrong]


def test_all_arms_begin_alike_and_pairs_do_not_nest(stream) -> None:
    parts = RolloutParts(make_model(ModelSettings()), almanac_tools(0), admit_all(), HashingEncoder(), is_offline=True)
    shared = stream.shared_pages(almanac_tasks(0, "test", 2))
    found = {arm: stream.one_stream(parts, arm, 0, shared, 10) for arm in stream.ARMS}
    assert all(rows[0] == found[stream.NONE][0] for rows in found.values())
    assert [row["listed"] for row in found[stream.PAIRS]] == [0, 1]
    assert [row["listed"] for row in found[stream.NEAREST]] == [0, 10]
    assert found[stream.NEAREST] == stream.one_stream(parts, stream.NEAREST, 0, shared, 10)
    assert not any(shared.values())


def test_a_pair_holds_the_bare_question_and_no_empty_answer(stream) -> None:
    task = almanac_tasks(0, "test", 1)[0]
    parts = RolloutParts(make_model(ModelSettings()), almanac_tools(0), admit_all(), HashingEncoder(), is_offline=True)
    place = Coordinates(0, 0, task.task_id, 0)
    before = EarlierEntry("Another question?", "Question: Another question?\nAnswer: 7")
    begun = replace(parts, earlier=lambda _: (before,))
    rollout = asyncio.run(run_rollout(task, place, begun, RolloutSettings(num_teams=1)))
    rollout = replace(rollout, final=replace(rollout.final, text="12"))
    [pair] = stream.pair_of(rollout)
    assert (pair.key, pair.value) == (task.question, f"Question: {task.question}\nAnswer: 12")
    assert stream.pair_of(replace(rollout, final=replace(rollout.final, text=" "))) == ()
