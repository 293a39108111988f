"""Schemes of other papers that give one number to a whole rollout, whatever its number of decisions."""

import jax.numpy as jnp
from jax import Array

from lts_jax.actions import ANSWER
from lts_jax.credit.contract import Number, per_decision
from lts_jax.credit.group_relative import group_relative, standard_deviation, subtract_mean
from lts_jax.credit.returns import episode_return
from lts_jax.trajectory import Trajectory


def trajectory_broadcast(trajectory: Trajectory, *, first_weight: Number = 0.0, epsilon: Number = 1e-6) -> Array:
    """a = (R - mean) / (sample std + epsilon), copied to every decision (MemSearcher, arXiv 2511.02805).

    Statistics are over rollouts, not over decisions: returns 1
    and 0 give +-0.7071 whether they come with 3 and 1 decisions or 1 and 3. Those systems have one reward, so R = R_agg
    by default. A group of one, and equal returns, give exactly 0.

    Args:
        trajectory: one group, arrays [G, K, T].
        first_weight: lambda_first.
        epsilon: added to the standard deviation.

    Returns:
        f32[G, K, T].
    """
    return group_relative(trajectory, first_weight=first_weight, divisor="sample", epsilon=epsilon)


def stepwise_broadcast(
    trajectory: Trajectory, *, step_norm: bool = False, broadcast: bool = True, epsilon: Number = 1e-6
) -> Array:
    """a = (r - mean) / (sample std + epsilon), copied to every step of the rollout (AgeMem, arXiv 2601.01885).

    r is the one terminal reward: R_agg clipped to [-1, 1], or -1 where no team gave an answer of its own. It reaches
    every step, those too that earned nothing when they were taken. With `step_norm` the advantage is divided by the
    number of the rollout's decisions, so that a long rollout weighs no more than a short one. Statistics are over
    rollouts. A group of one, and equal rewards, give exactly 0.

    Without `broadcast` each stage is paid by its own reward alone: decisions that could answer get a, those of earlier
    stages, which have none, get 0. In a world that has no such action (`actions.ANSWER`) that changes nothing.

    Args:
        trajectory: one group, arrays [G, K, T].
        step_norm: divide by the number of decisions of the rollout.
        broadcast: hand the reward to the steps of all stages.
        epsilon: added to the standard deviation.

    Returns:
        f32[G, K, T].
    """
    reward_g, counted_g = episode_return(trajectory, first_weight=0.0)
    answered_g = jnp.any(jnp.isfinite(trajectory.finish_seconds_gk), axis=1)
    terminal_g = jnp.where(answered_g, jnp.clip(reward_g, -1.0, 1.0), -1.0)
    scale = standard_deviation(terminal_g, counted_g, divisor="sample", epsilon=epsilon)
    advantage_g = subtract_mean(terminal_g, counted_g) / scale
    if step_norm:
        advantage_g /= jnp.maximum(jnp.sum(trajectory.decision_mask_gkt, axis=(1, 2)), 1)
    credit_gkt = per_decision(advantage_g, trajectory, counted_g)
    legal_gkta = trajectory.action_mask_gkta
    if broadcast or legal_gkta is None or legal_gkta.shape[-1] <= ANSWER:
        return credit_gkt
    return jnp.where(legal_gkta[..., ANSWER], credit_gkt, 0.0)
