"""Rollouts whose memory holds every message: each is an entry behind a decision of its own, for credit as well."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from lts_jax.admission.rules import RULES
from lts_jax.bridge.collate import collate
from lts_jax.credit.schemes import bind, scheme
from lts_jax.errors import UserError
from lts_jax.llm.simulated import PERFECT, SimulatedModel
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.records import Coordinates, RolloutGroup
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import almanac_tasks, almanac_tools
from lts_jax.teams.settings import TeamSettings

MESSAGES = RolloutSettings(team=TeamSettings(stored="messages"))


def run(settings, policy="all", **parts):
    task = almanac_tasks(0, "validation", 1)[0]
    made = RolloutParts(SimulatedModel(PERFECT), almanac_tools(0), RULES[policy](), is_offline=True, **parts)
    return asyncio.run(run_rollout(task, Coordinates(0, 0, task.task_id, 0), made, settings))


def test_each_message_is_an_entry_behind_a_decision_of_its_own():
    rollout = run(MESSAGES)
    said = [step for step in rollout.steps if step.agent == "Orchestrator"]
    assert len(rollout.entries) == len(rollout.decisions) == len(rollout.steps)
    assert sum(answer.num_steps for answer in rollout.answers) == len(rollout.steps) - len(said)
    # of each team: a plan, an instruction before each of its workers' steps, a final answer
    assert len(said) == 3 * 2 + sum(answer.num_steps + answer.num_replans for answer in rollout.answers)
    first = min(rollout.entries, key=lambda entry: (entry.team, entry.step))
    assert first.key.startswith("Orchestrator surveyed the facts") and first.value.startswith("Task ledger.")
    assert any(entry.key.startswith("Orchestrator told WebSurfer to look for the ") for entry in rollout.entries)
    ended = "Orchestrator ended the work and answered for its team: "
    assert any(entry.key.startswith(ended) for entry in rollout.entries)


def test_steps_alone_are_the_default_and_without_a_memory_messages_change_no_second():
    assert RolloutSettings().team.stored == "steps"
    assert {step.agent for step in run(RolloutSettings()).steps}.isdisjoint({"Orchestrator"})
    alone = run(MESSAGES, "none")
    assert not alone.entries and not alone.decisions


def test_credit_sees_a_message_as_any_other_step():
    settings = TrainSettings(rollout=MESSAGES)
    rollout = run(MESSAGES)
    group = RolloutGroup(rollout.task, 0, (rollout, replace(rollout, reward_agg=0.0, reward_first=0.0)))
    trajectory, context = collate(group, HashingEncoder(), settings.padding)
    assert np.sum(trajectory.decision_mask_gkt[0]) == len(rollout.steps)
    assert context.step_gktsd.shape[2] == 64  # 31 rounds of two, plan and answer
    credit_gkt = np.asarray(bind(scheme("group_relative"))(trajectory))
    decided_gkt = np.asarray(trajectory.decision_mask_gkt)
    assert len(np.unique(credit_gkt[0][decided_gkt[0]])) == 1 and credit_gkt[0][decided_gkt[0]][0] > 0


def test_teams_of_another_engine_are_refused():
    async def other(task, team, ports, settings, state=None):
        raise AssertionError("never asked")

    with pytest.raises(UserError, match=r"team\.stored: expected steps for teams of another engine"):
        run(MESSAGES, run_team=other)
