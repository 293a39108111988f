"""Retrieval by need: depth by hand, three views, rounds of reflection, laws of a reader."""

import asyncio
import random

import pytest

from lts_jax.errors import UserError
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.memory.hybrid import HybridReader, HybridSettings, complexity, depth, parse_queries, simplemem
from lts_jax.memory.reading_policy import ReadableEntry, ReadingRequest
from lts_jax.records import Coordinates, ModelCall, Origin, Trust

PONDS = ["Mill Pond", "Reed Lake", "Black Tarn", "Upper Weir", "Long Mere", "Heron Pool"]
ENTRIES = [
    ReadableEntry(
        number, f"{pond} is {number + 2} m deep.", f"{pond} is {number + 2} m deep.", 6, 0, number, 10.0 * number,
        Origin.WEB, Trust.UNTRUSTED, 0,
    )
    for number, pond in enumerate(PONDS)
]  # fmt: skip


def request(question, entries=ENTRIES, budget=None, max_values=100):
    where = Coordinates(0, 0, "task", 0)
    return ReadingRequest(question, question, "orchestrator", "work", entries, budget, max_values, where, 1, 0, 0.0)


async def never(purpose, messages):
    raise AssertionError("no model is asked")


def chosen(policy, asked, ask=never):
    return asyncio.run(policy.choose(asked, ask))


def test_depth_by_hand():
    assert depth(0.5) == 6  # 3 (1 + 2 * .5)
    assert (depth(0.0), depth(1.0), depth(0.25, base=4, growth=1.0)) == (3, 9, 5)


def test_complexity_counts_the_parts_of_a_question():
    assert complexity("How deep is it?") == 0.0
    assert complexity("How deep are Mill Pond, Reed Lake and Black Tarn?") == pytest.approx(0.5)


def test_the_named_entry_comes_first_and_the_depth_follows_the_question():
    reading = chosen(simplemem(), request("How deep is Black Tarn?"))
    assert reading.entries[0] == 2 and len(reading.entries) == depth(1 / 6)
    assert list(reading.scores) == sorted(reading.scores, reverse=True)
    many = chosen(simplemem(), request("How deep are Mill Pond, Reed Lake and Black Tarn?"))
    assert set(many.entries[:3]) == {0, 1, 2} and len(many.entries) == 6


def test_it_does_not_depend_on_the_order_of_entries_and_keeps_budget_and_number():
    shuffled = random.Random(3).sample(ENTRIES, len(ENTRIES))
    first, second = (chosen(simplemem(), request("How deep is Long Mere?", each)) for each in (ENTRIES, shuffled))
    assert first.entries == second.entries
    assert len(chosen(simplemem(), request("How deep is Long Mere?", budget=13)).entries) == 2
    assert chosen(simplemem(), request("How deep is Long Mere?", max_values=1)).entries == (4,)
    assert chosen(simplemem(), request("How deep is Long Mere?", [])).entries == ()


def test_each_weight_changes_the_scores():
    question = "How deep is Black Tarn?"
    scores = {
        settings: chosen(HybridReader(HashingEncoder(), settings), request(question)).scores
        for settings in (
            HybridSettings(max_reflections=0),
            HybridSettings(max_reflections=0, bm25_weight=0.0),
            HybridSettings(max_reflections=0, metadata_weight=0.0),
            HybridSettings(max_reflections=0, cosine_weight=0.0),
        )
    }
    assert len(set(scores.values())) == 4


def test_a_model_names_what_is_missing_in_at_most_two_rounds():
    asked = []

    async def ask(purpose, messages):
        asked.append(purpose)
        reply = '{"queries": ["Heron Pool"]}' if len(asked) == 1 else '{"queries": ["Upper Weir"]}'
        return ModelCall(purpose, reply, 1, 1)

    settings = HybridSettings(num_semantic=0, num_keyword=1, num_structured=0, reflection_depth=1)
    reading = chosen(HybridReader(HashingEncoder(), settings), request("Black Tarn?"), ask)
    assert reading.entries == (2, 5, 3) and asked == ["reflect", "reflect"]


def test_replies_are_read_tolerantly():
    assert parse_queries('Sure: {"queries": [" a ", "b", "a", 3]} done') == ["a", "b"]
    assert [parse_queries(text) for text in ("", "{", "[]", '{"queries": 3}')] == [[], [], [], []]


def test_wrong_settings_are_refused():
    for wrong in ({"depth_base": 0}, {"cosine_weight": -1.0}, {"depth_growth": float("nan")}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            simplemem(**wrong)


def test_the_right_memory_answers_and_the_wrong_one_does_not():
    """A scripted model that copies the depth it was given: right with the right memory, wrong with another."""

    async def ask(purpose, messages):
        return ModelCall(purpose, '{"queries": []}', 1, 1)

    def answer(entries):
        reading = chosen(
            HybridReader(HashingEncoder(), HybridSettings()), request("How deep is Heron Pool?", entries), ask
        )
        values = [entry.value for number in reading.entries for entry in entries if entry.entry == number]
        return next((value.split(" is ")[1] for value in values if value.startswith("Heron Pool")), "")

    assert answer(ENTRIES) == "7 m deep."
    assert answer(ENTRIES[:5]) == ""
