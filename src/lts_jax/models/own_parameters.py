"""Agents that act in one world and share no parameters: one network for each, as one `ActorCritic`.

Every array of parameters, and of what is carried, has the agents I in front. What independent learners are made of.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.models.actor_critic import ActorCritic
from lts_jax.models.policy_network import Params


def with_own_parameters(network: ActorCritic, num_agents: int) -> ActorCritic:
    """`num_agents` copies of a network of one agent, each with parameters of its own.

    `network` has to be made for one agent (its arrays have I = 1): nobody reads another's memory here.
    """
    return ActorCritic(
        init=lambda prng_key: jax.vmap(network.init)(jax.random.split(prng_key, num_agents)),
        start=partial(_start, network, num_agents),
        step=partial(_step, network),
        unroll=partial(_unroll, network),
        name=f"{network.name}, {num_agents} times",
    )


def _start(network: ActorCritic, num_agents: int, num_episodes: int) -> Any:
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_agents, *leaf.shape)), network.start(num_episodes))


def _step(
    network: ActorCritic, params: Params, carry: Any, seen_ieo: Array, begins_e: Array, active_ie: Array
) -> tuple[Any, Array, Array]:
    by_agent = jax.vmap(network.step, in_axes=(0, 0, 0, None, 0))
    carry, logit_ia1e, value_i1e = by_agent(params, carry, seen_ieo[:, None], begins_e, active_ie[:, None])
    return carry, jnp.swapaxes(logit_ia1e[:, :, 0], 0, 1), value_i1e[:, 0]


def _unroll(
    network: ActorCritic, params: Params, carry: Any, seen_tieo: Array, begins_te: Array, active_tie: Array
) -> tuple[Array, Array]:
    by_agent = jax.vmap(network.unroll, in_axes=(0, 0, 1, None, 1))
    logit_ita1e, value_it1e = by_agent(params, carry, seen_tieo[:, :, None], begins_te, active_tie[:, :, None])
    return jnp.moveaxis(logit_ita1e[:, :, :, 0], 0, 2), jnp.moveaxis(value_it1e[:, :, 0], 0, 1)
