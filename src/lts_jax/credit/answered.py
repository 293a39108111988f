"""Which decisions a scheme could judge: those that it lives on replays of, and that were not replayed, it could not.

Such a decision has credit 0 because nobody looked, not because it made no difference. Were it to pay the price of an
admission all the same, the price would win wherever few decisions are replayed; so an update leaves it out altogether.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import Number
from lts_jax.credit.returns import total_reward
from lts_jax.trajectory import Trajectory

REPLAYED = frozenset({"flipped", "regrouped"})

AnsweredFn = Callable[[Trajectory], Array]
"""Trajectories [..., G, K, T] in, bool[..., G, K, T] out: the decisions that an update learns from."""


def answered_by(needed: frozenset[str], *, first_weight: Number = 1.0) -> AnsweredFn | None:
    """`answered_mask` with what a scheme needs in place; None where it needs no replay, and all decisions count."""
    return partial(answered_mask, needed=needed, first_weight=first_weight) if needed & REPLAYED else None


def answered_mask(trajectory: Trajectory, needed: frozenset[str], *, first_weight: Number = 1.0) -> Array:
    """Decisions for which there is what the scheme needs: bool[..., G, K, T].

    Args:
        trajectory: one group, or several along leading axes.
        needed: optional fields that the scheme cannot do without, as `credit.check.needs` finds them. `flipped` and
            `regrouped` leave decisions out that were not replayed, or whose replay has no reward; the others none.
        first_weight: lambda_first of the return, which says what a reward is.
    """
    answered_gkt = trajectory.decision_mask_gkt
    if "flipped" in needed and (flipped := trajectory.flipped) is not None:
        total_gkt = total_reward(flipped.reward_agg_gkt, flipped.reward_first_gkt, first_weight=first_weight)
        answered_gkt = answered_gkt & jnp.isfinite(total_gkt)
    if "regrouped" in needed and (regrouped := trajectory.regrouped) is not None:
        total_gmkt = total_reward(regrouped.reward_agg_gmkt, regrouped.reward_first_gmkt, first_weight=first_weight)
        answered_gkt = answered_gkt & jnp.any(jnp.isfinite(total_gmkt), axis=-3)
    return answered_gkt
