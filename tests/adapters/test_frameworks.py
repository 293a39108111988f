"""Three frameworks behind a team's openings: the same task, K = 3, one bank; steps, pulls, tokens and seconds hold."""

import asyncio

import pytest
from scripted import TASK, Scripted, call, use_tool

from lts_jax.admission.rules import RULES
from lts_jax.errors import UserError
from lts_jax.llm.budget import Budget, BudgetSettings
from lts_jax.records import Coordinates, Origin, StopReason
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.teams.own_team import own_team
from lts_jax.teams.settings import TeamSettings


def langgraph_kind(**options):
    pytest.importorskip("langgraph", reason="needs the extra langgraph: pip install 'lts-jax[langgraph]'")
    from langgraph.prebuilt import create_react_agent

    from lts_jax.adapters.langgraph import langgraph_team

    return langgraph_team(lambda side: create_react_agent(side.model, side.tools), **options), None


def agents_kind(**options):
    pytest.importorskip("agents", reason="needs the extra openai-agents: pip install 'lts-jax[openai-agents]'")
    from agents import Agent

    from lts_jax.adapters.openai_agents import agents_team

    def build(side):
        return Agent("Researcher", instructions="Find the pond.", model=side.model, tools=side.tools)

    return agents_team(build, **options), None


def smolagents_kind(**options):
    pytest.importorskip("smolagents", reason="needs the extra smolagents: pip install 'lts-jax[smolagents]'")
    from smolagents import ToolCallingAgent

    from lts_jax.adapters.smolagents import smolagents_team

    team = smolagents_team(lambda side: ToolCallingAgent(tools=side.tools, model=side.model), **options)
    return team, lambda text: call("final_answer", answer=text)


KINDS = [langgraph_kind, agents_kind, smolagents_kind]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def work(kind, *, model=None, policy="all", budget=None, options=None, **settings):
    team, final = kind(**(options or {}))
    parts = RolloutParts(
        model or Scripted(final), use_tool, RULES[policy](), run_team=own_team(team), budget=budget or Budget()
    )
    place = Coordinates(0, 0, TASK.task_id, 0)
    return asyncio.run(run_rollout(TASK, place, parts, RolloutSettings(**settings)))


@pytest.mark.parametrize("kind", KINDS)
def test_three_teams_share_one_bank(kind):
    rollout = work(kind)
    assert [(answer.stop_reason, answer.text) for answer in rollout.answers] == [
        (StopReason.SATISFIED, "Mill pond")
    ] * 3, rollout.answers
    steps = sorted(rollout.steps, key=lambda one: (one.team, one.step))
    assert [(step.team, step.step) for step in steps] == [(team, step) for team in range(3) for step in range(2)]
    assert steps[0].action == 'web_search {"query": "heron-4"}' and steps[0].output.startswith("results for heron")
    assert steps[1].output == "page of ponds: heron-4 is Mill pond" and not steps[1].failed
    assert len(rollout.entries) == 6 and all(entry.origin == Origin.WEB for entry in rollout.entries)
    assert rollout.pulls and all(pull.reader != pull.writer for pull in rollout.pulls)
    works = [one for one in rollout.calls if one.purpose == "work"]
    assert len(works) >= 3 * 3 and all(one.prompt_tokens > 0 and one.seconds > 0 for one in works)
    assert rollout == work(kind)  # on the virtual clock, to the last second


@pytest.mark.parametrize("kind", KINDS)
def test_values_come_by_selection_too(kind):
    _, final = kind()
    model = Scripted(final)
    rollout = work(kind, model=model, options={"reads": "select"})
    assert all(answer.text == "Mill pond" for answer in rollout.answers)
    assert rollout.pulls and any(one.purpose == "select" for one in rollout.calls)
    assert any("A parallel team found (entry 0" in text for text in model.seen)
    assert not any("read_shared_memory" in text for text in model.seen)


@pytest.mark.parametrize("kind", KINDS)
def test_limits_hold(kind):
    stopped = work(kind, budget=Budget(BudgetSettings(max_tokens=1)))
    assert {answer.stop_reason for answer in stopped.answers} == {StopReason.BUDGET}
    short = work(kind, num_teams=1, team=TeamSettings(max_rounds=1))
    assert [(one.stop_reason, one.num_steps) for one in short.answers] == [(StopReason.ROUND_LIMIT, 1)]
    alone = work(kind, policy="none")
    assert not alone.entries and all(answer.text == "Mill pond" for answer in alone.answers)


@pytest.mark.parametrize("kind", KINDS)
def test_another_way_to_read_is_refused(kind):
    with pytest.raises(UserError, match="reads: expected tool or select, got 'often'"):
        kind(reads="often")
