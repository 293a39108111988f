"""A pool of entries beside each group of agents, as arrays that a network carries: written, overwritten, read.

An entry is f32[F]: its key, and behind it, as the last number, whether it tells of a goal. It is a constant to every
gradient. Arrays have the episodes E last; J entries that are read.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Pool(NamedTuple):
    """N entries for each of E groups of agents; a full pool loses its oldest entry to the next one."""

    entry_fne: Array
    num_written_e: Array  # i32: entries ever written; the next goes to this place, modulo N


def empty_pool(width: int, num_entries: int, num_episodes: int) -> Pool:
    """Nothing written."""
    return Pool(jnp.zeros((width, num_entries, num_episodes)), jnp.zeros(num_episodes, jnp.int32))


def cleared(pool: Pool, clears_e: Array) -> Pool:
    """The pool with nothing in it where bool[E] says so."""
    return jax.tree.map(lambda leaf: jnp.where(clears_e, jnp.zeros((), leaf.dtype), leaf), pool)


def admitted(pool: Pool, entry_fie: Array, writes_ie: Array) -> Pool:
    """The pool with the entries f32[F, I, E] of the agents who write, bool[I, E]; the first agent's is older."""
    entry_fie, place_n = jax.lax.stop_gradient(entry_fie), jnp.arange(pool.entry_fne.shape[1])
    for agent in range(entry_fie.shape[1]):
        is_here_ne = writes_ie[agent] & (place_n[:, None] == pool.num_written_e % len(place_n))
        entry_fne = jnp.where(is_here_ne, entry_fie[:, agent, None], pool.entry_fne)
        pool = Pool(entry_fne, pool.num_written_e + writes_ie[agent])
    return pool


def nearest(pool: Pool, query_fie: Array, num_read: int) -> tuple[Array, Array]:
    """(entries f32[F, J, I, E], whether there are so many bool[J, I, E]): the J nearest by cosine of key and query.

    Nearest first; of equal ones the one at the lower place. Queries f32[F - 1, I, E] are compared with keys.
    """
    is_best_jnie, there_jie = nearest_masks(pool, query_fie, num_read)
    found = [jnp.sum(jnp.where(is_best_nie, pool.entry_fne[:, :, None], 0.0), axis=1) for is_best_nie in is_best_jnie]
    return jnp.stack(found, axis=1), there_jie


def nearest_masks(pool: Pool, query_fie: Array, num_read: int) -> tuple[list[Array], Array]:
    """(the place of each of the J nearest, J times bool[N, I, E]; whether there are so many bool[J, I, E])."""
    key_fne = pool.entry_fne[:-1]
    query_fie = jax.lax.stop_gradient(query_fie)
    product_nie = jnp.sum(key_fne[:, :, None] * query_fie[:, None], axis=0)
    length_nie = jnp.sqrt(jnp.sum(key_fne**2, axis=0)[:, None] * jnp.sum(query_fie**2, axis=0))
    place_n = jnp.arange(key_fne.shape[1])[:, None, None]
    is_left_nie = jnp.broadcast_to(place_n < pool.num_written_e, product_nie.shape)
    cosine_nie = product_nie / jnp.maximum(length_nie, 1e-6)
    found, there = [], []
    for _ in range(num_read):
        best_ie = jnp.argmax(jnp.where(is_left_nie, cosine_nie, -jnp.inf), axis=0)
        there.append(jnp.any(is_left_nie, axis=0))
        is_best_nie = (place_n == best_ie) & is_left_nie
        found.append(is_best_nie)
        is_left_nie &= ~is_best_nie
    return found, jnp.stack(there)
