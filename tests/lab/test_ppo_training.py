"""A training in one program: it learns, it can be stored and gone on with, and rules play beside it."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.grid.environment import bottlenecks
from lts_jax.environments.grid.rules import follow_path, random_walk
from lts_jax.lab.ppo_training import PpoPlan, advance, begin_run, drawn, play, train_seeds
from lts_jax.learning import checkpoint
from lts_jax.learning.ppo import PpoSettings
from lts_jax.models.shared_memory import CoreSettings, actor_critic

WORLD = bottlenecks((3,), reward="directional", limits=60)
STATIC = replace(WORLD, params=None)


def plan_of(settings, core="empty", **changes):
    """A plan on a corridor of 3."""
    network = actor_critic(CoreSettings(core, **changes), WORLD.shape.observation, 5, 2)
    return PpoPlan(STATIC, network, settings)


@pytest.mark.slow
def test_a_corridor_of_three_is_learned():
    """Directional reward, the core without memory: CSR .9 within 4e5 agent steps, a minute on one core."""
    settings = PpoSettings(
        rollout_steps=32,
        num_minibatches=4,
        num_epochs=2,
        learning_rate=1e-3,
        max_learning_rate=1e-3,
    )
    plan, numbers = plan_of(settings), (WORLD.params, settings)
    run = jax.jit(partial(begin_run, plan))(numbers, jax.random.key(0))
    go = jax.jit(partial(advance, plan, 10))
    csr = 0.0
    for _ in range(10):
        run, told = go(run, numbers)
        csr = float(jnp.sum(told["csr"] * told["num_episodes"]) / jnp.sum(told["num_episodes"]))
        if csr >= 0.9:
            break
    assert csr >= 0.9 and int(run.learner.num_skipped) == 0


def test_stored_and_gone_on_with_has_the_same_bits(tmp_path):
    settings = PpoSettings(rollout_steps=4, num_environments=8)
    plan = plan_of(settings, "srmt", width=8, num_heads=2, num_filters=2, history=2)
    numbers, begin = (WORLD.params, settings), jax.jit(partial(begin_run, plan))
    go = jax.jit(partial(advance, plan, 2))
    first, _ = go(begin(numbers, jax.random.key(0)), numbers)
    checkpoint.save(tmp_path, first, {"updates": 2}, "settings")
    whole, _ = go(first, numbers)
    stored, cursor = checkpoint.restore(tmp_path, begin(numbers, jax.random.key(9)))
    again, told = go(stored, numbers)
    assert cursor == {"updates": 2} and int(again.learner.num_updates) == 4
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(whole), jax.device_get(again))
    assert all(np.isfinite(value).all() for value in told.values())


def test_seeds_side_by_side_equal_single_ones():
    settings = PpoSettings(rollout_steps=4, num_environments=8)
    plan, numbers = plan_of(settings), (WORLD.params, settings)
    begin, key_s = partial(begin_run, plan), jax.random.split(jax.random.key(0), 2)
    go = partial(advance, plan, 2)
    many, _ = jax.jit(jax.vmap(lambda key: go(begin(numbers, key), numbers)))(key_s)
    single = [jax.jit(lambda key: go(begin(numbers, key), numbers))(key)[0] for key in key_s]
    for number, one in enumerate(single):
        same = jax.tree.map(lambda leaf, at=number: leaf[at], many)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), same.learner.params, one.learner.params)
        np.testing.assert_array_equal(same.world.cell_i, one.world.cell_i)


def test_strict_seeds_have_the_bits_of_a_seed_alone():
    """Whichever seeds are beside it, in whatever place: parameters, states and curves."""
    settings = PpoSettings(rollout_steps=4, num_environments=8)
    plan, numbers = plan_of(settings, width=8, num_heads=2, num_filters=2), (WORLD.params, settings)
    key_s = jax.random.split(jax.random.key(0), 3)
    run_s, told_s = train_seeds(plan, 2, numbers, key_s, is_strict=True)
    for number in range(3):
        run, told = train_seeds(plan, 2, numbers, key_s[number : number + 1], is_strict=True)
        one, beside = (
            jax.tree.map(lambda leaf, at=at: leaf[at], (some.learner, some.world, curves))
            for some, curves, at in ((run, told, 0), (run_s, told_s, number))
        )
        jax.tree.map(np.testing.assert_array_equal, jax.device_get(one), jax.device_get(beside))
    assert not np.array_equal(told_s["loss"][0], told_s["loss"][1])


def test_actions_are_drawn_as_the_policy_says():
    log_prob_aie = jnp.log(jnp.asarray([0.1, 0.6, 0.3]))[:, None, None]
    uniform_ie = (jnp.arange(1000) + 0.5)[None] / 1000
    counts = np.bincount(np.asarray(drawn(jnp.broadcast_to(log_prob_aie, (3, 1, 1000)), uniform_ie)).reshape(-1))
    np.testing.assert_array_equal(counts, [100, 600, 300])


def test_rules_play_as_they_say():
    """Alone, an agent that follows its path arrives after as many steps as the path has; a random walk does not."""
    world = bottlenecks((3,), num_agents=1, limits=0)
    seed_ew = jax.random.bits(jax.random.key(0), (16, 2), jnp.uint32)
    alone = replace(world, params=None)
    measures, states = play(alone, follow_path(world.shape), 60, world.params, {}, seed_ew)
    assert measures["csr"].all()
    row, column = np.asarray(states.cell_i[0, :, 0]) // 9, np.asarray(states.cell_i[0, :, 0]) % 9
    goal = np.asarray(world.params.maps.place_urs).reshape(-1)[np.asarray(states.goal_i[0, :, 0])]
    steps = abs(goal // 9 - row) + abs(column - 4) + abs(goal % 9 - 4)
    np.testing.assert_array_equal(measures["makespan"], steps)
    walked, _ = play(alone, random_walk(world.shape), 60, world.params, {}, seed_ew)
    assert walked["csr"].mean() < 0.5
