"""What a compiler of loops must be told: compute this number once."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax


def once(tree: Any) -> Any:
    """The same arrays, but computed once.

    A compiler that fuses loops computes a cheap number anew wherever it is used: a hash in each of fifty loops, a
    scalar for each of the N places it may be written to; and a number that is computed twice may differ from itself in
    the last bit. It never repeats a reduction, and this one, over the number and a neutral element, changes nothing.
    """

    def leaf(value: Array) -> Array:
        is_value = lax.broadcasted_iota(jnp.int32, (2, *value.shape), 0) == 0
        if value.dtype == bool:
            return jnp.any(is_value & value, axis=0)
        if value.dtype == jnp.float32:
            return lax.bitcast_convert_type(leaf(lax.bitcast_convert_type(value, jnp.uint32)), jnp.float32)
        return jnp.bitwise_or.reduce(jnp.where(is_value, value, jnp.zeros((), value.dtype)), axis=0)

    return jax.tree.map(leaf, tree)


def sum_in_halves(value: Array) -> Array:
    """The sum of f32[..., D] over its last axis, one half added to the other until one number is left.

    The order is written out, so that the bits do not depend on how a compiler cuts up a reduction.
    """
    while (size := value.shape[-1]) > 1:
        half = size // 2
        pairs = value[..., :half] + value[..., half : 2 * half]
        value = jnp.concatenate([pairs, value[..., 2 * half :]], axis=-1) if size % 2 else pairs
    return once(value[..., 0])
