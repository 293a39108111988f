"""A function over lanes equals the same function one lane at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.lanes import lanes_last, over_lanes
from lts_jax.environments.once import any_at_all, once, pick

LANES = 5
TABLE = jnp.asarray(np.random.default_rng(1).normal(size=(4, 3)), jnp.float32)
ROW_LF = jnp.asarray(np.random.default_rng(2).normal(size=(LANES, 3)), jnp.float32)
MATRIX_LNF = jnp.asarray(np.random.default_rng(3).normal(size=(LANES, 7, 3)), jnp.float32)


def test_once_and_pick_change_no_bit() -> None:
    tree = {
        "float": jnp.asarray([-0.0, 1.5, jnp.inf, -jnp.inf, jnp.nan], jnp.float32),
        "int": jnp.asarray([-3, 0, 2**31 - 1], jnp.int32),
        "word": jnp.asarray([0, 2**32 - 1], jnp.uint32),
        "bool": jnp.asarray([True, False]),
    }
    for one, other in zip(jax.tree.leaves(jax.jit(once)(tree)), jax.tree.leaves(tree), strict=True):
        assert one.dtype == other.dtype
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
    np.testing.assert_array_equal(pick(TABLE, jnp.asarray(2)), TABLE[2])
    assert int(pick(jnp.asarray([-5, -1, -9]), jnp.asarray(2))) == -9


@pytest.mark.parametrize(
    "function",
    [
        lambda row, matrix: (matrix @ row, TABLE @ row, row @ TABLE.T, jnp.einsum("nf,f->n", matrix, row)),
        lambda row, matrix: (jnp.sum(matrix, axis=0), jnp.max(matrix), jnp.min(row), jnp.argmax(matrix, axis=0)),
        lambda row, matrix: (jnp.where(row[0] > 0, matrix, 1.0), jnp.clip(matrix, row[1], 1.0), jnp.any(matrix > row)),
        lambda row, matrix: (
            matrix.T.reshape(-1),
            jnp.concatenate([matrix, TABLE]),
            matrix[1:, ::2],
            row[None, :, None],
        ),
        lambda row, matrix: (jnp.sort(matrix, axis=0), jnp.cumsum(row), TABLE[jnp.argmax(row)], matrix @ TABLE.T),
        lambda row, matrix: jax.nn.relu(jax.nn.log_sigmoid(jnp.tanh(row))) + jnp.linalg.norm(matrix, axis=0),
    ],
)
def test_over_lanes_equals_one_lane_at_a_time(function) -> None:
    run = over_lanes(function, (True, True))
    together = run(jnp.moveaxis(ROW_LF, 0, -1), jnp.moveaxis(MATRIX_LNF, 0, -1))
    for lane in range(LANES):
        alone = function(ROW_LF[lane], MATRIX_LNF[lane])
        for one, many in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(one, many[..., lane], rtol=1e-5, atol=1e-6)


def halvings(weight, start, limit):
    """How often `start` can be halved before it is below `limit`; a finished lane stays as it is."""

    def goes_on(carry):
        return any_at_all(carry[1] * weight >= limit)

    def body(carry):
        number, value, seen = carry
        is_on = value * weight >= limit
        seen = jax.lax.dynamic_update_index_in_dim(seen, jnp.where(is_on, value, 0.0), number, 0)
        return number + 1, jnp.where(is_on, value / 2.0, value), seen

    return jax.lax.while_loop(goes_on, body, (jnp.zeros((), jnp.int32), start, jnp.zeros(20)))


def test_vmaps_of_vmaps_become_one_axis_of_lanes_and_change_nothing() -> None:
    run = lanes_last(halvings, apart=0)
    start_bg = jnp.asarray([[1.0, 100.0, 7.0], [3000.0, 0.5, 64.0]], jnp.float32)
    limit_b = jnp.asarray([1.0, 4.0], jnp.float32)
    weight_s = jnp.asarray([1.0, 10.0], jnp.float32)
    inner = jax.vmap(jax.vmap(run, in_axes=(None, 0, None)), in_axes=(None, 0, 0))
    _, value_sbg, seen_sbge = jax.jit(jax.vmap(inner, in_axes=(0, None, None)))(weight_s, start_bg, limit_b)
    for s, b, g in np.ndindex(2, 2, 3):
        _, value, seen_e = halvings(weight_s[s], start_bg[b, g], limit_b[b])
        assert float(value) == float(value_sbg[s, b, g])
        np.testing.assert_array_equal(seen_e, seen_sbge[s, b, g])


def test_a_loop_stops_with_its_longest_lane() -> None:
    number_b, _, _ = jax.vmap(lanes_last(halvings, apart=0), in_axes=(None, 0, None))(
        1.0, jnp.asarray([2.0, 16.0]), 1.0
    )
    assert np.asarray(number_b).tolist() == [5, 5]
