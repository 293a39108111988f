"""What credit makes of one decision on average: p (1 - p) D under every baseline, D = R(admit) - R(reject)."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.credit.schemes import SCHEMES
from lts_jax.learning.losses import action_log_probs, policy_gradient_loss
from lts_jax.trajectory import FlippedRollouts, RegroupedRollouts, Trajectory

REWARDS = np.array([0.1, 0.9], np.float32)  # of rejecting and of admitting: D = .8
NUM_ROLLOUTS = 2


def rollouts_of(actions: tuple[int, ...], p: float) -> Trajectory:
    """A group with one team, one step and one decision each; the reward says what was decided."""
    action = np.array(actions, np.int32).reshape(-1, 1, 1)
    reward, flipped = REWARDS[action], REWARDS[1 - action]
    ones, nothing = np.ones(action.shape, bool), np.zeros(action.shape, np.float32)
    # Two re-rollouts, of which the first admits and the second rejects, whatever was done.
    again = np.broadcast_to(REWARDS[::-1].reshape(1, 2, 1, 1), (len(actions), 2, 1, 1))
    return Trajectory(
        reward_agg_g=reward[:, 0, 0],
        reward_first_g=np.zeros(len(actions), np.float32),
        runtime_g=np.ones(len(actions), np.float32),
        finish_seconds_gk=np.ones((len(actions), 1), np.float32),
        action_gkt=action,
        behavior_log_prob_gkt=np.log(np.where(action == 1, p, 1 - p)).astype(np.float32),
        decision_seconds_gkt=nothing,
        used_gkt=ones & False,
        num_other_readers_gkt=action * 0,
        first_pull_seconds_gkt=nothing + np.inf,
        step_seconds_gkt=nothing + 1,
        step_mask_gkt=ones,
        decision_mask_gkt=ones,
        rollout_mask_g=np.ones(len(actions), bool),
        flipped=FlippedRollouts(flipped, nothing, nothing + 1),
        regrouped=RegroupedRollouts(again, np.zeros_like(again)),
    )


def expected_gradient(name: str, p: float) -> float:
    """Exact, over all that a group of rollouts may decide: the mean of -dL/dd, d the logit of ADMIT."""

    def loss(d: jax.Array, trajectory: Trajectory) -> jax.Array:
        log_probs = action_log_probs(jnp.stack([jnp.zeros_like(d), d]), temperature=1.0)
        log_probs = jnp.broadcast_to(log_probs, (*trajectory.action_gkt.shape, 2))
        credit = SCHEMES[name](trajectory, first_weight=0.0)
        return jnp.sum(policy_gradient_loss(log_probs, trajectory.action_gkt, credit)) / NUM_ROLLOUTS

    d, total = jnp.log(p / (1.0 - p)), 0.0
    for actions in product((0, 1), repeat=NUM_ROLLOUTS):
        probability = np.prod([p if action else 1.0 - p for action in actions])
        total -= probability * float(jax.grad(loss)(d, rollouts_of(actions, p)))
    return total


@pytest.mark.parametrize("name", ["reinforce", "leave_one_out", "counterfactual", "local_group"])
@pytest.mark.parametrize(("p", "expected"), [(0.3, 0.168), (0.8, 0.128)])
def test_every_baseline_has_the_policy_gradient_on_average(name: str, p: float, expected: float) -> None:
    # p (1 - p) D = .3 * .7 * .8 and .8 * .2 * .8; the two re-rollouts of a local group hold it back to 2 / 3 of that.
    share = 2 / 3 if name == "local_group" else 1.0
    assert expected_gradient(name, p) == pytest.approx(share * expected, abs=1e-5)


@pytest.mark.parametrize(("p", "expected"), [(0.3, 0.336), (0.8, 0.256)])
def test_difference_rewards_have_twice_that(p: float, expected: float) -> None:
    assert expected_gradient("difference_rewards", p) == pytest.approx(expected, abs=1e-5)
