"""REINFORCE: the return itself, without a baseline."""

from jax import Array

from lts_jax.credit.contract import Number, per_decision
from lts_jax.credit.returns import episode_return
from lts_jax.trajectory import Trajectory


def reinforce(trajectory: Trajectory, *, first_weight: Number = 1.0) -> Array:
    """a = R for every decision of the rollout (Williams, 1992).

    No baseline, no divisor: a group of one gives R, equal rewards give R.

    Args:
        trajectory: one group, arrays [G, K, T].
        first_weight: lambda_first in R = R_agg + lambda_first * R_first.

    Returns:
        f32[G, K, T].
    """
    return_g, counted_g = episode_return(trajectory, first_weight=first_weight)
    return per_decision(return_g, trajectory, counted_g)
