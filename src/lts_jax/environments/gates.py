"""What an agent reads of others at its next step: nothing, their memories, a pool of entries, or both, at a price.

A gate is chosen as a part of an action. Which gates there are to choose is a matter of numbers, so all modes share one
program; one gate alone is a mode that nobody chooses.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError, show
from lts_jax.models.gated_memory import GATES

NONE, LATENT, POOL, BOTH = range(4)
MODES: dict[str, tuple[str, ...]] = {
    "none": ("none",),
    "latent": ("latent",),
    "pool": ("pool",),
    "both": ("both",),
    "switch": ("none", "latent", "pool"),
}
"""The gates that each mode leaves open to choice."""


def gates_of(mode: str) -> Array:
    """bool[4]: the gates of a mode.

    Raises:
        UserError: an unknown mode.
    """
    if mode not in MODES:
        raise UserError(f"mode: expected one of {', '.join(MODES)}, got {show(mode)}")
    return jnp.asarray([name in MODES[mode] for name in GATES])


def check_price(price: float) -> float:
    """The price of a number that is sent, in units of reward. Raises `UserError` below 0."""
    if not price >= 0:
        raise UserError(f"price: expected at least 0, got {price:g}")
    return price


def open_gates(gate_open_g: Any, price: Any) -> Array:
    """bool[4]: gates that may be chosen; an infinite price shuts those that cost."""
    return jnp.asarray(gate_open_g) & (jnp.isfinite(price) | (jnp.arange(len(GATES)) == NONE))


def check_gates(gate_open_g: Any, price: Any) -> None:
    """Raise `UserError` where no gate may be chosen."""
    if not bool(jnp.any(open_gates(gate_open_g, price))):
        raise UserError("price: expected a finite one in a mode in which nothing is free")


def read_by(gate_i: Array) -> tuple[Array, Array]:
    """(memories, entries) bool[I] each: what agents read by their gates i32[I]."""
    return (gate_i == LATENT) | (gate_i == BOTH), (gate_i == POOL) | (gate_i == BOTH)


def is_gate(gate_i: Array) -> Array:
    """bool[I, 4]: each agent's gate as a place."""
    return gate_i[:, None] == jnp.arange(len(GATES))
