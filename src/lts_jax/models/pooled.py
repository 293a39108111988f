"""The smallest controller: a few similarities and the step, through one hidden layer; for sweeps by the thousand.

Features: query times instruction, summary and output (3); the largest and the mean similarity of the summary to the
visible keys (2); log(1 + number of keys) (1); the step triplet (3 D). Keys have no order here either.
"""

from dataclasses import dataclass
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.trajectory import DecisionContext

NUM_POOLED = 6  # features beside the step triplet
WRITTEN_OUT = 32  # widest embedding whose similarities are written out as sums


@dataclass(frozen=True, slots=True)
class PooledSettings:
    """Shape of the network; all values are ours."""

    embedding_width: int = 16  # D
    hidden_width: int = 32
    num_actions: int = 2
    key_window: int = 96  # a decision sees the newest this many keys
    sees_keys: bool = True  # else similarities to keys are left out: the controller judges the step alone
    value_head: bool = False  # a second output: the expected return before the decision

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        for name, low in (("embedding_width", 1), ("hidden_width", 1), ("key_window", 1), ("num_actions", 2)):
            if getattr(self, name) < low:
                raise UserError(f"pooled: {name}: expected at least {low}, got {getattr(self, name)}")


def init(settings: PooledSettings, prng_key: Array) -> Params:
    """Parameters as a dict of f32 arrays. Output layers are zero: untrained, all actions are equally likely."""
    num_features = NUM_POOLED + 3 * settings.embedding_width
    hidden = settings.hidden_width
    params = {
        "hidden": jax.random.normal(prng_key, (num_features, hidden)) * (2.0 / num_features) ** 0.5,
        "hidden_bias": jnp.zeros(hidden),
        "logits": jnp.zeros((hidden, settings.num_actions)),
        "logits_bias": jnp.zeros(settings.num_actions),
    }
    return params | ({"value": jnp.zeros(hidden), "value_bias": jnp.zeros(())} if settings.value_head else {})


def decision_logits(
    settings: PooledSettings, params: Params, query: Array, key: Array, num_keys: Array, step: Array
) -> Array:
    """f32[..., A] from query f32[..., D], padded keys f32[..., N, D], num_keys i32[...], step f32[..., 3, D]."""
    to_query = jnp.einsum("...d,...sd->...s", query, step)
    similarity = jnp.einsum("...nd,...d->...n", key, step[..., 1, :]) if settings.sees_keys else None
    pooled_f = _pool(settings, to_query, similarity, num_keys)
    return _hidden(settings, params, pooled_f, step) @ params["logits"] + params["logits_bias"]


def packed_hidden(settings: PooledSettings, params: Params, context: DecisionContext) -> Array:
    """f32[(B,) G, K, T, hidden]: what both heads read, of every decision of a group or of B groups."""
    decisions = context.num_keys_gkt.shape  # (B,) G, K, T
    num_entries, width = context.key_gnd.shape[-2:]
    per_row = decisions[-1] * decisions[-2]
    key_rnd = context.key_gnd.reshape(-1, num_entries, width)  # R rollouts, X decisions each: fewer and longer loops
    step_rxsd = context.step_gktsd.reshape(-1, per_row, 3, width)
    num_keys_rx = context.num_keys_gkt.reshape(-1, per_row)
    query_rd = jnp.broadcast_to(context.query_d[..., None, :], (*decisions[:-2], width)).reshape(-1, width)
    to_query_rxs = jnp.einsum("rd,rxsd->rxs", query_rd, step_rxsd)
    similarity_rxn = _similarity(key_rnd, step_rxsd[:, :, 1]) if settings.sees_keys else None
    pooled_rxf = _pool(settings, to_query_rxs, similarity_rxn, num_keys_rx)
    return _hidden(settings, params, pooled_rxf, step_rxsd).reshape(*decisions, settings.hidden_width)


def packed_logits(settings: PooledSettings, params: Params, context: DecisionContext) -> Array:
    """f32[(B,) G, K, T, A], equal to `decision_logits` of every decision."""
    return packed_hidden(settings, params, context) @ params["logits"] + params["logits_bias"]


def packed_values(settings: PooledSettings, params: Params, context: DecisionContext) -> Array:
    """f32[(B,) G, K, T]: the value head."""
    return packed_hidden(settings, params, context) @ params["value"] + params["value_bias"]


@lru_cache(maxsize=64)
def pooled(settings: PooledSettings) -> PolicyNetwork:
    """The network behind the common interface. Equal settings give the same object, hence the same compiled code."""
    return PolicyNetwork(
        init=partial(init, settings),
        decision_logits=partial(decision_logits, settings),
        packed_logits=partial(packed_logits, settings),
        key_window=settings.key_window,
        name=f"pooled_{settings.hidden_width}",
        packed_values=partial(packed_values, settings) if settings.value_head else None,
    )


def _similarity(key_rnd: Array, summary_rxd: Array) -> Array:
    """f32[R, X, N] of each summary to each key of its rollout."""
    width = key_rnd.shape[-1]
    if width > WRITTEN_OUT:
        return jnp.einsum("rnd,rxd->rxn", key_rnd, summary_rxd)
    # Hundreds of tiny products: one loop is faster than a library call for each.
    terms = [summary_rxd[:, :, None, at] * key_rnd[:, None, :, at] for at in range(width)]
    return sum(terms[1:], start=terms[0])


def _pool(settings: PooledSettings, to_query: Array, similarity: Array | None, num_keys: Array) -> Array:
    """f32[..., NUM_POOLED] from similarities to the query [..., 3] and to all keys [..., N], which may be left out."""
    size = jnp.log1p(num_keys.astype(jnp.float32))
    if similarity is None:
        return jnp.concatenate([to_query, jnp.stack([jnp.zeros_like(size)] * 2 + [size], axis=-1)], axis=-1)
    position = jnp.arange(similarity.shape[-1])
    count = num_keys[..., None]
    visible = (position < count) & (position >= count - settings.key_window)
    largest = jnp.max(jnp.where(visible, similarity, -1.0), axis=-1)  # -1 where there is no key
    mean = jnp.sum(jnp.where(visible, similarity, 0.0), axis=-1) / jnp.maximum(jnp.sum(visible, axis=-1), 1)
    return jnp.concatenate([to_query, jnp.stack([largest, mean, size], axis=-1)], axis=-1)


def _hidden(settings: PooledSettings, params: Params, pooled_f: Array, step: Array) -> Array:
    # Two products instead of one over joined features: the triplet need not be copied.
    weight = params["hidden"]
    scale = settings.embedding_width**0.5  # embeddings have unit length; this gives their components unit variance
    flat = step.reshape(*step.shape[:-2], -1)
    return jax.nn.relu(pooled_f @ weight[:NUM_POOLED] + scale * (flat @ weight[NUM_POOLED:]) + params["hidden_bias"])
