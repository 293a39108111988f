"""AutoGen's engine behind a team's openings: an independent oracle of ours, and the same record, race and limits."""

import asyncio
import logging
from dataclasses import replace

import pytest

pytest.importorskip("autogen_ext", reason="needs the extra autogen: pip install 'lts-jax[autogen]'")

from autogen_core.models import ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient

from lts_jax import prompts
from lts_jax.adapters.autogen.chat_model import AutogenChatModel
from lts_jax.adapters.autogen.side import AutogenSettings
from lts_jax.adapters.autogen.team import autogen_team
from lts_jax.adapters.autogen.workers import our_workers
from lts_jax.admission.rules import RULES
from lts_jax.bridge.collate import CollateSettings, collate
from lts_jax.llm.budget import Budget, BudgetSettings
from lts_jax.llm.chat import ModelFailure
from lts_jax.llm.serving import serve_chat
from lts_jax.llm.simulated import SimulatedModel
from lts_jax.llm.simulated.weaknesses import COMMISSION, OMISSION
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.records import Coordinates, RolloutGroup, StopReason
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import almanac_tasks, almanac_tools
from lts_jax.teams.settings import ParallelSettings, TeamSettings

OURS = AutogenSettings(prompts="ours")
AUTOGEN_ROUNDS = TeamSettings(max_rounds=12, stall_semantics="autogen", max_replans=None)


def parts_with(model, **changes):
    """AutoGen's teams with our workers in the offline world."""
    run_team = autogen_team(our_workers, OURS)
    return RolloutParts(
        model, almanac_tools(0), RULES["all"](), **{"virtual_time": False, "run_team": run_team, **changes}
    )


def work(task, parts, **settings):
    place = Coordinates(0, 0, task.task_id, 0)
    return asyncio.run(run_rollout(task, place, parts, RolloutSettings(**{"team": AUTOGEN_ROUNDS, **settings})))


def without_seconds(rollout):
    """What a rollout is, times aside."""
    steps = [replace(step, started_seconds=0.0, finished_seconds=0.0) for step in rollout.steps]
    calls = [replace(call, started_seconds=0.0, seconds=0.0) for call in rollout.calls]
    answers = [replace(answer, seconds=0.0) for answer in rollout.answers]
    return steps, calls, answers, [replace(entry, seconds=0.0) for entry in rollout.entries], rollout.outcome


def test_our_engine_and_autogens_are_the_same_machine():
    # One team: with several, who comes first is a matter of the event loop. Ledgers are well formed: AutoGen asks again
    # with the same words, we with the reply and what was wrong with it.
    model, seen = SimulatedModel(replace(OMISSION, malformed_ledger=0.0)), set()
    for task in almanac_tasks(0, "train", 8):
        theirs = work(task, parts_with(model), num_teams=1)
        ours = work(task, RolloutParts(model, almanac_tools(0), RULES["all"](), virtual_time=False), num_teams=1)
        assert without_seconds(theirs) == without_seconds(ours)
        seen |= {(answer.stop_reason, answer.num_replans > 0) for answer in theirs.answers}
        seen |= {step.agent for step in theirs.steps}
    assert {(StopReason.SATISFIED, False), (StopReason.ROUND_LIMIT, True), "WebSurfer", "Coder"} <= seen


def test_three_teams_over_http_share_a_bank_and_score_one():
    info = ModelInfo(vision=False, function_calling=False, json_output=True, family="unknown", structured_output=False)
    task = next(each for each in almanac_tasks(0, "train", 8) if each.family == "house_price")

    async def run():
        async with await serve_chat(SimulatedModel(COMMISSION)) as server:
            client = OpenAIChatCompletionClient(
                model="simulated", base_url=server.base_url, api_key="none", model_info=info, max_retries=0
            )
            model = AutogenChatModel(client, "simulated")
            place = Coordinates(0, 0, task.task_id, 0)
            parts = parts_with(model, run_team=autogen_team(our_workers, OURS, model.model_info))
            rollout = await run_rollout(task, place, parts, RolloutSettings(team=AUTOGEN_ROUNDS))
            await client.close()
            return rollout

    rollout = asyncio.run(run())
    assert not [call.error for call in rollout.calls if call.error]
    assert rollout.reward_agg == 1.0 and rollout.clock == "real"
    assert {entry.team for entry in rollout.entries} == {0, 1, 2}
    assert rollout.pulls and all(pull.reader != pull.writer for pull in rollout.pulls)
    assert {entry.origin.value for entry in rollout.entries} <= {"web", "tool", "file", "model"}
    assert any(entry.parents for entry in rollout.entries)
    assert rollout.tokens > 1000 and {call.model for call in rollout.calls} == {"simulated"}
    trajectory, _ = collate(RolloutGroup(task, 0, (rollout,)), HashingEncoder(), CollateSettings())
    assert trajectory.rollout_mask_g.all() and trajectory.used_gkt.any()
    assert trajectory.decision_mask_gkt.sum() == len(rollout.steps) == len(rollout.decisions)


class Faulty:
    """The simulated model, with something done to the replies of one purpose."""

    name = "faulty"

    def __init__(self, opening, spoil):
        self.opening, self.spoil, self.model = opening, spoil, SimulatedModel()

    async def complete(self, messages, *, seed, json_reply=False):
        completion = await self.model.complete(messages, seed=seed)
        if not messages[-1].content.startswith(self.opening):
            return completion
        return replace(completion, reply=self.spoil(completion.reply))


def fail(_):
    raise ModelFailure("the endpoint is gone")


SPOILT = {
    "fenced": lambda reply: f"Here it is:\n```python\n{reply}\n```",
    "booleans as text": lambda reply: reply.replace("false", '"False"').replace("true", '"True"'),
    "other spelling": lambda reply: reply.replace('"WebSurfer"', '"web surfer"'),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=list(SPOILT))
def test_ledgers_that_end_autogens_orchestrator_are_read(spoil):
    task = almanac_tasks(0, "train", 5)[4]
    good = work(task, parts_with(SimulatedModel()), num_teams=1)
    spoilt = work(task, parts_with(Faulty("Progress check.", spoil)), num_teams=1)
    assert spoilt.steps[0].output == good.steps[0].output and len(spoilt.steps) == len(good.steps)
    assert spoilt.answers[0].text == good.answers[0].text


def test_without_any_ledger_the_rule_takes_over_and_the_team_still_answers():
    task = almanac_tasks(0, "train", 5)[4]
    settings = TeamSettings(max_rounds=3, max_ledger_attempts=2, max_stalls=9)
    rollout = work(task, parts_with(Faulty("Progress check.", lambda _: "I cannot.")), num_teams=1, team=settings)
    assert [step.agent for step in rollout.steps] == ["WebSurfer"] * 4  # N + 1 rounds, as AutoGen counts
    assert rollout.steps[0].instruction == task.question
    assert [call.purpose for call in rollout.calls].count("ledger") == 8
    assert rollout.answers[0].stop_reason == StopReason.ROUND_LIMIT and rollout.answers[0].num_stalls == 4


@pytest.mark.parametrize("opening", ["Fact survey.", "Progress check.", "Final answer."])
def test_a_dead_endpoint_is_a_stop_reason(opening):
    rollout = work(almanac_tasks(0, "train", 1)[0], parts_with(Faulty(opening, fail)), num_teams=2)
    assert {answer.stop_reason for answer in rollout.answers} == {StopReason.MODEL_ERROR}
    assert all("the endpoint is gone" in answer.detail for answer in rollout.answers)


def test_a_spent_budget_ends_the_teams():
    rollout = work(
        almanac_tasks(0, "train", 1)[0], parts_with(SimulatedModel(), budget=Budget(BudgetSettings(max_tokens=4000)))
    )
    assert StopReason.BUDGET in {answer.stop_reason for answer in rollout.answers}
    assert StopReason.CRASHED not in {answer.stop_reason for answer in rollout.answers}


def test_a_crash_in_one_team_leaves_the_others():
    teams = []

    def agents(side):
        teams.append(side.team)
        if len(teams) == 2:
            raise RuntimeError("no such agent")
        return our_workers(side)

    rollout = work(
        almanac_tasks(0, "train", 5)[4], parts_with(SimulatedModel(COMMISSION), run_team=autogen_team(agents, OURS))
    )
    crashed = rollout.answers[1]
    assert crashed.stop_reason == StopReason.CRASHED and "no such agent" in crashed.detail
    assert rollout.reward_agg == 1.0


class Slow:
    """A model that answers twenty calls of teams, and no further one within any deadline."""

    name = "slow"

    def __init__(self):
        self.model, self.num_calls = SimulatedModel(), 0

    async def complete(self, messages, *, seed, json_reply=False):
        self.num_calls += 1
        is_team = not messages[-1].content.startswith(prompts.OPENINGS["aggregate"])
        await asyncio.sleep(1000 if is_team and self.num_calls > 20 else 0.005)
        return await self.model.complete(messages, seed=seed)


def test_stopped_teams_leave_no_task_and_make_no_further_call(caplog):
    caplog.set_level(logging.CRITICAL, logger="autogen_core")  # it tells of every stopped team as an error
    task, model = almanac_tasks(0, "train", 5)[4], Slow()

    async def run():
        settings = RolloutSettings(team=AUTOGEN_ROUNDS, parallel=ParallelSettings(deadline_seconds=3.0))
        place = Coordinates(0, 0, task.task_id, 0)
        rollout = await run_rollout(task, place, parts_with(model), settings)
        num_calls = model.num_calls
        await asyncio.sleep(0.2)
        return rollout, model.num_calls - num_calls, asyncio.all_tasks() - {asyncio.current_task()}

    rollout, num_later, left = asyncio.run(run())
    assert {answer.stop_reason for answer in rollout.answers} == {StopReason.TIME_LIMIT}
    assert rollout.steps and rollout.seconds < 60  # the grace period and the aggregation's call included
    assert num_later == 0 and not left
