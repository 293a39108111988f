"""What an agent sees as one vector: a small residual convolution of planes, or two layers of a flat observation.

A 3 x 3 convolution over so few cells is done as one product with a sparse matrix of all cells against all cells: on a
CPU that is faster than a convolution, and equal to it.
"""

from collections.abc import Sequence
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.models.episode_last import applied, init_linear
from lts_jax.models.policy_network import Params

_TAPS = 9  # of a 3 x 3 kernel


def init_encoder(
    prng_key: Array, observation: Sequence[int], *, num_filters: int, num_blocks: int, width: int
) -> Params:
    """Orthogonal parameters for planes (planes, rows, columns) or a flat observation (numbers,)."""
    key_p = iter(jax.random.split(prng_key, 2 * num_blocks + 3))
    if len(observation) == 1:
        return {
            "first": init_linear(next(key_p), observation[0], 4 * width),
            "last": init_linear(next(key_p), 4 * width, width),
        }
    planes, rows, columns = observation
    names = ["first"] + [f"block_{block}_{half}" for block in range(num_blocks) for half in (0, 1)]
    sizes = [planes] + [num_filters] * (2 * num_blocks)
    params = {name: _kernel(next(key_p), size, num_filters) for name, size in zip(names, sizes, strict=True)}
    return params | {"last": init_linear(next(key_p), num_filters * rows * columns, width)}


def encode(params: Params, observation: Sequence[int], seen_xo: Array) -> Array:
    """f32[F, X] of X observations f32[X, O]: convolution, residual blocks, and a layer with a ReLU (SRMT's release)."""
    first = params["first"]
    if len(observation) == 1:
        return jax.nn.relu(applied(params["last"], jax.nn.relu(applied(first, seen_xo.T))))
    rows, columns = observation[1:]
    x = _convolved(first, seen_xo.T, rows, columns)
    for block in range((len(params) - 2) // 2):
        inner = x
        for half in (0, 1):
            inner = _convolved(params[f"block_{block}_{half}"], jax.nn.relu(inner), rows, columns)
        x = x + inner
    return jax.nn.relu(applied(params["last"], jax.nn.relu(x)))


def _kernel(prng_key: Array, size: int, num_filters: int) -> Params:
    weight = jax.nn.initializers.orthogonal()(prng_key, (num_filters, size * _TAPS))
    return {"weight": weight.reshape(num_filters, size, _TAPS), "bias": jnp.zeros(num_filters)}


def _convolved(kernel: Params, x: Array, rows: int, columns: int) -> Array:
    """The kernel as a matrix [filters * cells, planes * cells], times x [planes * cells, X]; zeros outside."""
    weight, num_cells = kernel["weight"], rows * columns
    spread = jnp.einsum("oip,pxy->oxiy", weight, _neighbourhoods(rows, columns))
    matrix = spread.reshape(weight.shape[0] * num_cells, -1)
    return applied({"weight": matrix, "bias": jnp.repeat(kernel["bias"], num_cells)}, x)


@lru_cache
def _neighbourhoods(rows: int, columns: int) -> np.ndarray:
    """f32[9, cells, cells]: 1 where the second cell lies at that place around the first."""
    found = np.zeros((_TAPS, rows * columns, rows * columns), np.float32)
    for cell in range(rows * columns):
        row, column = divmod(cell, columns)
        for tap in range(_TAPS):
            r, c = row + tap // 3 - 1, column + tap % 3 - 1
            if 0 <= r < rows and 0 <= c < columns:
                found[tap, cell, r * columns + c] = 1.0
    return found
