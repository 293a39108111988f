"""phi of LTS (arXiv 2602.05965): one vector per text from the frozen Qwen3, without adapters."""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.models.lora import Weights
from lts_jax.models.qwen3 import Qwen3Settings, with_weights

Pooling = Literal["last", "mean"]


@partial(jax.jit, static_argnames=("settings", "pooling"))
def embed_tokens(
    settings: Qwen3Settings, weights: Weights, token_bs: Array, num_tokens_b: Array, pooling: Pooling
) -> Array:
    """Unit vectors f32[B, W] of token ids i32[B, S], padded on the right.

    The state after the final norm, of the last real token ("last") or averaged over all real tokens ("mean"), divided
    by its L2 norm. The paper names neither pooling nor scale. Rows without tokens give zeros.
    """
    network = with_weights(settings, weights)
    num_rows, num_places = token_bs.shape
    place_s = jnp.arange(num_places)
    causal_st = jnp.tril(jnp.ones((num_places, num_places), bool))  # padding comes last, so no real token sees it
    state_bsw = network(
        network.embed(token_bs),
        jnp.broadcast_to(place_s, (num_rows, num_places)),
        jnp.broadcast_to(causal_st, (num_rows, num_places, num_places)),
    ).astype(jnp.float32)
    is_real_bs = place_s < num_tokens_b[:, None]
    is_pooled_bs = is_real_bs & (place_s == num_tokens_b[:, None] - 1) if pooling == "last" else is_real_bs
    pooled_bw = jnp.sum(jnp.where(is_pooled_bs[..., None], state_bsw, 0.0), axis=1)
    return pooled_bw / jnp.maximum(jnp.linalg.norm(pooled_bw, axis=-1, keepdims=True), 1e-12)
