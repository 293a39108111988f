"""What a credit scheme is, and how a number per rollout becomes a number per decision."""

import math
from collections.abc import Callable
from typing import TypeVar

import chex
import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError
from lts_jax.trajectory import ADMIT, Trajectory

Field = TypeVar("Field")  # of a trajectory

Number = float | Array
"""A numeric hyper-parameter: a plain number, or a scalar array, traced or not, so that one jit holds a whole sweep."""

CreditFn = Callable[[Trajectory], Array]
"""One group of G rollouts in, credit f32[G, K, T] out, zero where no decision was taken or the rollout does not count.

Hyper-parameters are keyword-only and bound with `functools.partial`; no randomness, no Python branch on values;
`jax.vmap` adds the task axis B.
"""


def check_number(name: str, value: Number, *, least: float = 0.0, most: float = math.inf) -> None:
    """Refuse a setting outside of `least` .. `most`. Traced numbers are taken as they are.

    Raises:
        UserError: names the setting, what was expected and what was given.
    """
    if isinstance(value, (int, float)) and not least <= value <= most:
        expected = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
        raise UserError(f"{name}: expected {expected}, got {value:g}")


def per_decision(credit: Array, trajectory: Trajectory, counted_g: Array) -> Array:
    """Spread f32[G] (or keep f32[G, K, T]) over the decisions of counted rollouts; zero elsewhere. f32[G, K, T]."""
    chex.assert_rank([credit, counted_g], [{1, 3}, 1])
    credit_gkt = credit[:, None, None] if credit.ndim == 1 else credit
    return jnp.where(trajectory.decision_mask_gkt & counted_g[:, None, None], credit_gkt, 0.0)


def decision_mean(value_gkt: Array, trajectory: Trajectory) -> Array:
    """Mean over the decisions of each rollout, f32[G]; 0 for a rollout without decisions."""
    total_g = jnp.sum(jnp.where(trajectory.decision_mask_gkt, value_gkt, 0.0), axis=(1, 2))
    return total_g / jnp.maximum(jnp.sum(trajectory.decision_mask_gkt, axis=(1, 2)), 1)


def admission_mask(trajectory: Trajectory) -> Array:
    """Decisions that took the entry into the bank (action 1), bool[G, K, T]."""
    return trajectory.decision_mask_gkt & (trajectory.action_gkt == ADMIT)


def use_share(trajectory: Trajectory) -> Number:
    """What of the use of its entry is owed to an admission, f32[G, K, T]: 1/m for one of m that were merged, else 1."""
    return 1.0 if trajectory.use_share_gkt is None else trajectory.use_share_gkt


def require(field: Field | None, scheme: str, missing: str) -> Field:
    """An optional field of the trajectory that a scheme cannot do without.

    Raises:
        UserError: the field is None; names the scheme and what is missing.
    """
    if field is None:
        raise UserError(f"credit scheme {scheme}: needs {missing}")
    return field
