"""Recurrent cores: laws, reductions, the release's two faults, and that a step again and again is an unroll."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.models.episode_last import applied, init_norm, normed, summed_product
from lts_jax.models.grid_encoder import encode, init_encoder
from lts_jax.models.shared_memory import CoreSettings, actor_critic

SMALL = CoreSettings(width=8, num_heads=2, num_filters=2, history=2, unroll=4)
T, I, E = 4, 2, 3  # noqa: E741  the letter of agents
CORES = ("srmt", "rmt", "attention", "empty", "gru")


def lived(num_agents=I, seed=1):
    """Observations, whose episodes begin, who is active; some of everything."""
    seen = jax.random.normal(jax.random.key(seed), (T, num_agents, E, 75))
    begins = jnp.zeros((T, E), bool).at[0].set(True).at[2, 1].set(True)
    active = jnp.ones((T, num_agents, E), bool).at[3, 0, 0].set(False)
    return seen, begins, active


def network(core, num_agents=I, **changes):
    """One of the cores, small, with parameters."""
    made = actor_critic(replace(SMALL, core=core, **changes), (3, 5, 5), 5, num_agents)
    leaves, tree = jax.tree.flatten(jax.jit(made.init)(jax.random.key(0)))
    key_p = jax.random.split(jax.random.key(5), len(leaves))  # beside the first weights, of which many are small
    moved = [leaf + 0.3 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, key_p, strict=True)]
    return made, jax.tree.unflatten(tree, moved)


@pytest.mark.parametrize("core", CORES)
def test_an_unroll_is_a_step_again_and_again(core):
    made, params = network(core)
    seen, begins, active = lived()
    logits, values = jax.jit(made.unroll)(params, made.start(E), seen, begins, active)
    carry, step = made.start(E), jax.jit(made.step)
    for time in range(T):
        carry, logit, value = step(params, carry, seen[time], begins[time], active[time])
        np.testing.assert_allclose(logits[time], logit, atol=1e-5)
        np.testing.assert_allclose(values[time], value, atol=1e-5)


@pytest.mark.parametrize("core", CORES)
def test_permuting_agents_permutes_what_they_do(core):
    made, params = network(core, num_agents=3)
    seen, begins, active = lived(num_agents=3)
    unroll, order = jax.jit(made.unroll), jnp.asarray([2, 0, 1])
    logits, values = unroll(params, made.start(E), seen, begins, active)
    again = unroll(params, made.start(E), seen[:, order], begins, active[:, order])
    np.testing.assert_allclose(logits[:, :, order], again[0], atol=1e-5)
    np.testing.assert_allclose(values[:, order], again[1], atol=1e-5)


def test_only_srmt_reads_what_others_remember():
    """Another agent's first observation reaches this one's third step in srmt alone; hidden, not there either."""
    seen, begins, active = lived()
    begins = jnp.zeros_like(begins).at[0].set(True)
    other = seen.at[0, 1].add(1.0)
    reaches = {}
    for name, changes in {**{core: {} for core in CORES}, "hidden": {"hides_others": True}}.items():
        made, params = network("srmt" if name == "hidden" else name, **changes)
        unroll = jax.jit(made.unroll)
        one, two = (unroll(params, made.start(E), some, begins, active)[0][2, :, 0] for some in (seen, other))
        reaches[name] = bool(jnp.abs(one - two).max() > 1e-6)
    assert reaches == {"srmt": True, "rmt": False, "attention": False, "empty": False, "gru": False, "hidden": False}


def test_with_one_agent_srmt_reads_its_own_memory_alone():
    """Then attention has one key, and the parameters of rmt are the same ones."""
    seen, begins, active = lived(num_agents=1)
    srmt, params = network("srmt", num_agents=1)
    rmt, _ = network("rmt", num_agents=1)
    one = jax.jit(srmt.unroll)(params, srmt.start(E), seen, begins, active)
    two = jax.jit(rmt.unroll)(params, rmt.start(E), seen, begins, active)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), one, two)


@pytest.mark.parametrize(("unroll", "is_trained"), [(1, False), (2, True), (4, True)])
def test_the_write_is_trained_through_the_unroll_and_not_in_the_release(unroll, is_trained):
    made, params = network("srmt", unroll=unroll)
    seen, begins, active = lived()

    def loss(params):
        logits, values = made.unroll(params, made.start(E), seen, begins, active)
        return jnp.sum(logits**2) + jnp.sum(values**2)

    slope = jax.jit(jax.grad(loss))(params)["write"]["weight"]
    assert bool(jnp.any(slope != 0)) == is_trained


@pytest.mark.parametrize(("causal", "sees"), [(True, False), (False, True)])
def test_the_causal_memory_sees_no_observation(causal, sees):
    """What is seen at the second step changes the memory that it writes, or does not."""
    made, params = network("srmt", causal_memory=causal)
    seen, begins, active = lived()
    step = jax.jit(made.step)
    carry, *_ = step(params, made.start(E), seen[0], begins[0], active[0])
    one, *_ = step(params, carry, seen[1], begins[1], active[1])
    two, *_ = step(params, carry, seen[1] + 1.0, begins[1], active[1])
    assert bool(jnp.any(one.memory_fie != two.memory_fie)) == sees


@pytest.mark.parametrize("kept", ["keep", "zero"])
def test_a_finished_agent_keeps_its_memory_or_has_none(kept):
    made, params = network("srmt", finished_memory=kept)
    seen, begins, active = lived()
    step = jax.jit(made.step)
    before, *_ = step(params, made.start(E), seen[0], begins[0], active[0])
    after, *_ = step(params, before, seen[1], begins[1], active[3])
    expected = before.memory_fie[:, 0, 0] if kept == "keep" else jnp.zeros(8)
    np.testing.assert_array_equal(after.memory_fie[:, 0, 0], expected)
    assert bool(jnp.any(after.memory_fie[:, 1, 0] != before.memory_fie[:, 1, 0]))


def test_the_encoder_is_a_convolution():
    """One product with a matrix of all cells equals lax.conv, block by block."""
    params = init_encoder(jax.random.key(0), (3, 5, 5), num_filters=2, num_blocks=1, width=4)
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)
    seen = jax.random.normal(jax.random.key(1), (6, 75))

    def convolved(name, x):
        kernel = params[name]["weight"].reshape(2, -1, 3, 3)
        return jax.lax.conv(x, kernel, (1, 1), "SAME") + params[name]["bias"][:, None, None]

    x = convolved("first", seen.reshape(6, 3, 5, 5))
    x = x + convolved("block_0_1", jax.nn.relu(convolved("block_0_0", jax.nn.relu(x))))
    plain = jax.nn.relu(jax.nn.relu(x).reshape(6, -1) @ params["last"]["weight"].T + params["last"]["bias"])
    np.testing.assert_allclose(encode(params, (3, 5, 5), seen), plain.T, atol=1e-5)


def test_layers_equal_their_plain_form_with_their_slopes():
    x, norm = jax.random.normal(jax.random.key(0), (4, 3, 2)), init_norm(4)
    norm = {"scale": norm["scale"] + 0.5, "bias": norm["bias"] - 0.3}
    linear = {"weight": jax.random.normal(jax.random.key(1), (5, 4)), "bias": jnp.arange(5.0)}

    def plain(linear, norm, x):
        centred = x - x.mean(axis=0)
        y = centred / jnp.sqrt((centred**2).mean(axis=0) + 1e-5) * norm["scale"][:, None, None]
        y = y + norm["bias"][:, None, None]
        return jnp.einsum("of,fab->oab", linear["weight"], y) + linear["bias"][:, None, None]

    def ours(linear, norm, x):
        return applied(linear, normed(x), norm)

    slopes = [jax.grad(lambda *args, f=f: jnp.sum(f(*args) ** 2), (0, 1, 2))(linear, norm, x) for f in (plain, ours)]
    np.testing.assert_allclose(plain(linear, norm, x), ours(linear, norm, x), atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), *slopes)


@pytest.mark.parametrize(
    ("a", "b", "axes"), [((2, 3, 4, 1), (2, 3, 1, 5), (1,)), ((2, 1, 4, 5), (2, 3, 1, 5), (3,)), ((2, 2), (2, 1), (0,))]
)
def test_written_out_sums_equal_sums(a, b, axes):
    one, two = jax.random.normal(jax.random.key(0), a), jax.random.normal(jax.random.key(1), b)

    def plain(one, two):
        return jnp.sum(one * two, axis=axes, keepdims=True)

    def ours(one, two):
        return summed_product(one, two, axes)

    slopes = [jax.grad(lambda *args, f=f: jnp.sum(f(*args) ** 3), (0, 1))(one, two) for f in (plain, ours)]
    np.testing.assert_allclose(plain(one, two), ours(one, two), rtol=1e-5)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4), *slopes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"core": "lstm"}, "core: expected one of srmt, rmt"),
        ({"width": 10, "num_heads": 4}, "width: expected a multiple of num_heads = 4, got 10"),
        ({"unroll": 0}, "unroll: expected at least 1"),
        ({"finished_memory": "lose"}, "finished_memory: expected one of keep, zero"),
    ],
)
def test_what_cannot_be_built_is_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        CoreSettings(**changes)
