"""The attention cache of a Qwen3 controller: keys and values of [query; keys] of many rollouts, one row each.

Keys are only ever appended and nobody before them sees them, so what was computed of a prefix stays right. A decision
then runs four tokens: the key that came since the last decision, if one did, and its own triplet.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.models.lora import Tuning
from lts_jax.models.policy_network import CachedDecision, DecisionCache, Joined
from lts_jax.models.qwen3 import KeyValues
from lts_jax.models.qwen3_soft_tokens import STEP_TOKENS, Shape, answer_logits, base, soft_tokens


def decision_cache(shape: Shape) -> DecisionCache:
    """The functions of `DecisionCache` for this controller; a cache is `KeyValues` of [L, B, 1 + capacity, N, F]."""
    return DecisionCache(
        empty=partial(empty, shape), start=partial(start, shape), rows=rows, step=partial(step, shape), append=append
    )


def empty(shape: Shape, num_rows: int, capacity: int) -> KeyValues:
    """Zeros for `num_rows` rollouts of up to `capacity` keys."""
    qwen3 = shape.qwen3
    size = (qwen3.num_layers, num_rows, 1 + capacity, qwen3.num_kv_heads, qwen3.head_width)
    return KeyValues(jnp.zeros(size, qwen3.compute_dtype), jnp.zeros(size, qwen3.compute_dtype))


def start(shape: Shape, params: Joined, cache: KeyValues, row: Array, query_d: Array, key_nd: Array) -> KeyValues:
    """The cache with one row computed anew from query f32[D] and keys f32[N, D] of its rollout, padding last."""
    embeds_sw = jnp.concatenate(
        [soft_tokens(shape, params, "query", query_d[None, None]), soft_tokens(shape, params, "key", key_nd[None])],
        axis=1,
    )
    num_tokens = embeds_sw.shape[1]
    causal_st = jnp.tril(jnp.ones((num_tokens, num_tokens), bool))
    _, made = base(shape, params).extend(
        embeds_sw,
        jnp.arange(num_tokens)[None],
        causal_st[None],
        tuning=Tuning(params.trained["adapters"], shape.lora),
    )
    return jax.tree.map(lambda old, new: jax.lax.dynamic_update_slice_in_dim(old, new, row, axis=1), cache, made)


def rows(cache: KeyValues, row_b: Array) -> KeyValues:
    """The cache of some rollouts."""
    return jax.tree.map(lambda leaf: jnp.take(leaf, row_b, axis=1, mode="clip"), cache)


def step(shape: Shape, params: Joined, cache: KeyValues, decision: CachedDecision) -> tuple[Array, KeyValues]:
    """Logits f32[B, 2] of one decision a row, and keys and values [L, B, 1, N, F] of its new key."""
    num_keys_b, new_key_bd, has_new_b, step_bsd = decision
    num_rows, num_cached = cache.key.shape[1:3]
    new_b = has_new_b.astype(jnp.int32)
    position_bs = jnp.concatenate(
        [num_keys_b[:, None] + 1, (num_keys_b + new_b)[:, None] + 1 + jnp.arange(STEP_TOKENS)], axis=1
    )
    sees_cached_bt = jnp.arange(num_cached) <= num_keys_b[:, None]  # token 0 is the query
    causal_st = jnp.tril(jnp.ones((1 + STEP_TOKENS, 1 + STEP_TOKENS), bool))
    # Where there is no new key, nobody but itself sees the token in its place.
    is_there_bst = causal_st & (has_new_b[:, None, None] | (jnp.arange(1 + STEP_TOKENS) > 0))
    visible_bst = jnp.concatenate(
        [jnp.broadcast_to(sees_cached_bt[:, None], (num_rows, 1 + STEP_TOKENS, num_cached)), is_there_bst], axis=2
    )
    embeds_bsw = jnp.concatenate(
        [soft_tokens(shape, params, "key", new_key_bd[:, None]), soft_tokens(shape, params, "step", step_bsd)], axis=1
    )
    network = base(shape, params)
    state_bsw, made = network.extend(
        embeds_bsw, position_bs, visible_bst, tuning=Tuning(params.trained["adapters"], shape.lora), cache=cache
    )
    return answer_logits(shape, network, state_bsw[:, -1]), jax.tree.map(lambda leaf: leaf[:, :, :1], made)


def append(cache: KeyValues, made: KeyValues, row_b: Array, num_keys_b: Array, has_new_b: Array) -> KeyValues:
    """The cache with the new key of each of these rows behind its `num_keys_b` keys, where `has_new_b`."""
    place_b = jnp.where(has_new_b, num_keys_b + 1, cache.key.shape[2])  # beyond the end: dropped
    return jax.tree.map(lambda old, new: old.at[:, row_b, place_b].set(new[:, :, 0], mode="drop"), cache, made)
