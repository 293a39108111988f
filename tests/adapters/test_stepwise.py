"""An environment of rollouts, played decision by decision: the same rollouts as the environment's own loop gives."""

from dataclasses import replace
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.adapters.stepwise import AdmissionGame, auto_reset, auto_reset_all
from lts_jax.environments import rollout as rollouts
from lts_jax.environments.contract import Acting, Controller
from lts_jax.environments.desk.environment import desk
from lts_jax.environments.policies import constant, constant_logit
from lts_jax.environments.teams.environment import TEAMS
from lts_jax.environments.teams.settings import SimulatorShape
from lts_jax.errors import UserError

SMALL = replace(TEAMS, shape=SimulatorShape(num_teams=2, max_steps=3, num_entries=6))
GAME = AdmissionGame(SMALL, seconds_price=0.001)
RESET = jax.jit(GAME.reset)
EACH = jax.jit(jax.vmap(auto_reset(GAME)))


@lru_cache
def compiled(game):
    return jax.jit(game.reset), jax.jit(game.step)


def play(game, prng_key, act):
    """(rewards, dones, final state) of one episode by `jax.lax.scan`, until it is over."""
    reset, step = compiled(game)
    (seen, state), rewards, dones = reset(prng_key), [], []
    while not dones or not dones[-1]:
        seen, state, reward, done, info = step(prng_key, state, act(seen, len(dones)))
        rewards.append(float(reward))
        dones.append(bool(done))
    return rewards, dones, state, info


@pytest.mark.slow
@pytest.mark.parametrize("admits", [0, 1])
def test_the_same_actions_give_the_rollout_of_the_environments_own_loop(admits):
    prng_key = jax.random.key(3)
    rewards, dones, state, info = play(GAME, prng_key, lambda *_: jnp.int32(admits))
    task_key, rollout_key = jax.random.split(prng_key)
    always = Controller(constant, constant_logit(float(admits)), Acting(temperature=1.0, is_greedy=True))

    def own(task_key, rollout_key):
        task = SMALL.draw_task(SMALL.shape, SMALL.params, task_key)
        return rollouts.rollout(SMALL, task, rollout_key, always)[0]

    whole = jax.jit(own)(task_key, rollout_key)
    jax.tree.map(np.testing.assert_array_equal, GAME.trajectory(state), whole)
    assert len(dones) == int(np.sum(whole.step_mask_gkt)) and sum(dones) == 1
    assert rewards[:-1] == [0.0] * (len(rewards) - 1)
    assert rewards[-1] == pytest.approx(float(info["score"]) - 0.001 * float(whole.runtime_g), abs=1e-6)


@pytest.mark.slow
def test_vmapped_episodes_are_the_single_ones_and_begin_anew():
    step = EACH
    key_x = jax.random.split(jax.random.key(5), 3)
    seen_x, state_x = jax.jit(jax.vmap(GAME.reset))(key_x)
    ends = []
    for number in range(14):
        action_x = jnp.asarray([0, 1, number % 2])
        after = jax.random.split(jax.random.key(100 + number), 3)
        seen_x, state_x, reward_x, done_x, _ = step(after, state_x, action_x)
        ends.append((np.asarray(done_x), np.asarray(reward_x), after, np.asarray(seen_x)))
    for lane, act in enumerate((lambda *_: 0, lambda *_: 1, lambda _, n: n % 2)):
        rewards, dones, *_ = play(GAME, key_x[lane], lambda seen, n, act=act: jnp.int32(act(seen, n)))
        first = next(number for number, (done, *_) in enumerate(ends) if done[lane])
        assert first == len(dones) - 1 and ends[first][1][lane] == pytest.approx(rewards[-1], abs=1e-6)
        fresh, _ = RESET(ends[first][2][lane])
        np.testing.assert_allclose(ends[first][3][lane], fresh, atol=1e-6)  # what is seen then is a new task's start


@pytest.mark.slow
def test_many_begin_anew_as_each_one_would():
    each, all_of_them = EACH, jax.jit(auto_reset_all(GAME, at_once=1))
    _, start_x = jax.jit(jax.vmap(GAME.reset))(jax.random.split(jax.random.key(5), 3))
    one_x = other_x = start_x
    num_over = []
    for number in range(16):
        action_x = jnp.asarray([0, 1, number % 2])
        after = jax.random.split(jax.random.key(100 + number), 3)
        seen_x, one_x, reward_x, done_x, _ = each(after, one_x, action_x)
        found_x, other_x, earned_x, over_x, _ = all_of_them(after, other_x, action_x)
        np.testing.assert_array_equal(done_x, over_x)
        np.testing.assert_allclose(reward_x, earned_x, atol=1e-6)
        np.testing.assert_allclose(seen_x, found_x, atol=1e-5)
        num_over.append(int(np.sum(done_x)))
    told = jax.jit(jax.vmap(GAME.trajectory))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), told(one_x), told(other_x))
    assert sum(num_over) >= 6 and max(num_over) > 1  # more at one time than begin at once


def test_spaces_are_those_of_what_is_seen_and_done():
    seen, _ = RESET(jax.random.key(0))
    assert GAME.observation_space().shape == seen.shape and seen.dtype == jnp.float32
    assert GAME.action_space().shape == () and GAME.num_actions == 2
    drawn = [int(GAME.action_space().sample(jax.random.key(n))) for n in range(40)]
    assert {*drawn} == {0, 1}
    pointing = AdmissionGame(desk())
    assert pointing.action_space().sizes == (8, desk().shape.num_targets)
    rewards, dones, *_ = play(pointing, jax.random.key(1), lambda _, n: jnp.asarray([n % 8, n % 5]))
    assert dones[-1] and np.isfinite(rewards).all()


def test_keys_that_are_not_there_yet_are_zeros():
    seen, _ = RESET(jax.random.key(2))
    width, entries = SMALL.shape.embedding_width, SMALL.shape.num_entries
    keys = seen[4 * width : (4 + entries) * width]
    assert not keys.any() and seen[-1] == 0.0 and seen[:width].any()


def test_a_price_below_zero_is_one_line():
    with pytest.raises(UserError, match="seconds_price: expected at least 0, got -1"):
        AdmissionGame(SMALL, seconds_price=-1.0)


def test_the_gymnasium_wrapper_passes_its_checker():
    pytest.importorskip("gymnasium", reason="needs the extra gymnasium")
    from gymnasium.utils.env_checker import check_env

    from lts_jax.adapters.gymnasium_env import AdmissionEnv

    env = AdmissionEnv(SMALL)
    check_env(env, skip_render_check=True)
    first = [env.reset(seed=7)[0], *(env.step(1)[0] for _ in range(3))]
    again = [env.reset(seed=7)[0], *(env.step(1)[0] for _ in range(3))]
    np.testing.assert_array_equal(first, again)
