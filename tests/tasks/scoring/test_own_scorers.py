"""Scores by words, and by a function of one's own, whatever it does."""

import math

import pytest

from lts_jax.errors import UserError
from lts_jax.records import Outcome, Task
from lts_jax.tasks.scoring import check_scorer, score_answer
from lts_jax.tasks.scoring.words import exact, f1


@pytest.mark.parametrize(
    ("said", "gold", "is_equal", "overlap"),
    [
        ("The  Otter.", "the otter", 1.0, 1.0),
        ("otter", "the otter", 0.0, 1.0),  # an article is no word of its own for f1
        ("red fox", "red otter", 0.0, 0.5),  # 1 word in common: 2 * 1 / (2 + 2)
        ("red red fox", "red", 0.0, 0.5),  # counted once: 2 * 1 / (3 + 1)
        ("", "otter", 0.0, 0.0),
        ("3.5", "35", 0.0, 0.0),
    ],
)
def test_scores_by_words(said, gold, is_equal, overlap):
    assert exact(said, gold) == Outcome(is_equal, bool(said), "exact")
    assert f1(said, gold) == Outcome(overlap, bool(said), "f1")


MINE = """
def good(answer, reference): return 0.25 if answer == reference else 0
def sure(answer, reference): return answer == reference
def raises(answer, reference): raise KeyError("no\\nkey")
def much(answer, reference): return 1.5
def endless(answer, reference): return float("inf")
def text(answer, reference): return "1.0"
def nothing(answer, reference): pass
def unknown(answer, reference): return float("nan")
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def scored(mine, name, text="x"):
    return score_answer(Task("t", "?", "x", "train", scoring=f"{mine}:{name}"), text)


def test_an_own_function_scores(mine):
    assert scored(mine, "good") == Outcome(0.25, True, f"{mine}:good")
    assert (scored(mine, "sure").score, scored(mine, "sure", " ")) == (1.0, Outcome(0.0, False, f"{mine}:sure"))
    assert math.isnan(scored(mine, "unknown").score)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("raises", "raised KeyError 'no\\nkey'"),
        ("much", "gave 1.5, expected a number from 0 to 1"),
        ("endless", "gave inf, expected a number from 0 to 1"),
        ("text", "gave str, expected a number from 0 to 1"),
        ("nothing", "gave NoneType, expected a number from 0 to 1"),
    ],
)
def test_a_function_that_fails_is_a_score_of_zero_that_says_so(mine, name, told):
    assert scored(mine, name) == Outcome(0.0, True, f"unscorable: {mine}:{name} {told}"[:300])


def test_a_scorer_that_is_not_there_is_refused(mine):
    check_scorer(f"{mine}:good", where="tasks.scorer")
    check_scorer("f1", where="tasks.scorer")
    for name in ("bleu", f"{mine}:gone", "gone.py:f"):
        with pytest.raises(UserError, match=r"^tasks.scorer: "):
            check_scorer(name, where="tasks.scorer")
