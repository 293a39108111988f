"""LoRA by itself: counts of the paper's controller, what it starts from, what is trained, merging, dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.models.lora import (
    TARGETS,
    LoraSettings,
    Tuning,
    init_adapters,
    low_rank,
    merge,
    num_parameters,
    target_widths,
)
from lts_jax.models.qwen3 import Qwen3Settings, abstract_weights, with_weights

SMALL = Qwen3Settings(
    width=8, num_layers=2, num_heads=4, num_kv_heads=2, head_width=6, mlp_width=12, vocabulary_size=11
)
ALL = LoraSettings(rank=2, alpha=6.0, targets=TARGETS)


def random_weights(settings):
    """Weights large enough to matter, without a compilation."""
    generator = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(generator.normal(0, 0.4, leaf.shape), leaf.dtype), abstract_weights(settings)
    )


@pytest.fixture(scope="module")
def weights():
    return random_weights(SMALL)


def hidden(weights, adapters, lora, prng_key=None):
    """The network on three tokens."""
    qwen = with_weights(SMALL, weights)
    embeds_bsw = qwen.embed(jnp.array([[3, 1, 4]]))
    visible_bst = jnp.tril(jnp.ones((1, 3, 3), bool))
    return qwen(embeds_bsw, jnp.arange(3)[None], visible_bst, tuning=adapters and Tuning(adapters, lora, prng_key))


run = jax.jit(hidden, static_argnums=2)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        # 28 layers of rank 16: q 1024 + 2048, k and v 1024 + 1024 each, o 2048 + 1024.
        (("q", "k", "v", "o"), 28 * 16 * (3072 + 2048 + 2048 + 3072)),
        # and gate, up, down, 1024 + 3072 each.
        (TARGETS, 28 * 16 * (3072 + 2048 + 2048 + 3072 + 3 * 4096)),
    ],
)
def test_the_paper_s_controller_has_as_many_adapter_parameters(targets, expected):
    lora = LoraSettings(targets=targets)
    shapes = jax.eval_shape(lambda prng_key: init_adapters(Qwen3Settings(), lora, prng_key), jax.random.key(0))
    assert num_parameters(shapes) == expected
    assert expected in {4_587_520, 10_092_544}


def test_fresh_adapters_change_nothing_and_are_drawn_as_peft_draws_them(weights):
    adapters = init_adapters(SMALL, ALL, jax.random.key(1))
    np.testing.assert_allclose(run(weights, adapters, ALL), run(weights, None, None), rtol=1e-6, atol=1e-6)
    wide = init_adapters(Qwen3Settings(num_layers=2), LoraSettings(rank=8), jax.random.key(2))
    for target, pair in wide.items():
        bound = target_widths(Qwen3Settings())[target][0] ** -0.5
        assert not np.any(pair["b"])
        assert 0.99 * bound < np.abs(pair["a"]).max() <= bound
        np.testing.assert_allclose(np.std(pair["a"]), bound / np.sqrt(3), rtol=0.03)  # of a uniform on [-bound, bound]
    assert not np.array_equal(wide["q"]["a"], wide["k"]["a"])


def test_a_target_s_draw_does_not_depend_on_the_others():
    alone = init_adapters(SMALL, LoraSettings(rank=2, targets=("v",)), jax.random.key(1))
    np.testing.assert_array_equal(alone["v"]["a"], init_adapters(SMALL, ALL, jax.random.key(1))["v"]["a"])


def test_the_product_by_hand():
    """x = (1, 2), A = (3, 1) as a column, B = (10, -1), alpha / rank = 2: x A = 5, times B and 2 is (100, -10)."""
    pair = {"a": jnp.array([[3.0], [1.0]]), "b": jnp.array([[10.0, -1.0]])}
    changed = low_rank(jnp.array([[1.0, 2.0]]), pair, LoraSettings(rank=1, alpha=2.0), None)
    assert changed.tolist() == [[100.0, -10.0]]


@pytest.mark.parametrize("target", TARGETS)
def test_merging_one_target_equals_running_its_adapter(weights, target):
    lora = LoraSettings(rank=2, alpha=6.0, targets=(target,))
    adapters = jax.tree.map(lambda leaf: leaf + 0.1, init_adapters(SMALL, lora, jax.random.key(1)))
    beside = run(weights, adapters, lora)
    assert np.abs(beside - run(weights, None, None)).max() > 1e-2
    np.testing.assert_allclose(run(merge(weights, adapters, lora), None, None), beside, rtol=1e-4, atol=1e-5)


def test_merging_keeps_the_type_of_the_base(weights):
    narrow = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), weights)
    merged = merge(narrow, init_adapters(SMALL, ALL, jax.random.key(1)), ALL)
    jax.tree.map(np.testing.assert_array_equal, merged, narrow)  # B is zero
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(merged)} == {"bfloat16"}


def test_the_gradient_is_of_the_adapters_alone_and_equals_differences(weights):
    adapters = jax.tree.map(lambda leaf: leaf + 0.1, init_adapters(SMALL, ALL, jax.random.key(1)))
    loss = jax.jit(lambda adapters: jnp.sum(hidden(weights, adapters, ALL) ** 2 * jnp.arange(8.0)))
    gradient = jax.grad(loss)(adapters)
    assert jax.tree.map(jnp.shape, gradient) == jax.tree.map(jnp.shape, adapters)
    for target in TARGETS:
        for part in ("a", "b"):
            slope = gradient[target][part]
            ahead, behind = (
                loss({**adapters, target: {**adapters[target], part: adapters[target][part] + step * slope}})
                for step in (1e-3 / jnp.linalg.norm(slope), -1e-3 / jnp.linalg.norm(slope))
            )
            np.testing.assert_allclose((ahead - behind) / 2e-3, jnp.linalg.norm(slope), rtol=0.02)


def test_dropout_needs_a_prng_key_and_keeps_the_mean():
    lora = LoraSettings(rank=1, alpha=1.0, dropout=0.25)
    pair = {"a": jnp.ones((4096, 1)), "b": jnp.ones((1, 1))}
    input_xi = jnp.ones((64, 4096))
    assert np.all(low_rank(input_xi, pair, lora, None) == 4096)
    dropped = low_rank(input_xi, pair, lora, jax.random.key(0)) / 4096
    # The mean of 4096 values that are 4/3 with probability 3/4 has deviation sqrt(1/3) / 64 = 0.0090.
    assert abs(float(dropped.mean()) - 1) < 0.005 and 0.007 < float(dropped.std()) < 0.011


def test_dropout_follows_its_prng_key_through_the_network(weights):
    lora = LoraSettings(rank=2, alpha=6.0, targets=TARGETS, dropout=0.5)
    adapters = jax.tree.map(lambda leaf: leaf + 0.1, init_adapters(SMALL, lora, jax.random.key(1)))
    without = run(weights, adapters, lora)
    one, again, other = (run(weights, adapters, lora, jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3 and np.abs(one - without).max() > 1e-3
    np.testing.assert_array_equal(run(weights, adapters, ALL, jax.random.key(0)), without)  # ALL has no dropout


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"rank": 0}, "rank: expected at least 1, got 0"),
        ({"alpha": 0.0}, "alpha: expected a positive number"),
        ({"dropout": 1.0}, "dropout: expected 0 <= dropout < 1"),
        ({"targets": ()}, "targets: expected different names out of q, k, v, o, gate, up, down, got none"),
        ({"targets": ("q", "q")}, "got q, q"),
        ({"targets": ("q_proj",)}, "got q_proj"),
    ],
)
def test_wrong_settings_are_refused(setting, message):
    with pytest.raises(UserError, match=message):
        LoraSettings(**setting)
