"""Agents that fill a pool by themselves: who writes, who is right, what the judge says."""

import numpy as np
import pytest

from lts_jax.memory.pool_admission import parse_score
from lts_jax.tasks.exemplars import draw_exemplars
from lts_jax.tasks.exemplars.drawing import GRAMMARS
from lts_jax.tasks.exemplars.interaction import Habits, answer, start

DRAWN = draw_exemplars(3)


def test_questions_of_the_start_are_written_anew_and_of_the_kind_asked():
    given = start(DRAWN.initial, 3, Habits(), 3, one_writes=False)
    assert [one.asked for one in given] == [one.kind for one in DRAWN.initial]
    for one, exemplar in zip(given, DRAWN.initial, strict=True):
        wordings = GRAMMARS[exemplar.domain][exemplar.kind][0]
        assert any(wording.lower() in one.question.lower() for wording in wordings)
        assert exemplar.subject.name in one.question
    assert [one.question for one in given] != [one.question for one in DRAWN.initial]
    assert given == start(DRAWN.initial, 3, Habits(), 3, one_writes=False)


def test_who_answers_did_not_write():
    given = start(DRAWN.initial, 3, Habits(), 3, one_writes=False)
    assert [one.author for one in given[:4]] == ["agent 1", "agent 2", "agent 0", "agent 1"]


def test_one_writer_has_fewer_wordings():
    spread = [
        len(
            {
                one.question.split(":")[0].split(".")[-2:][0]
                for one in start(DRAWN.initial, 4, Habits(), 3, one_writes=way)
            }
        )
        for way in (True, False)
    ]
    assert spread[0] < spread[1]


@pytest.mark.parametrize(("probability", "expected"), [(0.0, 0.0), (1.0, 1.0), (0.8, 0.8)])
def test_answers_are_right_as_often_as_said(probability, expected):
    given = answer(DRAWN.problems, 3, Habits(right_probability=probability), 3)
    right = np.mean([one.kind == one.asked for one in given])
    assert right == pytest.approx(expected, abs=0.06)
    assert [one.question for one in given] == [one.question for one in DRAWN.problems]


def test_a_judge_without_noise_tells_right_from_wrong():
    given = answer(DRAWN.problems, 3, Habits(judge_noise=0.0, unreadable_probability=0.0), 3)
    assert {(one.kind == one.asked, one.reply) for one in given} == {(True, "80"), (False, "20")}


def test_some_replies_are_no_scores():
    given = answer(DRAWN.problems, 3, Habits(unreadable_probability=0.5), 3)
    assert 0.4 < np.mean([parse_score(one.reply) is None for one in given]) < 0.6
