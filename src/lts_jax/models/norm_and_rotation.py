"""RMS norm, and rotary positions (Su et al., arXiv 2104.09864): what every decoder here is made of.

Axis letters as in `qwen3.py`: B sequences, S new tokens, F head width.
"""

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.models.qwen3_settings import Qwen3Settings


def rms_norm(state: Array, scale: Array, settings: Qwen3Settings) -> Array:
    """x / sqrt(mean(x^2) + epsilon) in float32, rounded to the compute type, times the scale."""
    wide = state.astype(jnp.float32)
    normed = wide * jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + settings.norm_epsilon)
    return normed.astype(state.dtype) * scale


def rotation(position_bs: Array, settings: Qwen3Settings) -> tuple[Array, Array]:
    """Cosine and sine f32[B, S, 1, F / 2] of position * theta^(-2 i / F)."""
    exponent = jnp.arange(0, settings.head_width, 2, dtype=jnp.float32) / settings.head_width  # [F / 2]
    angle = position_bs[..., None].astype(jnp.float32) * (1.0 / settings.rope_theta**exponent)  # [B, S, F / 2]
    return jnp.cos(angle)[:, :, None], jnp.sin(angle)[:, :, None]


def rotate(heads: Array, cosine: Array, sine: Array) -> Array:
    """Turn the pairs (i, i + F / 2) of each head [B, S, heads, F] by the angle of the token's position."""
    first, second = jnp.split(heads.astype(jnp.float32), 2, axis=-1)  # [B, S, heads, F / 2]
    turned = jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
    return turned.astype(heads.dtype)
