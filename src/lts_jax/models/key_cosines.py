"""Three numbers for every network: how near a step's texts come to what the memory holds.

Whether a step is new is not in its embedding but between it and the keys. A network with separate maps for steps and
keys would have to learn an identity between two random projections to see it; the largest cosine says it at once.
"""

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError

NUM_COSINES = 3  # of instruction, summary, output


def largest_cosines(key_rnd: Array, visible_rcn: Array, step_rc3d: Array) -> Array:
    """max over visible keys n of cos(step text, key n); 0 where no key is visible, and for a zero vector.

    R rows (rollouts, or single decisions), each with its own N keys, C decisions a row.

    Args:
        key_rnd: f32[R, N, D], keys; of padding, anything.
        visible_rcn: bool[R, C, N], the keys that each decision sees.
        step_rc3d: f32[R, C, 3, D], instruction, summary, output; or however many vectors a decision has of its own.

    Returns:
        f32[R, C, 3].
    """
    num_rows, num_decisions, num_texts, width = step_rc3d.shape
    key = unit(key_rnd)
    # All step texts of a row as one axis: one product per row, not one per decision.
    # In full precision: a repeat has cosine 1, and what is nearly one must not be taken for it.
    text = unit(step_rc3d).reshape(num_rows, -1, width)
    cosine = jnp.einsum("rqd,rnd->rqn", text, key, precision=jax.lax.Precision.HIGHEST)
    cosine_rc3n = cosine.reshape(num_rows, num_decisions, num_texts, -1)
    seen = visible_rcn[:, :, None, :]
    largest = jnp.max(jnp.where(seen, cosine_rc3n, -jnp.inf), axis=-1, initial=-jnp.inf)
    return jnp.where(jnp.any(seen, axis=-1), largest, 0.0)


def visible_keys(num_keys: Array, num_entries: int, key_window: int) -> Array:
    """bool[..., N]: the newest `key_window` of the first `num_keys` keys."""
    position, count = jnp.arange(num_entries), num_keys[..., None]
    return (position < count) & (position >= count - key_window)


def living_keys(died_rn: Array, sequence_rc: Array) -> Array:
    """bool[R, C, N]: entries that had not ended when decision c was taken, `died` > `sequence`."""
    return died_rn[:, None, :] > sequence_rc[:, :, None]


def check_inputs(network: str, inputs: str) -> None:
    """Refuse a word that says nothing about what a network reads."""
    if inputs not in ("cosines", "paper"):
        raise UserError(f'{network}: inputs: expected "cosines" or "paper", got {inputs!r}')


def check_visibility(network: str, visibility: str) -> None:
    """Refuse a word that says nothing about what keys see of each other."""
    if visibility not in ("causal", "own"):
        raise UserError(f'{network}: key_visibility: expected "causal" or "own", got {visibility!r}')


def unit(vector: Array) -> Array:
    """f32[..., D] of length 1; a zero vector stays zero, and has no gradient."""
    square = jnp.sum(vector * vector, axis=-1, keepdims=True)
    return vector * jnp.where(square > 0.0, jnp.where(square > 0.0, square, 1.0) ** -0.5, 0.0)
