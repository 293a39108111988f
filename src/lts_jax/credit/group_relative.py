"""Baselines from the group: other rollouts of the same task under the same controller."""

from typing import Literal

import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import Number, check_number, per_decision
from lts_jax.credit.returns import episode_return
from lts_jax.trajectory import Trajectory

Divisor = Literal["population", "sample", "none"]


def group_relative(
    trajectory: Trajectory, *, first_weight: Number = 1.0, divisor: Divisor = "population", epsilon: Number = 1e-6
) -> Array:
    """a = (R - mean) / (std + epsilon), over the counted rollouts of the group (GRPO, arXiv 2402.03300; LTS).

    The mean is over rollouts, never over decisions, so long rollouts do not dominate it. For returns (1, 0, 0, 0, 0)
    the first rollout gets 2.0 with the population divisor (n), 1.79 with the sample divisor (n - 1), 0.8 with none;
    papers rarely say which they mean. A group of one, and equal returns, give exactly 0.

    Args:
        trajectory: one group, arrays [G, K, T].
        first_weight: lambda_first.
        divisor: "population", "sample", or "none" (centre only).
        epsilon: added to the standard deviation, in units of reward.

    Returns:
        f32[G, K, T].
    """
    return_g, counted_g = episode_return(trajectory, first_weight=first_weight)
    advantage_g = subtract_mean(return_g, counted_g) / standard_deviation(
        return_g, counted_g, divisor=divisor, epsilon=epsilon
    )
    return per_decision(advantage_g, trajectory, counted_g)


def leave_one_out(trajectory: Trajectory, *, first_weight: Number = 1.0) -> Array:
    """a = R - mean of the other counted rollouts' R = n / (n - 1) * (R - mean)  (RLOO, arXiv 2402.14740).

    Its baseline does not depend on the rollout itself, so it is unbiased. No divisor. A group of one, and equal
    returns, give exactly 0.

    Args:
        trajectory: one group, arrays [G, K, T].
        first_weight: lambda_first.

    Returns:
        f32[G, K, T].
    """
    return_g, counted_g = episode_return(trajectory, first_weight=first_weight)
    count = jnp.sum(counted_g)
    advantage_g = subtract_mean(return_g, counted_g) * count / jnp.maximum(count - 1, 1)
    return per_decision(advantage_g, trajectory, counted_g)


def subtract_mean(value_g: Array, counted_g: Array) -> Array:
    """value - mean over counted rollouts, f32[G]. Exactly 0 when all counted values are equal, rounding or not."""
    mean = jnp.sum(jnp.where(counted_g, value_g, 0.0)) / jnp.maximum(jnp.sum(counted_g), 1)
    lowest = jnp.min(jnp.where(counted_g, value_g, jnp.inf))
    highest = jnp.max(jnp.where(counted_g, value_g, -jnp.inf))
    return jnp.where(highest > lowest, value_g - mean, 0.0)


def standard_deviation(value_g: Array, counted_g: Array, *, divisor: Divisor, epsilon: Number) -> Array:
    """Standard deviation over counted rollouts plus epsilon; 1 for divisor "none".

    Raises:
        ValueError: unknown divisor.
    """
    check_number("epsilon", epsilon)
    if divisor not in ("population", "sample", "none"):
        raise ValueError(f'divisor: expected "population", "sample" or "none", got {divisor!r}')
    if divisor == "none":
        return jnp.ones((), value_g.dtype)
    deviation_g = jnp.where(counted_g, subtract_mean(value_g, counted_g), 0.0)
    degrees = jnp.sum(counted_g) - (1 if divisor == "sample" else 0)
    return jnp.sqrt(jnp.sum(deviation_g**2) / jnp.maximum(degrees, 1)) + epsilon
