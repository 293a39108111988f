"""Qwen3 without the reference implementation: literal numbers, a slow twin, laws of positions, visibility and cache."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.models.lora import LoraSettings, Tuning, init_adapters, num_parameters
from lts_jax.models.norm_and_rotation import rms_norm
from lts_jax.models.qwen3 import (
    KeyValues,
    Qwen3Settings,
    abstract_weights,
    init_weights,
    with_weights,
)

SMALL = Qwen3Settings(
    width=8, num_layers=2, num_heads=4, num_kv_heads=2, head_width=6, mlp_width=12, vocabulary_size=11, rope_theta=100.0
)
LORA = LoraSettings(rank=2, alpha=6.0, targets=("q", "v", "down"))


def formula_weights(settings):
    """Every weight from its place: 0.4 sin(1 + 0.37 n^2 + its array's number), norms around 1; no random generator."""
    leaves, structure = jax.tree.flatten(abstract_weights(settings))
    arrays = [0.4 * np.sin(1.0 + 0.37 * np.arange(leaf.size) ** 2 + number) for number, leaf in enumerate(leaves)]
    weights = jax.tree.unflatten(
        structure,
        [jnp.asarray(array.reshape(leaf.shape), leaf.dtype) for array, leaf in zip(arrays, leaves, strict=True)],
    )
    norms = {name: 1.0 + array for name, array in weights["layers"].items() if "norm" in name}
    return {**weights, "final_norm": 1.0 + weights["final_norm"], "layers": {**weights["layers"], **norms}}


def causal(*shape):
    """Every token sees itself and those before it, bool[B, S, S]; positions count from 0, i32[B, S]."""
    num_rows, length = shape
    visible_bst = jnp.broadcast_to(jnp.tril(jnp.ones((length, length), bool)), (num_rows, length, length))
    return jnp.broadcast_to(jnp.arange(length), (num_rows, length)), visible_bst


@pytest.fixture(scope="module")
def qwen():
    return with_weights(SMALL, formula_weights(SMALL))


@pytest.fixture(scope="module")
def adapters():
    made = init_adapters(SMALL, LORA, jax.random.key(5))
    return jax.tree.map(lambda leaf: leaf + 0.1, made)  # B is zero at first, which would test nothing


@jax.jit
def forward(qwen, embeds_bsw, position_bs, visible_bst, **options):
    """The compiled network; a module is a pytree."""
    return qwen(embeds_bsw, position_bs, visible_bst, **options)


@jax.jit
def extend(qwen, embeds_bsw, position_bs, visible_bst, **options):
    """The same, with the new tokens' keys and values."""
    return qwen.extend(embeds_bsw, position_bs, visible_bst, **options)


def twin(settings, weights, embeds_sw, positions, sees):
    """The forward pass of one sequence in float64 with a loop over tokens, heads and what each sees; logits [S, V]."""
    weights = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), weights)
    half, group = settings.head_width // 2, settings.num_heads // settings.num_kv_heads

    def norm(x, scale):
        return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + settings.norm_epsilon) * scale

    def rotated(x, position):
        turned = np.empty_like(x)
        for i in range(half):
            angle = position * settings.rope_theta ** (-2 * i / settings.head_width)
            turned[i] = x[i] * np.cos(angle) - x[i + half] * np.sin(angle)
            turned[i + half] = x[i + half] * np.cos(angle) + x[i] * np.sin(angle)
        return turned

    x = np.asarray(embeds_sw, np.float64)
    for number in range(settings.num_layers):
        layer = {name: array[number] for name, array in weights["layers"].items()}
        normed = norm(x, layer["attention_norm"])
        q, k, v = ((normed @ layer[name]).reshape(len(x), -1, settings.head_width) for name in "qkv")
        q, k = norm(q, layer["query_norm"]), norm(k, layer["key_norm"])
        attended = np.zeros_like(q)
        for s in range(len(x)):
            for head in range(settings.num_heads):
                seen = [t for t in range(len(x)) if sees(s, t)]
                query = rotated(q[s, head], positions[s])
                scores = [query @ rotated(k[t, head // group], positions[t]) for t in seen]
                power = np.exp(np.array(scores) / np.sqrt(settings.head_width))
                attended[s, head] = sum(p * v[t, head // group] for p, t in zip(power / power.sum(), seen, strict=True))
        x = x + attended.reshape(len(x), -1) @ layer["o"]
        normed = norm(x, layer["mlp_norm"])
        gate = normed @ layer["gate"]
        x = x + (gate / (1 + np.exp(-gate)) * (normed @ layer["up"])) @ layer["down"]
    table = weights["embedding" if settings.tied_embeddings else "unembedding"]
    return norm(x, weights["final_norm"]) @ table.T


def test_literal_logits(qwen):
    """The model of `formula_weights` on tokens 3, 1, 4; logits of transformers 5.23 in float64 for tokens 0 and 7."""
    position_bs, visible_bst = causal(1, 3)
    hidden = forward(qwen, qwen.embed(jnp.array([[3, 1, 4]])), position_bs, visible_bst)
    expected = [[1.9605477, -0.5284209], [-0.7062296, -0.5181885], [0.6551566, -1.3158072]]
    np.testing.assert_allclose(qwen.logits(hidden)[0][:, [0, 7]], expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    "changes", [{}, {"tied_embeddings": False, "num_heads": 6, "num_kv_heads": 1, "rope_theta": 1e4}]
)
def test_it_equals_the_slow_twin_with_any_positions_and_visibility(changes):
    settings = replace(SMALL, **changes)
    weights = formula_weights(settings)
    positions, sees = [4, 0, 9, 9, 2], lambda s, t: s == t or (3 * s + 5 * t) % 4 == 1
    visible_bst = jnp.array([[[sees(s, t) for t in range(5)] for s in range(5)]])
    qwen = with_weights(settings, weights)
    embeds_bsw = qwen.embed(jnp.array([[9, 2, 2, 7, 0]]))
    found = qwen.logits(forward(qwen, embeds_bsw, jnp.array([positions]), visible_bst))
    np.testing.assert_allclose(found[0], twin(settings, weights, embeds_bsw[0], positions, sees), rtol=2e-5, atol=2e-5)


def test_what_a_cache_holds_need_not_be_run_again(qwen, adapters):
    position_bs, visible_bst = causal(2, 7)
    embeds_bsw = qwen.embed(jnp.arange(14).reshape(2, 7) % 11)
    options = {"tuning": Tuning(adapters, LORA)}
    whole, whole_kv = extend(qwen, embeds_bsw, position_bs, visible_bst, **options)
    _, first = extend(qwen, embeds_bsw[:, :4], position_bs[:, :4], visible_bst[:, :4, :4], **options)
    # Two places of the cache are empty: filled with rubbish, and not visible.
    rubbish = jax.tree.map(lambda leaf: jnp.full((*leaf.shape[:2], 2, *leaf.shape[3:]), 1e4), first)
    cache = jax.tree.map(lambda one, two: jnp.concatenate([one, two], axis=2), first, rubbish)
    visible = jnp.concatenate([visible_bst[:, 4:, :4], jnp.zeros((2, 3, 2), bool), visible_bst[:, 4:, 4:]], axis=2)
    last, new = extend(qwen, embeds_bsw[:, 4:], position_bs[:, 4:], visible, cache=cache, **options)
    np.testing.assert_allclose(last, whole[:, 4:], rtol=1e-6, atol=1e-6)
    assert isinstance(new, KeyValues) and new.key.shape == (2, 2, 3, 2, 6)
    np.testing.assert_allclose(new.key, whole_kv.key[:, :, 4:], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(new.value, whole_kv.value[:, :, 4:], rtol=1e-6, atol=1e-6)


def test_sequences_packed_into_one_row_in_any_order_equal_themselves_apart(qwen):
    token_bs = jnp.array([[1, 5, 2, 8], [9, 0, 4, 4]])
    position_bs, visible_bst = causal(2, 4)
    apart = forward(qwen, qwen.embed(token_bs), position_bs, visible_bst).reshape(8, -1)
    order = np.array([5, 2, 0, 7, 6, 1, 4, 3])
    row, place = order // 4, order % 4
    visible = (row[:, None] == row) & (place[:, None] >= place)
    packed = forward(
        qwen, qwen.embed(token_bs.reshape(1, 8)[:, order]), jnp.array(place)[None], jnp.array(visible)[None]
    )
    np.testing.assert_allclose(packed[0], apart[order], rtol=1e-6, atol=2e-6)


def test_only_differences_of_positions_count(qwen):
    position_bs, visible_bst = causal(1, 6)
    embeds_bsw = qwen.embed(jnp.array([[1, 2, 3, 4, 5, 6]]))
    moved = forward(qwen, embeds_bsw, position_bs + 17, visible_bst)
    np.testing.assert_allclose(moved, forward(qwen, embeds_bsw, position_bs, visible_bst), rtol=1e-4, atol=1e-5)
    stretched = forward(qwen, embeds_bsw, position_bs * 2, visible_bst)
    assert np.abs(stretched - moved).max() > 1e-3


def test_what_is_not_visible_has_no_influence_and_no_gradient(qwen):
    position_bs, visible_bst = causal(1, 5)
    visible_bst = visible_bst.at[:, :, 1].set(False)  # nobody sees token 1, not even itself
    embeds_bsw = qwen.embed(jnp.array([[1, 2, 3, 4, 5]]))

    @jax.jit
    def total(embeds_bsw):
        states = qwen(embeds_bsw, position_bs, visible_bst)
        return jnp.sum(jnp.delete(states, 1, axis=1) ** 3)

    gradient = jax.grad(total)(embeds_bsw)
    assert np.all(gradient[0, 1] == 0) and np.all(np.isfinite(gradient)) and np.abs(gradient[0, 0]).max() > 0
    assert total(embeds_bsw.at[0, 1].set(7.0)) == total(embeds_bsw)
    blind = forward(qwen, embeds_bsw, position_bs, jnp.zeros((1, 5, 5), bool))
    assert np.all(np.isfinite(blind))


def test_logits_of_some_tokens_are_a_part_of_all(qwen):
    hidden = jnp.sin(jnp.arange(48.0)).reshape(2, 3, 8)
    whole = qwen.logits(hidden)
    assert whole.shape == (2, 3, 11) and whole.dtype == jnp.float32
    np.testing.assert_allclose(qwen.logits(hidden, jnp.array([7, 2])), whole[..., [7, 2]], rtol=1e-6)
    np.testing.assert_allclose(qwen.logits(hidden[0, 0]), whole[0, 0], rtol=1e-6)


@pytest.mark.parametrize("changes", [{"remat": True}, {"unroll": 2}])
def test_rematerialisation_and_unrolling_change_neither_loss_nor_gradient(changes, adapters):
    position_bs, visible_bst = causal(1, 4)

    def loss(adapters, settings):
        qwen = with_weights(settings, formula_weights(settings))
        embeds_bsw = qwen.embed(jnp.array([[1, 2, 3, 4]]))
        return jnp.sum(qwen(embeds_bsw, position_bs, visible_bst, tuning=Tuning(adapters, LORA)) ** 3)

    step = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    jax.tree.map(
        lambda one, two: np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4),
        step(adapters, SMALL),
        step(adapters, replace(SMALL, **changes)),
    )


def test_equal_shapes_are_traced_once(qwen):
    traces = []

    @jax.jit
    def traced(weights, embeds_bsw, position_bs, visible_bst):
        traces.append(embeds_bsw.shape)
        return with_weights(SMALL, weights)(embeds_bsw, position_bs, visible_bst)

    weights = formula_weights(SMALL)
    for first in (1, 2):
        traced(weights, qwen.embed(jnp.array([[first, 3, 4]])), *causal(1, 3))
        traced(jax.tree.map(jnp.negative, weights), qwen.embed(jnp.array([[first, 3, 4]])), *causal(1, 3))
    traced(weights, qwen.embed(jnp.array([[1, 3, 4, 5]])), *causal(1, 4))
    assert traces == [(1, 3, 8), (1, 4, 8)]


def test_the_program_does_not_grow_with_depth():
    def program(num_layers):
        settings = replace(SMALL, num_layers=num_layers)
        arrays = (abstract_weights(settings), jax.ShapeDtypeStruct((1, 3, 8), jnp.float32))
        lowered = jax.jit(lambda weights, embeds: with_weights(settings, weights)(embeds, *causal(1, 3))).lower(*arrays)
        return len(lowered.as_text().splitlines())

    assert program(2) == program(20)


def test_bfloat16_keeps_its_weights_and_states_but_reduces_in_float32():
    settings = replace(SMALL, compute_dtype="bfloat16")
    weights = formula_weights(settings)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(weights)} == {"bfloat16"}
    rounded = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), weights)
    position_bs, visible_bst = causal(1, 6)
    token_bs = jnp.array([[1, 2, 3, 4, 5, 6]])
    narrow, wide = with_weights(settings, weights), with_weights(SMALL, rounded)
    hidden = forward(narrow, narrow.embed(token_bs), position_bs, visible_bst)
    exact = forward(wide, wide.embed(token_bs), position_bs, visible_bst)
    assert hidden.dtype == jnp.bfloat16 and narrow.logits(hidden).dtype == jnp.float32
    assert 0 < np.abs(hidden.astype(jnp.float32) - exact).max() / np.abs(exact).max() < 0.03
    # 1 + 2^-9 is 1 in bfloat16: a mean of squares summed in bfloat16 would lose all but the first few hundred terms.
    ones = replace(settings, width=4096)
    assert np.all(np.asarray(rms_norm(jnp.ones((1, 4096), jnp.bfloat16), 1.0, ones), np.float32) == 1.0)


def test_random_weights_have_the_module_s_shapes_and_the_usual_deviation():
    weights = init_weights(SMALL, jax.random.key(3))
    assert 0.015 < float(jnp.std(weights["layers"]["gate"])) < 0.025 and np.all(weights["final_norm"] == 1)
    assert jax.tree.map(jnp.shape, weights) == jax.tree.map(jnp.shape, abstract_weights(SMALL))


def test_the_paper_s_controller_has_596_049_920_weights():
    """28 layers, width 1024, 16 and 8 heads of 128, MLP 3072, vocabulary 151,936, tied: by hand

    151,936 * 1024 + 28 * (1024 * (2048 + 1024 + 1024) + 2048 * 1024 + 3 * 1024 * 3072 + 2 * 1024 + 2 * 128) + 1024.
    """
    assert num_parameters(abstract_weights(Qwen3Settings())) == 596_049_920


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_kv_heads": 3}, "num_heads: expected a multiple of num_kv_heads = 3, got 4"),
        ({"head_width": 5}, "head_width: expected an even number, got 5"),
        ({"num_layers": 0}, "num_layers: expected a whole number of at least 1, got 0"),
        ({"width": 8.0}, "width: expected a whole number"),
        ({"rope_theta": 0.0}, "rope_theta: expected a positive number"),
        ({"compute_dtype": "float16"}, 'compute_dtype: expected "float32" or "bfloat16"'),
        ({"unroll": 0}, "unroll: expected a whole number"),
    ],
)
def test_shapes_that_cannot_be_built_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        replace(SMALL, **changes)
