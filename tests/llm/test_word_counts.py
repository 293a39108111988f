"""Words counted in the prompt as a stand-in for a language model, by hand."""

import math

import pytest

from lts_jax.llm.word_counts import bits_per_word, words_of


def test_words_and_marks():
    assert words_of("Day 1: walk, O'Hara!") == ["day", "1", ":", "walk", ",", "o", "'", "hara", "!"]


def test_by_hand():
    """Prompt "a b a": n(a) = 2 of 3, after a comes b once of once. Answer "b": .6 * 1 + .3 / 3 + .00001.

    Then "b" again: after b came a once of one, so n(b b) = 0; n(b) = 2 of 4: .3 / 2 + .00001.
    """
    first, second = 0.6 + 0.3 / 3 + 1e-5, 0.3 * 2 / 4 + 1e-5
    assert bits_per_word("a b a", "b") == pytest.approx(-math.log2(first))
    assert bits_per_word("a b a", "b b") == pytest.approx(-(math.log2(first) + math.log2(second)) / 2)


def test_without_a_prompt_a_first_word_is_one_of_ten_thousand():
    assert bits_per_word("", "b") == pytest.approx(math.log2(10_000))
    unseen = 0.9 * 0 + 0.1 / 10_000
    assert bits_per_word("a", "b") == pytest.approx(-math.log2(unseen))  # nothing came after a


def test_a_pair_of_the_same_form_helps():
    answer = "day 1 : run . day 2 : rest ."
    assert bits_per_word("day 1 : walk . day 2 : rest .", answer) < bits_per_word("a quiet pond .", answer) - 3


def test_an_answer_has_a_word():
    with pytest.raises(ValueError, match="a word"):
        bits_per_word("a", " ")
