"""The simulated model keeps what it is told, looks into its memory when asked, and answers from it without the web."""

import asyncio
from dataclasses import replace

import pytest

from lts_jax.admission.rules import RULES
from lts_jax.llm.simulated import PERFECT, SimulatedModel
from lts_jax.llm.simulated.findings import scan
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.prompts import TOOL_USER
from lts_jax.records import Coordinates, ToolResult
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import almanac_tasks, almanac_tools
from lts_jax.teams.settings import TeamSettings

TASK = next(task for task in almanac_tasks(0, "test", 12) if task.family == "film_minutes")
PLACE = Coordinates(0, 0, TASK.task_id, 0)


def no_tool(tool, arguments):
    return ToolResult("No results found.", failed=True, tool=tool)


def run(task, use_tool, *, drawer, policy="none", num_teams=1):
    settings = RolloutSettings(num_teams=num_teams, team=TeamSettings(max_rounds=24), drawer=drawer)
    parts = RolloutParts(SimulatedModel(PERFECT), use_tool, RULES[policy](), HashingEncoder())
    return asyncio.run(run_rollout(task, PLACE, parts, settings))


@pytest.fixture(scope="module")
def told():
    """The task with all that its answer needs said before it, as workers report it."""
    by_web = run(TASK, almanac_tools(0), drawer=False)
    assert by_web.reward_agg == 1.0
    facts = dict.fromkeys(str(found) for step in by_web.steps for found in scan(step.output).findings)
    assert len(facts) == 4
    return replace(TASK, told=tuple(facts))


def test_told_facts_are_kept_and_answered_from_without_the_web(told):
    rollout = run(told, no_tool, drawer=True)
    assert rollout.reward_agg == 1.0
    assert [step.agent for step in rollout.steps] == [TOOL_USER] * 5  # four facts, one look
    assert [entry.value for entry in rollout.drawers[0].entries] == list(told.told)
    assert [pull.step for pull in rollout.drawers[0].pulls] == [4] * 4


def test_without_a_memory_they_are_gone(told):
    assert run(told, no_tool, drawer=False).reward_agg == 0.0


def test_teams_with_a_memory_and_a_shared_one_work_as_ever(told):
    rollout = run(told, almanac_tools(0), drawer=True, policy="all", num_teams=2)
    assert rollout.reward_agg == 1.0
    assert [len(drawer.entries) for drawer in rollout.drawers] == [4, 4]
    assert all(decision.step >= 4 for decision in rollout.decisions)  # nothing of before the question is shared
    untold = run(TASK, almanac_tools(0), drawer=True)
    assert untold.reward_agg == 1.0 and not [step for step in untold.steps if step.agent == TOOL_USER]
