"""Pairs of texts as lessons: candidates, sides, teachers, and what a trained map finds."""

import numpy as np
import pytest

from lts_jax.bridge.retrieval import (
    Sides,
    bm25_order,
    by_rank,
    candidates_of,
    choose_sides,
    cosine_order,
    lessons_of,
    shuffled,
    teach,
)
from lts_jax.errors import UserError
from lts_jax.learning.retrieval import RetrievalSettings, new_state
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.memory.pool import Pair, pair_text


def pair(question, answer="yes", domain="logic"):
    return Pair(question, answer, domain, 80.0, "x", 0.0)


POOL = [pair(f"{kind} of the {thing}") for thing in ("mill", "clock", "tram", "pond") for kind in ("riddle", "sum")]
ENCODER = HashingEncoder(64)


@pytest.mark.parametrize(
    ("scores", "sides"),
    [
        ([0.1, 0.9, 0.5, 0.7, 0.3, 0.8], Sides((1, 5, 3), (2, 4, 0))),
        ([0.1, 0.9, 0.5, 0.7, 0.3, 0.8, 0.0, 1.0], Sides((7, 1, 5), (4, 0, 6))),
        ([0.1, 0.9, 0.5, 0.7, 0.3], Sides((1, 3), (4, 0))),  # fewer than six: two of each
        ([0.9, 0.1], Sides((0,), (1,))),
        ([0.9], Sides((), ())),
        ([], Sides((), ())),
        ([0.5] * 6, Sides((), ())),
        ([1, 0, 0, 0, 0, 0], Sides((0,), (3, 4, 5))),  # what is as bad as the worst is no positive
        ([1, 1, 1, 1, 1, 0], Sides((0, 1, 2), (5,))),
    ],
)
def test_sides_by_hand(scores, sides):
    assert choose_sides(scores, 3) == sides
    assert not set(sides.positives) & set(sides.negatives)


def test_no_negative_is_a_positive():
    rng = np.random.default_rng(0)
    for count in range(12):
        for _ in range(20):
            sides = choose_sides(rng.integers(0, 3, count).tolist(), 3)
            assert not set(sides.positives) & set(sides.negatives)
            assert max(len(sides.positives), len(sides.negatives)) <= min(3, count // 2)


def test_ranks_by_hand():
    assert by_rank([-3.0, -1.0, -2.0]) == [0.0, 1.0, 0.5]
    assert by_rank([1.0, 1.0, 5.0]) == [0.25, 0.25, 1.0]
    assert by_rank([7.0]) == [0.5]
    assert by_rank([]) == []


def test_a_pair_is_no_candidate_of_its_own():
    stored = POOL[0]
    found = candidates_of([stored], POOL, 4)[0]
    assert stored not in found and len(found) == 4
    assert {one.question for one in found[:4]} > {"sum of the mill"}
    assert candidates_of([stored], [], 4) == [[]]
    assert candidates_of([stored], [stored], 4) == [[]]


def test_bm25_counts_shared_words():
    assert bm25_order(POOL, ["the clock riddle"], 1) == [[2]]
    assert bm25_order(POOL, ["zebra"], 3) == [[]]


def kind_teacher(stored, candidates):
    return [float(one.question.split()[0] == stored.question.split()[0]) for one in candidates]


def test_a_shuffled_teacher_gives_the_same_scores_elsewhere():
    control = shuffled(kind_teacher, 1)
    candidates = POOL[1:]
    found = [control(stored, candidates) for stored in POOL[:1] * 2]
    assert found[0] == found[1]
    assert sorted(found[0]) == sorted(kind_teacher(POOL[0], candidates))
    assert any(control(stored, candidates) != kind_teacher(stored, candidates) for stored in POOL)


@pytest.mark.parametrize(
    ("teacher", "told"),
    [
        (lambda stored, candidates: [0.5], r"expected \d+ finite scores"),
        (lambda stored, candidates: [float("nan")] * len(candidates), "finite scores"),
        (lambda stored, candidates: 1 / 0, "raises ZeroDivisionError"),
    ],
)
def test_a_teacher_that_fails_is_one_line(teacher, told):
    with pytest.raises(UserError, match=told) as raised:
        lessons_of(POOL[:2], POOL, teacher)
    assert "\n" not in str(raised.value)


def test_without_a_lesson_nothing_changes():
    settings = RetrievalSettings()
    state = new_state(settings, ENCODER.dim)
    made, loss = teach(settings, state, lessons_of(POOL, POOL, lambda s, c: [0.5] * len(c)), ENCODER, seed=0)
    assert made is state and np.isnan(loss)
    assert cosine_order(state, ENCODER, [], ["riddle"], 2) == [[]]


def test_an_untrained_map_is_the_frozen_encoder():
    questions = [one.question for one in POOL]
    state = new_state(RetrievalSettings(), ENCODER.dim)
    assert cosine_order(state, ENCODER, POOL, questions, 3) == cosine_order(None, ENCODER, POOL, questions, 3)


def test_what_is_found_does_not_depend_on_the_pools_order():
    questions = [one.question for one in POOL]
    found = cosine_order(None, ENCODER, POOL, questions, 3)
    turned = cosine_order(None, ENCODER, POOL[::-1], questions, 3)
    for one, other in zip(found, turned, strict=True):
        assert {pair_text(POOL[place]) for place in one} == {pair_text(POOL[::-1][place]) for place in other}


def test_the_map_learns_what_its_teacher_means():
    """Same kind, another thing: frozen, the pair about the same thing is nearer; trained, the one of the kind."""
    settings = RetrievalSettings(learning_rate=1e-2, num_epochs=30)
    state, loss = teach(
        settings, new_state(settings, ENCODER.dim), lessons_of(POOL, POOL, kind_teacher), ENCODER, seed=0
    )
    assert loss < 0.1
    share = []
    for own in (None, state):
        orders = cosine_order(own, ENCODER, POOL, ["riddle of the well", "sum of the barn"], 3)
        share.append(
            np.mean(
                [
                    POOL[place].question.startswith(kind)
                    for kind, order in zip(("riddle", "sum"), orders, strict=True)
                    for place in order
                ]
            )
        )
    assert share[1] == 1.0 >= share[0]
    again, _ = teach(settings, new_state(settings, ENCODER.dim), lessons_of(POOL, POOL, kind_teacher), ENCODER, seed=0)
    np.testing.assert_array_equal(again.params["map"], state.params["map"])
