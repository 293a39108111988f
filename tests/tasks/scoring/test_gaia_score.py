"""GAIA scores: one case a rule by hand (the golden rows hold the rest), and laws over any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lts_jax.tasks.scoring.gaia import score

_anything = (
    st.none() | st.text() | st.integers() | st.floats() | st.binary(max_size=4) | st.lists(st.text(), max_size=2)
)


@pytest.mark.parametrize(
    ("prediction", "gold", "expected", "rule"),
    [
        ("$1,234", "1234", 1.0, "number"),
        ("1234 kg", "1234", 0.0, "number"),
        ("1.0; TWO", "1, two", 1.0, "list"),
        ("two, 1", "1, two", 0.0, "list"),
        ("sea gull!", "Seagull", 1.0, "text"),
        ("the seagull", "Seagull", 0.0, "text"),
    ],
)
def test_gold_chooses_the_rule(prediction: str, gold: str, expected: float, rule: str) -> None:
    outcome = score(prediction, gold)
    assert (outcome.score, outcome.detail, outcome.answered) == (expected, rule, True)


def test_answered_is_a_non_empty_answer() -> None:
    assert score("", "17").answered is False
    assert score(None, "17").answered is False
    assert score(" ", "17").answered is True


def test_a_missing_answer_reads_as_the_word_none() -> None:
    assert score(None, "none").score == 1.0
    assert score(None, "17").score == 0.0


@pytest.mark.parametrize("prediction", [17, 17.0, True, ["17"], {"17": 17}, b"17", object()])
def test_answers_that_are_no_text_score_zero(prediction: object) -> None:
    outcome = score(prediction, "17", strict=True)
    assert outcome.score == 0.0
    assert outcome.detail == "unscorable: TypeError"


@given(prediction=_anything, gold=_anything)
def test_never_raises_and_is_zero_or_one(prediction: object, gold: object) -> None:
    outcome = score(prediction, gold)
    assert outcome.score in (0.0, 1.0)
    assert type(outcome.answered) is bool
    assert score(prediction, gold, strict=True) == outcome


@given(text=st.text())
def test_a_gold_answer_matches_itself(text: str) -> None:
    items = text.replace(";", ",").split(",")
    if not any(item.strip().lower().lstrip("+-") == "nan" for item in items):  # NaN equals nothing
        assert score(text, text).score == 1.0


@given(a=st.text(alphabet="abc .-", max_size=6), b=st.text(alphabet="abc .-", max_size=6))
def test_plain_texts_are_symmetric(a: str, b: str) -> None:
    assert score(a, b).score == score(b, a).score
