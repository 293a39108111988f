"""Layers on arrays with features first and episodes last, written for what a CPU is fast at.

A CPU vectorises along the last axis and multiplies matrices well; sums over other axes it does not, nor many small
products. So sums over few terms are written out, means over features are products with a matrix, and the scale and bias
of a norm are taken into the weights of the layer behind it. All of it is equal to the plain form up to rounding.
"""

from collections.abc import Sequence
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.models.policy_network import Params


def init_linear(prng_key: Array, size: int, width: int, scale: float = 1.0) -> Params:
    """An orthogonal weight [width, size] times `scale`, and a bias of zeros."""
    return {"weight": jax.nn.initializers.orthogonal(scale)(prng_key, (width, size)), "bias": jnp.zeros(width)}


def init_small(prng_key: Array, size: int, width: int) -> Params:
    """As GPT-2 begins: a normal weight [width, size] of deviation .02, so that a block at first changes little."""
    return {"weight": 0.02 * jax.random.normal(prng_key, (width, size)), "bias": jnp.zeros(width)}


def init_norm(width: int) -> Params:
    """Scale and bias of a layer norm."""
    return {"scale": jnp.ones(width), "bias": jnp.zeros(width)}


def normed(x_f: Array) -> Array:
    """x with mean 0 and variance 1 over its features, the first axis; no scale or bias; epsilon 1e-5 as in GPT-2."""
    width = x_f.shape[0]
    mean_ff = jnp.full((width, width), 1.0 / width)
    x_fx = x_f.reshape(width, -1)
    centred_fx = x_fx - mean_ff @ x_fx
    return (centred_fx * jax.lax.rsqrt(mean_ff @ centred_fx**2 + 1e-5)).reshape(x_f.shape)


def applied(linear: Params, x_f: Array, norm: Params | None = None) -> Array:
    """weight (scale x + bias of the norm) + bias: f32[width, ...] from f32[F, ...]. Both biases may be absent."""
    weight, bias = linear["weight"], linear.get("bias")
    if norm is not None:
        shift = weight @ norm["bias"]
        bias = shift if bias is None else bias + shift
        weight = weight * norm["scale"]
    y_fx = weight @ x_f.reshape(x_f.shape[0], -1)
    if bias is not None:
        y_fx = _shifted(y_fx, bias)
    return y_fx.reshape(-1, *x_f.shape[1:])


@jax.custom_vjp
def _shifted(y_fx: Array, bias_f: Array) -> Array:
    return y_fx + bias_f[:, None]


def _shifted_forward(y_fx: Array, bias_f: Array) -> tuple[Array, None]:
    return _shifted(y_fx, bias_f), None


def _shifted_backward(_: None, slope_fx: Array) -> tuple[Array, Array]:
    return slope_fx, slope_fx @ jnp.ones(slope_fx.shape[1])


_shifted.defvjp(_shifted_forward, _shifted_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def summed_product(a: Array, b: Array, axes: Sequence[int]) -> Array:
    """sum over `axes` of a * b, which stay as axes of size 1. Axes of size 1 are spread as usual.

    Along each of `axes` both have the same size, or one of them 1.
    """
    sizes = [max(a.shape[axis], b.shape[axis]) for axis in axes]
    total = None
    for places in product(*map(range, sizes)):
        term = _taken(a, axes, places) * _taken(b, axes, places)
        total = term if total is None else total + term
    assert total is not None
    return total


def _taken(array: Array, axes: Sequence[int], places: Sequence[int]) -> Array:
    for axis, place in zip(axes, places, strict=True):
        if array.shape[axis] > 1:
            array = jax.lax.slice_in_dim(array, place, place + 1, axis=axis)
    return array


def _forward(a: Array, b: Array, axes: Sequence[int]) -> tuple[Array, tuple[Array, Array]]:
    return summed_product(a, b, axes), (a, b)


def _backward(axes: Sequence[int], kept: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    a, b = kept
    return _slope_of(a, b, slope), _slope_of(b, a, slope)


def _slope_of(one: Array, other: Array, slope: Array) -> Array:
    """The slope of what stands beside `other`, summed over the axes along which it was spread."""
    spread = [
        axis for axis, size in enumerate(one.shape) if size == 1 and max(other.shape[axis], slope.shape[axis]) > 1
    ]
    return summed_product(slope, other, tuple(spread))


summed_product.defvjp(_forward, _backward)
