"""The smallest controller: by hand, packed against single, and what it does not look at."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.models.pooled import PooledSettings, decision_logits, init, packed_logits, packed_values, pooled
from lts_jax.trajectory import DecisionContext

G, K, T, N, D = 2, 2, 3, 5, 4
SETTINGS = PooledSettings(embedding_width=D, hidden_width=8, value_head=True)


def random_params(seed: int) -> dict[str, jax.Array]:
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), init(SETTINGS, jax.random.key(0)))


def random_context(seed: int) -> DecisionContext:
    rng = np.random.default_rng(seed)

    def units(*shape: int) -> np.ndarray:
        vectors = rng.normal(size=(*shape, D))
        return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)

    return DecisionContext(units(), units(G, N), rng.integers(0, N + 1, (G, K, T)).astype(np.int32), units(G, K, T, 3))


def test_by_hand() -> None:
    settings = PooledSettings(embedding_width=1, hidden_width=1)
    weight = jnp.array([[1.0], [10.0], [100.0], [1000.0], [3.0], [0.0], [0.5], [0.0], [0.0], [0.0], [0.25]])
    params = {
        "hidden": weight,
        "hidden_bias": jnp.zeros(1),
        "logits": jnp.array([[0.0, 2.0]]),
        "logits_bias": jnp.ones(2),
    }
    query, key = jnp.array([1.0]), jnp.array([[0.5], [-0.25], [9.0]])
    step = jnp.array([[0.1], [1.0], [0.2]])
    # 1 * .1 + 10 * 1 + 100 * .2 = 30.1; largest of .05 and -.025 * 1000 = 50, of .5 and -.25 * 3; mean .125 * .5;
    # output .2 * .25
    expected = 30.1 + 50 + 1.5 + 0.0625 + 0.05
    found = decision_logits(settings, params, query, key, jnp.array(2), step)
    np.testing.assert_allclose(found, [1.0, 1.0 + 2.0 * expected], rtol=1e-6)
    without_keys = decision_logits(settings, params, query, key, jnp.array(0), step)
    np.testing.assert_allclose(without_keys, [1.0, 1.0 + 2.0 * 30.15], rtol=1e-6)  # nothing is near where nothing is
    paper = decision_logits(replace(settings, inputs="paper"), params, query, key, jnp.array(2), step)
    np.testing.assert_allclose(paper, [1.0, 1.0 + 2.0 * 30.2125], rtol=1e-6)  # only the mean is left


def test_packed_equals_single() -> None:
    params, context = random_params(0), random_context(0)
    packed = packed_logits(SETTINGS, params, context)
    for g, k, t in np.ndindex(G, K, T):
        place = (g, k, t)
        single = decision_logits(
            SETTINGS,
            params,
            context.query_d,
            context.key_gnd[g],
            context.num_keys_gkt[place],
            context.step_gktsd[place],
        )
        np.testing.assert_allclose(packed[place], single, atol=1e-5)
    stacked = jax.tree.map(lambda array: np.stack([array, array]), context)
    np.testing.assert_allclose(packed_logits(SETTINGS, params, stacked)[1], packed, atol=1e-5)
    assert packed_values(SETTINGS, params, stacked).shape == (2, G, K, T)


def test_wide_embeddings_and_a_controller_blind_to_keys_are_packed_alike() -> None:
    """Similarities of wide embeddings take another way; without sight of keys only their number counts."""
    for width, sees_keys in ((33, True), (D, False)):
        settings = PooledSettings(embedding_width=width, hidden_width=8, sees_keys=sees_keys)
        rng = np.random.default_rng(4)
        normal = lambda leaf: rng.normal(size=leaf.shape).astype(np.float32)  # noqa: B023, E731
        params = jax.tree.map(normal, init(settings, jax.random.key(0)))
        wide = jax.tree.map(lambda leaf: np.resize(leaf, (*leaf.shape[:-1], width)), random_context(3))  # noqa: B023
        context = DecisionContext(wide.query_d, wide.key_gnd, random_context(3).num_keys_gkt, wide.step_gktsd)
        packed = packed_logits(settings, params, context)
        at = (1, 0, 2)
        place = (context.key_gnd[1], context.num_keys_gkt[at], context.step_gktsd[at])
        single = decision_logits(settings, params, context.query_d, *place)
        np.testing.assert_allclose(packed[at], single, atol=1e-4, rtol=1e-5)
        spoiled = decision_logits(settings, params, context.query_d, place[0] + 1.0, *place[1:])
        assert np.allclose(spoiled, single) == (not sees_keys)


def test_padded_keys_and_keys_outside_the_window_do_not_count() -> None:
    params, context = random_params(1), random_context(1)
    narrow = PooledSettings(embedding_width=D, hidden_width=8, key_window=2)
    key, step = context.key_gnd[0], context.step_gktsd[0, 0, 0]
    full = decision_logits(narrow, params, context.query_d, key, jnp.array(4), step)
    spoiled = key.copy()
    spoiled[[0, 1, 4]] = 7.0
    np.testing.assert_array_equal(decision_logits(narrow, params, context.query_d, spoiled, jnp.array(4), step), full)
    spoiled[2] = 7.0
    assert not np.allclose(decision_logits(narrow, params, context.query_d, spoiled, jnp.array(4), step), full)


def test_untrained_it_is_a_coin_and_without_a_value_head_it_has_none() -> None:
    params = pooled(PooledSettings(embedding_width=D)).init(jax.random.key(3))
    assert "value" not in params and pooled(PooledSettings(embedding_width=D)).packed_values is None
    assert (packed_logits(PooledSettings(embedding_width=D), params, random_context(2)) == 0.0).all()
    assert pooled(SETTINGS) is pooled(SETTINGS)
    with pytest.raises(UserError, match=r"^pooled: hidden_width: expected at least 1, got 0$"):
        PooledSettings(hidden_width=0)
