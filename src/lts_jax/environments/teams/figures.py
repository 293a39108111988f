"""What rollouts look like in a few numbers: the same function measures text rollouts collated and simulated ones."""

from dataclasses import dataclass, fields

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.trajectory import Trajectory

AGREED = ("runtime", "steps_per_team", "read_rate", "reach", "reward_agg")
"""Figures in which a simulator must agree with the teams it stands for; the others help to find its parameters."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Figures:
    """Figures of the rollouts of B tasks, G each. NaN where there is nothing to divide by."""

    runtime: Array  # f32[] mean, seconds
    runtime_deviation: Array  # f32[] standard deviation over all rollouts, seconds
    task_deviation: Array  # f32[] the part of it that lies between tasks; 0 where nothing tells it from noise
    first_seconds: Array  # f32[] mean time of the first team's end, of rollouts where a team came to its own end
    finish_seconds: Array  # f32[] mean over teams that came to their own end
    team_deviation: Array  # f32[] root mean square deviation of teams' ends from their rollout's mean, seconds
    steps_per_team: Array  # f32[]
    steps_deviation: Array  # f32[] over all teams
    step_seconds: Array  # f32[] mean
    reward_agg: Array  # f32[] mean: the accuracy
    reward_first: Array  # f32[] mean
    right_fraction: Array  # f32[] rollouts whose aggregated answer is wholly right
    admission_fraction: Array  # f32[] admitted / decided
    read_rate: Array  # f32[] admitted entries pulled by another team / admitted
    reach: Array  # f32[] other teams that pulled an entry, mean over entries

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of all figures, in order."""
        return tuple(field.name for field in fields(cls))


def figures(trajectory: Trajectory) -> Figures:
    """Figures of trajectories [B, G, ...]; rollouts that do not count are left out. At least two rollouts a task."""
    counts_bg = trajectory.rollout_mask_g
    step_bgkt = trajectory.step_mask_gkt & counts_bg[..., None, None]
    decided_bgkt = trajectory.decision_mask_gkt & counts_bg[..., None, None]
    admitted_bgkt = decided_bgkt & (trajectory.action_gkt == 1)
    ended_bgk = jnp.isfinite(trajectory.finish_seconds_gk) & counts_bg[..., None]
    finish_bgk = jnp.where(ended_bgk, trajectory.finish_seconds_gk, 0.0)
    num_steps_bgk = jnp.sum(step_bgkt, axis=-1).astype(jnp.float32)
    runtime_bg = trajectory.runtime_g
    task_mean_b = jax.vmap(_mean)(runtime_bg, counts_bg)
    within_bg = (runtime_bg - task_mean_b[:, None]) ** 2
    num_b = jnp.maximum(jnp.sum(counts_bg, axis=1), 2)
    within_b = jnp.sum(jnp.where(counts_bg, within_bg, 0.0), axis=1) / (num_b - 1)
    has_task_b = jnp.any(counts_bg, axis=1)
    between = _deviation(task_mean_b, has_task_b) ** 2 - _mean(within_b / num_b, has_task_b)
    rollout_mean_bg = jnp.sum(finish_bgk, axis=-1) / jnp.maximum(jnp.sum(ended_bgk, axis=-1), 1)
    return Figures(
        runtime=_mean(runtime_bg, counts_bg),
        runtime_deviation=_deviation(runtime_bg, counts_bg),
        task_deviation=jnp.sqrt(jnp.maximum(between, 0.0)),
        first_seconds=_mean(jnp.min(trajectory.finish_seconds_gk, axis=-1), jnp.any(ended_bgk, axis=-1)),
        finish_seconds=_mean(finish_bgk, ended_bgk),
        team_deviation=jnp.sqrt(_mean((finish_bgk - rollout_mean_bg[..., None]) ** 2, ended_bgk)),
        steps_per_team=_mean(num_steps_bgk, jnp.broadcast_to(counts_bg[..., None], num_steps_bgk.shape)),
        steps_deviation=_deviation(num_steps_bgk, jnp.broadcast_to(counts_bg[..., None], num_steps_bgk.shape)),
        step_seconds=_mean(trajectory.step_seconds_gkt, step_bgkt),
        reward_agg=_mean(trajectory.reward_agg_g, counts_bg),
        reward_first=_mean(trajectory.reward_first_g, counts_bg),
        right_fraction=_mean((trajectory.reward_agg_g == 1.0).astype(jnp.float32), counts_bg),
        admission_fraction=_mean((trajectory.action_gkt == 1).astype(jnp.float32), decided_bgkt),
        read_rate=_mean(trajectory.used_gkt.astype(jnp.float32), admitted_bgkt),
        reach=_mean(trajectory.num_other_readers_gkt.astype(jnp.float32), admitted_bgkt),
    )


def _mean(value: Array, counts: Array) -> Array:
    """Mean where `counts`; NaN if nothing does."""
    return jnp.sum(jnp.where(counts, value, 0.0)) / jnp.sum(counts)


def _deviation(value: Array, counts: Array) -> Array:
    """Population standard deviation where `counts`."""
    return jnp.sqrt(_mean((value - _mean(value, counts)) ** 2, counts))
