"""The linear controller: features by hand, packed against single, padding, window, and how it is named and refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.models.linear import LinearSettings, decision_logits, init, linear, packed_features, packed_logits
from lts_jax.models.networks import make_network
from lts_jax.trajectory import DecisionContext

QUERY = np.array([1.0, 0.0], np.float32)
KEYS = np.array([[0.6, 0.8], [0.0, 1.0], [9.0, 9.0]], np.float32)
STEP = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]], np.float32)


def features_of(settings: LinearSettings, num_keys: int) -> np.ndarray:
    context = DecisionContext(QUERY, KEYS[None], np.array([[[num_keys]]], np.int32), STEP[None, None, None])
    return np.asarray(packed_features(settings, context))[0, 0, 0]


# query . instruction = 1, query . summary = 0, query . output = .8; instruction . summary = 0, summary . output = .6,
# instruction . output = .8
PRODUCTS = [1.0, 0.0, 0.8, 0.0, 0.6, 0.8]


def test_features_by_hand() -> None:
    """Without novelty: named numbers count half, cosines double; the summary's embedding comes last."""
    settings = LinearSettings(embedding_width=2, novelty_power=0.0)
    # Largest cosines to (.6, .8) and (0, 1): of (1, 0) .6; of (0, 1) 1; of (.8, .6) .48 + .48 = .96.
    expected = [0.5, 0.5, 0.5 * np.log(3.0), *(0.5 * np.array(PRODUCTS)), 1.2, 2.0, 1.92, 0.0, 1.0]
    np.testing.assert_allclose(features_of(settings, 2), expected, rtol=1e-6)
    alone = [0.5, 0.0, 0.0, *(0.5 * np.array(PRODUCTS)), 0.0, 0.0, 0.0, 0.0, 1.0]
    np.testing.assert_allclose(features_of(settings, 0), alone, rtol=1e-6)


def test_features_times_novelty_by_hand() -> None:
    """One key, (.6, .8): the summary (0, 1) is as near as .8, and its novelty by the square 1 - .64."""
    settings = LinearSettings(embedding_width=2, novelty_power=2.0)
    # Largest cosines .6, .8 and .48 + .48; named numbers count a quarter here, cosines once.
    numbers = [0.5, 0.25, 0.25 * np.log(2.0), *(0.25 * np.array(PRODUCTS)), 0.6, 0.8, 0.96, 0.0, 1.0]
    np.testing.assert_allclose(features_of(settings, 1), [0.02, *(0.36 * np.array(numbers))], rtol=1e-5, atol=1e-7)
    alone = [0.5, 0.0, 0.0, *(0.25 * np.array(PRODUCTS)), 0.0, 0.0, 0.0, 0.0, 1.0]  # nothing is near
    np.testing.assert_allclose(features_of(settings, 0), [0.02, *alone], rtol=1e-5, atol=1e-7)
    # A repeat is worth nothing, whatever it says: (0, 1) is the second key itself.
    np.testing.assert_allclose(features_of(LinearSettings(embedding_width=2), 2), [0.02] + [0.0] * 14, atol=1e-6)


def test_what_points_away_from_every_key_is_new() -> None:
    context = DecisionContext(QUERY, -KEYS[None, 1:2], np.array([[[1]]], np.int32), STEP[None, None, None])
    found = np.asarray(packed_features(LinearSettings(embedding_width=2), context))[0, 0, 0]
    np.testing.assert_allclose(found[[0, 1, -1]], [0.02, 0.5, 1.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("texts", "inputs", "behind"),
    [("none", "paper", []), ("none", "cosines", [1.2, 2.0, 1.92]), ("all", "paper", [1, 0, 0, 1, 0.8, 0.6])],
)
def test_what_is_left_out(texts: str, inputs: str, behind: list[float]) -> None:
    settings = LinearSettings(embedding_width=2, texts=texts, inputs=inputs, novelty_power=0.0)
    found = features_of(settings, 2)
    assert found.shape == (settings.num_features,) == (9 + len(behind),)
    np.testing.assert_allclose(found[9:], behind, rtol=1e-6)


def test_log_odds_are_a_weighted_sum() -> None:
    settings = LinearSettings(embedding_width=2, texts="none", inputs="paper")
    weight = np.zeros(9, np.float32)
    weight[[0, 3, 7]] = [4.0, 10.0, 100.0]  # 4 * .5 + 10 * .5 * 1 + 100 * .5 * .6
    found = decision_logits(settings, {"weight": weight}, QUERY, KEYS, jnp.array(2), STEP)
    np.testing.assert_allclose(found, [0.0, 37.0], rtol=1e-6)


G, K, T, N, D = 2, 2, 3, 5, 4


def random_context(seed: int, *lead: int) -> DecisionContext:
    rng = np.random.default_rng(seed)
    normal = lambda *shape: rng.normal(size=(*lead, *shape)).astype(np.float32)  # noqa: E731
    num_keys = rng.integers(0, N + 1, (*lead, G, K, T)).astype(np.int32)
    return DecisionContext(normal(D), normal(G, N, D), num_keys, normal(G, K, T, 3, D))


@pytest.mark.parametrize("window", [96, 2])
def test_packed_equals_single(window: int) -> None:
    settings = LinearSettings(embedding_width=D, texts="all", key_window=window)
    params = {"weight": np.random.default_rng(1).normal(size=settings.num_features).astype(np.float32)}
    context = random_context(0)
    packed = packed_logits(settings, params, context)
    for place in np.ndindex(G, K, T):
        its_own = (context.query_d, context.key_gnd[place[0]], context.num_keys_gkt[place], context.step_gktsd[place])
        np.testing.assert_allclose(packed[place], decision_logits(settings, params, *its_own), atol=1e-5)
    features = packed_features(settings, context)
    np.testing.assert_allclose(packed[..., 1] - packed[..., 0], features @ params["weight"], atol=1e-5)
    batch = random_context(2, 3)
    alone = jax.tree.map(lambda leaf: leaf[1], batch)
    np.testing.assert_allclose(
        packed_features(settings, batch)[1], packed_features(settings, alone), rtol=1e-5, atol=1e-6
    )


def test_padding_and_keys_outside_the_window_do_not_count() -> None:
    settings = LinearSettings(embedding_width=D, key_window=2)
    params = {"weight": np.random.default_rng(1).normal(size=settings.num_features).astype(np.float32)}
    context = random_context(0)
    key, step = context.key_gnd[0], context.step_gktsd[0, 0, 0]
    full = decision_logits(settings, params, context.query_d, key, jnp.array(4), step)
    spoiled = key.copy()
    spoiled[[0, 1]], spoiled[4] = step[0], np.nan  # a key equal to the instruction has cosine 1
    np.testing.assert_array_equal(decision_logits(settings, params, context.query_d, spoiled, jnp.array(4), step), full)
    spoiled[2] = step[0]
    assert not np.allclose(decision_logits(settings, params, context.query_d, spoiled, jnp.array(4), step), full)


def test_untrained_it_is_a_coin_and_it_is_found_by_name() -> None:
    made = make_network("linear(texts='all')", embedding_width=D)
    assert made is linear(LinearSettings(embedding_width=D, texts="all")) and made.name == "linear_25"
    params = made.init(jax.random.key(0))
    assert (made.packed_logits(params, random_context(0)) == 0.0).all()
    assert init(LinearSettings(embedding_width=D), jax.random.key(1))["weight"].shape == (17,)
    for wrong, message in (
        ({"embedding_width": 0}, "embedding_width: expected at least 1, got 0"),
        ({"texts": "output"}, "texts: expected"),
        ({"inputs": "both"}, "inputs: expected"),
        ({"novelty_power": -1.0}, "novelty_power: expected a number of at least 0, got -1.0"),
        ({"novelty_power": float("nan")}, "novelty_power: expected"),
    ):
        with pytest.raises(UserError, match=f"^linear: {message}"):
            LinearSettings(**wrong)
