"""The stream of a rollout: what is said, when, and what will be asked. All rollouts of a group share it."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.desk.coding import NOTHING
from lts_jax.environments.desk.settings import NUM_ATTRIBUTES, NUM_VALUES

STATEMENT, RESTATEMENT, CORRECTION, TALK, STRANGER = range(5)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Stream:
    """E events, of stage 1 and then of stage 2, and the question."""

    kind_e: Array  # i32[E]
    attribute_e: Array  # i32[E] NOTHING for small talk
    value_e: Array  # i32[E]
    noise_ed: Array  # f32[E, D] of their vectors
    asked_2: Array  # i32[2] attributes; the second is NOTHING where one is asked for
    answer_2: Array  # i32[2] their newest values


def draw_task(shape: Any, params: Any, prng_key: Array) -> Stream:
    """A fresh stream."""
    stored_key, other_key, noise_key, asked_key = jax.random.split(prng_key, 4)
    keys = jax.random.split(stored_key, shape.num_stored)
    unsaid = jnp.full(NUM_ATTRIBUTES, NOTHING, jnp.int32)
    newest_a, said = jax.lax.scan(partial(_stated, params), unsaid, keys)
    other = jax.vmap(partial(_distraction, params))(jax.random.split(other_key, shape.num_distractors))
    kind_e, attribute_e, value_e = (jnp.concatenate(parts) for parts in zip(said, other, strict=True))
    asked_2 = _asked(params, newest_a, asked_key)
    answer_2 = jnp.where(asked_2 == NOTHING, NOTHING, newest_a[asked_2])
    noise_ed = jax.random.normal(noise_key, (shape.num_events, shape.embedding_width))
    return Stream(kind_e, attribute_e, value_e, noise_ed, asked_2, answer_2)


def _stated(params: Any, newest_a: Array, prng_key: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    """One event of stage 1, given the newest value of every attribute so far."""
    kind_key, which_key, value_key = jax.random.split(prng_key, 3)
    share = jnp.stack([params.statement_probability, params.restatement_probability, params.correction_probability])
    kind = jnp.searchsorted(jnp.cumsum(share), jax.random.uniform(kind_key), side="right").astype(jnp.int32)
    is_said_a = newest_a != NOTHING
    # What was not said yet cannot be said again, and what was said is not stated as new; else the kind gives way.
    kind = jnp.where((kind == STATEMENT) & jnp.all(is_said_a), RESTATEMENT, kind)
    kind = jnp.where(((kind == RESTATEMENT) | (kind == CORRECTION)) & ~jnp.any(is_said_a), STATEMENT, kind)
    wanted_a = jnp.where(kind == STATEMENT, ~is_said_a, is_said_a)
    attribute = jnp.argmax(jnp.where(wanted_a, jax.random.uniform(which_key, (NUM_ATTRIBUTES,)), -1.0))
    old = newest_a[attribute]
    other = (old + 1 + jax.random.randint(value_key, (), 0, NUM_VALUES - 1)) % NUM_VALUES
    fresh = jax.random.randint(value_key, (), 0, NUM_VALUES)
    value = jnp.select([kind == RESTATEMENT, kind == CORRECTION], [old, other], fresh)
    is_fact = kind != TALK
    newest_a = newest_a.at[attribute].set(jnp.where(is_fact, value, old))
    return newest_a, (kind, jnp.where(is_fact, attribute, NOTHING), jnp.where(is_fact, value, NOTHING))


def _distraction(params: Any, prng_key: Array) -> tuple[Array, Array, Array]:
    """One event of stage 2: a fact of a stranger, or small talk."""
    kind_key, which_key, value_key = jax.random.split(prng_key, 3)
    is_fact = jax.random.uniform(kind_key) < params.stranger_probability
    attribute = NUM_ATTRIBUTES + jax.random.randint(which_key, (), 0, NUM_ATTRIBUTES)
    value = jax.random.randint(value_key, (), 0, NUM_VALUES)
    kind = jnp.where(is_fact, STRANGER, TALK)
    return kind, jnp.where(is_fact, attribute, NOTHING), jnp.where(is_fact, value, NOTHING)


def _asked(params: Any, newest_a: Array, prng_key: Array) -> Array:
    """One or two attributes that were said; attribute 0 where none was."""
    order_key, number_key = jax.random.split(prng_key)
    order_a = jnp.where(newest_a != NOTHING, jax.random.uniform(order_key, (NUM_ATTRIBUTES,)), -1.0)
    first = jnp.argmax(order_a)
    second = jnp.argmax(order_a.at[first].set(-1.0))
    wants_two = (jax.random.uniform(number_key) < params.two_facts_probability) & (jnp.sum(newest_a != NOTHING) > 1)
    return jnp.stack([first, jnp.where(wants_two, second, NOTHING)]).astype(jnp.int32)
