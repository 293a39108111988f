"""The controller's network: visibility, packing, padding, and what an untrained policy does."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.models.set_transformer import SetTransformerSettings, packed_values, set_transformer
from lts_jax.trajectory import ALIVE, DecisionContext

SMALL = SetTransformerSettings(embedding_width=8, width=12, num_layers=2, num_heads=3, key_window=5)


NETWORK = set_transformer(SMALL)
PACKED = jax.jit(NETWORK.packed_logits)
DECISION = jax.jit(NETWORK.decision_logits)


def moved_params() -> dict:
    """Parameters whose zero output layer and biases were moved away from zero, so that everything shows."""
    leaves, structure = jax.tree.flatten(NETWORK.init(jax.random.key(0)))
    rng = np.random.default_rng(1)
    return jax.tree.unflatten(structure, [leaf + rng.normal(0, 0.3, leaf.shape).astype(np.float32) for leaf in leaves])


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    vectors = rng.normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def context_of(seed: int, num_rollouts: int = 2, num_teams: int = 3, num_steps: int = 4) -> DecisionContext:
    rng = np.random.default_rng(seed)
    shape = (num_rollouts, num_teams, num_steps)
    return DecisionContext(
        query_d=jnp.asarray(unit(rng, 8)),
        key_gnd=jnp.asarray(unit(rng, num_rollouts, 7, 8)),
        num_keys_gkt=jnp.asarray(rng.integers(0, 8, shape), jnp.int32),
        step_gktsd=jnp.asarray(unit(rng, *shape, 3, 8)),
    )


def one_by_one(params: dict, context: DecisionContext) -> jax.Array:
    """Logits of every decision on its own, each with its own copy of query and keys: f32[G, K, T, A]."""
    num_rollouts, num_teams, num_steps = context.num_keys_gkt.shape
    per_rollout = num_teams * num_steps
    key = jnp.repeat(context.key_gnd, per_rollout, axis=0)
    query = jnp.broadcast_to(context.query_d, (len(key), 8))
    step = context.step_gktsd.reshape(-1, 3, 8)
    logits = jax.vmap(NETWORK.decision_logits, in_axes=(None, 0, 0, 0, 0))(
        params, query, key, context.num_keys_gkt.reshape(-1), step
    )
    return logits.reshape(num_rollouts, num_teams, num_steps, -1)


def test_packed_equals_one_by_one_with_gradients() -> None:
    params = moved_params()
    weight = np.random.default_rng(0).normal(size=(2, 3, 4, 2))

    def weighted(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jnp.sum(logits * weight), logits

    packed = jax.jit(jax.grad(lambda p, c: weighted(NETWORK.packed_logits(p, c)), has_aux=True))
    single = jax.jit(jax.grad(lambda p, c: weighted(one_by_one(p, c)), has_aux=True))
    for seed in range(5):
        context = context_of(seed)
        (gradient, logits), (slow_gradient, slow_logits) = packed(params, context), single(params, context)
        np.testing.assert_allclose(logits, slow_logits, atol=1e-5)
        for left, right in zip(jax.tree.leaves(gradient), jax.tree.leaves(slow_gradient), strict=True):
            np.testing.assert_allclose(left, right, atol=1e-5, rtol=1e-4)
        assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient)) > 0.1


def test_a_leading_task_axis_changes_nothing() -> None:
    params = moved_params()
    contexts = [context_of(seed) for seed in (4, 5)]
    stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *contexts)
    together = PACKED(params, stacked)
    apart = jnp.stack([PACKED(params, context) for context in contexts])
    np.testing.assert_allclose(together, apart, atol=1e-6)


def test_logits_do_not_depend_on_the_order_of_keys_but_on_the_keys() -> None:
    params = moved_params()
    rng = np.random.default_rng(7)
    query, key, step = unit(rng, 8), unit(rng, 7, 8), unit(rng, 3, 8)
    num_keys = jnp.asarray(5)
    straight = DECISION(params, query, key, num_keys, step)
    np.testing.assert_allclose(DECISION(params, query, key[[4, 2, 0, 1, 3, 5, 6]], num_keys, step), straight, atol=1e-5)
    other = DECISION(params, query, unit(rng, 7, 8), num_keys, step)
    assert float(jnp.abs(other - straight).max()) > 1e-3


def test_every_input_matters_and_the_step_texts_are_told_apart() -> None:
    params = moved_params()
    rng = np.random.default_rng(8)
    query, key, step = unit(rng, 8), unit(rng, 7, 8), unit(rng, 3, 8)
    straight = DECISION(params, query, key, jnp.asarray(3), step)
    for changed in (
        DECISION(params, unit(rng, 8), key, jnp.asarray(3), step),
        DECISION(params, query, key, jnp.asarray(2), step),
        DECISION(params, query, key, jnp.asarray(3), step[[1, 0, 2]]),
        DECISION(params, query, key, jnp.asarray(3), step[[0, 2, 1]]),
    ):
        assert float(jnp.abs(changed - straight).max()) > 1e-3


def test_keys_beyond_the_count_are_invisible_and_only_the_newest_of_the_window_are_seen() -> None:
    params = moved_params()
    rng = np.random.default_rng(9)
    query, key, step = unit(rng, 8), unit(rng, 7, 8), unit(rng, 3, 8)
    seen = DECISION(params, query, key, jnp.asarray(3), step)
    garbage = key.copy()
    garbage[3:] = 100.0
    np.testing.assert_array_equal(DECISION(params, query, garbage, jnp.asarray(3), step), seen)
    # The window is 5: of 7 keys the first two are out of sight.
    newest = DECISION(params, query, np.roll(key, -2, axis=0), jnp.asarray(5), step)
    np.testing.assert_allclose(DECISION(params, query, key, jnp.asarray(7), step), newest, atol=1e-5)


def test_padded_decisions_and_keys_get_no_gradient() -> None:
    params = moved_params()
    context = context_of(10)

    def one_decision(key_gnd: jax.Array, step_gktsd: jax.Array) -> jax.Array:
        moved = DecisionContext(context.query_d, key_gnd, jnp.full((2, 3, 4), 2), step_gktsd)
        return PACKED(params, moved)[0, 1, 2, 1]

    by_key, by_step = jax.jit(jax.grad(one_decision, argnums=(0, 1)))(context.key_gnd, context.step_gktsd)
    assert float(jnp.abs(by_key[0, :2]).min(axis=-1).max()) > 0
    np.testing.assert_array_equal(by_key[0, 2:], 0.0)
    np.testing.assert_array_equal(by_key[1], 0.0)
    assert float(jnp.abs(by_step[0, 1, 2]).max()) > 0
    np.testing.assert_array_equal(by_step.at[0, 1, 2].set(0.0), 0.0)


def test_equal_settings_share_one_network() -> None:
    assert set_transformer(SetTransformerSettings()) is set_transformer(SetTransformerSettings())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"width": 10, "num_heads": 4}, "multiple of num_heads = 4"),
        ({"num_layers": 0}, "num_layers: expected at least 1, got 0"),
        ({"num_actions": 1}, "num_actions: expected at least 2"),
        ({"matmul_precision": "low"}, '"default" or "highest"'),
    ],
)
def test_impossible_shapes_are_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        SetTransformerSettings(**changes)


VALUED_SETTINGS = replace(SMALL, value_head=True)
VALUED = set_transformer(VALUED_SETTINGS)


def test_a_value_head_disturbs_nothing() -> None:
    plain, valued = NETWORK.init(jax.random.key(3)), VALUED.init(jax.random.key(3))
    assert set(valued) - set(plain) == {"value_head"}
    jax.tree.map(np.testing.assert_array_equal, {name: valued[name] for name in plain}, plain)
    moved = moved_params()
    head = jax.tree.map(lambda leaf: leaf + 0.3, valued["value_head"])
    for seed in range(3):
        logits = jax.jit(VALUED.packed_logits)(moved | {"value_head": head}, context_of(seed))
        np.testing.assert_array_equal(logits, PACKED(moved, context_of(seed)))


def test_values_start_at_zero_and_learn_through_the_same_body() -> None:
    assert VALUED.packed_values is not None and NETWORK.packed_values is None
    params, context = VALUED.init(jax.random.key(0)), context_of(0)
    np.testing.assert_array_equal(VALUED.packed_values(params, context), np.zeros((2, 3, 4), np.float32))
    kernel = jnp.asarray(np.random.default_rng(2).normal(size=(12, 1)), jnp.float32)
    params = moved_params() | {"value_head": {"kernel": kernel, "bias": jnp.full(1, 0.25)}}
    values = VALUED.packed_values(params, context)
    assert np.ptp(values) > 0.1
    # The value is read like a logit: with the kernel as the first column of the other head it is the first logit.
    as_head = params["head"]["kernel"].at[:, :1].set(kernel), params["head"]["bias"].at[0].set(0.25)
    logits = VALUED.packed_logits(params | {"head": {"kernel": as_head[0], "bias": as_head[1]}}, context)
    np.testing.assert_allclose(values, logits[..., 0], atol=1e-5)
    stacked = jax.tree.map(lambda array: jnp.stack([array, array]), context)
    np.testing.assert_allclose(VALUED.packed_values(params, stacked)[1], values, atol=1e-5)


def test_values_without_a_head_are_refused() -> None:
    with pytest.raises(UserError, match="value_head: expected True"):
        packed_values(SMALL, moved_params(), context_of(0))


POINTING = set_transformer(replace(SMALL, num_actions=4, targets=True))


def edited(context: DecisionContext, seed: int) -> DecisionContext:
    """The same decisions in an order, and about half of the entries ended by one of them."""
    rng = np.random.default_rng(seed)
    sequence = np.stack([rng.permutation(12).reshape(3, 4) for _ in range(2)])
    died = np.where(rng.random((2, 7)) < 0.5, rng.integers(0, 12, (2, 7)), ALIVE)
    return replace(context, died_gn=jnp.asarray(died, jnp.int32), sequence_gkt=jnp.asarray(sequence, jnp.int32))


def test_packed_decisions_and_pointers_leave_out_what_had_ended() -> None:
    params = jax.tree.map(lambda leaf: leaf + 0.3 * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape), POINTING.init(
        jax.random.key(3)
    ))  # fmt: skip
    context = edited(context_of(8), 8)
    logits, pointers = POINTING.packed_logits(params, context), POINTING.packed_targets(params, context)
    assert logits.shape == (2, 3, 4, 4) and pointers.shape == (2, 3, 4, 7 + 3)
    alive = context.died_gn[:, None, None] > context.sequence_gkt[..., None]
    assert 0 < int(alive.sum()) < alive.size
    lead = (2, 3, 4)
    query = jnp.broadcast_to(context.query_d, (*lead, 8))
    key = jnp.broadcast_to(context.key_gnd[:, None, None], (*lead, 7, 8))
    single = POINTING.decision_targets(params, query, key, context.num_keys_gkt, context.step_gktsd, alive)
    np.testing.assert_allclose(logits, single[0], atol=1e-5)
    np.testing.assert_allclose(pointers, single[1], atol=1e-5)
    elsewhere = jnp.where(alive[..., None], key, 9.0)  # what has ended may be anything
    moved = POINTING.decision_targets(params, query, elsewhere, context.num_keys_gkt, context.step_gktsd, alive)
    np.testing.assert_allclose(logits, moved[0], atol=1e-5)
    # Without an end in sight everything is as before: the mask alone makes the difference.
    whole = replace(context, died_gn=jnp.full((2, 7), ALIVE, jnp.int32))
    np.testing.assert_array_equal(
        POINTING.packed_logits(params, whole),
        POINTING.packed_logits(params, replace(context, died_gn=None, sequence_gkt=None)),
    )
    assert float(jnp.abs(POINTING.packed_logits(params, whole) - logits).max()) > 1e-3


def test_a_pointer_by_hand() -> None:
    """One layer, so that a key is its projection: the pointer is a bilinear form of it and the last state."""
    network = set_transformer(replace(SMALL, num_layers=1, targets=True))
    params = network.init(jax.random.key(0))
    context = context_of(1)
    doubled = jax.tree.map(lambda leaf: leaf, params) | {
        "project_state": {"kernel": 2.0 * params["project_state"]["kernel"]}
    }
    first, second = network.packed_targets(params, context), network.packed_targets(doubled, context)
    np.testing.assert_allclose(2.0 * first, second, rtol=1e-5, atol=1e-6)
    nothing = jax.tree.map(jnp.zeros_like, params["project_state"])
    assert not network.packed_targets(params | {"project_state": nothing}, context).any()
