"""Flipped decisions: a timeline worked by hand, laws of replaying, and what is refused."""

import asyncio
import json
import math
from dataclasses import dataclass, replace

import jax
import numpy as np
import pytest

from lts_jax import prompts
from lts_jax.admission.policy import Admission
from lts_jax.admission.rules import RULES
from lts_jax.bridge.collate import CollateSettings, collate_flipped
from lts_jax.bridge.decide import BatchedDecider, DeciderSettings
from lts_jax.bridge.flips import ReplayChoice, flip_decisions, replay_flipped
from lts_jax.bridge.futures import Future, replay_future
from lts_jax.bridge.learned import LearnedPolicy
from lts_jax.errors import UserError
from lts_jax.llm.budget import Budget, BudgetSettings
from lts_jax.llm.chat import Completion
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.models.set_transformer import SetTransformerSettings, set_transformer
from lts_jax.records import Coordinates, RolloutGroup, Task, ToolResult
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.latency import LatencySettings
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.seeds import coordinate_seed
from lts_jax.systems.world import ModelSettings, almanac_tasks, almanac_tools, make_model
from lts_jax.teams.settings import TeamSettings

TASK = Task("t", "How tall is the tower?", "42", "test")
PLACE = Coordinates(3, 0, "t", 0)
PADDING = CollateSettings(max_steps=3, max_entries=8)

# Every model call takes one second, every tool call three; nothing else takes time.
EVEN = LatencySettings(
    1.0, 0.0, 0.0, 0.0, web_seconds=2.0, web_log_seconds=0.0, web_sigma=0.0, web_hang_fraction=0.0,
    decision_seconds=0.0, contention=0.0,
)  # fmt: skip


def ledger(satisfied):
    answers = (satisfied, False, True, "WebSurfer", "Find the height.")
    return json.dumps(
        {name: {"reason": "r", "answer": value} for name, value in zip(prompts.LEDGER_FIELDS, answers, strict=True)}
    )


@dataclass(frozen=True)
class LostSecondTeam:
    """Team 0 searches rightly and finds 42 m; team 1 always searches wrongly, so only a pulled value can help it.

    The aggregator says 42 where every team does. Keys are pulled as soon as they are listed.
    """

    name: str = "scripted"

    async def complete(self, messages, *, seed, json_reply=False):
        asked = messages[-1].content.split("\n", 1)[0]
        purpose = next(name for name, opening in prompts.OPENINGS.items() if opening == asked)
        lost = {coordinate_seed(3, 0, "t", 0, 1, step, "act", 1) for step in range(4)}
        thread = "\n".join(message.content for message in messages)
        found = "42 m" in thread
        replies = {
            "ledger": ledger(found),
            "act": json.dumps({"tool": "web_search", "arguments": {"query": "wrong" if seed in lost else "tower"}}),
            "report": "The tower is 42 m tall." if found else "Nothing was found.",
            "summarize": "Looked for the height of the tower.",
            "select": "SELECTED_KEYS = [0, 1, 2, 3]",
            "answer": "FINAL ANSWER: 42" if found else "FINAL ANSWER: 7",
            "aggregate": "FINAL ANSWER: 7" if "7" in thread else "FINAL ANSWER: 42",
        }
        return Completion(replies.get(purpose, "- look it up"), 1, 1, self.name)


def use_tool(tool, arguments):
    return ToolResult("Tower, 42 m" if arguments["query"] == "tower" else "No results.", tool=tool)


def scripted(num_teams=2, policy="all"):
    parts = RolloutParts(LostSecondTeam(), use_tool, RULES[policy]())
    settings = RolloutSettings(num_teams, TeamSettings(max_rounds=2), latency=EVEN)
    return RolloutGroup(TASK, 0, (asyncio.run(run_rollout(TASK, PLACE, parts, settings)),)), parts, settings


def test_a_flip_by_hand():
    """Both teams: facts 1, plan 2, ledger 3, act 4, tool 7, report 8, summary 9, where each admits its step.

    As it was: team 0 reads its own 42 m, ledger 10, answer 11. Team 1 is shown entry 0, selects 10, ledger 11, answer
    12; both say 42, aggregate 13. Without entry 0: team 1 finds nothing, ledger 10, and after a second wrong step
    (act 11, tool 14, report 15, summary 16) its rounds are over: answer 17 is 7, so the aggregate at 18 is 7 as well.
    Team 0 still answers first and rightly. Entry 1, that nothing was found, comes after team 0 was last asked.
    """
    group, parts, settings = scripted()
    [rollout] = group.rollouts
    assert rollout.seconds == 13.0 and (rollout.reward_agg, rollout.reward_first) == (1.0, 1.0)
    assert [(pull.entry, pull.reader) for pull in rollout.pulls] == [(0, 1)]
    flipped = flip_decisions(group, parts, settings, PADDING)
    unknown = math.nan
    np.testing.assert_array_equal(flipped.runtime_gkt, [[[18.0, unknown, unknown], [13.0, unknown, unknown]]])
    np.testing.assert_array_equal(flipped.reward_agg_gkt, [[[0.0, unknown, unknown], [1.0, unknown, unknown]]])
    np.testing.assert_array_equal(flipped.reward_first_gkt, [[[1.0, unknown, unknown], [1.0, unknown, unknown]]])
    assert flipped.runtime_gkt.dtype == np.float32


def test_later_decisions_are_taken_anew():
    group, parts, settings = scripted()
    turned = replay_flipped(group, parts, settings)[0, 0, 0]
    # Team 1 takes a second step that it did not take before, and the policy admits that one too.
    assert [(taken.team, taken.step, taken.action) for taken in turned.decisions] == [(0, 0, 0), (1, 0, 1), (1, 1, 1)]
    assert turned.decisions[0].log_prob == -math.inf and turned.policy == "all, flipped at team 0, step 0"


def test_an_entry_that_nobody_can_notice_changes_nothing_but_the_bank():
    group, parts, settings = scripted(num_teams=1)  # a team is not shown its own keys
    turned = replay_flipped(group, parts, settings)[0, 0, 0]
    [rollout] = group.rollouts
    assert len(rollout.entries) == 1 and turned.entries == ()
    same = {"decisions": (), "entries": (), "policy": ""}
    assert replace(turned, **same) == replace(rollout, **same)


def simulated(policy, num_rollouts=2, counter=None):
    parts = RolloutParts(make_model(ModelSettings()), almanac_tools(0), policy)
    tasks, settings = almanac_tasks(0, "train", 1), RolloutSettings(team=TeamSettings(max_rounds=6))
    collecting = CollectSettings(num_rollouts)
    [group] = collect_groups(tasks, parts, settings, collecting, Iteration(4, 0, counter))
    return group, parts, settings


def equal(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(left, right, equal_nan=True) for left, right in pairs)


def test_every_decision_of_a_coin_is_flipped_and_the_others_keep_their_coins():
    group, parts, settings = simulated(RULES["random"](rate=0.5), num_rollouts=1)
    replays = replay_flipped(group, parts, settings, ReplayChoice("all"))
    [rollout] = group.rollouts
    assert set(replays) == {(0, taken.team, taken.step) for taken in rollout.decisions}
    admitted = {(0, taken.team, taken.step) for taken in rollout.decisions if taken.action}
    assert 0 < len(admitted) < len(replays)
    assert set(replay_flipped(group, parts, settings)) == admitted
    taken = {(decision.team, decision.step): decision.action for decision in rollout.decisions}
    for (_, *place), turned in replays.items():
        for decision in turned.decisions:
            here = (decision.team, decision.step)
            if here in taken:
                assert (decision.action != taken[here]) == (here == tuple(place))


def test_steps_before_the_flip_are_the_same():
    group, parts, settings = simulated(RULES["all"](), num_rollouts=1)
    [rollout] = group.rollouts
    at = {(taken.team, taken.step): taken.seconds for taken in rollout.decisions}
    for (_, *place), turned in replay_flipped(group, parts, settings).items():
        before = [step for step in rollout.steps if step.finished_seconds <= at[tuple(place)]]
        assert before == [step for step in turned.steps if step.finished_seconds <= at[tuple(place)]]


def test_results_do_not_depend_on_how_many_replays_share_the_process():
    group, parts, settings = simulated(RULES["random"](rate=0.5))
    alone, crowd = (
        flip_decisions(group, parts, settings, CollateSettings(), ReplayChoice(num_in_flight=n)) for n in (1, 64)
    )
    assert equal(alone, crowd) and np.isfinite(crowd.runtime_gkt).sum() > 10


def test_a_learned_policy_replays_whatever_its_batches():
    encoder = HashingEncoder(dim=8)
    network = set_transformer(SetTransformerSettings(embedding_width=8, width=8, num_layers=1, num_heads=2))
    decider = BatchedDecider(network, network.init(jax.random.key(0)), encoder, DeciderSettings(key_buckets=(96,)))
    group, parts, settings = simulated(LearnedPolicy(decider, "learned"), num_rollouts=1, counter=decider)
    one, many = (
        flip_decisions(group, parts, settings, CollateSettings(), ReplayChoice(num_in_flight=n, counter=counter))
        for n, counter in ((1, None), (16, decider))
    )
    assert equal(one, many) and np.isfinite(one.runtime_gkt).any()


def test_what_does_not_count_is_unknown():
    group, parts, settings = scripted()
    replays = replay_flipped(group, parts, settings)
    withheld = {place: replace(turned, reward_agg=math.nan) for place, turned in replays.items()}
    assert np.isnan(collate_flipped(group, withheld, PADDING).runtime_gkt).all()
    uncounted = replace(group, rollouts=(replace(group.rollouts[0], reward_agg=math.nan),))
    assert replay_flipped(uncounted, parts, settings) == {}
    nothing_shared, without_memory, _ = scripted(policy="none")
    assert replay_flipped(nothing_shared, without_memory, settings) == {}


def test_replays_are_not_paid_from_the_budget_of_the_run():
    group, parts, settings = scripted()
    spent = replace(parts, budget=Budget(BudgetSettings(max_tokens=1)))
    assert equal(flip_decisions(group, spent, settings, PADDING), flip_decisions(group, parts, settings, PADDING))
    assert spent.budget.tokens == 0


def test_what_cannot_be_replayed_is_refused():
    group, parts, settings = scripted()
    with pytest.raises(UserError, match="replaying a decision needs simulated teams"):
        flip_decisions(group, replace(parts, virtual_time=False), settings, PADDING)
    live = replace(group, rollouts=(replace(group.rollouts[0], clock="real"),))
    with pytest.raises(UserError, match="replaying a decision needs simulated teams"):
        flip_decisions(live, parts, settings, PADDING)
    with pytest.raises(UserError, match="rollout 0 of task 't' does not replay to itself"):
        flip_decisions(group, replace(parts, policy=RULES["random"](rate=0.0)), settings, PADDING)
    with pytest.raises(UserError, match='expected "admitted" or "all"'):
        ReplayChoice("rejected")
    with pytest.raises(ValueError, match="2 steps, the padding holds 1"):
        long = replace(group.rollouts[0], steps=(*group.rollouts[0].steps, replace(group.rollouts[0].steps[0], step=1)))
        collate_flipped(replace(group, rollouts=(long,)), {}, CollateSettings(max_steps=1))


@dataclass(frozen=True)
class Replaces:
    """Every step after a team's first replaces entry 0, which lives but once."""

    name: str = "replaces"
    listing_window: int | None = None

    async def decide(self, request, ask):
        return Admission(2, -0.5, 0.5, target=0) if request.keys else Admission(1, -0.5, 0.5)


def test_a_decision_that_edits_has_no_other_side_and_is_refused_by_name():
    parts = RolloutParts(LostSecondTeam(), use_tool, Replaces())
    settings = RolloutSettings(2, TeamSettings(max_rounds=2), latency=EVEN)
    rollout = asyncio.run(run_rollout(TASK, PLACE, parts, settings))
    group = RolloutGroup(TASK, 0, (rollout,))
    assert rollout.edits
    told = "turning a decision: expected that each admits or rejects, got update in rollout 0 of task 't'"
    with pytest.raises(UserError, match=told):
        flip_decisions(group, parts, settings, PADDING)
    with pytest.raises(UserError, match=told):
        replay_future(group, parts, settings, Future(0, flip=True))
    redrawn = replay_future(group, parts, settings, Future(0, redraws=True))  # nothing is turned there
    assert {place[1:] for place in redrawn} == {(one.team, one.step) for one in rollout.decisions}
    assert all(again.edits for again in redrawn.values())
