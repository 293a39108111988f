"""CoMAM (arXiv 2603.12631): each team has a reward of its own and its fair part of the common one."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import Number, admission_mask, check_number, per_decision
from lts_jax.credit.group_relative import Divisor, standard_deviation, subtract_mean
from lts_jax.credit.returns import episode_return
from lts_jax.trajectory import Trajectory

Weighting = Literal["adaptive", "fixed", "global_only", "independent"]
Normaliser = Literal["share", "softmax"]


def comam(
    trajectory: Trajectory,
    *,
    local_weight: Number = 1.0,
    first_weight: Number = 1.0,
    weighting: Weighting = "adaptive",
    normaliser: Normaliser = "share",
    divisor: Divisor = "population",
    epsilon: Number = 1e-6,
) -> Array:
    """a_i^n = (R_i^n - mean) / (std + epsilon) per team n over rollouts i, R_i^n = local_weight * r_i^n + w_n * g_i.

    g = R is the common reward; the local reward r^n is the trajectory's own, where the world gives each team one; else
    the share of team n's admitted steps that another team pulled (0 if it admitted none). w_n is the normalised NDCG of
    g ordered by r^n descending, see `team_weights`: a team whose own success foretells the common one gets more of it.
    A group of one gives 0, and so does a team whose R_i^n are all equal; equal rewards leave the differences of the
    local ones.

    Args:
        trajectory: one group, arrays [G, K, T].
        local_weight: of the local reward, one number or one for each team [K]; the paper does not give it, 1 is ours.
        first_weight: lambda_first.
        weighting: "adaptive" as above; "fixed" w_n = 1 / number of teams; "global_only" R_i^n = g_i; "independent"
            R_i^n = local_weight * r_i^n.
        normaliser: "share" or "softmax" of the NDCG over teams; the paper does not say which.
        divisor: of the standard deviation, see `group_relative`.
        epsilon: added to the standard deviation.

    Returns:
        f32[G, K, T].

    Raises:
        ValueError: unknown `weighting`, `normaliser` or `divisor`.
    """
    check_number("local_weight", local_weight)
    return_g, counted_g = episode_return(trajectory, first_weight=first_weight)
    local_gk = shared_fraction(trajectory) if trajectory.local_reward_gk is None else trajectory.local_reward_gk
    present_k = jnp.any(trajectory.decision_mask_gkt & counted_g[:, None, None], axis=(0, 2))
    if weighting == "adaptive":
        # Shares such as 1/3 and 2/6 must tie on every device, however it rounds a division.
        order_gk = jnp.round(local_gk * 4096.0)
        weight_k = team_weights(ndcg(return_g, order_gk, counted_g), present_k, normaliser=normaliser)
    elif weighting == "fixed":
        weight_k = present_k / jnp.maximum(jnp.sum(present_k), 1)
    elif weighting in ("global_only", "independent"):
        weight_k = jnp.full(present_k.shape, 1.0 if weighting == "global_only" else 0.0)
    else:
        raise ValueError(f"weighting: expected adaptive, fixed, global_only or independent, got {weighting!r}")
    local_gk = jnp.zeros_like(local_gk) if weighting == "global_only" else local_weight * local_gk
    shaped_kg = (local_gk + weight_k * return_g[:, None]).T
    deviation_kg = jax.vmap(subtract_mean, (0, None))(shaped_kg, counted_g)
    scale_k = jax.vmap(lambda row_g: standard_deviation(row_g, counted_g, divisor=divisor, epsilon=epsilon))(shaped_kg)
    credit_gk = (deviation_kg / scale_k[:, None]).T
    return per_decision(credit_gk[:, :, None], trajectory, counted_g)


def shared_fraction(trajectory: Trajectory) -> Array:
    """Share of each team's admitted steps that another team pulled, f32[G, K]; 0 where it admitted none."""
    admitted_gkt = admission_mask(trajectory)
    pulled_gkt = admitted_gkt & (trajectory.num_other_readers_gkt > 0)
    return jnp.sum(pulled_gkt, axis=2) / jnp.maximum(jnp.sum(admitted_gkt, axis=2), 1)


def ndcg(gain_g: Array, local_gk: Array, counted_g: Array) -> Array:
    """c_n = DCG of the gains ordered by r^n descending / DCG of the gains in their own order, per team: f32[K].

    DCG = sum of gain / log2(rank + 1) over the counted rollouts. Tied rollouts share the mean of the discounts of their
    ranks, so that the order of the rollouts does not matter; equal gains give every team the same. Gains below 0 count
    as 0, and where no gain is above 0 all are 1.

    Args:
        gain_g: f32[G] common reward.
        local_gk: f32[G, K] local reward that orders it.
        counted_g: bool[G].

    Returns:
        f32[K] from 0 to 1.
    """
    gain_g = jnp.where(counted_g, jnp.maximum(gain_g, 0.0), 0.0)
    best = jnp.sum(gain_g * _rank_discount(gain_g, counted_g))
    reached_k = jnp.sum(gain_g * jax.vmap(_rank_discount, (1, None))(local_gk, counted_g), axis=1)
    return jnp.where(best > 0.0, reached_k / jnp.where(best > 0.0, best, 1.0), 1.0)


def team_weights(ndcg_k: Array, present_k: Array, *, normaliser: Normaliser = "share") -> Array:
    """w_n over the teams that decided anything: c_n / sum of c ("share") or exp(c_n) / sum of exp(c) ("softmax").

    Raises:
        ValueError: unknown normaliser.
    """
    if normaliser not in ("share", "softmax"):
        raise ValueError(f'normaliser: expected "share" or "softmax", got {normaliser!r}')
    raw_k = jnp.where(present_k, jnp.exp(ndcg_k) if normaliser == "softmax" else ndcg_k, 0.0)
    total = jnp.sum(raw_k)
    return raw_k / jnp.where(total > 0.0, total, 1.0)


def _rank_discount(order_g: Array, counted_g: Array) -> Array:
    """1 / log2(rank + 1) by descending order among the counted, the mean over tied ranks: f32[G]."""
    other = counted_g[None, :]
    num_above_g = jnp.sum(other & (order_g[None, :] > order_g[:, None]), axis=1)
    num_tied_g = jnp.sum(other & (order_g[None, :] == order_g[:, None]), axis=1)
    rank_g = jnp.arange(1, len(order_g) + 1)
    upto = jnp.concatenate([jnp.zeros(1), jnp.cumsum(1.0 / jnp.log2(rank_g + 1.0))])
    return (upto[num_above_g + num_tied_g] - upto[num_above_g]) / jnp.maximum(num_tied_g, 1)
