"""What a compiler of loops must be told: compute this number once, compare instead of looking up, stop together."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_batching import custom_vmap


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


def pick(value_m: Array, index: Array) -> Array:
    """value_m[index] for finite numbers [M, ...] and index i32[]: by comparison, as lookups do not vectorise."""
    node_m = jnp.arange(value_m.shape[0]).reshape(-1, *[1] * (value_m.ndim - 1))
    least = -jnp.inf if jnp.issubdtype(value_m.dtype, jnp.floating) else jnp.iinfo(value_m.dtype).min
    return jnp.max(jnp.where(node_m == index, value_m, jnp.asarray(least, value_m.dtype)), axis=0)


@custom_vmap
def any_at_all(is_so: Array) -> Array:
    """bool[]: whether any is true; under `jax.vmap` any of all, so that a loop's condition stays one for the batch."""
    return jnp.any(is_so)


@any_at_all.def_vmap
def _(_: int, __: Any, is_so: Array) -> tuple[Array, bool]:
    return any_at_all(is_so), False
