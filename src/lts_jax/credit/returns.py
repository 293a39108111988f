"""From rewards to returns: what every scheme starts from, and which rollouts count."""

import chex
import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import Number, check_number
from lts_jax.trajectory import Trajectory


def total_reward(reward_agg: Array, reward_first: Array, *, first_weight: Number) -> Array:
    """R = R_agg + first_weight * R_first for arrays of any one shape; at weight 0 a missing R_first does no harm."""
    check_number("first_weight", first_weight)
    return reward_agg + jnp.where(first_weight == 0.0, 0.0, first_weight * reward_first)


def episode_return(trajectory: Trajectory, *, first_weight: Number = 1.0) -> tuple[Array, Array]:
    """R = R_agg + first_weight * R_first (LTS, arXiv 2602.05965; lambda_first = 1, appendix B).

    Args:
        trajectory: one group.
        first_weight: lambda_first; at 0 a missing R_first does no harm.

    Returns:
        return_g f32[G], 0 where it does not count; counted_g bool[G], true where the rollout finished without an
        infrastructure failure and its return is a number. What does not count stays out of baselines, without credit.
    """
    chex.assert_rank([trajectory.reward_agg_g, trajectory.rollout_mask_g, trajectory.action_gkt], [1, 1, 3])
    return_g = total_reward(trajectory.reward_agg_g, trajectory.reward_first_g, first_weight=first_weight)
    counted_g = trajectory.rollout_mask_g & jnp.isfinite(return_g)
    return jnp.where(counted_g, return_g, 0.0), counted_g


def mean_runtime(trajectory: Trajectory, counted_g: Array) -> Array:
    """Mean runtime of the counted rollouts in seconds, scalar; 1 where none counts, so that one may divide by it."""
    total = jnp.sum(jnp.where(counted_g, trajectory.runtime_g, 0.0))
    return jnp.where(total > 0.0, total / jnp.maximum(jnp.sum(counted_g), 1), 1.0)
