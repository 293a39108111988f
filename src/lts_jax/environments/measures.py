"""What a table of results says of a policy: means over rollouts, the same for every environment."""

import jax.numpy as jnp
from jax import Array

from lts_jax.trajectory import ADMIT, DecisionContext, Trajectory


def measures(rollouts: tuple[Trajectory, DecisionContext, object]) -> dict[str, Array]:
    """Means over the rollouts [..., G] that count, f32[] each, and which fraction of them does.

    As everywhere, one that does not count (`rollout_mask`) says nothing of the policy: neither reward 0 nor seconds.
    Means are NaN where none counts.
    """
    trajectory = rollouts[0]
    counts = trajectory.rollout_mask_g
    counts_kt = counts[..., None, None]
    admitted = trajectory.decision_mask_gkt & (trajectory.action_gkt == ADMIT) & counts_kt
    num_admitted = jnp.maximum(jnp.sum(admitted), 1)
    num_teams = jnp.sum(counts) * trajectory.finish_seconds_gk.shape[-1]
    return {
        "reward": _mean(trajectory.reward_agg_g, counts),
        "reward_first": _mean(trajectory.reward_first_g, counts),
        "runtime_seconds": _mean(trajectory.runtime_g, counts),
        "steps_per_team": jnp.sum(trajectory.step_mask_gkt & counts_kt) / num_teams,
        "admission_fraction": jnp.sum(admitted) / jnp.maximum(jnp.sum(trajectory.decision_mask_gkt & counts_kt), 1),
        "read_rate": jnp.sum(trajectory.used_gkt & counts_kt) / num_admitted,
        "reach": jnp.sum(jnp.where(counts_kt, trajectory.num_other_readers_gkt, 0)) / num_admitted,
        "counted_fraction": jnp.mean(counts.astype(jnp.float32)),
    }


def _mean(value: Array, counts: Array) -> Array:
    return jnp.sum(jnp.where(counts, value, 0.0)) / jnp.sum(counts)
