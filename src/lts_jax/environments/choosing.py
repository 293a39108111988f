"""How logits become an action, and what it points at, where there are more than two actions and not all are legal."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from lts_jax.actions import ADD, NO_TARGET, NOOP
from lts_jax.environments.contract import ASK, WITHHELD, Acting, Script
from lts_jax.learning.losses import action_log_probs, log_prob_of, target_log_prob


class Choice(NamedTuple):
    """One decision."""

    action: Array  # i32[]
    target: Array  # i32[] -1 where the action points at nothing
    log_prob: Array  # f32[] log pi(a) + log pi(j | a) under the sampling policy
    target_mask_j: Array  # bool[J] what the action could have pointed at


class Forced(NamedTuple):
    """What a script prescribes for one decision."""

    action: Array  # i32[] or ASK
    target: Array  # i32[] or NO_TARGET
    is_withheld: Array  # bool[] the addition takes its turn and adds nothing


def forced_at(script: Script, place: Array) -> Forced | None:
    """What is prescribed at a place of axes K and T together; None for a script without actions.

    Raises:
        ValueError: a script with actions and without targets.
    """
    if script.forced_kt is None:
        return None
    if script.target_kt is None:
        raise ValueError("script: expected target_kt beside forced_kt, got none")
    action = jnp.take(script.forced_kt.reshape(-1), place, mode="fill", fill_value=ASK)
    target = jnp.take(script.target_kt.reshape(-1), place, mode="fill", fill_value=NO_TARGET)
    is_withheld = action == WITHHELD
    return Forced(jnp.where(is_withheld, ADD, action), target, is_withheld)


def choose_edit(
    logit_a: Array,
    pointer_j: Array,
    legal: tuple[Array, Array],
    draw_2: Array,
    acting: Acting,
    forced: Forced | None = None,
) -> Choice:
    """Sample an action among the legal ones, then what it points at; or take the largest of both.

    log pi = log pi(a) + log pi(j | a), of the same functions that the loss takes them from (`learning.losses`).

    Args:
        logit_a: f32[A].
        pointer_j: f32[J].
        legal: bool[A] of the actions, at least one; bool[A, J] of what each may point at, none for some.
        draw_2: f32[2] uniform in (0, 1).
        acting: temperature, and whether the draws count. Its `min_probability` is for two actions, and not looked at.
        forced: an action instead of the sampled one, if it is legal, else to do nothing; and what it points at, if that
            is still there. The log-probability stays that of what is done under the sampling policy.
    """
    legal_a, target_aj = legal
    log_prob_a = action_log_probs(logit_a, temperature=acting.temperature, legal=legal_a)
    action = _chosen(log_prob_a, draw_2[0], acting)
    if forced is not None:
        may = jnp.take(legal_a, forced.action, mode="fill", fill_value=False)
        action = jnp.where(forced.action == ASK, action, jnp.where(may, forced.action, NOOP)).astype(jnp.int32)
    target_mask_j = jnp.take(target_aj, action, axis=0)
    log_prob_j = action_log_probs(pointer_j, temperature=acting.temperature, legal=target_mask_j)
    target = jnp.where(jnp.any(target_mask_j), _chosen(log_prob_j, draw_2[1], acting), NO_TARGET)
    if forced is not None:
        stands = jnp.take(target_mask_j, forced.target, mode="fill", fill_value=False) & (forced.target >= 0)
        target = jnp.where((forced.action == action) & stands, forced.target, target)
    pointed = target_log_prob(pointer_j, target, target_mask_j, temperature=acting.temperature)
    return Choice(action, target, log_prob_of(log_prob_a, action) + pointed, target_mask_j)


def _chosen(log_prob_x: Array, draw: Array, acting: Acting) -> Array:
    """i32[]: the likeliest, or the first whose cumulated probability exceeds the draw; never one of probability 0."""
    prob_x = jnp.exp(log_prob_x)
    reached = jnp.cumsum(prob_x) > draw * jnp.sum(prob_x)
    drawn = jnp.argmax(reached & (prob_x > 0.0))
    return jnp.where(acting.is_greedy, jnp.argmax(log_prob_x), drawn).astype(jnp.int32)
