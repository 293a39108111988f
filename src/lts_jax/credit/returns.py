"""From rewards to returns: what every scheme starts from, and which rollouts count."""

import jax.numpy as jnp
from jax import Array

from lts_jax.trajectory import Trajectory


def episode_return(trajectory: Trajectory, *, first_weight: float = 1.0) -> tuple[Array, Array]:
    """R = R_agg + first_weight * R_first (LTS, arXiv 2602.05965; lambda_first = 1, appendix B).

    Args:
        trajectory: one group.
        first_weight: lambda_first; at 0 a missing R_first does no harm.

    Returns:
        return_g f32[G], 0 where it does not count; counted_g bool[G], true where the rollout finished without an
        infrastructure failure and its return is a number. What does not count stays out of baselines, without credit.
    """
    first_g = jnp.where(first_weight == 0.0, 0.0, first_weight * trajectory.reward_first_g)
    return_g = trajectory.reward_agg_g + first_g
    counted_g = trajectory.rollout_mask_g & jnp.isfinite(return_g)
    return jnp.where(counted_g, return_g, 0.0), counted_g
