"""What a table of results says of a policy: means over rollouts, the same for every environment."""

import jax.numpy as jnp
from jax import Array

from lts_jax.trajectory import ADMIT, DecisionContext, Trajectory


def measures(rollouts: tuple[Trajectory, DecisionContext, object]) -> dict[str, Array]:
    """Means over rollouts [..., G], f32[] each."""
    trajectory = rollouts[0]
    admitted = trajectory.decision_mask_gkt & (trajectory.action_gkt == ADMIT)
    num_admitted = jnp.maximum(jnp.sum(admitted), 1)
    return {
        "reward": jnp.mean(trajectory.reward_agg_g),
        "reward_first": jnp.mean(trajectory.reward_first_g),
        "runtime_seconds": jnp.mean(trajectory.runtime_g),
        "steps_per_team": jnp.sum(trajectory.step_mask_gkt) / trajectory.finish_seconds_gk.size,
        "admission_fraction": jnp.sum(admitted) / jnp.maximum(jnp.sum(trajectory.decision_mask_gkt), 1),
        "read_rate": jnp.sum(trajectory.used_gkt) / num_admitted,
        "reach": jnp.sum(trajectory.num_other_readers_gkt) / num_admitted,
    }
