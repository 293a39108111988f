"""`lts system knowsr`, small: what was trained stays, tables and page are whole, and steps to a return by hand."""

import json
import math

import jax
import numpy as np
import pytest

from lts_jax.commands import system
from lts_jax.commands.system import Command
from lts_jax.credit.schemes import scheme
from lts_jax.errors import UserError
from lts_jax.lab.lab import numbers_at, plan_of
from lts_jax.lab.peer_controllers import PeerControllersPlan, advance_controllers, begin_controllers
from lts_jax.lab.settings import LabSettings
from lts_jax.lab.training import chosen_credit, training_batch
from lts_jax.learning.distillation import SharingSettings
from lts_jax.learning.ppo import PpoSettings
from lts_jax.learning.state import init_state
from lts_jax.learning.update import Learner, update_once
from lts_jax.systems import knowsr as wiring
from lts_jax.systems.knowsr_settings import ARMS, KnowsrSettings
from lts_jax.systems.knowsr_tables import steps_to_share
from lts_jax.systems.run_folder import RunFolder

TINY = KnowsrSettings(
    env=("bottleneck",),
    num_seeds=1,
    agent_steps=96,
    num_at_once=1,
    sharing=SharingSettings(num_contexts=16, period=1),
    ppo=PpoSettings(num_environments=4, rollout_steps=4, learning_rate=0.03, max_learning_rate=0.03),
)


def test_a_run_goes_on_and_its_page_is_written(tmp_path, capsys):
    told = []
    whole, figures = wiring.knowsr(TINY, RunFolder(tmp_path / "whole"), told.append)
    assert told == [f"bottleneck, {arm}, 1: done" for arm in ARMS] and len(figures) == 2
    (tmp_path / "whole" / "parts" / "bottleneck_taught_by_best_1.json").unlink()
    again, _ = wiring.knowsr(TINY, RunFolder(tmp_path / "whole"), told.append)
    assert told[3:] == ["bottleneck, taught by best, 1: done"]
    assert {name: whole[name] for name in ("saved", "curves")} == {name: again[name] for name in ("saved", "curves")}
    assert [row[0] for row in again["tables"][0]["rows"]] == list(ARMS)
    curves = again["curves"]
    assert curves["bottleneck, independent"]["steps"] == [32, 64, 96]
    assert curves["bottleneck, taught by all"]["diversity"] != curves["bottleneck, independent"]["diversity"]
    assert curves["bottleneck, taught by all"] == curves["bottleneck, taught by best"]  # there is one other

    run = tmp_path / "run"
    system.run(Command("knowsr", run=run, knowsr=TINY, env=("bottleneck",)))
    assert "learners that teach each other" in (run / "report.html").read_text()
    assert json.loads((run / "report.json").read_text())["name"] == "knowsr"
    assert "taught by best" in capsys.readouterr().out


def test_steps_to_nine_tenths_by_hand():
    """Alone from 0 to 10: 9 is needed. Means of three points: 0, 3, 5, 8, 10, reached with the fifth; or never."""
    alone = {"steps": [10, 20, 30, 40, 50], "return": [0.0, 6.0, 9.0, 9.0, 10.0]}
    assert steps_to_share(alone, alone) == (50.0, True)
    soon = {"steps": [10, 20, 30, 40, 50], "return": [9.0, 9.0, 9.0, 0.0, 0.0]}
    assert steps_to_share(soon, alone) == (10.0, True)
    never = {"steps": [10, 20, 30, 40, 50], "return": [0.0] * 5}
    assert steps_to_share(never, alone) == (50.0, False)
    assert math.isnan(steps_to_share(soon, never)[0])


@pytest.fixture(scope="module")
def controllers():
    """Two controllers in a small world of teams, and the functions that train them."""
    lab = LabSettings(tasks_per_update=2, num_rollouts=3, network="linear")
    plan, numbers = plan_of(lab), numbers_at(lab, (scheme(lab.credit),), {})
    peers = PeerControllersPlan(plan, 2, SharingSettings(num_contexts=8, period=1))
    begin = jax.jit(lambda key: begin_controllers(peers, numbers, key))
    advance = jax.jit(lambda run, weight: advance_controllers(peers, 3, run, numbers, weight))
    return plan, numbers, begin, advance


@pytest.mark.slow
def test_controllers_without_lessons_are_each_what_they_are_alone(controllers):
    plan, numbers, begin, advance = controllers
    key = jax.random.key(3)
    run, told = advance(begin(key), 0.0)
    learner = Learner(plan.network, chosen_credit(plan, numbers), numbers.learning)
    for number in range(2):
        own = jax.random.fold_in(key, number)
        state = init_state(plan.network, numbers.learning, jax.random.fold_in(own, 0))
        for iteration in range(3):
            now = jax.random.fold_in(jax.random.fold_in(own, 1), iteration)
            batch = jax.jit(lambda params, key: training_batch(plan, numbers, params, key))(state.params, now)
            state, metrics, _ = jax.jit(lambda state, *batch: update_once(learner, state, *batch))(state, *batch)
            np.testing.assert_allclose(told["return"][iteration, number], metrics["credit/return_mean"], rtol=1e-5)
        for found, right in zip(jax.tree.leaves(run.state_k.params), jax.tree.leaves(state.params), strict=True):
            np.testing.assert_allclose(found[number], right, atol=1e-5)


@pytest.mark.slow
def test_lessons_make_controllers_alike(controllers):
    *_, begin, advance = controllers
    ends = []
    for weight in (0.0, 300.0):
        run = begin(jax.random.key(3))
        for _ in range(4):
            run, told = advance(run, weight)
        ends.append(float(told["diversity"][-1]))
    assert ends[1] < 0.5 * ends[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env": ("chess",)}, "knowsr.env: expected some of mpe_spread, mpe_tag, bottleneck, ledger, got"),
        ({"num_learners": 1}, "knowsr.num_learners: expected at least 2, got 1"),
        ({"iterations": 15}, "knowsr.evaluate_every: expected a divisor of 15 iterations"),
        ({"agent_steps": 5}, "knowsr.agent_steps: expected at least one update of bottleneck, 2048, got 5"),
        ({"sharing": SharingSettings(num_contexts=100)}, "knowsr.sharing.num_contexts: expected at least 128"),
    ],
)
def test_what_cannot_be_meant_is_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        KnowsrSettings(**changes)


def test_settings_of_one_system_are_refused_by_another():
    with pytest.raises(UserError, match="srmt: got settings --env, which are for knowsr"):
        system.run(Command("srmt", env=("bottleneck",)))
