"""AssistantBench scores worked by hand, and laws over any text."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lts_jax.tasks.scoring.assistantbench import score

_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
_anything = st.text() | _json_values | _json_values.map(json.dumps) | st.binary(max_size=4) | st.complex_numbers()
_words = st.sampled_from(["red", "blue", "green", "car", "12", "3rd", "Oak", "sea"])
_plain_texts = st.lists(_words, min_size=1, max_size=4).map(" ".join)
_numbers = st.floats(min_value=1e-3, max_value=1e6)


def test_a_number_loses_the_natural_logarithm_of_the_ratio() -> None:
    assert score("110", "55").score == pytest.approx(1 - math.log(2), abs=1e-15)
    assert score(str(55 * 2.71), "55").score == pytest.approx(1 - math.log(2.71), abs=1e-12)
    assert score(str(55 * 2.72), "55").score == 0.0  # beyond a ratio of e


def test_zero_is_read_as_one_ten_thousandth() -> None:
    assert score("0.0002", "0").score == pytest.approx(1 - math.log(2), abs=1e-12)
    assert score("0", "0").score == 1.0


def test_bag_of_words_f1() -> None:
    # {paris, france} against {paris}: precision 1/2, recall 1, F1 = 2 * 0.5 / 1.5
    assert score("Paris, France", "Paris").score == pytest.approx(2 / 3, abs=1e-15)
    # the gold number 5 is missing, so the shared word "room" is worth nothing
    assert score("Room 6", "Room 5").score == 0.0


def test_a_list_is_assigned_one_to_one() -> None:
    gold = "red car\nblue car\ngreen"
    # "car" fits one of the first two (F1 = 2/3), not both; "green" is right: (2/3 + 1 + 0) / 3
    assert score('["green", "car"]', gold).score == pytest.approx((2 / 3 + 1) / 3, abs=1e-15)
    # more items than gold divide too: (1 + 1 + 1) / 4
    assert score('["green", "red car", "blue car", "x"]', gold).score == 0.75
    assert score(gold, gold).score < 0.4  # lines of plain text are one string


def test_greedy_choice_is_not_enough() -> None:
    # F1 of gold {p,q,r} with {p,q,r,s} is 6/7, the largest, but leaves gold {s} with {p,q}: 0. Crossed: 4/5 + 2/5.
    assert score('["pp qq rr ss", "pp qq"]', "pp qq rr\nss").score == pytest.approx((4 / 5 + 2 / 5) / 2)


def test_records_compare_key_by_key() -> None:
    gold = '{"name": "North", "price": 20}'
    assert score('{"name": "North"}', gold).score == pytest.approx(2 / 3)  # precision 1, recall 1/2
    assert score('{"name": "North", "price": 20, "x": 1}', gold).score == pytest.approx(0.8)
    number = 1 - math.log(2)
    assert score('{"name": "North", "price": 40}', gold).score == pytest.approx((1 + number) / 2)


def test_strict_gives_the_raw_value_and_still_never_raises() -> None:
    assert score("-5", "-10").score == 1.0
    assert score("-5", "-10", strict=True).score == pytest.approx(1 + math.log(2))
    assert score("-Infinity", "-5", strict=True).score == math.inf
    assert score("-Infinity", "-5").score == 1.0
    assert score("null", "5", strict=True).score == 0.0


def test_answered_follows_the_parsed_answer_not_its_score() -> None:
    for nothing in ("", "[]", "{}", "NaN", "nan", '["", NaN]', "[[NaN]]", None, [], float("nan")):
        assert score(nothing, "Paris").answered is False, nothing
    for something in (" ", "None", "N/A", "0", "null", "false", "[null]", 0, False, [0]):
        assert score(something, "Paris").answered is True, something
    outcome = score("NaN", "nan place")  # no answer by the rule, yet a shared word
    assert (outcome.answered, outcome.score) == (False, pytest.approx(2 / 3))


def test_python_values_that_no_parser_gives() -> None:
    circular: list = []
    circular.append(circular)
    for odd in (object(), b"\xff", 10**400, [10**400], {1: 2}, range(3), np.array([np.nan]), circular, score):
        for gold in ("5", "Paris", "a\nb", '{"a": 1}', "", None, 5, [None], [object(), 1]):
            assert 0.0 <= score(odd, gold).score <= 1.0


def test_long_answers_are_scored_and_deep_ones_survive() -> None:
    assert score("word " * 20_000, "word").score == 1.0
    assert score("[" * 100_000, "5").score == 0.0
    items = [f"item{i}" for i in range(60)]
    assert score(json.dumps(items[::-1]), "\n".join(items)).score == 1.0


@settings(deadline=None)  # the first call imports numpy or scipy
@given(prediction=_anything, gold=_anything | st.lists(_anything, max_size=3))
def test_never_raises_and_stays_in_the_unit_interval(prediction: object, gold: object) -> None:
    outcome = score(prediction, gold)
    assert 0.0 <= outcome.score <= 1.0
    assert type(outcome.score) is float
    assert type(outcome.answered) is bool
    strict = score(prediction, gold, strict=True)
    assert strict.score >= 0.0
    assert min(strict.score, 1.0) == outcome.score


@settings(deadline=None)  # the first call imports numpy or scipy
@given(text=_plain_texts, number=_numbers, items=st.lists(_plain_texts, min_size=2, max_size=5))
def test_a_sane_gold_scores_itself_one(text: str, number: float, items: list[str]) -> None:
    assert score(text, text).score == 1.0
    assert score(repr(number), repr(number)).score == 1.0
    record = {"name": text, "price": number, "tags": items}
    assert score(json.dumps(record), json.dumps(record)).score == pytest.approx(1.0)
    if any(not item.isdecimal() for item in items):  # bare numbers on all lines are the rule's own blind spot
        assert score(json.dumps(items[::-1]), "\n".join(items)).score == pytest.approx(1.0)


@settings(deadline=None)  # the first call imports numpy or scipy
@given(a=_numbers, b=_numbers)
def test_numbers_are_symmetric(a: float, b: float) -> None:
    assert score(repr(a), repr(b)).score == score(repr(b), repr(a)).score


@settings(deadline=None)  # the first call imports numpy or scipy
@given(a=st.lists(st.sampled_from("pqrstuv"), min_size=1), b=st.lists(st.sampled_from("pqrstuv"), min_size=1))
def test_texts_without_numbers_are_symmetric(a: list[str], b: list[str]) -> None:
    left, right = " ".join(a), " ".join(b)
    assert score(left, right).score == pytest.approx(score(right, left).score, abs=1e-15)
