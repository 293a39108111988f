"""Teams of your own: one record, one bank, one race with ours; what goes wrong in one team fails that team alone."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import own_teams

from lts_jax.admission.rules import RULES
from lts_jax.errors import UserError
from lts_jax.llm.budget import Budget, BudgetSettings
from lts_jax.llm.chat import FailureKind, ModelFailure
from lts_jax.llm.simulated import SimulatedModel
from lts_jax.records import Coordinates, Origin, StopReason
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.brought import bring
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import almanac_tasks, almanac_tools
from lts_jax.teams import own_team as module
from lts_jax.teams.own_team import PORTS_VERSION, OpenPorts, own_team
from lts_jax.teams.settings import ParallelSettings, TeamSettings

TASK = almanac_tasks(0, "train", 1)[0]
FILE = Path(own_teams.__file__)


def work(function, *, policy="all", model=None, deadline_seconds=None, virtual_time=True, budget=None, **settings):
    parts = RolloutParts(
        model or SimulatedModel(),
        almanac_tools(0),
        RULES[policy](),
        virtual_time=virtual_time,
        run_team=own_team(function, deadline_seconds=deadline_seconds),
        budget=budget or Budget(),
    )
    place = Coordinates(0, 0, TASK.task_id, 0)
    return asyncio.run(run_rollout(TASK, place, parts, RolloutSettings(**settings)))


@pytest.mark.parametrize("virtual_time", [True, False])
def test_three_teams_leave_one_record(virtual_time):
    rollout = work(own_teams.searching, virtual_time=virtual_time)
    assert [answer.stop_reason for answer in rollout.answers] == [StopReason.SATISFIED] * 3
    assert rollout.answers[0].text.endswith("of team 0")
    assert [(step.team, step.step) for step in sorted(rollout.steps, key=lambda one: (one.team, one.step))] == [
        (team, step) for team in range(3) for step in range(3)
    ]
    assert all(step.agent == "Searcher" and step.summary for step in rollout.steps)
    assert len(rollout.entries) == len(rollout.decisions) == 9
    assert all(entry.origin == Origin.WEB for entry in rollout.entries)
    assert rollout.pulls and all(pull.reader != pull.writer for pull in rollout.pulls)
    assert sum(call.purpose == "work" for call in rollout.calls) == 3
    if virtual_time:
        assert rollout == work(own_teams.searching)  # to the last second
        assert all(call.seconds > 0 for call in rollout.calls) and rollout.clock == "virtual"


def test_without_a_memory_nothing_is_listed():
    rollout = work(own_teams.searching, policy="none")
    assert not rollout.entries and not rollout.pulls and rollout.answers[0].text == "nothing of team 0"


@pytest.mark.parametrize(
    ("team", "reason", "detail"),
    [
        (own_teams.silent, StopReason.TIME_LIMIT, "no answer within 0.3 seconds of its own"),
        (own_teams.stubborn, StopReason.TIME_LIMIT, "no answer within 0.3 seconds of its own"),
        (own_teams.repeating, StopReason.CRASHED, "ValueError: step 0 was reported twice"),
        (own_teams.raising, StopReason.CRASHED, "KeyError: 'a mistake' (own_teams.py:"),
        (own_teams.wordless, StopReason.CRASHED, "expected the answer as text, got 42"),
    ],
)
def test_a_bad_team_is_one_failed_team(team, reason, detail):
    limit = 0.3 if reason == StopReason.TIME_LIMIT else None  # while it waits, the others' clock stands still
    rollout = work(team, deadline_seconds=limit)
    bad, *others = rollout.answers
    assert (bad.stop_reason, bad.text) == (reason, "") and detail in bad.detail
    assert all(answer.text and answer.stop_reason == StopReason.SATISFIED for answer in others)
    assert rollout.final.text


def test_steps_have_a_limit():
    rollout = work(own_teams.endless, num_teams=2, team=TeamSettings(max_rounds=4))
    assert [(answer.stop_reason, answer.num_steps) for answer in rollout.answers] == [(StopReason.ROUND_LIMIT, 4)] * 2
    assert rollout.answers[0].detail == "the team has taken its 4 steps"


def test_a_team_that_asks_for_ever_ends(monkeypatch):
    monkeypatch.setattr(module, "MAX_CALLS", 20)
    rollout = work(own_teams.asking, num_teams=2)
    assert {answer.detail for answer in rollout.answers} == {"the team has used its openings 20 times"}
    assert sum(call.purpose == "work" for call in rollout.calls) == 40


def test_the_race_and_the_budget_hold():
    first = work(own_teams.searching, parallel=ParallelSettings(mode="first"))
    assert sorted(answer.stop_reason for answer in first.answers) == [
        StopReason.CANCELLED, StopReason.CANCELLED, StopReason.SATISFIED,
    ]  # fmt: skip
    stopped = work(own_teams.searching, budget=Budget(BudgetSettings(max_tokens=1)))
    assert StopReason.BUDGET in {answer.stop_reason for answer in stopped.answers}


class Refusing:
    name = "refusing"

    async def complete(self, messages, *, seed, json_reply=False):
        raise ModelFailure("no such model", kind=FailureKind.NOT_FOUND)


def test_an_endpoint_that_fails_ends_the_team_with_its_reason():
    rollout = work(own_teams.searching, policy="none", model=Refusing(), num_teams=1)
    assert rollout.answers[0].stop_reason == StopReason.MODEL_ERROR and "no such model" in rollout.answers[0].detail


def test_what_is_no_team_is_refused_in_one_line():
    for text, expected in (
        ("searching", "rollout.engine: expected FILE.py:FUNCTION or package.module:FUNCTION, got 'searching'"),
        (f"{FILE}:blocking", "expected `async def team(task, ports)` that returns its answer"),
        (f"{FILE}:three_of", "expected `async def team(task, ports)` that returns its answer"),
        (f"{FILE}:nosuch", "has no function 'nosuch'"),
        (f"{FILE}:searching(num_stops=3)", "has no setting 'num_stops'; it takes num_steps"),
        ("nosuch.py:team", "nosuch.py: no such file"),
    ):
        with pytest.raises(UserError) as refused:
            RolloutSettings(engine=text)
        assert expected in str(refused.value) and "\n" not in str(refused.value)
    with pytest.raises(UserError, match="engine_seconds: expected more than 0"):
        RolloutSettings(engine_seconds=0.0)


def test_a_team_comes_by_name_or_as_an_object():
    named = bring(TrainSettings(), teams=f"{FILE}:searching(num_steps=2)")
    assert named.settings.rollout.engine == f"{FILE}:searching(num_steps=2)"
    brought = bring(TrainSettings(), teams=own_teams.searching)
    assert brought.names["run_team"] == "own_teams:searching"
    assert OpenPorts.version == PORTS_VERSION == 1
