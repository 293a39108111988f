"""Measures of a two-team rollout written out by hand, and the indifferent reader against enumeration."""

import dataclasses
import itertools
import math

import pytest

from lts_jax.evaluation.measures import MEASURES, RolloutMeasures, first_finisher, indifferent_reader, measure
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
    assert (got.failed_step_fraction, got.stalled_fraction) == (0.25, 0.25)
    assert got.steps_by_agent == {"Coder": 1, "FileSurfer": 1, "WebSurfer": 2}
    assert got.stop_reasons == {"crashed": 1, "satisfied": 1}


def test_chance_levels_by_hand() -> None:
    # At 25 s entries 0, 1 are listed and one is named; at 35 s and at 45 s one of three.
    got = measure(ROLLOUT, own_listed=True)
    assert got.cross_share_chance == 0.5
    # unread: e0 1/2 * 2/3 * 2/3, e1 the same, e2 2/3 * 2/3
    assert got.expected_entries_pulled == pytest.approx(3 - 2 / 9 - 2 / 9 - 4 / 9)
    # reader 1 of e0: 1 - 1/2 * 2/3; of e2: 1/3; reader 0 of e1: 1/3
    assert got.expected_readers == pytest.approx(2 / 3 + 1 / 3 + 1 / 3)
    hidden = measure(ROLLOUT)
    assert hidden.cross_share_chance == 1.0
    # reader 1 sees e0 alone at 25 s and names it for sure; reader 0 sees e1 alone; e2 is half of what 1 sees at 45 s
    assert hidden.expected_entries_pulled == pytest.approx(2.5)
    assert hidden.expected_readers == pytest.approx(2.5)


@pytest.mark.parametrize("pulled_listed", [True, False])
def test_the_indifferent_reader_against_enumeration(pulled_listed: bool) -> None:
    # reader 1 names two of the first three entries and later one of four; reader 2 names one of four
    entries = [MemoryEntry(number, "", "", team=number % 3, step=0, seconds=float(number)) for number in range(4)]
    pulls = [
        Pull(0, reader=1, writer=0, step=5, seconds=2.5),
        Pull(1, reader=1, writer=1, step=5, seconds=2.5),
        Pull(3, reader=2, writer=0, step=1, seconds=9.0),
        Pull(2, reader=1, writer=2, step=7, seconds=9.0),
    ]
    pulled, readers, count = 0, 0, 0
    for first, second, third in itertools.product(itertools.combinations(range(3), 2), range(4), range(4)):
        if third in first and not pulled_listed:
            continue  # its value is already there
        by_one, by_two = {*first, third}, {second}
        pulled += len(by_one | by_two)
        readers += sum(number % 3 != 1 for number in by_one) + sum(number % 3 != 2 for number in by_two)
        count += 1
    got = indifferent_reader(entries, pulls, own_listed=True, pulled_listed=pulled_listed)
    assert got == pytest.approx((pulled / count, readers / count))


def test_keys_committed_during_a_selection_were_not_listed() -> None:
    late = dataclasses.replace(ROLLOUT, pulls=PULLS[:1], calls=(ModelCall("select", "", 1, 1, "", 1, 1, 15.0, 10.0),))
    assert measure(late, own_listed=True).expected_entries_pulled == 1.0
    assert measure(late, own_listed=True).expected_readers == 1.0  # entry 1 came at 20 s: entry 0 for sure


def test_nothing_to_measure_is_nan() -> None:
    empty = dataclasses.replace(ROLLOUT, decisions=(), entries=(), pulls=(), answers=(), calls=(), num_teams=1)
    got = measure(empty, own_listed=True)
    assert all(math.isnan(one) for one in (got.admission_fraction, got.read_rate, got.cross_share, got.reach))
    assert math.isnan(got.first_seconds)
    assert got.first_team == -1
    assert got.cross_share_chance == 0.0
    assert math.isnan(measure(empty).cross_share_chance)
    assert measure(dataclasses.replace(ROLLOUT, reward_agg=math.nan)).score != measure(ROLLOUT).score


def test_first_finisher_ties_go_to_the_lower_team() -> None:
    answers = [Answer(team, " x ", 5.0, StopReason.SATISFIED) for team in (1, 0)]
    first = first_finisher(answers)
    assert first is not None
    assert first.team == 0


def test_every_named_measure_exists() -> None:
    assert {name for name in MEASURES if not hasattr(RolloutMeasures, name)} == set()
    assert {one.better for one in MEASURES.values()} == {"up", "down", ""}
