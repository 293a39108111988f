"""How logits become an action, and what it points at, where there are more than two actions and not all are legal."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from lts_jax.actions import NO_TARGET
from lts_jax.environments.contract import Acting
from lts_jax.learning.losses import action_log_probs, log_prob_of, target_log_prob


class Choice(NamedTuple):
    """One decision."""

    action: Array  # i32[]
    target: Array  # i32[] -1 where the action points at nothing
    log_prob: Array  # f32[] log pi(a) + log pi(j | a) under the sampling policy
    target_mask_j: Array  # bool[J] what the action could have pointed at


def choose_edit(logit_a: Array, pointer_j: Array, legal: tuple[Array, Array], draw_2: Array, acting: Acting) -> Choice:
    """Sample an action among the legal ones, then what it points at; or take the largest of both.

    log pi = log pi(a) + log pi(j | a), of the same functions that the loss takes them from (`learning.losses`).

    Args:
        logit_a: f32[A].
        pointer_j: f32[J].
        legal: bool[A] of the actions, at least one; bool[A, J] of what each may point at, none for some.
        draw_2: f32[2] uniform in (0, 1).
        acting: temperature, and whether the draws count. Its `min_probability` is for two actions, and not looked at.
    """
    legal_a, target_aj = legal
    log_prob_a = action_log_probs(logit_a, temperature=acting.temperature, legal=legal_a)
    action = _chosen(log_prob_a, draw_2[0], acting)
    target_mask_j = jnp.take(target_aj, action, axis=0)
    log_prob_j = action_log_probs(pointer_j, temperature=acting.temperature, legal=target_mask_j)
    target = jnp.where(jnp.any(target_mask_j), _chosen(log_prob_j, draw_2[1], acting), NO_TARGET)
    pointed = target_log_prob(pointer_j, target, target_mask_j, temperature=acting.temperature)
    return Choice(action, target, log_prob_of(log_prob_a, action) + pointed, target_mask_j)


def _chosen(log_prob_x: Array, draw: Array, acting: Acting) -> Array:
    """i32[]: the likeliest, or the first whose cumulated probability exceeds the draw; never one of probability 0."""
    prob_x = jnp.exp(log_prob_x)
    reached = jnp.cumsum(prob_x) > draw * jnp.sum(prob_x)
    drawn = jnp.argmax(reached & (prob_x > 0.0))
    return jnp.where(acting.is_greedy, jnp.argmax(log_prob_x), drawn).astype(jnp.int32)
