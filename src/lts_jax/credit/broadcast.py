"""Schemes of other papers that give one number to a whole rollout, whatever its number of decisions."""

from jax import Array

from lts_jax.credit.group_relative import group_relative
from lts_jax.trajectory import Trajectory


def trajectory_broadcast(trajectory: Trajectory, *, first_weight: float = 0.0, epsilon: float = 1e-6) -> Array:
    """a = (R - mean) / (sample std + epsilon), copied to every decision (MemSearcher, arXiv 2511.02805).

    AgeMem (arXiv 2601.01885) does the same over its steps. Statistics are over rollouts, not over decisions: returns 1
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
