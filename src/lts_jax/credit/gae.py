"""Generalised advantage estimation over all decisions of a rollout, whichever team took them."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import Number, check_number, per_decision, require
from lts_jax.credit.returns import episode_return, total_reward
from lts_jax.trajectory import Trajectory


def gae(
    trajectory: Trajectory, *, first_weight: Number = 1.0, discount: Number = 1.0, trace_decay: Number = 0.95
) -> Array:
    """a_i = delta_i + discount * trace_decay * a_{i+1}, delta_i = r_i + discount * V_{i+1} - V_i (arXiv 1506.02438).

    The decisions i of all teams form one sequence in the order of their times (ties: team, then step). R_agg comes
    after the last decision, first_weight * R_first after the last decision taken no later than the first team's answer
    (after the last one where no team answered); the value behind the last decision is 0. With trace_decay 1 and V = 0
    this is `return_to_go` without baseline; with trace_decay 1 it is the return to go minus V. No divisor, no epsilon,
    no group: a group of one and equal rewards make no difference.

    Args:
        trajectory: one group, arrays [G, K, T], with `value_gkt`.
        first_weight: lambda_first.
        discount: gamma, per decision and not per second.
        trace_decay: lambda of GAE; 0 is the one-step error, 1 the return to go.

    Returns:
        f32[G, K, T].

    Raises:
        UserError: no `value_gkt`.
    """
    check_number("discount", discount, most=1.0)
    check_number("trace_decay", trace_decay, most=1.0)
    value_gkt = require(trajectory.value_gkt, "gae", "value_gkt, which a controller with a value head gives")
    _, counted_g = episode_return(trajectory, first_weight=first_weight)
    agg_g = jnp.where(counted_g, trajectory.reward_agg_g, 0.0)
    first_g = total_reward(jnp.zeros_like(agg_g), trajectory.reward_first_g, first_weight=first_weight)
    decided_gkt = trajectory.decision_mask_gkt & counted_g[:, None, None]
    time_gi = jnp.where(decided_gkt, trajectory.decision_seconds_gkt, jnp.inf).reshape(len(agg_g), -1)
    order_gi = jnp.argsort(time_gi, axis=1, stable=True)  # i counts decisions by time; what was not decided comes last
    time_gi = jnp.take_along_axis(time_gi, order_gi, axis=1)
    decided_gi = jnp.take_along_axis(decided_gkt.reshape(time_gi.shape), order_gi, axis=1)
    value_gi = jnp.take_along_axis(value_gkt.reshape(time_gi.shape), order_gi, axis=1)
    value_gi = jnp.where(decided_gi, value_gi, 0.0)
    before_first_gi = decided_gi & (time_gi <= jnp.min(trajectory.finish_seconds_gk, axis=1)[:, None])
    reward_gi = jnp.where(_last(decided_gi), agg_g[:, None], 0.0)
    reward_gi += jnp.where(_last(before_first_gi), first_g[:, None], 0.0)
    delta_gi = reward_gi + discount * _shift(value_gi) - value_gi
    _, advantage_ig = jax.lax.scan(
        partial(_accumulate, discount * trace_decay), jnp.zeros_like(agg_g), delta_gi.T, reverse=True
    )
    place_gi = jnp.argsort(order_gi, axis=1)
    advantage_gkt = jnp.take_along_axis(advantage_ig.T, place_gi, axis=1).reshape(value_gkt.shape)
    return per_decision(advantage_gkt, trajectory, counted_g)


def _shift(array_gi: Array) -> Array:
    """What stands one place further on; zero or false after the end."""
    return jnp.concatenate([array_gi[:, 1:], jnp.zeros_like(array_gi[:, :1])], axis=1)


def _last(prefix_gi: Array) -> Array:
    """The last true of rows that are true up to some place."""
    return prefix_gi & ~_shift(prefix_gi)


def _accumulate(decay: Number, later_g: Array, delta_g: Array) -> tuple[Array, Array]:
    advantage_g = delta_g + decay * later_g
    return advantage_g, advantage_g
