"""What is said of an epoch without reward: the likeliest causes first, and nothing where there is a reward."""

import math
from dataclasses import replace

from lts_jax.records import (
    Answer,
    Coordinates,
    ModelCall,
    Outcome,
    Rollout,
    RolloutGroup,
    Step,
    StopReason,
    Task,
)
from lts_jax.rollouts.no_reward import no_reward_warning, stored_epoch
from lts_jax.rollouts.store import write_group

TASK = Task("t", "Which?", "otter", "train", scoring="exact")
WRONG = Rollout(
    TASK, Coordinates(0, 0, "t", 0), 1, (Step(0, 0, "WebSurfer", "Look.", "", "It is\nan eel."),), (), (), (),
    (Answer(0, "an eel", 1.0, StopReason.SATISFIED),), Answer(-1, "an eel", 1.0, StopReason.SATISFIED),
    Outcome(0.0, True, "exact"), Outcome(0.0, True, "exact"), 0.0, 0.0, 1.0,
)  # fmt: skip
SILENT = replace(
    WRONG,
    steps=(replace(WRONG.steps[0], failed=True, output="404 Not Found"),),
    answers=(Answer(0, "", 1.0, StopReason.TIME_LIMIT),),
    final=Answer(-1, "", 1.0, StopReason.MODEL_ERROR),
    outcome=Outcome(0.0, False, "exact"),
)
UNSCORED = replace(WRONG, outcome=Outcome(0.0, True, "unscorable: mine.py:f raised KeyError"))
START = "no reward of a whole epoch was above 0, so there is nothing to learn from yet. Likeliest causes: "


def test_wrong_answers_are_shown_beside_the_reference():
    told = no_reward_warning([WRONG, WRONG, SILENT])
    assert told == START + (
        "(1) answers are wrong, or written otherwise than the scorer expects, 2 of 3 (such as 'an eel for otter, by "
        "exact'); (2) teams stop before they have an answer, 1 of 3 (such as 'time_limit'); (3) most steps fail, so "
        "that teams see nothing of what is asked for, 1 of 3 (such as 'WebSurfer: 404 Not Found')"
    )


def test_a_scorer_or_an_endpoint_that_fails_is_named():
    assert no_reward_warning([UNSCORED]).startswith(
        START + "(1) the scorer fails or has no reference, 1 of 1 (such as 'unscorable: mine.py:f raised KeyError'); "
    )
    withheld = replace(WRONG, outcome=Outcome(math.nan, True, "withheld"), reward_agg=math.nan, reward_first=math.nan)
    assert "(1) the scorer fails or has no reference, 1 of 1 (such as 'withheld')" in no_reward_warning([withheld])
    failed = replace(SILENT, calls=(ModelCall("act", "", 0, 0, error="model: 400 Bad Request"),))
    assert "1 of 1 (such as 'model: 400 Bad Request')" in no_reward_warning([failed])


def test_a_reward_or_no_rollout_at_all_says_nothing():
    def rollouts():
        yield WRONG
        yield replace(WRONG, reward_first=0.2)
        raise AssertionError("nothing more is read")

    assert no_reward_warning(rollouts()) == "" and no_reward_warning([]) == ""


def test_the_rollouts_of_an_epoch_are_read_from_the_run_folder(tmp_path):
    for iteration in (0, 1, 2, 10):
        placed = replace(WRONG, coordinates=Coordinates(0, iteration, "t", 0))
        write_group(tmp_path, RolloutGroup(TASK, iteration, (placed,)))
    assert [one.coordinates.iteration for one in stored_epoch(tmp_path, range(1, 3))] == [1, 2]
