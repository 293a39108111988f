"""Padding of agents changes nothing for those who are there: what they draw, see, do, remember, and what it came to."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.grid.blocks import blocks
from lts_jax.environments.grid.environment import bottlenecks
from lts_jax.environments.grid.gated import gated
from lts_jax.environments.stepping import act_all, begin_all, look_all, seeds_at
from lts_jax.errors import UserError
from lts_jax.lab.ppo_training import play
from lts_jax.models.gated_memory import NUM_TOLD, Told, gated_actor_critic
from lts_jax.models.shared_memory import CoreSettings, actor_critic

SMALL = CoreSettings(width=8, num_heads=2, num_filters=2, history=2, unroll=4)
SEEDS = jax.random.bits(jax.random.key(4), (16, 2), jnp.uint32)
T, E = 4, 3


def padded(world):
    """The same world with arrays for four agents, two of whom are padding."""
    if world.name == "gated":
        block = world.shape.block
        shape = replace(world.shape, block=replace(block, grid=replace(block.grid, num_agents=4)))
        grid = replace(world.params.block.grid, num_present=2)
        return replace(world, shape=shape, params=replace(world.params, block=replace(world.params.block, grid=grid)))
    return replace(world, shape=replace(world.shape, num_agents=4), params=replace(world.params, num_present=2))


def network_of(made):
    """Parameters off their small first values."""
    leaves, tree = jax.tree.flatten(jax.jit(made.init)(jax.random.key(0)))
    key_p = jax.random.split(jax.random.key(5), len(leaves))
    moved = [leaf + 0.3 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, key_p, strict=True)]
    return jax.tree.unflatten(tree, moved)


@pytest.mark.parametrize("is_lifelong", [False, True])
def test_episodes_of_the_grid_are_the_same(is_lifelong):
    """Forty steps of sixteen episodes that begin anew, actions at random: all bits of those who are there."""
    world = bottlenecks((2,), limits=12)
    world = replace(world, shape=replace(world.shape, on_goal="restart" if is_lifelong else "finish"))
    action_tei = jax.random.randint(jax.random.key(0), (40, 16, 4), 0, 5)

    def lived(world, number):
        def step(state, now):
            time, action_ei = now
            after, outcome = act_all(world, state, action_ei[:, :number], seeds_at(SEEDS, time))
            return after, (look_all(world, state), outcome)

        return jax.lax.scan(step, begin_all(world, SEEDS), (jnp.arange(40), action_tei))[1]

    (seen, outcome), (padded_seen, padded_outcome) = (
        jax.jit(partial(lived, one, number))() for one, number in ((world, 2), (padded(world), 4))
    )
    for name in ("observation_io", "legal_ia", "active_i", "place_if"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(padded_seen, name)[:, :, :2])
    for name in ("reward_i", "done_i"):
        np.testing.assert_array_equal(getattr(outcome, name), getattr(padded_outcome, name)[:, :, :2])
    np.testing.assert_array_equal(outcome.is_over, padded_outcome.is_over)
    jax.tree.map(np.testing.assert_array_equal, outcome.measures, padded_outcome.measures)
    assert outcome.is_over.any() and not padded_seen.active_i[:, :, 2:].any()
    assert not padded_outcome.reward_i[:, :, 2:].any()


@pytest.mark.parametrize("core", ["srmt", "rmt", "attention", "empty", "gru"])
def test_a_core_gives_the_others_what_it_gives_without_padding(core):
    settings = replace(SMALL, core=core, finished_memory="hide")
    small, large = (actor_critic(settings, (3, 5, 5), 5, number) for number in (2, 4))
    params = network_of(small)
    seen = jax.random.normal(jax.random.key(1), (T, 4, E, 75))
    begins = jnp.zeros((T, E), bool).at[0].set(True).at[2, 1].set(True)
    active = jnp.ones((T, 4, E), bool).at[:, 2:].set(False).at[3, 0, 0].set(False)
    right = jax.jit(small.unroll)(params, small.start(E), seen[:, :2], begins, active[:, :2])
    unroll = jax.jit(large.unroll)
    found = unroll(params, large.start(E), seen, begins, active)
    other = unroll(params, large.start(E), seen.at[:, 2:].add(1.0), begins, active)
    np.testing.assert_allclose(found[0][:, :, :2], right[0], atol=1e-5)
    np.testing.assert_allclose(found[1][:, :2], right[1], atol=1e-5)
    np.testing.assert_array_equal(found[0][:, :, :2], other[0][:, :, :2])


def test_a_memory_that_is_kept_is_read_and_so_is_padding():
    """SRMT reads the memories of those who have finished: there, padding would count."""
    made = actor_critic(replace(SMALL, finished_memory="keep"), (3, 5, 5), 5, 2)
    alone = actor_critic(replace(SMALL, finished_memory="keep"), (3, 5, 5), 5, 1)
    params = network_of(made)
    seen, begins = jax.random.normal(jax.random.key(1), (T, 2, E, 75)), jnp.zeros((T, E), bool).at[0].set(True)
    active = jnp.ones((T, 2, E), bool).at[:, 1].set(False)
    found = jax.jit(made.unroll)(params, made.start(E), seen, begins, active)[0]
    right = jax.jit(alone.unroll)(params, alone.start(E), seen[:, :1], begins, active[:, :1])[0]
    assert float(jnp.abs(found[1:, :, :1] - right[1:]).max()) > 1e-3


def test_gates_and_the_pool_know_nothing_of_padding():
    """Everybody reads memories and entries, and those who are there write; padding neither writes nor is read."""
    small, large = (gated_actor_critic(SMALL, (3, 5, 5), 5, number, 4) for number in (2, 4))
    params = network_of(small)
    seen = jax.random.normal(jax.random.key(1), (T, 4, E, 75))
    ones = jnp.ones((T, 4, E))
    given = dict.fromkeys(Told._fields, 0 * ones) | {"reads_latent": ones, "reads_pool": ones}
    given |= {"begins": (0 * ones).at[0].set(1.0), "writes": ones.at[:, 2:].set(0.0)}
    told = jnp.stack([given[name] for name in Told._fields], axis=-1)
    assert told.shape[-1] == NUM_TOLD
    begins, active = jnp.zeros((T, E), bool).at[0].set(True), jnp.ones((T, 4, E), bool).at[:, 2:].set(False)
    seen = jnp.concatenate([seen, told], axis=-1)
    right = jax.jit(small.unroll)(params, small.start(E), seen[:, :2], begins, active[:, :2])
    unroll = jax.jit(large.unroll)
    found = unroll(params, large.start(E), seen, begins, active)
    np.testing.assert_allclose(found[0][:, :, :2], right[0], atol=1e-5)
    np.testing.assert_allclose(found[1][:, :2], right[1], atol=1e-5)
    read = unroll(params, large.start(E), seen, begins, jnp.ones_like(active))
    assert float(jnp.abs(read[0][1:, :, :2] - right[0][1:]).max()) > 1e-3  # were they there, they would be read


def test_whole_blocks_come_to_the_same():
    """Network and world together, every action by chance: measures, prices among them, block by block."""
    world = gated(blocks((2,), num_episodes=2, limit=6), "both", price=0.01)
    params, found = None, []
    for one in (world, padded(world)):
        shape = one.shape
        made = gated_actor_critic(SMALL, shape.block.observation, shape.num_moves, shape.num_agents, 4)
        params = network_of(made) if params is None else params
        measures, _ = play(replace(one, params=None), made, 12, one.params, params, SEEDS)
        found.append(measures)
    assert set(found[0]) == set(found[1]) and float(found[0]["sent"].sum()) > 0
    for name, value in found[0].items():
        np.testing.assert_allclose(value, found[1][name], atol=1e-4)


def test_more_that_are_there_than_there_is_room_for_is_one_line():
    world = bottlenecks((2,))
    with pytest.raises(UserError, match=r"params.num_present: expected at most shape.num_agents = 2, got 3"):
        world.check(replace(world.params, num_present=3), world.shape)
