"""The attention's own gradient against automatic differentiation of its formula; the cached form against the plain."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.models.qwen3_attention import HIDDEN, attend, attend_cached, visibility_bias


def plain(q, k, v, visible_bst):
    """The formula as it stands, key/value heads repeated, float32."""
    q, k, v = (array.astype(jnp.float32) for array in (q, k, v))
    k, v = (jnp.repeat(array, q.shape[2] // k.shape[2], axis=2) for array in (k, v))
    logit_bhst = jnp.einsum("bshf,bthf->bhst", q, k) / np.sqrt(q.shape[-1])
    weight_bhst = jax.nn.softmax(jnp.where(visible_bst[:, None], logit_bhst, HIDDEN), axis=-1)
    return jnp.einsum("bhst,bthf->bshf", weight_bhst, v)


@partial(jax.jit, static_argnums=0)
def value_and_gradients(function, arrays, seen, cotangent):
    """Output for these arrays, and its cotangent pulled back to them."""
    value, pull = jax.vjp(lambda *arrays: function(*arrays, seen), *arrays)
    return value, pull(cotangent)


def example(num_heads, num_kv_heads, dtype=jnp.float32):
    """Queries, keys, values of two rows of five tokens, a visibility without a pattern, and a cotangent."""
    sizes = ((2, 5, num_heads, 6), (2, 5, num_kv_heads, 6), (2, 5, num_kv_heads, 6), (2, 5, num_heads, 6))
    arrays = [jnp.asarray(2 * np.sin(np.arange(np.prod(size)) ** 2 + n)).reshape(size) for n, size in enumerate(sizes)]
    visible_bst = jnp.asarray(np.arange(50).reshape(2, 5, 5) ** 2 % 3 == 1) | jnp.eye(5, dtype=bool)
    return [array.astype(dtype) for array in arrays], visible_bst


@pytest.mark.parametrize(("heads", "dtype", "tolerance"), [
    ((4, 2), jnp.float32, 1e-5), ((6, 1), jnp.float32, 1e-5), ((3, 3), jnp.float32, 1e-5), ((4, 2), jnp.bfloat16, 0.03)
])  # fmt: skip
def test_value_and_gradient_are_those_of_the_formula(heads, dtype, tolerance):
    (q, k, v, cotangent), visible_bst = example(*heads, dtype)
    bias = visibility_bias(visible_bst)
    found, gradients = value_and_gradients(attend, (q, k, v), bias, cotangent)
    expected, plain_gradients = value_and_gradients(plain, (q, k, v), visible_bst, cotangent.astype(jnp.float32))
    assert found.dtype == dtype
    np.testing.assert_allclose(found.astype(jnp.float32), expected, rtol=tolerance, atol=tolerance * 2)
    for one, two in zip(gradients, plain_gradients, strict=True):
        assert one.dtype == dtype
        assert jnp.abs(one - two.astype(jnp.float32)).max() < tolerance * jnp.abs(two).max()


def test_huge_logits_neither_overflow_nor_lose_the_largest():
    (q, k, v, cotangent), visible_bst = example(2, 1)
    out, gradients = value_and_gradients(attend, (q * 1e4, k * 1e4, v), visibility_bias(visible_bst), cotangent)
    np.testing.assert_allclose(out, plain(q * 1e4, k * 1e4, v, visible_bst), rtol=1e-5, atol=1e-6)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


@pytest.mark.parametrize("num_cached", [1, 4])
def test_a_cache_is_the_first_tokens(num_cached):
    (q, k, v, _), visible_bst = example(4, 2)
    whole = attend(q, k, v, visibility_bias(visible_bst))
    cached = attend_cached(
        q[:, num_cached:], k[:, num_cached:], v[:, num_cached:], k[:, :num_cached], v[:, :num_cached],
        visibility_bias(visible_bst[:, num_cached:]),
    )  # fmt: skip
    np.testing.assert_allclose(cached, whole[:, num_cached:], rtol=1e-6, atol=1e-6)
