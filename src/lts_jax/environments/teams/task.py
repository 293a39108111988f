"""A simulated task: a small graph of needed facts, the detours that open some of them, and dead ends.

Nodes are numbered: needed facts first, then the detours, then dead ends, then what does not exist. Every node has at
most one node before it. Axis letter M: nodes.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.teams.settings import NUM_CUES, SimulatorParams, SimulatorShape

NEEDED, DETOUR, DEAD_END, ABSENT = 0, 1, 2, 3
NO_NODE = -1


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SimulatedTask:
    """What all rollouts of one task share."""

    kind_m: Array  # i32[M] NEEDED, DETOUR, DEAD_END or ABSENT
    before_m: Array  # i32[M] the node that must be known first; NO_NODE if none
    find_logit_m: Array  # f32[M] logit of the probability that a step finds the node
    common_order_m: Array  # f32[M] the order in which everybody would go, higher first
    name_md: Array  # f32[M, D - NUM_CUES] what the node is about: a unit vector
    query_d: Array  # f32[D] what the question is about: the mean of the needed facts' names; a unit vector


def draw_task(shape: SimulatorShape, params: SimulatorParams, prng_key: Array) -> SimulatedTask:
    """Draw a task. One key, one task: nothing of it changes from rollout to rollout."""
    keys = jax.random.split(prng_key, 7)
    num_needed = jnp.floor(
        params.needed_low + jax.random.uniform(keys[0]) * (params.needed_high - params.needed_low + 1.0)
    )
    num_needed = jnp.minimum(num_needed, params.needed_high).astype(jnp.int32)
    node_m = jnp.arange(shape.num_nodes)
    is_needed_m = node_m < num_needed
    draw_m = jax.random.uniform(keys[1], (shape.num_nodes,))
    has_detour_m = is_needed_m & (draw_m < params.detour_probability)
    rank_m = jnp.cumsum(has_detour_m) - 1
    detour_of_m = jnp.where(has_detour_m, num_needed + rank_m, NO_NODE)
    detour_of_m = jnp.where(detour_of_m < shape.num_nodes, detour_of_m, NO_NODE)  # no room left: no detour
    num_detours = jnp.sum(detour_of_m != NO_NODE)
    is_chained_m = is_needed_m & (node_m > 0) & (jax.random.uniform(keys[2], node_m.shape) < params.chain_probability)
    before_m = jnp.where(detour_of_m != NO_NODE, detour_of_m, jnp.where(is_chained_m, node_m - 1, NO_NODE))
    is_detour_m = ~is_needed_m & (node_m < num_needed + num_detours)
    is_dead_end_m = ~is_needed_m & ~is_detour_m & (node_m < num_needed + num_detours + params.num_dead_ends)
    kind_m = jnp.where(is_needed_m, NEEDED, jnp.where(is_detour_m, DETOUR, jnp.where(is_dead_end_m, DEAD_END, ABSENT)))
    difficulty = params.task_spread * jax.random.normal(keys[6])
    find_logit_m = _logit(params.find_probability) - difficulty
    find_logit_m = find_logit_m + params.difficulty_spread * jax.random.normal(keys[3], node_m.shape)
    name_md = _unit(jax.random.normal(keys[4], (shape.num_nodes, shape.embedding_width - NUM_CUES)))
    about_d = _unit(jnp.sum(jnp.where(is_needed_m[:, None], name_md, 0.0), axis=0))
    return SimulatedTask(
        kind_m=kind_m.astype(jnp.int32),
        before_m=before_m.astype(jnp.int32),
        find_logit_m=find_logit_m,
        common_order_m=jax.random.uniform(keys[5], node_m.shape),
        name_md=name_md,
        query_d=jnp.concatenate([jnp.zeros(NUM_CUES), about_d]),
    )


def _logit(probability: Array | float) -> Array:
    probability = jnp.clip(probability, 1e-6, 1.0 - 1e-6)
    return jnp.log(probability) - jnp.log1p(-probability)


def _unit(vector: Array) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)
