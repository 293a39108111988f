"""Replay: two teams worked by hand, and what must hold whatever the policy and the runs."""

import asyncio
import math
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lts_jax.admission.policy import Admission
from lts_jax.errors import UserError
from lts_jax.logs.importers.recorded import RecordedRun, RecordedStep, RecordedTask
from lts_jax.logs.replay import replay_task, unshared_seconds
from lts_jax.logs.replay_bank import call_identifiers
from lts_jax.logs.replay_groups import replay_groups
from lts_jax.logs.replay_measures import replay_measures
from lts_jax.logs.replay_settings import ReplaySettings
from lts_jax.records import Answer, Coordinates, Outcome, Step, StopReason, Task
from lts_jax.rollouts.collect import CollectSettings, Iteration
from lts_jax.rollouts.latency import LatencySettings
from lts_jax.seeds import uniform

HERE = Coordinates(seed=0, iteration=0, task="t", rollout=0)
EXACT = ReplaySettings(
    latency=LatencySettings(
        contention=0.0,
        first_token_seconds=1.0,
        seconds_per_prompt_token=0.0,
        seconds_per_output_token=0.0,
        noise_sigma=0.0,
    ),
    tool_seconds=2.0,
    tool_sigma=0.0,
    customer_seconds=3.0,
    summary_seconds=0.25,
    pull_seconds=0.5,
)


@dataclass(frozen=True)
class Rule:
    """A policy from a function of the request."""

    choose: Any
    name: str = "rule"
    listing_window: int | None = None

    async def decide(self, request, ask):
        return Admission(int(self.choose(request)), 0.0, 1.0)


NONE, ALL = Rule(lambda request: False, "none"), Rule(lambda request: True, "all")


def run_of(*steps: tuple[str, str], reward: float = 0.0) -> RecordedRun:
    """A run from (call or "", output); a plain reply is answered by the customer."""
    recorded = tuple(
        RecordedStep(
            Step(0, number, "Agent", "asked", call, output, failed=output.startswith("Error")),
            tool=call.partition("(")[0],
            prompt_characters=100 * (number + 1),
            reply_characters=40,
            customer_characters=0 if call else 8,
        )
        for number, (call, output) in enumerate(steps)
    )
    answer = Answer(0, "done", 0.0, StopReason.SATISFIED, num_steps=len(recorded))
    return RecordedRun(0, recorded, answer, Outcome(reward, True))


def task_of(*runs: RecordedRun) -> RecordedTask:
    return RecordedTask(Task("t", "q", None, "train"), runs, "log.json")


def replay(recorded: RecordedTask, policy: Any, replay_settings: ReplaySettings = EXACT):
    return asyncio.run(replay_task(recorded, policy, HERE, replay_settings))


X, Y, Z = ("get_x({})", "x"), ("get_y({})", "y"), ("get_z({})", "z")
REPLY = ("", "Hello there")
TWO = task_of(run_of(X, Y, Z, reward=1.0), run_of(REPLY, X, Y))


def test_two_teams_worked_by_hand():
    # Team 0: get_x 0-3 (decided at 3.25), get_y 3-6 (6.25), get_z 6-9. Team 1: reply 0-1, customer 1-4, model 4-5,
    # get_x pulled at 5 and done at 5.5; model to 6.5, get_y pulled and done at 7. Alone it would end at 10.
    rollout = replay(TWO, ALL)
    assert [answer.seconds for answer in rollout.answers] == [9.0, 7.0]
    assert [(pull.entry, pull.reader, pull.writer, pull.step, pull.seconds) for pull in rollout.pulls] == [
        (1, 1, 0, 1, 5.0),
        (3, 1, 0, 2, 6.5),
    ]
    assert [(entry.team, entry.step, entry.seconds) for entry in rollout.entries] == [
        (1, 0, 1.25), (0, 0, 3.25), (1, 1, 5.75), (0, 1, 6.25), (1, 2, 7.25), (0, 2, 9.25),
    ]  # fmt: skip
    assert [decision.num_keys for decision in rollout.decisions] == [0, 1, 2, 3, 4, 5]
    assert [decision.entry for decision in rollout.decisions] == [0, 1, 2, 3, 4, 5]
    assert rollout.entries[1].key == "get_x({}) gave: x" and rollout.entries[0].key == "told the customer: Hello there"
    assert rollout.seconds == 9.0 and rollout.reward_agg == pytest.approx(1 - 16 / 19)
    assert rollout.reward_first == pytest.approx(1 - 7 / 9)
    assert rollout.outcome.score == 0.5 and rollout.first_outcome.score == 0.0
    step = next(step for step in rollout.steps if (step.team, step.step) == (1, 1))
    assert (step.started_seconds, step.finished_seconds, step.output) == (4.0, 5.5, "x")


def test_rewards_can_be_of_the_runtime_or_as_recorded():
    runtime = replay(TWO, ALL, replace(EXACT, reward="runtime"))
    assert (runtime.reward_agg, runtime.reward_first) == (pytest.approx(0.1), pytest.approx(1 - 7 / 9))
    recorded = replay(TWO, ALL, replace(EXACT, reward="recorded"))
    assert (recorded.reward_agg, recorded.reward_first) == (0.5, 0.0)


def test_a_pull_can_also_spare_the_model_call():
    # get_x is pulled at 4 and done at 4.5; get_y at 4.5 is not yet there, so model to 5.5 and tool to 7.5.
    rollout = replay(TWO, ALL, replace(EXACT, pull_skips_model_call=True))
    assert rollout.answers[1].seconds == 7.5
    assert [(call.team, call.step) for call in rollout.calls if call.team == 1] == [(1, 0), (1, 2)]


def test_an_entry_is_there_from_its_decision_on_and_no_earlier():
    late = replace(EXACT, summary_seconds=2.01)  # get_x of team 0 is decided at 5.01, after team 1 called at 5
    assert [pull.step for pull in replay(TWO, ALL, late).pulls] == []
    just = replace(EXACT, summary_seconds=2.0)  # at 5.0: decisions come first; get_y at 8 is too late for 6.5
    assert [pull.step for pull in replay(TWO, ALL, just).pulls] == [1]


def test_listed_keys_lengthen_prompts_and_a_window_bounds_them():
    paid = replace(EXACT, latency=replace(EXACT.latency, seconds_per_prompt_token=0.01))
    slow = replay(TWO, ALL, paid)
    third = next(call for call in slow.calls if (call.team, call.step) == (0, 2))
    listed = [entry for entry in slow.entries if entry.seconds <= third.started_seconds]
    lines = [f"[{entry.entry}] {entry.key}\n" for entry in listed]
    assert len(lines) > 1
    assert third.prompt_tokens == 75 + sum(math.ceil(len(line) / 4) for line in lines)
    assert third.seconds == pytest.approx(1.0 + 0.01 * third.prompt_tokens)
    newest = replay(TWO, replace(ALL, listing_window=1), paid)
    third = next(call for call in newest.calls if (call.team, call.step) == (0, 2))
    assert third.prompt_tokens == 75 + math.ceil(len(lines[-1]) / 4)
    free = replay(TWO, ALL, replace(paid, keys_cost_tokens=False))
    assert all(call.prompt_tokens == 25 * (call.step + 1) for call in free.calls)
    assert replay(TWO, replace(ALL, listing_window=0), paid).pulls == ()


def test_own_entries_are_pulled_only_where_asked_for():
    twice = task_of(run_of(X, REPLY, X))
    assert replay(twice, ALL).pulls == ()
    assert [pull.reader for pull in replay(twice, ALL, replace(EXACT, own_entries=True)).pulls] == [0]


BOOK = ('update_booking({"booking":"AB12CD"})', "ok")
LOOK = ('get_booking({"booking":"AB12CD"})', "window seat")
OTHER = ('get_booking({"booking":"ZZ99ZZ"})', "aisle seat")
WAIT = ("think({})", "")


@pytest.mark.parametrize(
    ("writer", "reader", "pulled"),
    [
        # the reader changed the booking that it then looks at; another booking stays good, unless nothing is trusted
        ([LOOK, OTHER], [REPLY, REPLY, BOOK, LOOK, OTHER], {"none": 2, "object": 1, "team": 0}),
        # the writer changed it before it looked: the reader's world never saw that change
        ([BOOK, LOOK, OTHER], [REPLY, REPLY, REPLY, LOOK, OTHER], {"none": 2, "object": 1, "team": 0}),
        # a change of the writer after it looked does no harm
        ([LOOK, OTHER, BOOK], [REPLY, REPLY, REPLY, LOOK, OTHER], {"none": 2, "object": 2, "team": 2}),
        # neither does a change that failed, nor a neutral tool
        ([LOOK, OTHER], [REPLY, REPLY, (BOOK[0], "Error: no"), WAIT, LOOK, OTHER], {"none": 2, "object": 2, "team": 2}),
    ],
)
def test_entries_go_stale_when_state_changes(writer, reader, pulled):
    recorded = task_of(run_of(*writer), run_of(*reader))
    counts = {rule: len(replay(recorded, ALL, replace(EXACT, staleness=rule)).pulls) for rule in pulled}
    assert counts == pulled


def test_identifiers_are_told_from_other_arguments():
    found = '"a":"mia_li_3668","b":["4WQ150",{"c":"IFOYYZ"}]'
    action = f'f({{{found},"d":"2024-05-20","e":"JFK","f":"economy","g":"two words 1"}})'
    assert call_identifiers(action) == {"mia_li_3668", "4WQ150", "IFOYYZ"}
    assert call_identifiers('f({"a": AB12CD oops)') == {"AB12CD"}


def test_a_value_that_differs_from_the_readers_own_is_counted_wrong():
    recorded = task_of(run_of(X, Y), run_of(REPLY, ("get_x({})", "another x"), Y))
    base, shared = replay(recorded, NONE), replay(recorded, ALL)
    measures = replay_measures([shared], [base])
    assert (measures["pulls"], measures["wrong_value_fraction"]) == (2.0, 0.5)


def test_measures_by_hand():
    measures = replay_measures([replay(TWO, ALL)], [replay(TWO, NONE)])
    expected = {
        "seconds": 9.0,
        "baseline_seconds": 10.0,
        "saved_seconds": 1.0,
        "reduction_percent": 10.0,
        "team_saved_seconds": 3.0,
        "team_reduction_percent": 100 * 3 / 19,
        "admission_fraction": 1.0,
        "read_rate": 2 / 6,
        "cross_share": 1.0,
        "cross_share_chance": 1.0,
        "reach": 2 / 6,
        "pulls": 2.0,
        "wrong_value_fraction": 0.0,
    }
    assert {name: measures[name] for name in expected} == pytest.approx(expected)
    assert measures["extra_prompt_tokens"] > 0
    assert math.isnan(replay_measures([replay(TWO, NONE)], [replay(TWO, NONE)])["read_rate"])
    with pytest.raises(ValueError, match="baseline"):
        replay_measures([replay(TWO, ALL)], [])


def test_a_policy_without_a_model_gets_an_error_and_not_an_exception():
    seen = []

    @dataclass(frozen=True)
    class Judge:
        name: str = "judge"
        listing_window: int | None = None

        async def decide(self, request, ask):
            seen.append(await ask("judge", []))
            return Admission(0, 0.0, 0.0)

    replay(task_of(run_of(X)), Judge())
    assert len(seen) == 1 and "no language model" in seen[0].error


def test_runs_that_are_missing_or_empty():
    with pytest.raises(ValueError, match="1 recorded runs, expected 2"):
        replay(task_of(run_of(X)), ALL, replace(EXACT, num_teams=2))
    rollout = replay(task_of(run_of(), run_of(X, reward=1.0)), ALL)
    assert [answer.seconds for answer in rollout.answers] == [0.0, 3.0]
    assert rollout.first_outcome.score == 1.0


@pytest.mark.parametrize(
    "wrong",
    [{"tool_seconds": -1.0}, {"num_teams": 0}, {"staleness": "maybe"}, {"reward": "x"}, {"characters_per_token": 0.0},
     {"customer_seconds": -1.0}, {"pull_seconds": math.nan}],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        ReplaySettings(**wrong)


STEPS = st.sampled_from([X, Y, Z, REPLY, BOOK, LOOK, OTHER, WAIT])
TASKS = (
    st.lists(st.lists(STEPS, max_size=6), min_size=1, max_size=4)
    .filter(any)
    .map(lambda runs: task_of(*(run_of(*steps) for steps in runs)))
)
RANDOM = Rule(lambda r: uniform("admit", r.step.team, r.step.step) < 0.5, "random")
NOISY = ReplaySettings()


@settings(max_examples=60, deadline=None)
@given(TASKS, st.sampled_from([ALL, RANDOM]))
def test_laws(recorded, policy):
    unshared = unshared_seconds(recorded, HERE, NOISY)
    alone = replay(recorded, NONE, NOISY)
    assert [answer.seconds for answer in alone.answers] == pytest.approx(unshared)
    assert alone.reward_agg == pytest.approx(0.0) and alone.pulls == ()

    shared = replay(recorded, policy, NOISY)
    assert shared == replay(recorded, policy, NOISY)
    outputs = {(step.team, step.step): step for step in shared.steps}
    for pull in shared.pulls:
        entry, step = shared.entries[pull.entry], outputs[pull.reader, pull.step]
        assert step.action.startswith("get_") and entry.seconds <= pull.seconds and pull.reader != pull.writer
        assert outputs[entry.team, entry.step].action == step.action
    assert len(shared.steps) == len(shared.decisions) == sum(len(run.steps) for run in recorded.runs)
    assert [entry.entry for entry in shared.entries] == list(range(len(shared.entries)))
    for decision in shared.decisions:
        assert decision.num_keys == sum(entry.seconds < decision.seconds for entry in shared.entries)

    free = replay(recorded, policy, replace(NOISY, keys_cost_tokens=False, pull_seconds=0.0))
    assert all(answer.seconds <= alone_ + 1e-9 for answer, alone_ in zip(free.answers, unshared, strict=True))


def test_groups_are_the_same_however_many_replays_are_in_flight():
    other = replace(TWO, task=replace(TWO.task, task_id="u"))
    recorded = [TWO, other]
    together, one_by_one = (
        replay_groups(recorded, RANDOM, NOISY, CollectSettings(3, width), Iteration(4, 2)) for width in (64, 1)
    )
    assert together == one_by_one and [group.task.task_id for group in together] == ["t", "u"]
    assert [rollout.coordinates for rollout in together[1].rollouts] == [Coordinates(4, 2, "u", n) for n in range(3)]
    assert len({rollout.seconds for rollout in together[0].rollouts}) == 3


def test_replays_in_flight_wait_for_each_other():
    active, most = 0, 0

    class Counter:
        def rollout_started(self):
            nonlocal active, most
            active += 1
            most = max(most, active)

        def rollout_ended(self):
            nonlocal active
            active -= 1

    replay_groups([TWO], NONE, EXACT, CollectSettings(5, 4), Iteration(0, 0, Counter()))
    assert (active, most) == (0, 4)
