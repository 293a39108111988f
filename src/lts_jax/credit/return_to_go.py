"""Credit only for what came after the decision."""

import math

import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import Number, check_number, decision_mean, per_decision
from lts_jax.credit.group_relative import subtract_mean
from lts_jax.credit.returns import episode_return
from lts_jax.trajectory import Trajectory


def return_to_go(
    trajectory: Trajectory, *, first_weight: Number = 1.0, decay_seconds: Number = math.inf, baseline: bool = True
) -> Array:
    """Rewards obtained at or after the decision, discounted by the time until they came.

    g(t) = R_agg * exp(-(runtime - t) / decay) + first_weight * R_first * 1[t <= t_first] * exp(-(t_first - t) / decay),
    t the decision's time and t_first that of the first team's answer: an admission taken after the first answer cannot
    have earned it. With `baseline`, the mean over the counted rollouts of their mean g is subtracted. No divisor.
    Without decay, a group of one gives 0 where all its decisions came before the first answer, and so do equal rewards.

    Args:
        trajectory: one group, arrays [G, K, T].
        first_weight: lambda_first.
        decay_seconds: a reward this much later counts 1/e; infinite by default (no discount).
        baseline: subtract the group's mean.

    Returns:
        f32[G, K, T].
    """
    check_number("decay_seconds", decay_seconds, least=1e-6)
    _, counted_g = episode_return(trajectory, first_weight=first_weight)
    decided = trajectory.decision_mask_gkt & counted_g[:, None, None]
    time_gkt = jnp.where(decided, trajectory.decision_seconds_gkt, 0.0)
    first_g = jnp.min(trajectory.finish_seconds_gk, axis=1)
    agg_gkt = _discount(trajectory.reward_agg_g, trajectory.runtime_g, time_gkt, decay_seconds)
    # A group in which no team finished has t_first = inf: nothing is cut off, and any decay leaves nothing.
    first_gkt = first_weight * _discount(trajectory.reward_first_g, first_g, time_gkt, decay_seconds)
    before_first = time_gkt <= first_g[:, None, None]
    counted_first = before_first & jnp.isfinite(first_gkt)
    to_go_gkt = jnp.where(decided, agg_gkt + jnp.where(counted_first, first_gkt, 0.0), 0.0)
    if not baseline:
        return per_decision(to_go_gkt, trajectory, counted_g)
    has_decisions_g = jnp.any(decided, axis=(1, 2))
    mean_g = decision_mean(to_go_gkt, trajectory)
    within_gkt = to_go_gkt - mean_g[:, None, None]
    return per_decision(subtract_mean(mean_g, has_decisions_g)[:, None, None] + within_gkt, trajectory, counted_g)


def _discount(reward_g: Array, when_g: Array, time_gkt: Array, decay_seconds: Number) -> Array:
    later_gkt = jnp.maximum(when_g[:, None, None] - time_gkt, 0.0)
    discount_gkt = jnp.where(decay_seconds == jnp.inf, 1.0, jnp.exp(-later_gkt / decay_seconds))
    return reward_g[:, None, None] * discount_gkt
