"""A stopped collection goes on: what it had paid is counted before any new call, what was finished live is kept."""

import asyncio
import runpy
from pathlib import Path

import pytest

from lts_jax.admission.rules import admit_all
from lts_jax.errors import UserError
from lts_jax.llm.budget import Budget, BudgetSettings
from lts_jax.llm.chat import Completion
from lts_jax.llm.recorded import ReplayModel
from lts_jax.llm.simulated import SimulatedModel
from lts_jax.records import Message
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.rollout import RolloutParts
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import read_folder, read_rollouts
from lts_jax.systems.world import almanac_tasks, almanac_tools
from lts_jax.teams.settings import TeamSettings

PRICE = runpy.run_path(str(Path(__file__).with_name("killed_collection.py")))["PRICE"]

ASKED = (Message("user", "What is the answer?"),)


class Stopped(Exception):
    """Stands for a kill."""


class Stopping:
    """The simulated model, which stops the process at a call."""

    name = "simulated"

    def __init__(self, last_call=10**9, stop_when=lambda: False):
        self.num_calls = 0
        self.last_call = last_call
        self.stop_when = stop_when
        self.tokens = 0
        self.inner = SimulatedModel()

    async def complete(self, messages, *, seed, json_reply=False):
        if self.num_calls == self.last_call or self.stop_when():
            raise Stopped
        self.num_calls += 1
        await asyncio.sleep(0)
        completion = await self.inner.complete(messages, seed=seed, json_reply=json_reply)
        self.tokens += completion.prompt_tokens + completion.completion_tokens
        return completion


def collect(folder, model, budget=None, *, virtual_time=True, num_in_flight=4, num_tasks=2):
    recording = ReplayModel(folder / "calls", model, name="simulated")
    parts = RolloutParts(
        recording, almanac_tools(0), admit_all(), virtual_time=virtual_time, budget=budget or Budget(), price=PRICE
    )
    return collect_groups(
        almanac_tasks(0, "train", num_tasks),
        parts,
        RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=3)),
        CollectSettings(2, num_in_flight),
        Iteration(0, 0),
        folder / "rollouts",
    )


def test_what_an_unfinished_rollout_paid_is_counted_before_any_new_call(tmp_path):
    stopped = Stopping(last_call=40)
    with pytest.raises(Stopped):
        collect(tmp_path, stopped)
    assert not list(tmp_path.glob("rollouts/*.parquet"))

    again = Stopping()
    budget = Budget(BudgetSettings(max_tokens=stopped.tokens))
    with pytest.raises(UserError, match="the budget of the run is used up"):
        collect(tmp_path, again, budget)
    assert again.num_calls == 0 and budget.tokens == stopped.tokens

    budget = Budget(BudgetSettings(max_tokens=stopped.tokens + 1))  # room for the calls that start at once, no more
    again = Stopping()
    with pytest.raises(UserError, match="the budget of the run is used up"):
        collect(tmp_path, again, budget)
    assert 1 <= again.num_calls <= 4 * 2
    assert stopped.tokens + 1 <= budget.tokens <= stopped.tokens + again.tokens

    budget = Budget(BudgetSettings(max_tokens=stopped.tokens + again.tokens))
    with pytest.raises(UserError, match="the budget of the run is used up"):
        collect(tmp_path, Stopping(last_call=0), budget)
    assert budget.tokens == stopped.tokens + again.tokens

    last, budget = Stopping(), Budget()
    groups = collect(tmp_path, last, budget)
    whole = Budget()
    assert groups == collect(tmp_path / "whole", Stopping(), whole)
    assert stopped.num_calls + again.num_calls + last.num_calls == sum(
        len(rollout.calls) for group in groups for rollout in group.rollouts
    )
    assert (budget.tokens, budget.usd) == (whole.tokens, pytest.approx(whole.usd, rel=1e-12))
    assert budget.seconds == pytest.approx(whole.seconds, rel=1e-12)


def test_calls_that_another_run_recorded_cost_nothing_until_they_are_asked(tmp_path):
    other = ReplayModel(tmp_path / "calls", Stopping(), name="simulated").with_purpose("another run")

    asyncio.run(other.complete(ASKED, seed=1))
    budget = Budget()
    collect(tmp_path, Stopping(), budget)
    whole = Budget()
    collect(tmp_path / "whole", Stopping(), whole)
    assert budget.tokens == whole.tokens


def test_live_rollouts_are_kept_one_by_one(tmp_path):
    unfinished = tmp_path / "rollouts" / "unfinished"
    with pytest.raises(Stopped):
        collect(tmp_path, Stopping(stop_when=unfinished.exists), virtual_time=False, num_in_flight=1)
    (path,) = unfinished.glob("*")
    (kept,) = read_rollouts(path)
    groups = collect(tmp_path, Stopping(), virtual_time=False, num_in_flight=2)
    ended = [rollout for group in groups for rollout in group.rollouts]
    assert len({rollout.coordinates for rollout in ended}) == len(ended) == 4
    assert kept in ended  # to the microsecond, so they were not run again
    assert not unfinished.exists()
    assert list(read_folder(tmp_path / "rollouts")) == sorted(groups, key=lambda group: group.task.task_id)
    # read again, nothing is asked
    silent = Stopping(last_call=0)
    assert collect(tmp_path, silent, virtual_time=False) == groups


def test_a_call_that_was_prepaid_is_not_paid_again():
    budget = Budget()
    budget.prepay(10, 5, 0.25, 1.0)
    budget.prepay(10, 5, 0.25, 2.0)
    assert (budget.tokens, budget.usd, budget.seconds) == (30, 0.5, 3.0)
    budget.spend(10, 5, 0.25, 1.5)
    assert (budget.tokens, budget.usd) == (30, 0.5)
    budget.spend(7, 0, 0.125, 1.0)  # a new one
    budget.spend(10, 5, 0.25, 1.5)
    assert (budget.tokens, budget.usd, budget.seconds) == (37, 0.625, 4.0)
    budget.spend(10, 5, 0.25, 1.0)  # all that was prepaid has been replayed
    assert (budget.tokens, budget.usd, budget.seconds) == (52, 0.875, 5.0)


def test_a_completion_of_another_process_is_found_by_what_it_was_asked_for(tmp_path):
    model = ReplayModel(tmp_path, Stopping(), name="simulated")
    first = asyncio.run(model.with_purpose("a").complete(ASKED, seed=1))
    asyncio.run(model.complete(ASKED, seed=2))
    assert model.recordings_of("a") == ()  # paid by this process, which has counted it
    later = ReplayModel(tmp_path, name="simulated")
    assert later.recordings_of("a") == (first,)
    assert later.recordings_of("b") == later.recordings_of("") == ()
    assert isinstance(first, Completion) and later.with_purpose("b").name == "simulated"
