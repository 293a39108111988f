"""Rollouts whose workers are shown a part of the thread: full is what was, and what is shown is told."""

import asyncio
from dataclasses import replace

import pytest

from lts_jax.admission.rules import make_rule
from lts_jax.errors import UserError
from lts_jax.llm.simulated import PERFECT, SimulatedModel
from lts_jax.records import Coordinates, Rollout
from lts_jax.rollouts.rollout import run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.team_side import Routed
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import almanac_tasks
from lts_jax.teams.routing import RoutingSettings
from lts_jax.teams.settings import TeamSettings

TASK = almanac_tasks(0, "validation", 5)[2]


def _rollout(routing: RoutingSettings | None, told: list[Routed] | None = None) -> Rollout:
    team = TeamSettings() if routing is None else TeamSettings(routing=routing)
    run = make_parts(TrainSettings(rollout=RolloutSettings(team=team)))
    arm = make_arm("all", run, make_rule("all", run.encoder))
    parts = arm.parts if told is None else replace(arm.parts, on_routed=told.append)
    return asyncio.run(run_rollout(TASK, Coordinates(1, 0, TASK.task_id, 0), parts, arm.rollout))


def test_full_is_what_was() -> None:
    told: list[Routed] = []
    without = _rollout(None)
    assert without == _rollout(RoutingSettings("full")) == _rollout(RoutingSettings("exact")) == _rollout(None, told)
    assert told and all(one.shown == one.thread for one in told)


@pytest.mark.parametrize("mode", ["static", "reports", "greedy", "density", "exact", "random"])
def test_workers_are_shown_no_more_than_the_budget(mode: str) -> None:
    told: list[Routed] = []
    routing = RoutingSettings(mode, 800)  # type: ignore[arg-type]
    rollout = _rollout(routing, told)
    assert rollout == _rollout(routing)
    assert len(told) == sum(call.purpose in ("act", "code") for call in rollout.calls)
    for one in told:
        assert one.shown[-1] == one.thread[-1] and one.thread[0].content.startswith("Task ledger.")
        assert sum(len(message.content) // 4 for message in one.shown[:-1]) <= 800
    assert any(len(one.shown) < len(one.thread) for one in told)


@pytest.mark.parametrize(
    ("routing", "score"),
    [
        (RoutingSettings(), 1.0),
        (RoutingSettings("reports"), 1.0),
        (RoutingSettings("greedy", 3000), 1.0),
        (RoutingSettings("exact", 3000), 1.0),
        (RoutingSettings("greedy", 1), 0.0),
    ],
)
def test_flawless_agents_are_right_if_they_are_shown_enough(routing: RoutingSettings, score: float) -> None:
    run = make_parts(TrainSettings())
    arm = make_arm("all", run, make_rule("all", run.encoder))
    parts = replace(arm.parts, model=SimulatedModel(PERFECT))
    settings = replace(arm.rollout, team=TeamSettings(routing=routing))
    for task in almanac_tasks(0, "validation", 6)[::2]:
        rollout = asyncio.run(run_rollout(task, Coordinates(1, 0, task.task_id, 0), parts, settings))
        assert rollout.reward_agg == score


def test_another_engine_is_not_routed() -> None:
    async def other(task, team, ports, settings, state):  # type: ignore[no-untyped-def]
        raise AssertionError

    run = make_parts(TrainSettings())
    arm = make_arm("all", run, make_rule("all", run.encoder))
    settings = replace(arm.rollout, team=TeamSettings(routing=RoutingSettings("static")))
    with pytest.raises(UserError, match=r"team\.routing: expected mode full"):
        asyncio.run(run_rollout(TASK, Coordinates(1, 0, TASK.task_id, 0), replace(arm.parts, run_team=other), settings))
