"""Usage-aware credit: an admission that was pulled, in a rollout that earned something, gets a bonus of its own."""

from typing import Literal

import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import Number, check_number, decision_mean, per_decision, use_share
from lts_jax.credit.group_relative import Divisor, group_relative, standard_deviation, subtract_mean
from lts_jax.credit.returns import episode_return
from lts_jax.trajectory import Trajectory


def usage_bonus(trajectory: Trajectory, *, usage_weight: Number = 0.5, first_weight: Number = 1.0) -> Array:
    """b = usage_weight * share * 1[used and R > 0]: the second term of LTS Eq. 7. No baseline, no divisor.

    The share is 1, unless the entry was merged with others (`use_share`; ours). A group of one and equal rewards make
    no difference; where R <= 0 the bonus is 0.

    Args:
        trajectory: one group, arrays [G, K, T].
        usage_weight: beta, in units of the credit it is added to.
        first_weight: lambda_first.

    Returns:
        f32[G, K, T].
    """
    check_number("usage_weight", usage_weight)
    return_g, counted_g = episode_return(trajectory, first_weight=first_weight)
    earned_gkt = trajectory.used_gkt & (return_g > 0.0)[:, None, None]
    return per_decision(jnp.where(earned_gkt, usage_weight * use_share(trajectory), 0.0), trajectory, counted_g)


def usage_aware(
    trajectory: Trajectory,
    *,
    usage_weight: Number = 0.5,
    first_weight: Number = 1.0,
    bonus_on: Literal["advantage", "return"] = "advantage",
    divisor: Divisor = "population",
    epsilon: Number = 1e-6,
) -> Array:
    """LTS Eq. 7 (arXiv 2602.05965): a = (R - mean) / (std + epsilon) + usage_weight * 1[used and R > 0].

    With `bonus_on` "return" the bonus is part of the return before the baseline is taken: R' = R + bonus and
    a = (R' - mean') / (std' + epsilon), mean' and std' over the rollouts' means of R', so the bonus is centred too.
    A group of one, and equal returns, leave the bonus alone. With "return" and equal means of R' there is no spread to
    divide by, and a = R' - mean'.

    Args:
        trajectory: one group, arrays [G, K, T].
        usage_weight: beta; the paper does not give it, 0.5 is ours.
        first_weight: lambda_first.
        bonus_on: where the bonus is added; the paper's Eq. 7 adds it to the advantage.
        divisor: of the standard deviation, see `group_relative`; the paper does not say.
        epsilon: added to the standard deviation.

    Returns:
        f32[G, K, T].

    Raises:
        ValueError: unknown `bonus_on` or `divisor`.
    """
    if bonus_on not in ("advantage", "return"):
        raise ValueError(f'bonus_on: expected "advantage" or "return", got {bonus_on!r}')
    bonus_gkt = usage_bonus(trajectory, usage_weight=usage_weight, first_weight=first_weight)
    if bonus_on == "advantage":
        return group_relative(trajectory, first_weight=first_weight, divisor=divisor, epsilon=epsilon) + bonus_gkt
    return_g, counted_g = episode_return(trajectory, first_weight=first_weight)
    mean_g = return_g + decision_mean(bonus_gkt, trajectory)
    advantage_g = subtract_mean(mean_g, counted_g)
    scale = jnp.where(
        jnp.any(advantage_g != 0.0), standard_deviation(mean_g, counted_g, divisor=divisor, epsilon=epsilon), 1.0
    )
    within_gkt = bonus_gkt - decision_mean(bonus_gkt, trajectory)[:, None, None]
    return per_decision((advantage_g[:, None, None] + within_gkt) / scale, trajectory, counted_g)


def reinforce_usage(trajectory: Trajectory, *, usage_weight: Number = 0.5, first_weight: Number = 1.0) -> Array:
    """a = R + usage_weight * 1[used and R > 0]: LTS Eq. 7 without its group-relative part, for ablations.

    No baseline, no divisor: a group of one and equal rewards give R and the bonus; weight 0 gives `reinforce`.

    Args:
        trajectory: one group, arrays [G, K, T].
        usage_weight: beta.
        first_weight: lambda_first.

    Returns:
        f32[G, K, T].
    """
    bonus_gkt = usage_bonus(trajectory, usage_weight=usage_weight, first_weight=first_weight)
    return_g, counted_g = episode_return(trajectory, first_weight=first_weight)
    return per_decision(return_g, trajectory, counted_g) + bonus_gkt


def cross_team_usage(
    trajectory: Trajectory,
    *,
    usage_weight: Number = 0.5,
    first_weight: Number = 1.0,
    counting: Literal["once", "each_reader"] = "once",
    divisor: Divisor = "population",
    epsilon: Number = 1e-6,
) -> Array:
    """a = group-relative advantage + usage_weight * readers * 1[R > 0], readers = other teams that pulled the entry.

    Ours: a team that re-reads its own entry earns nothing. A merged entry pays its writers in shares, as `usage_bonus`.
    `counting` "once" pays 1 for any number of other readers, "each_reader" pays per team. Divisor, epsilon, group of
    one and equal rewards as in `usage_aware`.

    Args:
        trajectory: one group, arrays [G, K, T].
        usage_weight: beta.
        first_weight: lambda_first.
        counting: "once" or "each_reader".
        divisor: of the standard deviation.
        epsilon: added to the standard deviation.

    Returns:
        f32[G, K, T].

    Raises:
        ValueError: unknown `counting` or `divisor`.
    """
    if counting not in ("once", "each_reader"):
        raise ValueError(f'counting: expected "once" or "each_reader", got {counting!r}')
    check_number("usage_weight", usage_weight)
    return_g, counted_g = episode_return(trajectory, first_weight=first_weight)
    readers_gkt = trajectory.num_other_readers_gkt
    readers_gkt = jnp.minimum(readers_gkt, 1) if counting == "once" else readers_gkt
    bonus_gkt = usage_weight * use_share(trajectory) * readers_gkt * (return_g > 0.0)[:, None, None]
    base_gkt = group_relative(trajectory, first_weight=first_weight, divisor=divisor, epsilon=epsilon)
    return base_gkt + per_decision(bonus_gkt, trajectory, counted_g)


def time_discounted_usage(
    trajectory: Trajectory,
    *,
    usage_weight: Number = 0.5,
    first_weight: Number = 1.0,
    decay_seconds: Number = 300.0,
    divisor: Divisor = "population",
    epsilon: Number = 1e-6,
) -> Array:
    """a = group-relative advantage + usage_weight * exp(-(t_pull - t_decision) / decay_seconds) * 1[used and R > 0].

    Ours: an entry that is pulled soon after it was admitted saves more of the run than one found near the end. Divisor,
    epsilon, group of one and equal rewards as in `usage_aware`.

    Args:
        trajectory: one group, arrays [G, K, T].
        usage_weight: beta, paid in full for a pull at the moment of the decision.
        first_weight: lambda_first.
        decay_seconds: time after which a pull is worth 1/e, on the rollout's clock.
        divisor: of the standard deviation.
        epsilon: added to the standard deviation.

    Returns:
        f32[G, K, T].
    """
    check_number("decay_seconds", decay_seconds, least=1e-6)
    bonus_gkt = usage_bonus(trajectory, usage_weight=usage_weight, first_weight=first_weight)
    # Both times are +inf where nothing was decided or pulled; their difference must not be formed there.
    paid_gkt = bonus_gkt != 0.0
    pull_gkt = jnp.where(paid_gkt, trajectory.first_pull_seconds_gkt, 0.0)
    waited_gkt = jnp.maximum(pull_gkt - jnp.where(paid_gkt, trajectory.decision_seconds_gkt, 0.0), 0.0)
    base_gkt = group_relative(trajectory, first_weight=first_weight, divisor=divisor, epsilon=epsilon)
    return base_gkt + bonus_gkt * jnp.exp(-waited_gkt / decay_seconds)
