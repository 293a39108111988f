"""The matching network: against a slow twin, packed against single, and what it does not look at."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.models.matching import (
    MatchingSettings,
    decision_logits,
    decision_targets,
    init,
    matching,
    packed_logits,
    packed_targets,
    packed_values,
)
from lts_jax.trajectory import ALIVE, DecisionContext

G, K, T, N, S, D, A = 2, 2, 3, 5, 4, 6, 3
SETTINGS = MatchingSettings(
    embedding_width=D, hidden_width=5, num_actions=A, num_step_tokens=S, key_window=4, value_head=True
)


def random_params(seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    shapes = jax.eval_shape(partial(init, SETTINGS), jax.random.key(0))
    return jax.tree.map(lambda leaf: draw.normal(size=leaf.shape).astype(np.float32), shapes)


def random_context(seed: int, *, lives: bool = True) -> DecisionContext:
    """Of two rollouts; some own vectors are empty, and with `lives` some entries end."""
    draw = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return draw.normal(size=(*shape, D)).astype(np.float32)

    own = normal(G, K, T, S) * (draw.random((G, K, T, S, 1)) < 0.7)
    context = DecisionContext(normal(), normal(G, N), draw.integers(0, N + 1, (G, K, T)).astype(np.int32), own)
    order = np.arange(K * T, dtype=np.int32).reshape(T, K).T
    died = np.where(draw.random((G, N)) < 0.5, draw.integers(1, K * T, (G, N)), ALIVE).astype(np.int32)
    return replace(context, died_gn=died, sequence_gkt=np.stack([order] * G)) if lives else context


def seen_keys(context: DecisionContext, window: int) -> np.ndarray:
    """bool[G, K, T, N]: the newest keys before the decision, of those the ones that had not ended."""
    count, place = context.num_keys_gkt[..., None], np.arange(N)
    seen = (place < count) & (place >= count - window)
    if context.died_gn is None:
        return seen
    return seen & (context.died_gn[:, None, None] > context.sequence_gkt[..., None])


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    size = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / size) if size else 0.0


def slowly(params, keys: list[np.ndarray], own: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, float]:
    """Logits, pointers at the keys that are seen and at the own vectors, and value, from the module's description."""
    now, places = own[-1], [vector for vector in own[:-1] if vector.any()]

    def state(vector: np.ndarray) -> np.ndarray:
        to_keys = [cosine(vector, key) for key in keys if key is not vector]
        to_places = [cosine(vector, place) for place in places if place is not vector]
        to_now = 0.0 if vector is now else cosine(vector, now)
        related = 5.0 * np.array([max([0.0, *to_keys]), max([0.0, *to_places]), to_now])
        return np.maximum(np.concatenate([vector, related, now]) @ params["hidden"] + params["hidden_bias"], 0.0)

    nothing = [np.zeros(len(params["point"]))]
    pooled = [f([state(one) for one in some] or nothing, axis=0) for some in (keys, places) for f in (np.mean, np.max)]
    read = np.maximum(np.concatenate([*pooled, now]) @ params["state"] + params["state_bias"], 0.0)
    pointed = np.array([state(one) @ params["point"] for one in [*keys, *own]])
    return read @ params["logits"] + params["logits_bias"], pointed, read @ params["value"] + params["value_bias"]


@pytest.mark.parametrize("lives", [False, True])
def test_packed_is_what_a_slow_twin_computes_of_every_decision(lives: bool) -> None:
    params, context = random_params(0), random_context(1, lives=lives)
    functions = packed_logits, packed_targets, packed_values
    logits, pointers, values = jax.jit(lambda: [function(SETTINGS, params, context) for function in functions])()
    assert logits.shape == (G, K, T, A) and pointers.shape == (G, K, T, N + S) and values.shape == (G, K, T)
    seen = seen_keys(context, SETTINGS.key_window)
    assert 0 < seen.sum() < (np.arange(N) < context.num_keys_gkt[..., None]).sum()  # the mask takes something away
    for at in np.ndindex(G, K, T):
        expected = slowly(params, list(context.key_gnd[at[0]][seen[at]]), list(context.step_gktsd[at]))
        np.testing.assert_allclose(logits[at], expected[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            pointers[at][np.concatenate([seen[at], np.ones(S, bool)])], expected[1], rtol=1e-4, atol=1e-4
        )
        assert float(values[at]) == pytest.approx(float(expected[2]), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("lives", [False, True])
def test_packed_equals_single_and_so_do_gradients(lives: bool) -> None:
    params, context = random_params(0), random_context(2, lives=lives)
    alive = (
        np.ones((G, K, T, N), bool) if not lives else context.died_gn[:, None, None] > context.sequence_gkt[..., None]
    )
    where = np.concatenate([seen_keys(context, SETTINGS.key_window), np.ones((G, K, T, S), bool)], axis=-1)
    draw = np.random.default_rng(3)
    weight_a, weight_j = draw.normal(size=(G, K, T, A)), draw.normal(size=(G, K, T, N + S))

    def packed(params):
        return packed_logits(SETTINGS, params, context), packed_targets(SETTINGS, params, context)

    def single(params):
        one = partial(decision_targets, SETTINGS, params, context.query_d)
        key = jnp.broadcast_to(context.key_gnd[:, None, None], (G, K, T, N, D))
        for _ in range(3):
            one = jax.vmap(one)
        return one(key, context.num_keys_gkt, context.step_gktsd, alive)

    def total(function, params):
        logits, pointers = function(params)
        pointers = jnp.where(where, pointers, 0.0)
        return jnp.sum(weight_a * logits) + jnp.sum(weight_j * pointers), (logits, pointers)

    both = jax.jit(lambda params: [jax.grad(partial(total, one), has_aux=True)(params) for one in (packed, single)])
    (packed_slope, found), (single_slope, expected) = both(params)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), found, expected)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), packed_slope, single_slope)
    assert all((np.abs(leaf) > 0).any() for name, leaf in packed_slope.items() if not name.startswith("value"))
    stacked = jax.tree.map(lambda array: np.stack([array, array]), context)
    np.testing.assert_allclose(packed_logits(SETTINGS, params, stacked)[1], found[0], rtol=1e-5, atol=1e-5)


WIDE = replace(SETTINGS, key_window=99)


@pytest.fixture(scope="module")
def decide():
    """decision_targets of one decision, all keys alive; a key is in its window."""

    @jax.jit
    def one(params, key, num_keys, own):
        return decision_targets(WIDE, params, jnp.zeros(D), key, num_keys, own, jnp.ones(key.shape[:-1], bool))

    return lambda *given: jax.device_get(one(*given))


def test_the_order_of_keys_is_not_looked_at(decide) -> None:
    params, context = random_params(4), random_context(5)
    key, own, order = context.key_gnd[0], context.step_gktsd[0, 0, 0], np.array([3, 0, 2, 1, 4])
    logits, pointers = decide(params, key, jnp.array(4), own)
    moved_logits, moved_pointers = decide(params, key[order], jnp.array(4), own)
    np.testing.assert_allclose(moved_logits, logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(moved_pointers[:4], pointers[order[:4]], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(moved_pointers[N:], pointers[N:], rtol=1e-5, atol=1e-5)
    assert np.ptp(pointers[:4]) > 0.1
    other_logits, _ = decide(params, key + 1.0, jnp.array(4), own)
    assert not np.allclose(other_logits, logits, atol=1e-2)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_lies_behind_the_keys_does_not_matter(decide, sign: float) -> None:
    """Not the numbers there, and not how many there are: also where no key is on the side of an own vector."""
    params, own = random_params(6), np.abs(random_context(7).step_gktsd[0, 0, 0])
    key = sign * np.abs(random_context(7).key_gnd[0])
    logits, pointers = decide(params, key, jnp.array(3), own)
    spoiled = key.copy()
    spoiled[3:] = 7.0
    spoiled_logits, spoiled_pointers = decide(params, spoiled, jnp.array(3), own)
    np.testing.assert_array_equal(spoiled_logits, logits)
    np.testing.assert_array_equal(np.delete(spoiled_pointers, [3, 4]), np.delete(pointers, [3, 4]))
    short_logits, short_pointers = decide(params, key[:3], jnp.array(3), own)
    np.testing.assert_allclose(short_logits, logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(short_pointers, np.delete(pointers, [3, 4]), rtol=1e-5, atol=1e-5)


def test_an_own_vector_of_zeros_does_not_count(decide) -> None:
    params, context = random_params(8), random_context(9)
    key = context.key_gnd[0]
    own = np.random.default_rng(1).normal(size=(3, D)).astype(np.float32)
    nothing = np.zeros(D, np.float32)
    logits, pointers = decide(params, key, jnp.array(4), own)
    spread = np.stack([nothing, own[0], nothing, own[1], nothing, own[2]])
    spread_logits, spread_pointers = decide(params, key, jnp.array(4), spread)
    np.testing.assert_allclose(spread_logits, logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(spread_pointers[[0, 1, 2, 3, 6, 8, 10]], np.delete(pointers, 4), rtol=1e-5, atol=1e-5)
    assert not np.allclose(decide(params, key, jnp.array(4), own[[0, 0, 2]])[0], logits, atol=1e-3)


def test_the_last_own_vector_says_what_goes_on_and_is_no_place(decide) -> None:
    """Without places and keys, logits are read from it alone, and the pooled states are zero."""
    params, now = random_params(10), np.full((1, D), 0.5, np.float32)
    own = np.concatenate([np.zeros((2, D), np.float32), now])
    logits, _ = decide(params, np.ones((N, D), np.float32), jnp.array(0), own)
    read = np.maximum(now[0] @ params["state"][-D:] + params["state_bias"], 0.0)
    np.testing.assert_allclose(logits, read @ params["logits"] + params["logits_bias"], rtol=1e-4, atol=1e-4)


def test_an_ended_key_is_seen_no_more_and_a_key_outside_the_window_neither() -> None:
    params, context = random_params(11), random_context(12)
    key, own, alive = context.key_gnd[0], context.step_gktsd[0, 0, 1], np.array([True, True, False, True, True])
    compiled = jax.jit(partial(decision_targets, replace(SETTINGS, key_window=3)))

    def one(params, query, key):
        return jax.device_get(compiled(params, query, key, jnp.array(4), own, alive))

    logits, pointers = one(params, context.query_d, key)
    spoiled = key.copy()
    spoiled[[0, 2, 4]] = 7.0  # before the window, ended, behind
    found, pointed = one(params, context.query_d + 1.0, spoiled)
    np.testing.assert_array_equal(found, logits)
    np.testing.assert_array_equal(pointed[[1, 3, *range(N, N + S)]], pointers[[1, 3, *range(N, N + S)]])
    spoiled[1] = 7.0
    assert not np.allclose(one(params, context.query_d, spoiled)[0], logits)


def test_untrained_everything_is_equally_likely() -> None:
    plain = replace(SETTINGS, value_head=False)
    context = random_context(0)

    @jax.jit
    def started():
        params = init(plain, jax.random.key(0))
        one = context.key_gnd[0], jnp.array(2), context.step_gktsd[0, 0, 0]
        single = decision_logits(plain, params, context.query_d, *one)
        return params, single, packed_logits(plain, params, context), packed_targets(plain, params, context)

    params, *found = started()
    assert found[0].shape == (A,) and not any(array.any() for array in found)
    network = matching(plain)
    assert network is matching(replace(SETTINGS, value_head=False)) and network.packed_values is None
    assert matching(SETTINGS).packed_values is not None
    assert network.knows_lives and network.may_edit and network.num_actions == A and "value" not in params


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"embedding_width": 0}, "embedding_width: expected at least 1, got 0"),
        ({"hidden_width": -1}, "hidden_width: expected at least 1, got -1"),
        ({"key_window": 0}, "key_window: expected at least 1, got 0"),
        ({"num_actions": 1}, "num_actions: expected at least 2, got 1"),
        ({"num_step_tokens": 1}, "num_step_tokens: expected at least 2, got 1"),
    ],
)
def test_shapes_that_cannot_be_built_are_refused(changed: dict, expected: str) -> None:
    with pytest.raises(UserError, match=rf"^matching: {expected}$"):
        MatchingSettings(**changed)
