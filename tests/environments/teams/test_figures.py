"""Figures of rollouts: by hand on four small rollouts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.teams.figures import Figures, figures
from lts_jax.trajectory import Trajectory

INF = np.inf


def trajectories() -> Trajectory:
    """Two tasks, two rollouts each, two teams of at most two steps; the last rollout does not count."""
    shape = (2, 2, 2, 2)
    step_mask = np.zeros(shape, bool)
    step_mask[0, 0] = [[True, True], [True, False]]
    step_mask[0, 1] = [[True, False], [True, False]]
    step_mask[1, 0] = [[True, True], [True, True]]
    step_mask[1, 1] = True
    action = np.zeros(shape, np.int32)
    action[0, 0, 0] = [1, 1]
    action[1, 0, 0] = [1, 0]
    action[1, 1] = 1
    readers = np.zeros(shape, np.int32)
    readers[0, 0, 0, 1] = 1
    readers[1, 1] = 1
    return Trajectory(
        reward_agg_g=jnp.array([[1.0, 0.5], [0.0, 1.0]]),
        reward_first_g=jnp.array([[0.5, 0.5], [0.2, 1.0]]),
        runtime_g=jnp.array([[100.0, 140.0], [60.0, 900.0]]),
        finish_seconds_gk=jnp.array([[[90.0, 70.0], [130.0, 110.0]], [[50.0, INF], [1.0, 1.0]]]),
        action_gkt=jnp.asarray(action),
        behavior_log_prob_gkt=jnp.zeros(shape),
        decision_seconds_gkt=jnp.zeros(shape),
        used_gkt=jnp.asarray(readers > 0),
        num_other_readers_gkt=jnp.asarray(readers),
        first_pull_seconds_gkt=jnp.zeros(shape),
        step_seconds_gkt=jnp.where(step_mask, 10.0, 0.0),
        step_mask_gkt=jnp.asarray(step_mask),
        decision_mask_gkt=jnp.asarray(step_mask),
        rollout_mask_g=jnp.array([[True, True], [True, False]]),
    )


def test_figures_by_hand():
    found = {name: float(value) for name, value in vars(jax.jit(figures)(trajectories())).items()}
    # Runtimes 100, 140, 60: mean 100, variance (0 + 1600 + 1600) / 3.
    assert found["runtime"] == 100.0
    assert found["runtime_deviation"] == pytest.approx(3200**0.5 / 3**0.5)
    # Task means 120 and 60: variance 900. Within: task 0 has 800 / 1 with two rollouts, task 1 none of one.
    # Noise of the means: (800 / 2 + 0) / 2 = 200.
    assert found["task_deviation"] == pytest.approx(700**0.5)
    assert found["first_seconds"] == pytest.approx((70 + 110 + 50) / 3)
    assert found["finish_seconds"] == pytest.approx((90 + 70 + 130 + 110 + 50) / 5)
    # Each of the four teams that ended beside another is 10 from its rollout's mean; the one alone is 0.
    assert found["team_deviation"] == pytest.approx((400 / 5) ** 0.5)
    assert found["steps_per_team"] == pytest.approx((2 + 1 + 1 + 1 + 2 + 2) / 6)
    assert found["steps_deviation"] == pytest.approx(0.5)
    assert found["step_seconds"] == 10.0
    assert found["reward_agg"] == pytest.approx(0.5)
    assert found["reward_first"] == pytest.approx(0.4)
    assert found["right_fraction"] == pytest.approx(1 / 3)
    # Nine decisions, three admitted, one of them read by one other team.
    assert found["admission_fraction"] == pytest.approx(3 / 9)
    assert found["read_rate"] == pytest.approx(1 / 3)
    assert found["reach"] == pytest.approx(1 / 3)
    assert set(found) == set(Figures.names())
