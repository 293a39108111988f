"""Whole runs inside one program: strict runs equal single ones bit for bit, on any number of devices."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.credit.contract import per_decision
from lts_jax.credit.group_relative import group_relative
from lts_jax.errors import UserError
from lts_jax.simulator import lab, sharding
from lts_jax.simulator.lab import LabSettings, at_point, results, run_points
from lts_jax.simulator.settings import SimulatorParams, SimulatorShape
from lts_jax.trajectory import Trajectory

sys.path.insert(0, str(Path(__file__).parent))
from lab_in_eight_devices import POINTS, SETTINGS, digest


def rows_of(tree: object, rows: slice) -> object:
    return jax.tree.map(lambda array: array[rows], tree)


@pytest.fixture(scope="module")
def strict():
    return results(SETTINGS, POINTS, (0, 1))


def test_a_point_of_a_strict_sweep_has_the_bits_of_a_run_alone(strict) -> None:
    alone = results(SETTINGS, POINTS[2:3], (1,))
    assert digest(alone) == digest(rows_of(strict, slice(5, 6)))
    assert digest(alone) != digest(rows_of(strict, slice(4, 5)))  # another seed is another run


def test_eight_devices_give_the_bits_of_one(strict) -> None:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    script = Path(__file__).parent / "lab_in_eight_devices.py"
    ran = subprocess.run(
        [sys.executable, str(script)], env=os.environ | {"XLA_FLAGS": flags}, capture_output=True, text=True, check=True
    )
    said = json.loads(ran.stdout.splitlines()[-1])
    assert said == {"devices": 8, "digest": digest((strict.measures, strict.params))}


def test_vmapped_points_are_the_strict_ones_up_to_rounding(strict) -> None:
    rows = run_points(replace(SETTINGS, is_strict=False), POINTS, (0, 1))
    for row, exact in zip(rows, rows_as_floats(strict), strict=True):
        assert row["runtime_seconds_none"] == pytest.approx(exact["runtime_seconds_none"], rel=1e-5)
        assert row["reward_all"] == pytest.approx(exact["reward_all"], abs=1e-5)
    # Points share the seed's tasks; the untrained arms do not know the sparsity weight.
    assert len({row["runtime_seconds_all"] for row in rows[0::2]}) == 1


def rows_as_floats(result: lab.Result) -> list[dict[str, float]]:
    num_rows = len(result.measures["reward"])
    return [{name: float(value[row]) for name, value in result.measures.items()} for row in range(num_rows)]


def test_the_controller_learns_what_its_credit_pays_for() -> None:
    """Credit of 1 for every admission fills the bank, of -1 empties it: the whole path turns the right way."""

    def paid(trajectory: Trajectory, *, sign: float) -> jax.Array:
        credit_gkt = sign * (2.0 * trajectory.action_gkt - 1.0)
        return per_decision(credit_gkt, trajectory, trajectory.rollout_mask_g)

    def generous(trajectory: Trajectory) -> jax.Array:
        return paid(trajectory, sign=1.0)

    def stingy(trajectory: Trajectory) -> jax.Array:
        return paid(trajectory, sign=-1.0)

    settings = replace(SETTINGS, is_strict=False, num_iterations=12)
    point = [{"learning.learning_rate": 0.05, "learning.sparsity_weight": 0.0}]
    full = run_points(settings, point, (0,), credit=generous)[0]
    empty = run_points(settings, point, (0,), credit=stingy)[0]
    assert (full["admission_fraction"], empty["admission_fraction"]) == (1.0, 0.0)
    assert full["reward"] == pytest.approx(full["reward_all"])


def test_equal_settings_are_compiled_once(strict) -> None:
    misses = lab._program.cache_info().misses, sharding._compiled.cache_info().misses
    other = replace(SETTINGS, world=replace(SETTINGS.world, overlap=0.1))
    changed = results(other, POINTS[:5], (2, 3))
    assert (lab._program.cache_info().misses, sharding._compiled.cache_info().misses) == misses
    assert float(changed.measures["reward_all"][0]) != float(strict.measures["reward_all"][0])


def wrong_shape(trajectory: Trajectory) -> jax.Array:
    return group_relative(trajectory)[:, 0]


def not_a_number(trajectory: Trajectory) -> jax.Array:
    return group_relative(trajectory) * jnp.nan


def on_padding(trajectory: Trajectory) -> jax.Array:
    return group_relative(trajectory) + 1.0


@pytest.mark.parametrize("credit", [wrong_shape, not_a_number, on_padding])
def test_a_scheme_that_breaks_its_contract_is_refused_by_name(credit) -> None:
    with pytest.raises(UserError, match=rf"^credit scheme {credit.__name__}: "):
        run_points(SETTINGS, [{}], (0,), credit=credit)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"world.overlap": 1.5}, "world.overlap: expected from 0 to 1, got 1.5"),
        ({"world.overlaps": 0.5}, "world.overlaps: expected a number of world or learning, as world.overlap"),
        ({"shape.num_teams": 4}, "shape.num_teams: expected a number of world or learning, as world.overlap"),
        ({"learning.temperature": 0.0}, "LearningSettings.temperature: expected more than 0, got 0.0"),
    ],
)
def test_a_wrong_point_is_refused_before_anything_is_compiled(point, message) -> None:
    with pytest.raises(UserError) as refused:
        at_point(SETTINGS, point)
    assert str(refused.value) == message


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(UserError, match=r"^num_iterations: expected at least 1, got 0$"):
        LabSettings(num_iterations=0)
    small = LabSettings(shape=SimulatorShape(num_nodes=4), world=SimulatorParams(needed_high=6.0))
    with pytest.raises(UserError, match=r"^world.needed_high: expected at most shape.num_nodes = 4, got 6$"):
        run_points(small, [{}], (0,))
    with pytest.raises(UserError, match="credit scheme: expected one of"):
        LabSettings(credit="best")


def test_measures_by_hand() -> None:
    from lts_jax.simulator.training import measures

    shape = (1, 2, 1, 2)
    trajectory = Trajectory(
        reward_agg_g=np.array([[1.0, 0.0]]),
        reward_first_g=np.array([[0.5, 0.0]]),
        runtime_g=np.array([[100.0, 200.0]]),
        finish_seconds_gk=np.array([[[90.0], [180.0]]]),
        action_gkt=np.array([[[[1, 1]], [[1, 0]]]]),
        behavior_log_prob_gkt=np.zeros(shape),
        decision_seconds_gkt=np.ones(shape),
        used_gkt=np.array([[[[True, False]], [[True, False]]]]),
        num_other_readers_gkt=np.array([[[[2, 0]], [[1, 0]]]]),
        first_pull_seconds_gkt=np.ones(shape),
        step_seconds_gkt=np.ones(shape),
        step_mask_gkt=np.array([[[[True, True]], [[True, False]]]]),
        decision_mask_gkt=np.array([[[[True, True]], [[True, False]]]]),
        rollout_mask_g=np.ones((1, 2), bool),
    )
    found = {name: float(value) for name, value in measures(trajectory).items()}
    expected = {"reward": 0.5, "reward_first": 0.25, "runtime_seconds": 150.0, "steps_per_team": 1.5}
    expected |= {"admission_fraction": 1.0, "read_rate": 2 / 3, "reach": 1.0}
    assert found == pytest.approx(expected)
