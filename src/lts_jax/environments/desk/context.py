"""The context: a row of slots, oldest first; what comes in, what falls out, what is taken together."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.desk.coding import NOTHING, Items, encode, no_items
from lts_jax.environments.desk.settings import NUM_FACTS
from lts_jax.environments.desk.state import State

Context = tuple[Items, Array]
"""Slots [C], and how many of them are filled i32[]."""


def item_at(items: Items, place: Array) -> Items:
    """One place of many, or several; of a place below 0 the first."""
    return jax.tree.map(lambda leaf: jnp.take(leaf, jnp.maximum(place, 0), axis=0, mode="clip"), items)


def put(items: Items, place: Array, one: Items, where: Array) -> Items:
    """`one` at that place, where `where` bool[] is true."""
    count = items.vector.shape[0]
    here_c = (jnp.arange(count) == place) & where

    def leaf(old: Array, new: Array) -> Array:
        return jnp.where(here_c.reshape(count, *[1] * (old.ndim - 1)), new, old)

    return jax.tree.map(leaf, items, one)


def without(context: Context, place: Array, where: Array) -> Context:
    """The context without one slot; those behind it move up."""
    slots, number = context
    count = slots.vector.shape[0]
    place_c = jnp.arange(count)
    from_c = jnp.where(where & (place_c >= place), jnp.minimum(place_c + 1, count - 1), place_c)
    moved = jax.tree.map(lambda leaf: jnp.take(leaf, from_c, axis=0), slots)
    number = number - where.astype(jnp.int32)
    is_filled_c = place_c < number
    empty = no_items(count)

    def leaf(kept: Array, blank: Array) -> Array:
        return jnp.where(is_filled_c.reshape(count, *[1] * (kept.ndim - 1)), kept, blank)

    return jax.tree.map(leaf, moved, empty), number


def push(context: Context, some: Items, count: Array) -> tuple[Context, Array]:
    """The context with the first `count` of some items [M] at its end, and how many fell out for them, i32[].

    The oldest fall out. M is at most C.
    """
    slots, number = context
    size = slots.vector.shape[0]
    fell = jnp.maximum(number + count - size, 0)
    from_c = jnp.arange(size) + fell  # place in the old slots, then in the new items
    is_new_c = from_c >= number
    is_filled_c = from_c < number + count

    def leaf(old: Array, new: Array, blank: Array) -> Array:
        spread = (size, *[1] * (old.ndim - 1))
        kept = jnp.take(old, jnp.minimum(from_c, size - 1), axis=0)
        come = jnp.take(new, jnp.clip(from_c - number, 0, new.shape[0] - 1), axis=0)
        return jnp.where(is_filled_c.reshape(spread), jnp.where(is_new_c.reshape(spread), come, kept), blank)

    return (jax.tree.map(leaf, slots, some, no_items(size)), number + count - fell), fell


def newest_facts(slots: Items) -> Array:
    """bool[C, 3]: facts of the context that no other of the same attribute supersedes; of equal ones the last."""
    attribute_f, time_f = slots.attribute.reshape(-1), slots.time.reshape(-1)
    order_f = time_f * len(time_f) + jnp.arange(len(time_f))
    is_newer_ff = (attribute_f == attribute_f[:, None]) & (order_f > order_f[:, None])
    return ((attribute_f != NOTHING) & ~jnp.any(is_newer_ff, axis=1)).reshape(slots.attribute.shape)


def summary(params: Any, slots: Items) -> Items:
    """One item with the three newest distinct facts of the context."""
    wanted_f = newest_facts(slots).reshape(-1)
    time_f = jnp.where(wanted_f, slots.time.reshape(-1), NOTHING)
    _, chosen = jax.lax.top_k(time_f, NUM_FACTS)
    is_there = time_f[chosen] != NOTHING

    def of(values: Array) -> Array:
        return jnp.where(is_there, values.reshape(-1)[chosen], NOTHING)

    attribute, value, time = of(slots.attribute), of(slots.value), of(slots.time)
    return Items(encode(params, attribute, value, time, jnp.zeros(slots.vector.shape[-1])), attribute, value, time)


def nearest(vector_nd: Array, alive_n: Array, wanted_d: Array) -> Array:
    """f32[N]: cosine of each living vector to the wanted one; below -1 of the others."""
    size = jnp.sqrt(jnp.sum(vector_nd**2, axis=-1) * jnp.sum(wanted_d**2))
    cosine = vector_nd @ wanted_d / jnp.maximum(size, 1e-6)
    return jnp.where(alive_n, cosine, -2.0)


def context_of(state: State) -> Context:
    """The slots and their number."""
    return state.slots, state.num_slots
