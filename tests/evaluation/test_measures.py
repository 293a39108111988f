"""Measures of a two-team rollout written out by hand."""

import dataclasses
import math

import pytest

from lts_jax.evaluation.measures import MEASURES, RolloutMeasures, measure, num_rounds
from lts_jax.records import (
    Answer,
    Coordinates,
    Decision,
    MemoryEntry,
    ModelCall,
    Outcome,
    Pull,
    Rollout,
    Step,
    StopReason,
    Task,
)


def step(team: int, number: int, agent: str, started: float, finished: float, failed: bool = False) -> Step:
    return Step(team, number, agent, "look", "", "seen", "saw", started, finished, failed)


def decision(team: int, number: int, action: int, sequence: int) -> Decision:
    return Decision(team, number, action, -0.5, 0.6, 0, sequence, 0.0)


def call(purpose: str, prompt: int, completion: int, seconds: float, usd: float = 0.0) -> ModelCall:
    return ModelCall(purpose, "", prompt, completion, seconds=seconds, usd=usd)


ENTRIES = (
    MemoryEntry(0, "pool opens at 7", "07:00-21:00", team=0, step=0, seconds=10.0),
    MemoryEntry(1, "page refused", "403", team=1, step=0, seconds=20.0),
    MemoryEntry(2, "ticket is 4 euro", "4.00", team=0, step=1, seconds=30.0),
)
PULLS = (
    Pull(0, reader=1, writer=0, step=1, seconds=25.0),
    Pull(0, reader=0, writer=0, step=2, seconds=35.0),
    Pull(0, reader=1, writer=0, step=2, seconds=45.0),
)
ROLLOUT = Rollout(
    task=Task("t", "When?", "7", "test"),
    coordinates=Coordinates(0, 0, "t", 0),
    num_teams=2,
    steps=(
        step(0, 0, "WebSurfer", 1, 9),
        step(1, 0, "WebSurfer", 2, 19, failed=True),
        step(0, 1, "Coder", 11, 29),
        step(1, 1, "FileSurfer", 26, 44),
    ),
    decisions=(decision(0, 0, 1, 0), decision(1, 0, 1, 1), decision(0, 1, 1, 2), decision(1, 1, 0, 3)),
    entries=ENTRIES,
    pulls=PULLS,
    answers=(
        Answer(0, "7", 60.0, StopReason.SATISFIED, num_steps=2, num_stalls=1),
        Answer(1, "", 50.0, StopReason.CRASHED, num_steps=2),
    ),
    final=Answer(-1, "7", 64.0, StopReason.SATISFIED),
    outcome=Outcome(1.0, True),
    first_outcome=Outcome(0.5, True),
    reward_agg=1.0,
    reward_first=0.5,
    seconds=64.0,
    calls=(
        call("act", 100, 20, 4.0, 0.01),
        call("summarize", 50, 10, 1.5, 0.002),
        call("summarize", 40, 10, 1.0),
        call("select", 30, 5, 0.5),
        call("aggregate", 10, 1, 2.0, 0.003),
    ),
)


def test_a_rollout_measured_by_hand() -> None:
    got = measure(ROLLOUT)
    assert (got.score, got.answered, got.runtime_seconds) == (1.0, 1.0, 64.0)
    assert (got.first_team, got.first_seconds, got.first_score) == (0, 60.0, 0.5)  # team 1 ended sooner, without text
    assert (got.steps_per_team, got.team_seconds, got.model_seconds) == (2.0, 110.0, 9.0)
    assert got.tokens == 276
    assert got.usd == pytest.approx(0.015)
    assert got.admission_fraction == 0.75
    assert got.read_rate == pytest.approx(1 / 3)  # only entry 0, however often
    assert got.cross_share == pytest.approx(2 / 3)
    assert got.reach == pytest.approx(1 / 3)  # team 1 reads entry 0; reading one's own does not count
    assert got.overhead_seconds_by_purpose == {"summarize": 2.5, "select": 0.5}
    assert got.overhead_tokens_by_purpose == {"summarize": 110, "select": 35}
    assert (got.overhead_seconds, got.overhead_tokens) == (3.0, 145)
    assert (got.failed_step_fraction, got.stalled_fraction) == (0.25, 1 / 6)  # each team: two steps and the end
    assert got.steps_by_agent == {"Coder": 1, "FileSurfer": 1, "WebSurfer": 2}
    assert got.stop_reasons == {"crashed": 1, "satisfied": 1}


def test_nothing_to_measure_is_nan() -> None:
    empty = dataclasses.replace(ROLLOUT, decisions=(), entries=(), pulls=(), answers=(), calls=(), num_teams=1)
    got = measure(empty, own_listed=True)
    assert all(math.isnan(one) for one in (got.admission_fraction, got.read_rate, got.cross_share, got.reach))
    assert math.isnan(got.first_seconds)
    assert got.first_team == -1
    assert math.isnan(got.cross_share_chance) and math.isnan(measure(empty).cross_share_chance)
    unscored = measure(dataclasses.replace(ROLLOUT, reward_agg=math.nan))
    assert all(math.isnan(one) for one in (unscored.score, unscored.precision, unscored.exact_match))
    silent = measure(dataclasses.replace(ROLLOUT, reward_agg=0.0, outcome=Outcome(0.0, False)))
    assert math.isnan(silent.precision) and silent.exact_match == 0.0


def test_the_first_answer_is_of_a_team_that_worked_to_its_own_end() -> None:
    stopped = Answer(1, "8", 50.0, StopReason.TIME_LIMIT, num_steps=2)
    got = measure(dataclasses.replace(ROLLOUT, answers=(ROLLOUT.answers[0], stopped)))
    assert (got.first_team, got.first_seconds) == (0, 60.0)
    assert measure(dataclasses.replace(ROLLOUT, answers=(stopped,))).first_team == -1


@pytest.mark.parametrize(
    ("stop_reason", "rounds"),
    [
        (StopReason.SATISFIED, 6),  # five rounds ended in steps or re-plans, the sixth found the request satisfied
        (StopReason.REPLAN_LIMIT, 6),
        (StopReason.BUDGET, 6),  # cut short
        (StopReason.ROUND_LIMIT, 5),
    ],
)
def test_rounds_by_hand(stop_reason: StopReason, rounds: int) -> None:
    assert num_rounds(Answer(0, "7", 1.0, stop_reason, num_steps=3, num_replans=2)) == rounds


def test_stalled_rounds_never_outnumber_rounds() -> None:
    # stuck from its first round on, a team re-plans without a single step
    stuck = Answer(0, "7", 60.0, StopReason.REPLAN_LIMIT, num_steps=0, num_replans=3, num_stalls=4)
    assert measure(dataclasses.replace(ROLLOUT, answers=(stuck,))).stalled_fraction == 1.0


def test_a_team_stopped_by_the_budget_marks_its_rollout() -> None:
    spent = Answer(1, "", 50.0, StopReason.BUDGET)
    assert measure(dataclasses.replace(ROLLOUT, answers=(ROLLOUT.answers[0], spent))).ran_out_of_budget
    assert not measure(ROLLOUT).ran_out_of_budget


def test_every_named_measure_exists() -> None:
    assert {name for name in MEASURES if not hasattr(RolloutMeasures, name)} == set()
    assert {one.better for one in MEASURES.values()} == {"up", "down", ""}
