"""Grouped-query attention with explicit visibility, over new tokens alone or over a cache and new tokens.

Axis letters as in `qwen3.py`: B sequences, S new tokens, T tokens that can be seen, C cached tokens, N key/value heads,
R query heads of each, F head width; Y = R S. Logits, softmax and its gradient are float32 in any compute type.
"""

import jax
import jax.numpy as jnp
from jax import Array

HIDDEN = -1e30  # added to the logit of what a token does not see; finite, so a token that sees nothing is no NaN


def matmul_precision(dtype: jnp.dtype) -> jax.lax.Precision:
    """Full float32 products for float32, so that an accelerator does not round them to fewer bits; else the default."""
    return jax.lax.Precision.HIGHEST if dtype == jnp.float32 else jax.lax.Precision.DEFAULT


def visibility_bias(visible_bst: Array) -> Array:
    """What is added to the logits, f32[B, 1, 1, S, T]: 0 where token s sees token t, else `HIDDEN`."""
    return jnp.where(visible_bst, 0.0, HIDDEN).astype(jnp.float32)[:, None, None]


def attend(q: Array, k: Array, v: Array, bias: Array) -> Array:
    """softmax(q k / sqrt(F) + bias) v.

    Args:
        q: [B, S, N R, F]; heads n R .. n R + R - 1 read key/value head n.
        k: [B, S, N, F].
        v: [B, S, N, F].
        bias: f32[B, 1, 1, S, S] of `visibility_bias`.

    Returns:
        [B, S, N R, F].
    """
    return _by_token(_attend(_by_head(q, k.shape[2]), _heads_first(k), _heads_first(v), bias), q)


def attend_cached(q: Array, k: Array, v: Array, cached_key: Array, cached_value: Array, bias: Array) -> Array:
    """As `attend`, over C cached tokens [B, C, N, F] and then the new ones; bias f32[B, 1, 1, S, C + S].

    The cache is read where it lies: no array of C + S tokens is made but the logits.
    """
    num_cached, cached_value = cached_key.shape[1], _heads_first(cached_value.astype(v.dtype))
    queries, keys = _by_head(q, k.shape[2]), (_heads_first(cached_key.astype(k.dtype)), _heads_first(k))
    logit_bnyt = jnp.concatenate([_dot(queries, key, 3, 3) for key in keys], axis=-1)  # f32[B, N, Y, T]
    weight_bnyt = jax.nn.softmax(_add_bias(logit_bnyt, q.shape[-1], bias), axis=-1).astype(q.dtype)  # [B, N, Y, T]
    from_cache = _dot(weight_bnyt[..., :num_cached], cached_value, 3, 2)  # f32[B, N, Y, F]
    from_new = _dot(weight_bnyt[..., num_cached:], _heads_first(v), 3, 2)  # f32[B, N, Y, F]
    return _by_token((from_cache + from_new).astype(q.dtype), q)


@jax.custom_vjp
def _attend(q_bnyf: Array, k_bnsf: Array, v_bnsf: Array, bias: Array) -> Array:
    """[B, N, Y, F]. The gradient keeps nothing of size Y T: it computes the weights again from their maximum and sum.

    With weights w, output o and its cotangent g: dv = w^T g, dlogit = w (g v^T - sum(g o)), as in FlashAttention
    (Dao et al., arXiv 2205.14135, appendix B.2).
    """
    return _attend_forward(q_bnyf, k_bnsf, v_bnsf, bias)[0]


def _attend_forward(q_bnyf: Array, k_bnsf: Array, v_bnsf: Array, bias: Array) -> tuple[Array, tuple[Array, ...]]:
    logit_bnyt = _add_bias(_dot(q_bnyf, k_bnsf, 3, 3), q_bnyf.shape[-1], bias)  # f32[B, N, Y, T]
    highest_bny1 = jnp.max(logit_bnyt, axis=-1, keepdims=True)  # f32[B, N, Y, 1]
    power_bnyt = jnp.exp(logit_bnyt - highest_bny1)  # f32[B, N, Y, T]
    total_bny1 = jnp.sum(power_bnyt, axis=-1, keepdims=True)  # f32[B, N, Y, 1]
    out_bnyf = _dot(power_bnyt.astype(v_bnsf.dtype), v_bnsf, 3, 2) / total_bny1  # f32[B, N, Y, F]
    out_bnyf = out_bnyf.astype(q_bnyf.dtype)
    return out_bnyf, (q_bnyf, k_bnsf, v_bnsf, bias, out_bnyf, highest_bny1, total_bny1)


def _attend_backward(kept: tuple[Array, ...], out_gradient: Array) -> tuple[Array, Array, Array, Array]:
    q_bnyf, k_bnsf, v_bnsf, bias, out_bnyf, highest_bny1, total_bny1 = kept
    dtype, scale = q_bnyf.dtype, q_bnyf.shape[-1] ** -0.5
    logit_bnyt = _add_bias(_dot(q_bnyf, k_bnsf, 3, 3), q_bnyf.shape[-1], bias)  # f32[B, N, Y, T]
    weight_bnyt = jnp.exp(logit_bnyt - highest_bny1) / total_bny1  # f32[B, N, Y, T]
    v_gradient = _dot(weight_bnyt.astype(dtype), out_gradient, 2, 2)  # f32[B, N, S, F]
    weight_gradient = _dot(out_gradient, v_bnsf, 3, 3)  # f32[B, N, Y, T]
    mean_bny1 = jnp.sum(out_gradient.astype(jnp.float32) * out_bnyf.astype(jnp.float32), axis=-1, keepdims=True)
    logit_gradient = (weight_bnyt * (weight_gradient - mean_bny1)).astype(dtype)  # [B, N, Y, T]
    q_gradient = _dot(logit_gradient, k_bnsf, 3, 2) * scale  # f32[B, N, Y, F]
    k_gradient = _dot(logit_gradient, q_bnyf, 2, 2) * scale  # f32[B, N, S, F]
    return q_gradient.astype(dtype), k_gradient.astype(dtype), v_gradient.astype(dtype), jnp.zeros_like(bias)


_attend.defvjp(_attend_forward, _attend_backward)


def _add_bias(logit_bnyt: Array, head_width: int, bias: Array) -> Array:
    num_rows, num_heads, _, num_seen = logit_bnyt.shape
    scaled = logit_bnyt.reshape(num_rows, num_heads, -1, bias.shape[3], num_seen) * head_width**-0.5  # [B, N, R, S, T]
    return (scaled + bias).reshape(logit_bnyt.shape)


def _dot(first: Array, second: Array, first_axis: int, second_axis: int) -> Array:
    """Product of [B, N, ., .] arrays over one axis of each, summed and given in float32."""
    return jax.lax.dot_general(
        first,
        second,
        (((first_axis,), (second_axis,)), ((0, 1), (0, 1))),
        precision=matmul_precision(first.dtype),
        preferred_element_type=jnp.float32,
    )


def _by_head(q: Array, num_kv_heads: int) -> Array:
    """[B, S, N R, F] as [B, N, Y, F]."""
    num_rows, num_new, num_heads, head_width = q.shape
    split = q.reshape(num_rows, num_new, num_kv_heads, num_heads // num_kv_heads, head_width)  # [B, S, N, R, F]
    return split.transpose(0, 2, 3, 1, 4).reshape(num_rows, num_kv_heads, -1, head_width)


def _by_token(out_bnyf: Array, like: Array) -> Array:
    """[B, N, Y, F] as [B, S, N R, F]."""
    num_rows, num_new, _, head_width = like.shape
    split = out_bnyf.reshape(num_rows, out_bnyf.shape[1], -1, num_new, head_width)  # [B, N, R, S, F]
    return split.transpose(0, 3, 1, 2, 4).reshape(like.shape)


def _heads_first(heads: Array) -> Array:
    """[B, T, N, F] as [B, N, T, F]."""
    return heads.transpose(0, 2, 1, 3)
