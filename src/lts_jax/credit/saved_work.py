"""Credit for the work that an entry spared the teams that pulled it."""

import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import Number, check_number, per_decision, require, use_share
from lts_jax.credit.group_relative import Divisor, group_relative
from lts_jax.credit.returns import episode_return, mean_runtime
from lts_jax.trajectory import Trajectory


def saved_work(
    trajectory: Trajectory,
    *,
    saved_weight: Number = 5.0,
    first_weight: Number = 1.0,
    divisor: Divisor = "population",
    epsilon: Number = 1e-6,
) -> Array:
    """a = group-relative advantage + saved_weight * seconds / mean runtime * 1[R > 0]; seconds = spared * step's own.

    Ours: a pull spares the reader the step that the writer spent if it then never takes such a step, so seconds =
    num_spared * step_seconds; who pulls an entry and takes the step all the same has saved nothing, and neither has who
    had taken it before (of a merged entry each writer has his share). That is seen without any replay and still an
    upper estimate: a reader might never have wanted the step, or gets there by another one, and a wrong entry costs.
    The mean runtime is over the counted rollouts. With the default weight, a step of a tenth of the runtime that one
    other team was spared is paid 0.5, as in `usage_aware`. Divisor, epsilon, group of one and equal rewards as in
    `usage_aware`: the advantage is then 0 and the bonus stays.

    Args:
        trajectory: one group, arrays [G, K, T], with `num_spared_gkt`.
        saved_weight: credit for one mean runtime saved.
        first_weight: lambda_first.
        divisor: of the standard deviation, see `group_relative`.
        epsilon: added to the standard deviation.

    Returns:
        f32[G, K, T].

    Raises:
        UserError: no `num_spared_gkt`.
    """
    check_number("saved_weight", saved_weight)
    return_g, counted_g = episode_return(trajectory, first_weight=first_weight)
    spared_gkt = require(trajectory.num_spared_gkt, "saved_work", "num_spared_gkt, which this world does not tell")
    seconds_gkt = use_share(trajectory) * spared_gkt * trajectory.step_seconds_gkt
    share_gkt = seconds_gkt / mean_runtime(trajectory, counted_g)
    bonus_gkt = jnp.where((return_g > 0.0)[:, None, None], saved_weight * share_gkt, 0.0)
    base_gkt = group_relative(trajectory, first_weight=first_weight, divisor=divisor, epsilon=epsilon)
    return base_gkt + per_decision(bonus_gkt, trajectory, counted_g)
