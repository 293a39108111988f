"""Whole rollouts: a scripted model whose right answer must score 1.0, and laws over simulated teams."""

import asyncio
import json
import math
from dataclasses import dataclass, field, replace
from functools import partial

import pytest

from lts_jax import prompts
from lts_jax.admission.policy import Admission
from lts_jax.admission.rules import RULES
from lts_jax.errors import UserError
from lts_jax.llm.budget import Budget, BudgetSettings
from lts_jax.llm.chat import Completion, ModelFailure
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.memory.reading import ReadingSettings
from lts_jax.records import Answer, Coordinates, StopReason, Task, ToolResult
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.latency import LatencySettings
from lts_jax.rollouts.outcomes import first_finisher
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import ModelSettings, almanac_tasks, almanac_tools, make_model
from lts_jax.teams.settings import ParallelSettings, TeamSettings

TASK = Task("t", "How tall is the tower?", "42", "test")
PLACE = Coordinates(3, 0, "t", 0)


def ledger(satisfied: bool, agent: str = "WebSurfer", told: str = "Find the height.") -> str:
    answers = (satisfied, False, True, agent, told)
    return json.dumps(
        {name: {"reason": "r", "answer": value} for name, value in zip(prompts.LEDGER_FIELDS, answers, strict=True)}
    )


@dataclass
class ScriptedModel:
    """Searches once, then answers; pulls every key it is shown. Never sees a seed."""

    name: str = "scripted"
    purposes: list[str] = field(default_factory=list)

    async def complete(self, messages, *, seed, json_reply=False):
        asked = messages[-1].content.split("\n", 1)[0]
        purpose = next(name for name, opening in prompts.OPENINGS.items() if opening == asked)
        self.purposes.append(purpose)
        thread = "\n".join(message.content for message in messages)
        found = "42 m" in thread
        replies = {
            "ledger": ledger(found),
            "act": '{"tool": "web_search", "arguments": {"query": "tower height"}}',
            "report": "The tower is 42 m tall.",
            "summarize": "WebSurfer looked for the height of the tower and found that it is 42 m tall.",
            "select": "SELECTED_KEYS = [0]",
            "answer": "FINAL ANSWER: 42",
            "aggregate": "Both agree.\nFINAL ANSWER: 42",
        }
        return Completion(replies.get(purpose, "- look it up"), len(thread) // 4, 10, self.name)


def use_tool(tool, arguments):
    return ToolResult(f"1. Tower, 42 m ({arguments})", tool=tool)


def parts(policy="all", model=None, **changes):
    return RolloutParts(model or ScriptedModel(), use_tool, RULES[policy](), **changes)


def run(task=TASK, made=None, settings=None, place=PLACE):
    return asyncio.run(run_rollout(task, place, made or parts(), settings or RolloutSettings(num_teams=2)))


def test_a_decision_takes_its_time_on_the_clock():
    slow, instant = (
        run(settings=RolloutSettings(num_teams=1, latency=LatencySettings(decision_seconds=seconds)))
        for seconds in (7.0, 0.0)
    )
    [decision], [entry] = slow.decisions, slow.entries
    assert entry.seconds - decision.seconds == pytest.approx(7.0)
    assert slow.seconds - instant.seconds == pytest.approx(7.0)  # one team, one step, else the same world


def test_a_right_answer_scores_one_all_the_way_through():
    rollout = run()
    assert (rollout.reward_agg, rollout.reward_first) == (1.0, 1.0)
    assert rollout.final.text == "42"
    assert [answer.stop_reason for answer in rollout.answers] == [StopReason.SATISFIED] * 2
    assert [step.agent for step in rollout.steps] == ["WebSurfer", "WebSurfer"]
    assert [decision.action for decision in rollout.decisions] == [1, 1]
    assert [(entry.entry, entry.team, entry.step) for entry in rollout.entries] == [
        (number, step.team, 0) for number, step in enumerate(rollout.steps)
    ]
    assert rollout.seconds == pytest.approx(max(call.started_seconds + call.seconds for call in rollout.calls))


def test_a_wrong_answer_scores_nothing():
    assert run(replace(TASK, answer="4200")).reward_agg == 0.0


def test_without_memory_nothing_is_summarised_decided_or_selected():
    model = ScriptedModel()
    rollout = run(made=parts("none", model))
    assert not rollout.decisions and not rollout.entries and not rollout.pulls
    assert not {"summarize", "select", "judge"} & set(model.purposes)


def test_a_withheld_answer_gives_no_reward():
    rollout = run(replace(TASK, answer=None))
    assert math.isnan(rollout.reward_agg) and math.isnan(rollout.reward_first)
    assert rollout.outcome.answered


def test_a_model_that_always_fails_is_a_value_in_the_record():
    class Failing(ScriptedModel):
        async def complete(self, messages, *, seed, json_reply=False):
            raise ModelFailure("503 after 4 attempts")

    rollout = run(made=parts("all", Failing()), settings=RolloutSettings(2, TeamSettings(max_rounds=3)))
    assert math.isnan(rollout.reward_agg) and math.isnan(rollout.reward_first)
    assert rollout.outcome == rollout.first_outcome
    assert rollout.outcome.detail == "the endpoint failed: 503 after 4 attempts"
    assert all(call.error.endswith("(other): 503 after 4 attempts") for call in rollout.calls)


def test_no_call_is_made_after_the_budget_is_gone():
    model = ScriptedModel()
    rollout = run(made=parts("all", model, budget=Budget(BudgetSettings(max_tokens=300))))
    assert rollout.tokens <= 300 + 2 * max(call.prompt_tokens + call.completion_tokens for call in rollout.calls)
    assert len(model.purposes) == sum(not call.error for call in rollout.calls)
    assert any(answer.stop_reason == StopReason.BUDGET for answer in rollout.answers)


def test_the_first_answer_stops_the_others_at_that_moment():
    settings = RolloutSettings(num_teams=3, parallel=ParallelSettings(mode="first"))
    rollout = run(settings=settings)
    first = min(answer.seconds for answer in rollout.answers if answer.stop_reason == StopReason.SATISFIED)
    stopped = [answer for answer in rollout.answers if answer.stop_reason == StopReason.CANCELLED]
    assert len(stopped) == 2 and all(answer.seconds == first for answer in stopped)
    assert all(step.finished_seconds <= first for step in rollout.steps)
    assert rollout.reward_first == 1.0


def test_a_decision_sees_exactly_the_entries_committed_before_it():
    tasks, made, settings = simulated("all", 2)
    for group in collect_groups(tasks, made, settings, CollectSettings(2, 4), Iteration(1, 0)):
        for rollout in group.rollouts:
            for decision in rollout.decisions:
                committed = [entry for entry in rollout.entries if entry.seconds < decision.seconds]
                later = [entry for entry in rollout.entries if entry.seconds > decision.seconds]
                assert len(committed) <= decision.num_keys <= len(rollout.entries) - len(later)


def test_nobody_pulls_before_the_entry_is_there():
    tasks, made, settings = simulated("all", 3)
    groups = collect_groups(tasks, made, settings, CollectSettings(1, 4), Iteration(1, 0))
    pulls = [
        (pull, rollout.entries[pull.entry]) for group in groups for rollout in group.rollouts for pull in rollout.pulls
    ]
    assert pulls
    assert all(pull.seconds >= entry.seconds and pull.writer == entry.team for pull, entry in pulls)


def simulated(policy, num_tasks):
    made = RolloutParts(make_model(ModelSettings()), almanac_tools(0), RULES[policy]())
    return almanac_tasks(0, "train", num_tasks), made, RolloutSettings()


def test_a_stored_group_of_another_seed_or_size_is_refused(tmp_path):
    tasks, made, settings = simulated("none", 1)
    settings = replace(settings, num_teams=1, team=TeamSettings(max_rounds=2))
    collect = partial(collect_groups, tasks, made, settings, folder=tmp_path)
    stored = collect(CollectSettings(2), Iteration(5, 0))
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=r"seed 5\D+6"):
        collect(CollectSettings(2), Iteration(6, 0))
    with pytest.raises(UserError, match=r"num_rollouts 2\D+3"):
        collect(CollectSettings(3), Iteration(5, 0))
    assert collect(CollectSettings(2), Iteration(5, 0)) == stored
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_results_do_not_depend_on_how_many_rollouts_share_the_process():
    tasks, made, settings = simulated("random", 3)
    alone, crowd = (
        collect_groups(tasks, made, settings, CollectSettings(2, num_in_flight), Iteration(5, 1))
        for num_in_flight in (1, 6)
    )
    assert alone == crowd


def test_other_coordinates_give_another_rollout():
    tasks, made, settings = simulated("all", 1)
    task = tasks[0]
    rollouts = [
        asyncio.run(run_rollout(task, place, made, settings))
        for place in (
            Coordinates(0, 0, task.task_id, 0),
            Coordinates(0, 0, task.task_id, 1),
            Coordinates(0, 1, task.task_id, 0),
        )
    ]
    assert len({rollout.seconds for rollout in rollouts}) == 3


def test_without_memory_a_team_does_not_depend_on_how_many_others_there_are():
    tasks, made, settings = simulated("none", 1)
    settings = replace(settings, latency=LatencySettings(contention=0.0))
    task = tasks[0]
    one, three = (
        asyncio.run(run_rollout(task, Coordinates(0, 0, task.task_id, 0), made, replace(settings, num_teams=count)))
        for count in (1, 3)
    )
    assert [step for step in three.steps if step.team == 0] == list(one.steps)


def test_others_in_flight_slow_a_team_and_change_nothing_else():
    tasks, made, settings = simulated("none", 1)
    place = Coordinates(0, 0, tasks[0].task_id, 0)

    def ran(num_teams, contention):
        changed = replace(settings, num_teams=num_teams, latency=LatencySettings(contention=contention))
        return asyncio.run(run_rollout(tasks[0], place, made, changed))

    def works(rollout):
        return sorted((step.team, step.step, step.action, step.output) for step in rollout.steps)

    free, slowed = ran(3, 0.0), ran(3, 0.5)
    assert works(free) == works(slowed) and free.reward_agg == slowed.reward_agg
    assert 1.05 * free.seconds < slowed.seconds < 2.0 * free.seconds  # at most 1 + 0.5 * (3 - 1) times as long
    assert ran(1, 0.0).seconds == pytest.approx(ran(1, 0.5).seconds)


@dataclass
class Forced:
    """Admits all but one step."""

    left_out: tuple[int, int] | None
    name: str = "forced"
    listing_window: int | None = None

    async def decide(self, request, ask):
        admit = (request.step.team, request.step.step) != self.left_out
        return Admission(int(admit), 0.0, float(admit))


def test_flipping_one_admission_replays_the_same_world_until_then():
    tasks, made, settings = simulated("all", 1)
    task = tasks[0]
    place = Coordinates(0, 0, task.task_id, 0)
    base = asyncio.run(run_rollout(task, place, replace(made, policy=Forced(None)), settings))
    flipped = base.decisions[len(base.decisions) // 2]
    other = asyncio.run(run_rollout(task, place, replace(made, policy=Forced((flipped.team, flipped.step))), settings))
    before = [step for step in base.steps if step.finished_seconds <= flipped.seconds]
    assert before == [step for step in other.steps if step.finished_seconds <= flipped.seconds]
    assert other.decisions[flipped.sequence].action == 0


def test_a_listing_that_must_be_short_shows_the_nearest_keys():
    tasks, made, settings = simulated("all", 1)
    settings = replace(settings, reading=ReadingSettings(max_listed=2))
    place = Coordinates(0, 0, tasks[0].task_id, 0)
    newest = asyncio.run(run_rollout(tasks[0], place, made, settings))
    nearest = asyncio.run(run_rollout(tasks[0], place, replace(made, encoder=HashingEncoder()), settings))
    assert len(newest.entries) > 4
    assert newest.pulls != nearest.pulls


def test_the_first_answer_needs_no_aggregator():
    model = ScriptedModel()
    rollout = run(made=parts("all", model), settings=RolloutSettings(3, parallel=ParallelSettings(mode="first")))
    assert "aggregate" not in model.purposes
    assert rollout.final.text == "42"
    assert rollout.seconds == min(answer.seconds for answer in rollout.answers)


def test_a_spent_budget_stops_a_collection_and_stores_no_half_truth(tmp_path):
    tasks, made, settings = simulated("all", 2)
    poor = replace(made, budget=Budget(BudgetSettings(max_tokens=60_000)))
    with pytest.raises(UserError, match="the budget of the run is used up"):
        collect_groups(tasks, poor, settings, CollectSettings(1, 1), Iteration(1, 0), tmp_path)
    stored = list(tmp_path.glob("*.parquet"))
    rich = replace(made, budget=Budget(BudgetSettings(max_tokens=10**9)))
    groups = collect_groups(tasks, rich, settings, CollectSettings(1, 1), Iteration(1, 0), tmp_path)
    assert all(answer.stop_reason != StopReason.BUDGET for group in groups for answer in group.rollouts[0].answers)
    # What lies on disk was paid for before: a restart does not grant the budget again.
    assert rich.budget.tokens == sum(rollout.tokens for group in groups for rollout in group.rollouts)
    assert len(stored) < 2


def test_stored_groups_of_another_policy_or_size_are_refused(tmp_path):
    tasks, made, settings = simulated("all", 1)
    collect_groups(tasks, made, settings, CollectSettings(1), Iteration(1, 0), tmp_path)
    other = replace(made, policy=RULES["random"](rate=1.0))
    with pytest.raises(UserError, match="made with policy 'all', now 'random"):
        collect_groups(tasks, other, settings, CollectSettings(1), Iteration(1, 0), tmp_path)
    with pytest.raises(UserError, match="made with num_teams 3, now 2"):
        collect_groups(tasks, made, replace(settings, num_teams=2), CollectSettings(1), Iteration(1, 0), tmp_path)


def test_one_definition_of_the_first_finisher():
    answers = [
        Answer(0, "", 3.0, StopReason.SATISFIED),
        Answer(1, "cut", 4.0, StopReason.BUDGET),
        Answer(2, "late", 9.0, StopReason.ROUND_LIMIT),
        Answer(3, "early", 9.0, StopReason.SATISFIED),
        Answer(4, "", 1.0, StopReason.CRASHED),
    ]
    assert first_finisher(answers) == answers[2]
    assert first_finisher(answers[:2]) is None


def test_a_binary_reward_pays_only_what_is_wholly_right():
    half = replace(TASK, answer="21")  # 42 against 21: 1 - ln 2 = 0.307 by the official rule
    partial, binary = (run(half, settings=RolloutSettings(2, reward=reward)) for reward in ("partial", "binary"))
    assert partial.reward_agg == pytest.approx(0.3069, abs=1e-4) and binary.reward_agg == 0.0
    assert binary.outcome == partial.outcome
    assert run(settings=RolloutSettings(2, reward="binary")).reward_first == 1.0
