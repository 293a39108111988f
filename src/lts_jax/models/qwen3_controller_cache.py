"""The attention cache of a Qwen3 controller: keys and values of [query; keys] of many rollouts, one row each.

Keys are only ever appended and nobody before them sees them, so what was computed of a prefix stays right; where keys
see no other keys, also when one of them ends. A decision then runs four tokens: the key that came since the last
decision, if one did, and its own triplet. With cosines it runs one more, and the keys' embeddings are kept as well.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.models.lora import Tuning
from lts_jax.models.policy_network import CachedDecision, DecisionCache, Joined
from lts_jax.models.qwen3 import KeyValues
from lts_jax.models.qwen3_soft_tokens import Shape, answer_logits, base, context_visibility, soft_tokens, step_tokens


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Cached:
    """What is kept of [query; keys], or what came with one new key: S = 1 + capacity places, or 1."""

    attention: KeyValues  # [L, B, S, N, F]
    embedded: Array | None  # f32[1, B, S, D] of the keys, the query's place unused; None where nobody asks for cosines


def decision_cache(shape: Shape) -> DecisionCache:
    """The functions of `DecisionCache` for this controller."""
    return DecisionCache(
        empty=partial(empty, shape), start=partial(start, shape), rows=rows, step=partial(step, shape), append=append
    )


def empty(shape: Shape, num_rows: int, capacity: int) -> Cached:
    """Zeros for `num_rows` rollouts of up to `capacity` keys."""
    qwen3 = shape.qwen3
    size = (qwen3.num_layers, num_rows, 1 + capacity, qwen3.num_kv_heads, qwen3.head_width)
    attention = KeyValues(jnp.zeros(size, qwen3.compute_dtype), jnp.zeros(size, qwen3.compute_dtype))
    width = shape.controller.embedding_width
    return Cached(attention, jnp.zeros((1, num_rows, 1 + capacity, width)) if shape.has_cosines else None)


def start(shape: Shape, params: Joined, cache: Cached, row: Array, query_d: Array, key_nd: Array) -> Cached:
    """The cache with one row computed anew from query f32[D] and keys f32[N, D] of its rollout, padding last."""
    embeds_sw = jnp.concatenate(
        [soft_tokens(shape, params, "query", query_d[None, None]), soft_tokens(shape, params, "key", key_nd[None])],
        axis=1,
    )
    num_tokens = embeds_sw.shape[1]
    sees_st = context_visibility(shape, num_tokens)
    _, attention = base(shape, params).extend(
        embeds_sw,
        jnp.arange(num_tokens)[None],
        sees_st[None],
        tuning=Tuning(params.trained["adapters"], shape.lora),
    )
    embedded = jnp.concatenate([query_d[None], key_nd])[None, None] if shape.has_cosines else None
    made = Cached(attention, embedded)
    return jax.tree.map(lambda old, new: jax.lax.dynamic_update_slice_in_dim(old, new, row, axis=1), cache, made)


def rows(cache: Cached, row_b: Array) -> Cached:
    """The cache of some rollouts."""
    return jax.tree.map(lambda leaf: jnp.take(leaf, row_b, axis=1, mode="clip"), cache)


def step(shape: Shape, params: Joined, cache: Cached, decision: CachedDecision) -> tuple[Array, Cached]:
    """Logits f32[B, 2] of one decision a row, and what is to be kept of its new key, one place a row."""
    num_keys_b, new_key_bd, has_new_b, step_bsd, alive_bn = decision
    num_rows, num_cached = cache.attention.key.shape[1:3]
    num_own, new_b = 1 + shape.num_step_tokens, has_new_b.astype(jnp.int32)
    position_bs = jnp.concatenate(
        [num_keys_b[:, None] + 1, (num_keys_b + new_b)[:, None] + 1 + jnp.arange(num_own - 1)], axis=1
    )
    sees_cached_bt = jnp.arange(num_cached) <= num_keys_b[:, None]  # token 0 is the query
    causal_st = jnp.tril(jnp.ones((num_own, num_own), bool))
    # Where there is no new key, nobody but itself sees the token in its place.
    is_there_bst = causal_st & (has_new_b[:, None, None] | (jnp.arange(num_own) > 0))
    sees_new_b, sees_cached_bst = has_new_b, sees_cached_bt[:, None]
    if not shape.keys_see_keys:
        is_key_s = jnp.arange(num_own) == 0
        if alive_bn is not None:
            sees_cached_bt = sees_cached_bt & jnp.pad(alive_bn, ((0, 0), (1, 0)), constant_values=True)
            sees_new_b = has_new_b & jnp.take_along_axis(alive_bn, num_keys_b[:, None], axis=1, mode="clip")[:, 0]
        is_there_bst = is_there_bst.at[:, 1:, 0].set(sees_new_b[:, None])
        is_query_t = jnp.arange(num_cached) == 0
        sees_cached_bst = jnp.where(is_key_s[:, None], is_query_t, sees_cached_bt[:, None])
    visible_bst = jnp.concatenate(
        [jnp.broadcast_to(sees_cached_bst, (num_rows, num_own, num_cached)), is_there_bst], axis=2
    )
    known_bnd, sees_bn = new_key_bd[:, None], sees_new_b[:, None]
    if cache.embedded is not None:
        known_bnd = jnp.concatenate([cache.embedded[0, :, 1:], known_bnd], axis=1)
        sees_bn = jnp.concatenate([sees_cached_bt[:, 1:], sees_bn], axis=1)
    embeds_bsw = jnp.concatenate(
        [
            soft_tokens(shape, params, "key", new_key_bd[:, None]),
            step_tokens(shape, params, known_bnd, sees_bn[:, None], step_bsd[:, None]),
        ],
        axis=1,
    )
    network = base(shape, params)
    state_bsw, made = network.extend(
        embeds_bsw,
        position_bs,
        visible_bst,
        tuning=Tuning(params.trained["adapters"], shape.lora),
        cache=cache.attention,
    )
    kept = Cached(made, None if cache.embedded is None else new_key_bd[None, :, None])
    return answer_logits(shape, network, state_bsw[:, -1]), jax.tree.map(lambda leaf: leaf[:, :, :1], kept)


def append(cache: Cached, made: Cached, row_b: Array, num_keys_b: Array, has_new_b: Array) -> Cached:
    """The cache with the new key of each of these rows behind its `num_keys_b` keys, where `has_new_b`."""
    place_b = jnp.where(has_new_b, num_keys_b + 1, cache.attention.key.shape[2])  # beyond the end: dropped
    return jax.tree.map(lambda old, new: old.at[:, row_b, place_b].set(new[:, :, 0], mode="drop"), cache, made)
