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
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.errors import UserError
from lts_jax.lab import lab, sharding
from lts_jax.lab.lab import plan_of, run_points
from lts_jax.lab.settings import LabSettings, at_point, network_of
from lts_jax.trajectory import Trajectory

sys.path.insert(0, str(Path(__file__).parent))
from lab_in_eight_devices import SETTINGS, SPARSITY, digest, trained

pytestmark = pytest.mark.slow


def rows_of(tree: object, rows: slice) -> object:
    return jax.tree.map(lambda array: array[rows], tree)


@pytest.fixture(scope="module")
def strict():
    return trained(SPARSITY * 2, (0,) * 5 + (1,) * 5)


def test_a_point_of_a_strict_sweep_has_the_bits_of_a_run_alone(strict) -> None:
    alone = trained(SPARSITY[2:3], (1,))
    assert digest(alone) == digest(rows_of(strict, slice(7, 8)))
    assert digest(alone) != digest(rows_of(strict, slice(2, 3)))  # another seed is another run


def test_eight_devices_give_the_bits_of_one(strict) -> None:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    script = Path(__file__).parent / "lab_in_eight_devices.py"
    ran = subprocess.run(
        [sys.executable, str(script)], env=os.environ | {"XLA_FLAGS": flags}, capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout.splitlines()[-1]) == {"devices": 8, "digest": digest(strict)}


def generous(trajectory: Trajectory) -> jax.Array:
    """+1 for an admission, -1 for a rejection: to admit pays while the price of an admission is below 2."""
    return per_decision(2.0 * trajectory.action_gkt - 1.0, trajectory, trajectory.rollout_mask_g)


def test_a_whole_run_in_one_program(strict) -> None:
    settings = replace(SETTINGS, num_iterations=12, learning=replace(SETTINGS.learning, learning_rate=0.05))
    points = [{"learning.sparsity_weight": weight} for weight in (0.0, 4.0)]
    full, also_full, empty, also_empty = run_points(settings, points, (0, 1), credit=generous)
    # The whole path turns the right way on either side of the switch.
    assert (full["admission_fraction"], also_full["admission_fraction"]) == (1.0, 1.0)
    assert (empty["admission_fraction"], also_empty["admission_fraction"]) == (0.0, 0.0)
    assert full["reward"] == pytest.approx(full["reward_all"])
    assert full["runtime_seconds"] == pytest.approx(full["runtime_seconds_all"], rel=1e-5)
    # Points share a seed's tasks and numbers; who learns nothing does not know the point.
    for name in ("runtime_seconds_all", "runtime_seconds_none", "reward_none"):
        assert full[name] == empty[name] != also_full[name] == also_empty[name]
    # Another world of the same sizes is not compiled anew.
    misses = lab._program.cache_info().misses, sharding._compiled.cache_info().misses
    other = replace(settings, world=replace(settings.world, overlap=0.1, find_probability=0.9))
    changed = run_points(other, points, (0, 1), credit=generous)
    assert (lab._program.cache_info().misses, sharding._compiled.cache_info().misses) == misses
    assert changed[0]["runtime_seconds_none"] < full["runtime_seconds_none"]


def paid(trajectory: Trajectory, *, price: float = 0.2) -> jax.Array:
    """One for an admission, less a price."""
    return per_decision(trajectory.action_gkt * (1.0 - price), trajectory, trajectory.rollout_mask_g)


def test_numbers_of_a_scheme_sweep_in_one_program_and_stand_in_the_rows() -> None:
    settings = replace(SETTINGS, num_iterations=12, learning=replace(SETTINGS.learning, learning_rate=0.05))
    num_traces = []

    def counted(trajectory: Trajectory, *, price: float = 0.2) -> jax.Array:
        num_traces.append(price)
        return paid(trajectory, price=price)

    points = [{"credit.price": price} for price in (-1.0, 3.0)]
    cheap, dear = run_points(settings, points, (4,), credit=counted)
    before = len(num_traces)
    again = run_points(settings, [{"credit.price": 3.0}, {"credit.price": -1.0}], (4,), credit=counted)
    assert len(num_traces) <= before + 8  # new numbers are tried on a small group; nothing is compiled anew
    assert (cheap["credit.price"], cheap["seed"], dear["credit.price"]) == (-1.0, 4, 3.0)
    assert cheap["admission_fraction"] > 0.9 and dear["admission_fraction"] < 0.1
    assert again == [dear, cheap]
    text = at_point(replace(settings, credit="time_discounted_usage"), {"credit.decay_seconds": 60.0}).credit
    assert text == "time_discounted_usage(decay_seconds=60)"


@pytest.mark.parametrize(
    ("credit", "point", "message"),
    [
        (paid, {"credit.cost": 1.0}, r"^credit: paid has no setting 'cost'; it takes price$"),
        ("gae", {"credit.discount": 2.0}, "^discount: expected from 0 to 1, got 2$"),
        ("gae(discount=2)", {}, "^discount: expected from 0 to 1, got 2$"),
        ("gea", {}, r"^credit: expected a name, .*did you mean gae"),
    ],
)
def test_a_scheme_s_wrong_number_is_refused(credit, point, message) -> None:
    with pytest.raises(UserError, match=message):
        run_points(SETTINGS, [point], (0,), credit=credit)


def test_a_network_is_named_by_a_text_or_given() -> None:
    assert network_of(replace(SETTINGS, network="set_transformer")).key_window == SETTINGS.shape.num_entries
    wide = network_of(replace(SETTINGS, network="set_transformer(width=64)"))
    assert "64" in wide.name
    assert network_of(SETTINGS, network=wide) is wide
    with pytest.raises(UserError, match=r"^network: expected one with packed_values"):
        plan_of(SETTINGS, "gae", network=wide)
    with pytest.raises(UserError, match=r"^network: "):
        LabSettings(network="pool")


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
        ({"world.overlaps": 0.5}, "world.overlaps: expected a number of world, learning or credit, as world.overlap"),
        ({"shape.num_teams": 4}, "shape.num_teams: expected a number of world, learning or credit, as world.overlap"),
        ({"learning.temperature": 0.0}, "learning.temperature: expected more than 0, got 0.0"),
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
    with pytest.raises(UserError, match=r"^credit: expected a name"):
        LabSettings(credit="best")


def test_measures_by_hand() -> None:
    from lts_jax.environments.measures import measures

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
    found = {name: float(value) for name, value in measures((trajectory, None, None)).items()}
    expected = {"reward": 0.5, "reward_first": 0.25, "runtime_seconds": 150.0, "steps_per_team": 1.5}
    expected |= {"admission_fraction": 1.0, "read_rate": 2 / 3, "reach": 1.0, "counted_fraction": 1.0}
    assert found == pytest.approx(expected)
    # One that does not count is left out, as in `figures`, whatever its numbers are.
    lone = replace(trajectory, rollout_mask_g=np.array([[True, False]]))
    found = {name: float(value) for name, value in measures((lone, None, None)).items()}
    expected = {"reward": 1.0, "reward_first": 0.5, "runtime_seconds": 100.0, "steps_per_team": 2.0}
    expected |= {"admission_fraction": 1.0, "read_rate": 0.5, "reach": 1.0, "counted_fraction": 0.5}
    assert found == pytest.approx(expected)
