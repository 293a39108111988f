"""Several schemes in one compiled program: each trains by its own credit, on the tasks of all."""

import sys
from dataclasses import MISSING, replace
from pathlib import Path

import jax
import numpy as np
import pytest

from lts_jax.credit.contract import per_decision
from lts_jax.credit.schemes import scheme
from lts_jax.errors import UserError
from lts_jax.lab.lab import numbers_at, plan_of, results_by_scheme
from lts_jax.lab.training import chosen_answered
from lts_jax.trajectory import FlippedRollouts, Trajectory

sys.path.insert(0, str(Path(__file__).parent))
from lab_in_eight_devices import SETTINGS

pytestmark = pytest.mark.slow

POINTS = [{"learning.sparsity_weight": 0.0}, {"learning.sparsity_weight": 0.4}]


def generous(trajectory: Trajectory) -> jax.Array:
    paid_gkt = 2.0 * trajectory.action_gkt - 1.0
    return per_decision(paid_gkt, trajectory, trajectory.rollout_mask_g)


def stingy(trajectory: Trajectory) -> jax.Array:
    return -generous(trajectory)


def test_each_scheme_of_one_program_trains_by_its_own_credit() -> None:
    schemes = {"generous": generous, "usage_aware": None, "stingy": stingy}
    together = results_by_scheme(SETTINGS, schemes, POINTS, (0, 1))
    assert list(together) == list(schemes)
    # Seeds share tasks between schemes: what does not depend on a controller is the same.
    assert len({result.measures["runtime_seconds_none"].__array__().tobytes() for result in together.values()}) == 1
    # Points lie outermost; before the first update all controllers are coins, after it credit has moved them apart.
    curve_si = {name: np.asarray(result.curves["learning/admit_probability"]) for name, result in together.items()}
    for curve in curve_si.values():
        np.testing.assert_allclose(curve[:, 0], 0.5, atol=1e-6)
    assert (curve_si["generous"][:, -1] > curve_si["stingy"][:, -1]).all()
    assert (curve_si["usage_aware"][:2, -1] > curve_si["usage_aware"][2:, -1]).all()  # a price keeps out
    only = results_by_scheme(SETTINGS, schemes, POINTS, (0, 1), only=["stingy"])
    assert list(only) == ["stingy"]
    np.testing.assert_array_equal(only["stingy"].measures["reward"], together["stingy"].measures["reward"])


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(UserError, match="schemes: expected at least one"):
        results_by_scheme(SETTINGS, {}, POINTS, (0,))
    with pytest.raises(UserError, match="`only` among them, got generous"):
        results_by_scheme(SETTINGS, {"generous": generous}, POINTS, (0,), only=["usage_aware"])
    with pytest.raises(UserError, match="credit scheme flat: expected shape"):
        results_by_scheme(SETTINGS, {"flat": lambda trajectory: trajectory.reward_agg_g}, POINTS, (0,))


def test_which_decisions_count_is_each_scheme_s_own() -> None:
    """Those replayed alone count for the scheme that lives on replays, all of them for the one beside it."""
    plan = plan_of(SETTINGS, "difference_rewards")
    both = replace(plan, credits=(scheme("reinforce"), *plan.credits))
    numbers = numbers_at(SETTINGS, both.credits, {})
    shape = (1, 2, 2)
    reward_gkt = np.array([[[0.5, np.nan], [1.0, 0.0]]], np.float32)
    empty = {name: np.zeros(shape[: len(axes)], np.float32) for name, axes in FIELDS}
    group = Trajectory(
        **empty | {"decision_mask_gkt": np.array([[[True, True], [True, False]]])},
        flipped=FlippedRollouts(reward_gkt, reward_gkt, reward_gkt),
    )
    for place, expected in enumerate(([[[True, True], [True, False]]], [[[True, False], [True, False]]])):
        answered = chosen_answered(both, replace(numbers, scheme=place))
        np.testing.assert_array_equal(answered(group), expected)
    assert chosen_answered(plan_of(SETTINGS, "reinforce"), numbers) is None


FIELDS = [
    (name, name.rpartition("_")[2]) for name, one in Trajectory.__dataclass_fields__.items() if one.default is MISSING
]
