"""Summary and decision beside the team's next turn: what it saves, what it changes, and what it leaves as it is."""

import asyncio
from dataclasses import replace

import pytest

from lts_jax.admission.policy import Admission
from lts_jax.admission.rules import RULES
from lts_jax.errors import UserError
from lts_jax.records import Coordinates, StopReason
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.latency import LatencySettings
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import ModelSettings, almanac_tasks, almanac_tools, make_model
from lts_jax.teams.settings import ParallelSettings, TeamSettings

TASKS = almanac_tasks(0, "train", 3)
ALONE = RolloutSettings(latency=LatencySettings(contention=0.0))


def parts(policy):
    return RolloutParts(make_model(ModelSettings()), almanac_tools(0), policy)


def run(policy, settings, task=TASKS[0]):
    return asyncio.run(run_rollout(task, Coordinates(0, 0, task.task_id, 0), parts(policy), settings))


def test_without_readers_a_team_does_the_same_steps_and_saves_the_seconds_of_summary_and_decision():
    """One team reads nothing of others, so all that changes is when it goes on."""
    waiting, going_on = (
        run(RULES["all"](), replace(ALONE, num_teams=1, sharing=sharing)) for sharing in ("in_turn", "aside")
    )
    assert [(s.action, s.output, s.summary) for s in waiting.steps] == [
        (s.action, s.output, s.summary) for s in going_on.steps
    ]
    assert [entry.key for entry in waiting.entries] == [entry.key for entry in going_on.entries]
    summaries = [call.seconds for call in waiting.calls if call.purpose == "summarize"]
    seconds = sum(summaries) + len(waiting.decisions) * ALONE.latency.decision_seconds
    assert len(summaries) == len(waiting.steps) > 3
    assert waiting.seconds - going_on.seconds == pytest.approx(seconds)


def test_an_entry_is_committed_when_its_summary_and_decision_end():
    rollout = run(RULES["all"](), replace(ALONE, sharing="aside"))
    ends = {(c.team, c.step): c.started_seconds + c.seconds for c in rollout.calls if c.purpose == "summarize"}
    assert len(rollout.entries) > 6
    for entry in rollout.entries:
        assert entry.seconds == pytest.approx(ends[entry.team, entry.step] + ALONE.latency.decision_seconds)
    assert all(pull.seconds >= rollout.entries[pull.entry].seconds for pull in rollout.pulls)
    assert [decision.sequence for decision in rollout.decisions] == list(range(len(rollout.decisions)))


def test_results_do_not_depend_on_how_many_rollouts_share_the_process():
    settings = RolloutSettings(sharing="aside", latency=LatencySettings(contention=0.5))
    alone, crowd = (
        collect_groups(TASKS, parts(RULES["random"]()), settings, CollectSettings(2, number), Iteration(5, 1))
        for number in (1, 6)
    )
    assert alone == crowd


def test_without_a_memory_nothing_changes():
    waiting, going_on = (run(RULES["none"](), replace(ALONE, sharing=sharing)) for sharing in ("in_turn", "aside"))
    assert waiting == going_on


class Slow:
    """Takes its time to decide."""

    name, listing_window = "slow", None

    def __init__(self, fails=False):
        self.fails = fails

    async def decide(self, request, ask):
        if self.fails:
            raise RuntimeError("no decision")
        return Admission(1, 0.0, 1.0)


def test_what_is_under_way_when_the_rollout_ends_is_stopped_and_its_step_stays():
    latency = LatencySettings(contention=0.0, decision_seconds=1e6)
    rollout = run(Slow(), replace(ALONE, latency=latency, sharing="aside"))
    assert rollout.seconds < 1e4
    assert rollout.entries == () == rollout.decisions
    assert {step.team for step in rollout.steps} == {0, 1, 2}

    first = replace(ALONE, parallel=ParallelSettings(mode="first"), sharing="aside")
    stopped = run(RULES["all"](), first)
    end = next(answer.seconds for answer in stopped.answers if answer.stop_reason == StopReason.SATISFIED)
    assert stopped.seconds == end and all(entry.seconds <= end for entry in stopped.entries)
    summarised = {(call.team, call.step) for call in stopped.calls if call.purpose == "summarize"}
    assert {(step.team, step.step) for step in stopped.steps if step.summary} <= summarised


def test_a_policy_that_raises_ends_the_team_as_if_it_had_waited():
    rollout = run(Slow(fails=True), replace(ALONE, sharing="aside", team=TeamSettings(max_rounds=5)))
    assert {answer.stop_reason for answer in rollout.answers} == {StopReason.CRASHED}
    assert "no decision" in rollout.answers[0].detail


def test_another_word_is_refused():
    with pytest.raises(UserError, match="sharing: expected in_turn or aside, got 'later'"):
        RolloutSettings(sharing="later")
