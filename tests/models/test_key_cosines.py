"""How near a step comes to the keys: by hand, padding and window, zero vectors; what the paper's inputs leave out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.models.key_cosines import check_inputs, largest_cosines, visible_keys
from lts_jax.models.pooled import PooledSettings
from lts_jax.models.pooled import decision_logits as pooled_logits
from lts_jax.models.set_transformer import SetTransformerSettings, decision_logits, init, packed_logits
from lts_jax.trajectory import DecisionContext

KEYS = np.array([[[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]]], np.float32)  # units (.6, .8), (0, 1), (-1, 0)
STEP = np.array([[[[2.0, 0.0], [0.0, 1.0], [-3.0, -4.0]]]], np.float32)  # units (1, 0), (0, 1), (-.6, -.8)


def test_by_hand() -> None:
    seen = lambda *flags: np.array([[flags]])  # noqa: E731
    # (1, 0): .6, 0, -1; (0, 1): .8, 1, 0; (-.6, -.8): -1, -.8, .6
    np.testing.assert_allclose(largest_cosines(KEYS, seen(True, True, True), STEP), [[[0.6, 1.0, 0.6]]], rtol=1e-6)
    np.testing.assert_allclose(largest_cosines(KEYS, seen(True, False, False), STEP), [[[0.6, 0.8, -1.0]]], rtol=1e-6)
    np.testing.assert_allclose(largest_cosines(KEYS, seen(False, False, True), STEP), [[[-1.0, 0.0, 0.6]]], atol=1e-6)
    # Every decision has its own keys, every row its own step.
    both = np.array([[[True, False, False], [False, True, False]]])
    two = np.concatenate([STEP, STEP], axis=1)
    np.testing.assert_allclose(largest_cosines(KEYS, both, two), [[[0.6, 0.8, -1.0], [0.0, 1.0, -0.8]]], atol=1e-6)


def test_nothing_is_near_without_keys_or_for_a_zero_vector() -> None:
    none = np.zeros((1, 1, 3), bool)
    np.testing.assert_array_equal(largest_cosines(KEYS, none, STEP), np.zeros((1, 1, 3)))
    np.testing.assert_array_equal(largest_cosines(KEYS[:, :0], none[..., :0], STEP), np.zeros((1, 1, 3)))
    blank = STEP.copy()
    blank[0, 0, 1] = 0.0
    every = np.ones((1, 1, 3), bool)
    np.testing.assert_allclose(largest_cosines(KEYS, every, blank), [[[0.6, 0.0, 0.6]]], rtol=1e-6)
    # A key of zeros has cosine 0, which is more than the -1 of the others.
    keys = np.array([[[0.0, 0.0], [-1.0, 0.0]]], np.float32)
    assert float(largest_cosines(keys, every[..., :2], STEP)[0, 0, 0]) == 0.0


def test_padding_may_be_anything_and_the_window_holds_the_newest_keys() -> None:
    np.testing.assert_array_equal(visible_keys(jnp.array([0, 2, 4]), 4, 96), np.arange(4) < [[0], [2], [4]])
    np.testing.assert_array_equal(
        visible_keys(jnp.array([[1, 3]]), 4, 2), [[[True, False, False, False], [False, True, True, False]]]
    )
    spoiled = KEYS.copy()
    spoiled[0, 2] = np.nan
    visible = visible_keys(jnp.array([[2]]), 3, 96)
    np.testing.assert_array_equal(largest_cosines(spoiled, visible, STEP), largest_cosines(KEYS, visible, STEP))


def test_a_word_that_says_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"^linear: inputs: expected .cosines. or .paper., got 'no'$"):
        check_inputs("linear", "no")


D = 4
COSINES = SetTransformerSettings(embedding_width=D, width=8, num_layers=2, num_heads=2, value_head=True)
PAPER = SetTransformerSettings(embedding_width=D, width=8, num_layers=2, num_heads=2, value_head=True, inputs="paper")


def normals(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def moved(params: dict) -> dict:
    """Parameters away from zero."""
    rng = np.random.default_rng(9)
    return jax.tree.map(lambda leaf: leaf + rng.normal(0, 0.3, leaf.shape).astype(np.float32), params)


def test_the_paper_s_transformer_has_the_same_parameters_but_one() -> None:
    ours, papers = init(COSINES, jax.random.key(5)), init(PAPER, jax.random.key(5))
    assert set(ours) - set(papers) == {"project_cosines"} and not set(papers) - set(ours)
    assert ours["project_cosines"]["kernel"].shape == (3, 8)
    rest = {name: part for name, part in ours.items() if name != "project_cosines"}
    for one, other in zip(jax.tree.leaves(rest), jax.tree.leaves(papers), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_transformer_s_cosines_are_one_map_on_every_step_token() -> None:
    """At a map of zeros the two kinds agree; at another one the difference comes and goes with the visible keys."""
    params = moved(init(COSINES, jax.random.key(5)))
    without = {name: part for name, part in params.items() if name != "project_cosines"}
    zeroed = without | {"project_cosines": {"kernel": np.zeros((3, 8), np.float32)}}
    place = (normals(1, D), normals(2, 3, D), jnp.array(2), normals(3, 3, D))
    expected = decision_logits(PAPER, without, *place)
    np.testing.assert_allclose(decision_logits(COSINES, zeroed, *place), expected, atol=1e-6)
    assert np.abs(decision_logits(COSINES, params, *place) - expected).max() > 1e-3
    alone = (*place[:2], jnp.array(0), place[3])
    np.testing.assert_allclose(
        decision_logits(COSINES, params, *alone), decision_logits(PAPER, without, *alone), atol=1e-6
    )


def test_packed_equals_single_within_a_window() -> None:
    settings = SetTransformerSettings(embedding_width=D, width=8, num_layers=2, num_heads=2, key_window=2)
    params = moved(init(settings, jax.random.key(5)))
    num_keys = np.random.default_rng(0).integers(0, 6, (2, 2, 3)).astype(np.int32)
    context = DecisionContext(normals(1, D), normals(2, 2, 5, D), num_keys, normals(3, 2, 2, 3, 3, D))
    packed = packed_logits(settings, params, context)
    for place in np.ndindex(2, 2, 3):
        its_own = (context.query_d, context.key_gnd[place[0]], num_keys[place], context.step_gktsd[place])
        np.testing.assert_allclose(packed[place], decision_logits(settings, params, *its_own), atol=1e-5)


def test_the_paper_s_pooled_network_does_not_see_the_largest_ones() -> None:
    """Two sets of keys with one mean: only the largest similarity tells them apart."""
    params = {
        "hidden": jnp.ones((8 + 3, 1)),
        "hidden_bias": jnp.zeros(1),
        "logits": jnp.array([[0.0, 1.0]]),
        "logits_bias": jnp.zeros(2),
    }
    step, near, far = jnp.array([[0.5], [1.0], [0.25]]), jnp.array([[1.0], [0.0]]), jnp.array([[0.5], [0.5]])
    for inputs, differs in (("paper", False), ("cosines", True)):
        settings = PooledSettings(embedding_width=1, hidden_width=1, inputs=inputs)
        found = [pooled_logits(settings, params, jnp.array([1.0]), keys, jnp.array(2), step) for keys in (near, far)]
        # largest: .5 + 1 + .25 against half of each
        np.testing.assert_allclose(found[0] - found[1], [0.0, 0.875 * differs], atol=1e-6)
