"""Worlds of single steps, many side by side: an episode that is over begins anew within the loop."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import Environment, Outcome, Seen
from lts_jax.environments.randomness import place_words

BEGINNING = 0x7FFFFFFF  # a purpose of its own: draws of a new episode are not those of a step


def begin_all(environment: Environment, seed_ew: Array) -> Any:
    """States of E episodes, from seed words u32[E, 2]."""
    return jax.vmap(lambda seed_w: environment.reset(environment.shape, environment.params, seed_w))(seed_ew)


def look_all(environment: Environment, state_e: Any) -> Seen:
    """What is seen in each of E episodes."""
    return jax.vmap(lambda state: environment.look(environment.shape, environment.params, state))(state_e)


def act_all(environment: Environment, state_e: Any, action_ei: Array, seed_ew: Array) -> tuple[Any, Outcome]:
    """One step of E episodes; where one is over, the state is that of the next one's start."""
    shape, params = environment.shape, environment.params

    def one(state: Any, action_i: Array, seed_w: Array) -> tuple[Any, Outcome]:
        after, outcome = environment.act(shape, params, state, action_i, seed_w)
        fresh = environment.reset(shape, params, place_words(seed_w, jnp.asarray(BEGINNING)))
        return jax.tree.map(lambda new, old: jnp.where(outcome.is_over, new, old), fresh, after), outcome

    return jax.vmap(one)(state_e, action_ei, seed_ew)


def seeds_at(seed_ew: Array, time: Array) -> Array:
    """u32[E, 2]: the seed words of a step, from those of the episodes' places and the number of the step."""
    return jax.vmap(lambda seed_w: place_words(seed_w, time))(seed_ew)
