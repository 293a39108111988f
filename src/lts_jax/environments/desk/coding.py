"""Facts as vectors: codes of subject, relation, value and time, with noise. Nothing else is shown to a policy."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.environments.desk.settings import (
    CODE_WIDTH,
    NUM_ATTRIBUTES,
    NUM_FACTS,
    NUM_RELATIONS,
    NUM_SUBJECTS,
    NUM_VALUES,
)

NOTHING = -1  # the attribute of no fact: small talk, an empty slot

_VALUE_BITS = 8
_TIME, _STRANGER, _TALK, _FULL = (NUM_SUBJECTS + NUM_RELATIONS + _VALUE_BITS + place for place in range(4))
_HEAD = _FULL + 1  # what is going on, for the vector that is no item
_CODES = np.array([[1.0 if (code >> bit) & 1 else -1.0 for bit in range(4)] for code in range(NUM_VALUES)], np.float32)
_VALUE_CODE = np.concatenate([_CODES, _CODES * np.roll(_CODES, 1, axis=1)], axis=1) * 0.5  # [V, 8], no two alike


class Items(NamedTuple):
    """Things that can lie in a slot or in the drawer, each with up to three facts; leading axes are the places."""

    vector: Array  # f32[..., D] what is shown
    attribute: Array  # i32[..., 3] subject * 4 + relation, of a stranger 32 more; NOTHING for no fact
    value: Array  # i32[..., 3]
    time: Array  # i32[..., 3] number of the event


def no_items(count: int) -> Items:
    """`count` empty places."""
    blank = jnp.full((count, NUM_FACTS), NOTHING, jnp.int32)
    return Items(jnp.zeros((count, CODE_WIDTH)), blank, blank, blank)


def encode(params: Any, attribute: Array, value: Array, time: Array, noise: Array) -> Array:
    """f32[..., D]: the mean of the codes of the facts [..., 3], or small talk; plus noise f32[..., D]."""
    is_fact = attribute != NOTHING
    own = jnp.where(is_fact, attribute % NUM_ATTRIBUTES, 0)
    subject = jnp.eye(NUM_SUBJECTS)[own // NUM_RELATIONS]
    relation = jnp.eye(NUM_RELATIONS)[own % NUM_RELATIONS]
    said = jnp.asarray(_VALUE_CODE)[jnp.where(is_fact, value, 0)]
    age = 0.05 * time.astype(jnp.float32)[..., None]
    stranger = params.stranger_cue * (attribute >= NUM_ATTRIBUTES).astype(jnp.float32)[..., None]
    code = jnp.concatenate([subject, relation, said, age, stranger], axis=-1) * is_fact[..., None]
    number = jnp.maximum(jnp.sum(is_fact, axis=-1, keepdims=True), 1)
    mean = jnp.sum(code, axis=-2) / number
    is_talk = (~jnp.any(is_fact, axis=-1, keepdims=True)).astype(jnp.float32)
    rest = jnp.zeros((*mean.shape[:-1], CODE_WIDTH - _HEAD))
    return jnp.concatenate([mean, is_talk, jnp.ones_like(is_talk), rest], axis=-1) + params.noise * noise


def encode_question(asked: Array) -> Array:
    """f32[D]: the mean of subject and relation of what is asked for, i32[2], the second NOTHING if one is."""
    is_asked = asked != NOTHING
    own = jnp.where(is_asked, asked, 0)
    code = jnp.concatenate(
        [jnp.eye(NUM_SUBJECTS)[own // NUM_RELATIONS], jnp.eye(NUM_RELATIONS)[own % NUM_RELATIONS]], axis=-1
    )
    mean = jnp.sum(code * is_asked[:, None], axis=0) / jnp.maximum(jnp.sum(is_asked), 1)
    return jnp.concatenate([mean, jnp.zeros(CODE_WIDTH - mean.shape[0])])


def encode_moment(question: Array, told: Array) -> Array:
    """f32[D]: what is going on: the question where it is asked, and up to eight numbers f32[<= 8]."""
    tail = jnp.zeros(CODE_WIDTH - _HEAD).at[: told.shape[0]].set(told)
    return jnp.concatenate([question[:_HEAD], tail])


def shows_talk(vector: Array) -> Array:
    """bool[...]: vectors f32[..., D] that look like small talk rather than like facts."""
    return vector[..., _HEAD - 2] > 0.5
