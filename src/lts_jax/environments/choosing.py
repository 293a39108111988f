"""How logits become an action, and what it points at, where there are more than two actions and not all are legal."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import ASK, Acting

NEVER = -1e9  # as in `learning.losses`, which no environment knows


class Choice(NamedTuple):
    """One decision."""

    action: Array  # i32[]
    target: Array  # i32[] -1 where the action points at nothing
    log_prob: Array  # f32[] log pi(a) + log pi(j | a) under the sampling policy
    target_mask_j: Array  # bool[J] what the action could have pointed at


def choose_edit(
    logit_a: Array,
    pointer_j: Array,
    legal: tuple[Array, Array],
    draw_2: Array,
    acting: Acting,
    forced: tuple[Array | int, Array | int] = (ASK, ASK),
) -> Choice:
    """Sample an action among the legal ones, then what it points at; or take the largest of both.

    Args:
        logit_a: f32[A].
        pointer_j: f32[J].
        legal: bool[A] of the actions, at least one; bool[A, J] of what each may point at, none for some.
        draw_2: f32[2] uniform in (0, 1).
        acting: temperature, and whether the draws count. Its `min_probability` is for two actions, and not looked at.
        forced: action and target that a script prescribes, or ASK; their log-probability stays the policy's.
    """
    legal_a, target_aj = legal
    log_prob_a = _log_softmax(jnp.where(legal_a, logit_a / acting.temperature, NEVER))
    action = jnp.where(acting.is_greedy, jnp.argmax(log_prob_a), _drawn(log_prob_a, draw_2[0]))
    action = jnp.where(jnp.asarray(forced[0]) == ASK, action, forced[0]).astype(jnp.int32)
    target_mask_j = jnp.take(target_aj, action, axis=0)
    points = jnp.any(target_mask_j)
    log_prob_j = _log_softmax(jnp.where(target_mask_j, pointer_j / acting.temperature, NEVER))
    target = jnp.where(acting.is_greedy, jnp.argmax(log_prob_j), _drawn(log_prob_j, draw_2[1]))
    target = jnp.where(jnp.asarray(forced[1]) == ASK, target, forced[1])
    target = jnp.where(points, target, -1).astype(jnp.int32)
    log_prob = jnp.take(log_prob_a, action) + jnp.where(points, jnp.take(log_prob_j, jnp.maximum(target, 0)), 0.0)
    return Choice(action, target, log_prob, target_mask_j)


def _log_softmax(logit_x: Array) -> Array:
    shifted = logit_x - jnp.max(logit_x)
    return shifted - jnp.log(jnp.sum(jnp.exp(shifted)))


def _drawn(log_prob_x: Array, draw: Array) -> Array:
    """The first whose cumulated probability exceeds the draw, never one of probability 0."""
    prob_x = jnp.exp(log_prob_x)
    reached = jnp.cumsum(prob_x) > draw * jnp.sum(prob_x)
    return jnp.argmax(reached & (prob_x > 0.0))
