"""The smallest controller: a few similarities and the step, through one hidden layer; for sweeps by the thousand.

Features: query times instruction, summary and output (3); the largest similarity of each of them to the visible keys
(3), 0 without keys, and the mean one of the summary (1); log(1 + number of keys) (1); the step triplet (3 D).
Similarity is the scalar product: embeddings have unit length. Keys have no order here either. `inputs="paper"` leaves
out the three largest, `sees_keys=False` the mean as well.
"""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError
from lts_jax.models.key_cosines import check_inputs, visible_keys
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.trajectory import DecisionContext

NUM_POOLED = 8  # features beside the step triplet
WRITTEN_OUT = 32  # widest embedding whose similarities are written out as sums


@dataclass(frozen=True, slots=True)
class PooledSettings:
    """Shape of the network; all values are ours."""

    embedding_width: int = 16  # D
    hidden_width: int = 32
    num_actions: int = 2
    key_window: int = 96  # a decision sees the newest this many keys
    sees_keys: bool = True  # else similarities to keys are left out: the controller judges the step alone
    inputs: Literal["cosines", "paper"] = "cosines"  # "paper" leaves out the largest similarities to the keys
    value_head: bool = False  # a second output: the expected return before the decision

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        for name, low in (("embedding_width", 1), ("hidden_width", 1), ("key_window", 1), ("num_actions", 2)):
            if getattr(self, name) < low:
                raise UserError(f"pooled: {name}: expected at least {low}, got {getattr(self, name)}")
        check_inputs("pooled", self.inputs)


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
    similarity = jnp.einsum("...nd,...sd->...sn", key, _compared(settings, step)) if settings.sees_keys else None
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
    similarity_rxsn = _similarity(key_rnd, _compared(settings, step_rxsd)) if settings.sees_keys else None
    pooled_rxf = _pool(settings, to_query_rxs, similarity_rxsn, num_keys_rx)
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
        name=f"pooled_{settings.hidden_width}" + ("_paper" if settings.inputs == "paper" else ""),
        packed_values=partial(packed_values, settings) if settings.value_head else None,
        num_actions=settings.num_actions,
    )


def _compared(settings: PooledSettings, step: Array) -> Array:
    """The texts of a step that are compared with keys, f32[..., S, D]: all three, or the summary alone."""
    return step if settings.inputs == "cosines" else step[..., 1:2, :]


def _similarity(key_rnd: Array, step_rxsd: Array) -> Array:
    """f32[R, X, S, N] of each text to each key of its rollout."""
    width = key_rnd.shape[-1]
    if width > WRITTEN_OUT:
        return jnp.einsum("rnd,rxsd->rxsn", key_rnd, step_rxsd)
    # Hundreds of tiny products: one loop is faster than a library call for each.
    terms = [step_rxsd[..., None, at] * key_rnd[:, None, None, :, at] for at in range(width)]
    return sum(terms[1:], start=terms[0])


def _pool(settings: PooledSettings, to_query: Array, similarity: Array | None, num_keys: Array) -> Array:
    """f32[..., NUM_POOLED] from similarities to the query [..., 3] to all keys [..., S, N] or None."""
    size = jnp.log1p(num_keys.astype(jnp.float32))[..., None]
    if similarity is None:
        return jnp.concatenate([to_query, *[jnp.zeros_like(size)] * 4, size], axis=-1)
    visible = visible_keys(num_keys, similarity.shape[-1], settings.key_window)
    of_summary = similarity[..., similarity.shape[-2] // 2, :]  # the middle one of three, or the only one
    mean = jnp.sum(jnp.where(visible, of_summary, 0.0), axis=-1) / jnp.maximum(jnp.sum(visible, axis=-1), 1)
    if settings.inputs == "paper":
        largest = jnp.zeros_like(to_query)
    else:
        seen = visible[..., None, :]
        largest = jnp.max(jnp.where(seen, similarity, -jnp.inf), axis=-1)
        largest = jnp.where(jnp.any(seen, axis=-1), largest, 0.0)
    return jnp.concatenate([to_query, largest, mean[..., None], size], axis=-1)


def _hidden(settings: PooledSettings, params: Params, pooled_f: Array, step: Array) -> Array:
    # Two products instead of one over joined features: the triplet need not be copied.
    weight = params["hidden"]
    scale = settings.embedding_width**0.5  # embeddings have unit length; this gives their components unit variance
    flat = step.reshape(*step.shape[:-2], -1)
    return jax.nn.relu(pooled_f @ weight[:NUM_POOLED] + scale * (flat @ weight[NUM_POOLED:]) + params["hidden_bias"])
