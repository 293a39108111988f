"""AgeMem's reward, term by term (arXiv 2601.01885; weights, terms and penalties as in its released code)."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import Number

NO_ANSWER, LAST_ROUND, OVERFLOW = -1.0, -1.0, -0.5


class Weights(NamedTuple):
    """Of the parts; the release's. Numbers that may be traced."""

    task: Number = 0.5
    tools: Number = 0.2
    context: Number = 0.15
    memory: Number = 0.15
    penalties: Number = 1.0


AS_RELEASED = Weights()


class Told(NamedTuple):
    """What the reward is made of; numbers or arrays of one shape."""

    score: Array  # of the judge, in [0, 1]; here the truth
    has_answered: Array
    is_last_round: Array  # the rollout ended because no round was left
    token_ratio: Array  # of the context that is in use at the end
    prevented: Array  # a summary or a filter was made and nothing overflowed
    preserved: Array  # what the question needs, at least half of it, still stands there
    storage: Array  # useful additions over additions
    maintenance: Array  # 1 if anything was updated or deleted
    relevance: Array  # of the retrieved, the share that was needed
    num_calls: Array  # of tools
    num_rounds: Array
    most_rounds: Array
    used_retrieve: Array
    used_context_tool: Array  # a summary or a filter
    used_add: Array
    overflowed: Array


def reward(told: Told, weights: Weights = AS_RELEASED) -> Array:
    """clip(.5 task + .2 tools + .15 context + .15 memory + penalties, -1, 1)."""
    task = jnp.where(told.has_answered, told.score, 0.0)
    penalty = jnp.where(told.has_answered, 0.0, NO_ANSWER) + jnp.where(told.is_last_round, LAST_ROUND, 0.0)
    penalty = penalty + jnp.where(told.overflowed, OVERFLOW, 0.0)
    parts = weights.task * task + weights.tools * tools(told)
    parts = parts + weights.context * context(told) + weights.memory * memory(told)
    return jnp.clip(parts + weights.penalties * penalty, -1.0, 1.0)


def context(told: Told) -> Array:
    """(max(0, 1 - token ratio) + prevented + preserved) / 3."""
    return (jnp.maximum(0.0, 1.0 - told.token_ratio) + told.prevented + told.preserved) / 3.0


def memory(told: Told) -> Array:
    """(storage + maintenance + relevance) / 3."""
    return (told.storage + told.maintenance + told.relevance) / 3.0


def tools(told: Told) -> Array:
    """Scale of the number of calls, presence of the kinds of tools, and efficiency."""
    ratio = told.num_calls / jnp.maximum(told.num_rounds, 1)
    scale = jnp.where((ratio >= 0.3) & (ratio <= 2.0), 0.2, jnp.where(ratio > 3.0, -0.1, 0.0))
    presence = 0.2 * told.used_retrieve + 0.2 * told.used_context_tool + 0.1 * told.used_add
    return scale + presence + 0.2 * (1.0 - told.num_rounds / told.most_rounds)
