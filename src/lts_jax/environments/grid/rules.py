"""Agents on a grid who have learned nothing, as networks without parameters: to compare with."""

from functools import lru_cache, partial
from typing import Any

import jax.numpy as jnp
from jax import Array

from lts_jax.environments.grid.settings import MOVES, STAY, GridShape
from lts_jax.models.actor_critic import ActorCritic
from lts_jax.models.policy_network import Params

_SURE = 1e3  # a logit that leaves the others nothing


@lru_cache
def random_walk(shape: GridShape) -> ActorCritic:
    """Any action, all equally likely."""
    return _rule("random walk", shape, 1.0)


@lru_cache
def follow_path(shape: GridShape, *, random_fraction: float = 0.0) -> ActorCritic:
    """The next cell of the own shortest path, whoever stands there; with a probability any action instead."""
    return _rule("follow the path", shape, random_fraction)


def _rule(name: str, shape: GridShape, random_fraction: float) -> ActorCritic:
    return ActorCritic(
        init=lambda prng_key: {},
        start=lambda num_episodes: (),
        step=partial(_step, shape, random_fraction),
        unroll=_refuse,
        name=name,
    )


def _step(
    shape: GridShape,
    random_fraction: float,
    params: Params,
    carry: Any,
    seen_ieo: Array,
    begins_e: Array,
    active_ie: Array,
) -> tuple[Any, Array, Array]:
    side, radius = 2 * shape.radius + 1, shape.radius
    places = [(radius + row) * side + radius + column for row, column in MOVES]
    is_next_aie = jnp.stack([(seen_ieo[..., place] > 0) & (number != STAY) for number, place in enumerate(places)])
    sure_aie = jnp.where(is_next_aie, 1.0, 0.0)
    share_aie = (1.0 - random_fraction) * sure_aie + random_fraction / len(MOVES)
    logit_aie = jnp.where(share_aie > 0, jnp.log(jnp.maximum(share_aie, 1e-9)), -_SURE)
    return carry, logit_aie, jnp.zeros(active_ie.shape)


def _refuse(*_: Any) -> Any:
    raise ValueError("a rule has no gradient")
