"""Which entries of the pool agents read, told again from what they saw: whose writes were of use, and when.

A write is numbered step * I + agent, by the step at which it was decided; it is admitted at the next one
(`gated_memory`).
"""

from collections.abc import Callable
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.models.gated_memory import GATES, NUM_READ, NUM_TOLD, Told
from lts_jax.models.memory_pool import Pool, admitted, cleared, empty_pool, nearest_masks
from lts_jax.models.policy_network import Params
from lts_jax.models.shared_memory import CoreSettings, Sizes, encoded

NOBODYS = -1


@lru_cache(maxsize=8)
def pulled_of(
    settings: CoreSettings, observation: tuple[int, ...], num_moves: int, num_agents: int, num_entries: int
) -> Callable[[Params, Array, Array], Array]:
    """`pulled_entries` of the network that `gated_actor_critic` makes of these; one object for equal ones."""
    sizes = Sizes(settings, observation, num_moves + 2 + len(GATES), num_agents)
    return partial(pulled_entries, sizes, num_entries)


def pulled_entries(sizes: Sizes, num_entries: int, params: Params, seen_tieo: Array, begins_te: Array) -> Array:
    """i32[T, J, I, E]: numbers of the writes whose entries each agent read at each step; `NOBODYS` where there is none.

    Args:
        sizes: of the network.
        num_entries: of the pool.
        params: with which the steps were lived through; the pool is empty before the first of them.
        seen_tieo: what was seen.
        begins_te: where blocks begin.
    """
    num_steps, num_agents, num_episodes = seen_tieo.shape[:3]
    hidden_tfie = jnp.moveaxis(encoded(sizes, params, seen_tieo[..., :-NUM_TOLD]), 1, 0)
    told_tkie = jnp.moveaxis(seen_tieo[..., -NUM_TOLD:], -1, 1)
    width = sizes.settings.width + 3  # of an entry; what counts is its key, which its last number is no part of
    begun = (
        empty_pool(width, num_entries, num_episodes),
        empty_pool(1, num_entries, num_episodes),
        jnp.zeros((width - 1, num_agents, num_episodes)),
    )
    shape_1ie = (1, num_agents, num_episodes)

    def step(carry: tuple[Pool, Pool, Array], now: tuple[Array, ...]) -> tuple[tuple[Pool, Pool, Array], Array]:
        pool, number_pool, noted_fie = carry
        time, hidden_fie, told_kie, begins_e = now
        told = Told(*told_kie)
        entry_fie = jnp.concatenate([noted_fie, told.reached[None]])
        number_1ie = (time - 1) * num_agents + jnp.arange(num_agents, dtype=jnp.float32)[None, :, None]
        pool = admitted(cleared(pool, begins_e), entry_fie, told.writes > 0)
        numbers_1ie = jnp.broadcast_to(number_1ie, shape_1ie)
        number_pool = admitted(cleared(number_pool, begins_e), numbers_1ie, told.writes > 0)
        noted_fie = jnp.concatenate([hidden_fie, told.row[None], told.column[None]])
        is_best_jnie, is_there_jie = nearest_masks(pool, noted_fie, NUM_READ)
        number_ne = number_pool.entry_fne[0]
        number_jie = jnp.stack(
            [jnp.sum(jnp.where(is_best_nie, number_ne[:, None], 0.0), axis=0) for is_best_nie in is_best_jnie]
        )
        reads_jie = is_there_jie & (told.reads_pool > 0) & (told.finished == 0)
        pulled_jie = jnp.where(reads_jie, number_jie, NOBODYS).astype(jnp.int32)
        return (pool, number_pool, noted_fie), pulled_jie

    times = jnp.arange(num_steps, dtype=jnp.float32)
    return jax.lax.scan(step, begun, (times, hidden_tfie, told_tkie, begins_te))[1]
