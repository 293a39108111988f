"""AgeMem's credit without the broadcast: the reward at the end reaches decisions that could answer, and no other."""

from dataclasses import replace

import numpy as np
import pytest

from lts_jax.actions import ACTIONS, ADD, ANSWER, DELETE, NOOP, RETRIEVE
from lts_jax.credit.broadcast import stepwise_broadcast
from lts_jax.credit.schemes import SCHEMES
from lts_jax.trajectory import Trajectory

G, T, A = 3, 4, len(ACTIONS)


def stages() -> Trajectory:
    """Three rollouts of one agent with rewards 1, 0 and .5: deviations .5, -.5 and 0, sample deviation .5.

    From the third decision on an answer is legal, whether it is given or not: rollout 0 looks something up first. The
    third rollout has three decisions, the others four.
    """
    shape = (G, 1, T)
    legal = np.zeros((*shape, A), bool)
    legal[..., [NOOP, ADD, DELETE]] = True
    legal[..., 2:, [RETRIEVE, ANSWER]] = True
    decided = np.ones(shape, bool)
    decided[2, 0, 3] = False
    return Trajectory(
        reward_agg_g=np.array([1.0, 0.0, 0.5], np.float32),
        reward_first_g=np.zeros(G, np.float32),
        runtime_g=np.ones(G, np.float32),
        finish_seconds_gk=np.ones((G, 1), np.float32),
        action_gkt=np.array([[[1, 1, 4, 7]], [[1, 0, 7, 7]], [[3, 1, 7, 0]]], np.int32),
        behavior_log_prob_gkt=np.zeros(shape, np.float32),
        decision_seconds_gkt=np.ones(shape, np.float32),
        used_gkt=np.zeros(shape, bool),
        num_other_readers_gkt=np.zeros(shape, np.int32),
        first_pull_seconds_gkt=np.full(shape, np.inf, np.float32),
        step_seconds_gkt=np.ones(shape, np.float32),
        step_mask_gkt=decided,
        decision_mask_gkt=decided,
        rollout_mask_g=np.ones(G, bool),
        action_mask_gkta=legal,
    )


def own_stage(trajectory: Trajectory, **settings) -> np.ndarray:
    return np.asarray(stepwise_broadcast(trajectory, broadcast=False, **settings))[:, 0]


def test_only_decisions_that_could_answer_are_paid() -> None:
    np.testing.assert_allclose(own_stage(stages()), [[0, 0, 1, 1], [0, 0, -1, -1], [0, 0, 0, 0]], atol=1e-5)
    whole = stepwise_broadcast(stages())[:, 0]
    np.testing.assert_allclose(whole, [[1, 1, 1, 1], [-1, -1, -1, -1], [0, 0, 0, 0]], atol=1e-5)


def test_who_decided_nothing_there_gets_nothing() -> None:
    # Rewards 1, 0 and 0: mean 1/3, sample deviation sqrt(1/3) = .57735; 2/3 and -1/3 over it.
    worse = replace(stages(), reward_agg_g=np.array([1.0, 0.0, 0.0], np.float32))
    expected = [[0, 0, 1.1547, 1.1547], [0, 0, -0.57735, -0.57735], [0, 0, -0.57735, 0]]
    np.testing.assert_allclose(own_stage(worse), expected, atol=1e-5)
    # With `step_norm` by the number of all decisions of the rollout, not of those that are paid: 4, 4 and 3.
    expected = [[0, 0, 0.288675, 0.288675], [0, 0, -0.144338, -0.144338], [0, 0, -0.19245, 0]]
    np.testing.assert_allclose(own_stage(worse, step_norm=True), expected, atol=1e-5)
    # The silent third is punished at the decisions where it could have answered: -1 makes 1, 0, -1, deviation 1.
    silent = replace(worse, finish_seconds_gk=np.array([[1.0], [1.0], [np.inf]], np.float32))
    np.testing.assert_allclose(own_stage(silent), [[0, 0, 1, 1], [0, 0, 0, 0], [0, 0, -1, 0]], atol=1e-5)


@pytest.mark.parametrize("mask", ["none", "two actions", "seven actions"])
def test_where_nobody_can_answer_nothing_changes(mask: str) -> None:
    legal = {"none": None, "two actions": np.ones((G, 1, T, 2), bool), "seven actions": np.ones((G, 1, T, 7), bool)}
    trajectory = replace(stages(), action_mask_gkta=legal[mask])
    found = stepwise_broadcast(trajectory, broadcast=False)
    np.testing.assert_array_equal(found, stepwise_broadcast(trajectory))
    assert np.abs(found).sum() == pytest.approx(8.0, abs=1e-4)
    assert SCHEMES["stepwise_broadcast"] is stepwise_broadcast
