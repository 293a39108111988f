"""A world of single steps as a game of all its agents, and a stranger's learner on it."""

import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.adapters.agents_game import AgentsGame
from lts_jax.environments.grid.environment import bottlenecks, grid
from lts_jax.environments.grid.maps import drawn
from lts_jax.environments.stepping import act_all, begin_all, look_all
from lts_jax.environments.teams.environment import TEAMS
from lts_jax.errors import UserError

WORLD = bottlenecks((3,), limits=7)
GAME = AgentsGame(WORLD)


def test_steps_are_those_of_the_own_loop_over_the_end_of_episodes():
    key_x = jax.random.split(jax.random.key(1), 3)
    reset, step = jax.jit(jax.vmap(GAME.reset)), jax.jit(jax.vmap(GAME.step))
    act, look = jax.jit(partial(act_all, WORLD)), jax.jit(partial(look_all, WORLD))
    seen_x, state_x = reset(key_x)
    own_x = jax.jit(partial(begin_all, WORLD))(jax.random.key_data(key_x))
    num_over = 0
    for number in range(16):
        action_xi = jnp.asarray(np.random.default_rng(number).integers(5, size=(3, 2)))
        key_x = jax.random.split(jax.random.key(number), 3)
        np.testing.assert_array_equal(seen_x, look(own_x).observation_io)
        seen_x, state_x, reward_x, done_x, info = step(key_x, state_x, action_xi)
        own_x, outcome = act(own_x, action_xi, jax.random.key_data(key_x))
        np.testing.assert_array_equal(reward_x, outcome.reward_i)
        np.testing.assert_array_equal(done_x, outcome.done_i)
        np.testing.assert_array_equal(info["is_over"], outcome.is_over)
        np.testing.assert_array_equal(info["csr"], outcome.measures["csr"])
        num_over += int(np.sum(info["is_over"]))
    assert num_over == 6  # two episodes of seven steps in each lane


def test_spaces_are_those_of_one_agent_and_raw_keys_are_taken():
    assert GAME.observation_space().shape == (75,) and GAME.action_space().n == GAME.num_actions == 5
    (seen, _), (again, _) = GAME.reset(jax.random.key(4)), GAME.reset(jax.random.key_data(jax.random.key(4)))
    np.testing.assert_array_equal(seen, again)


def test_another_world_is_refused():
    with pytest.raises(UserError, match=r"environment: expected one of single steps of agents, .* got teams"):
        AgentsGame(TEAMS)


def test_a_strangers_learner_learns_here(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[2] / "experiments" / "ppo_beside")])
    from stranger import CONFIG, make_train, mlp

    game = AgentsGame(grid([drawn("... ...")], reward="dense"))
    config = CONFIG | {"NUM_ENVS": 16, "NUM_STEPS": 16, "NUM_UPDATES": 30, "LR": 3e-3}
    train = jax.jit(make_train(config, game, mlp(75, 5)))
    metrics = train(jax.random.key(0))["metrics"]
    assert np.isfinite(metrics["loss"]).all()
    early, late = (float(np.mean(metrics["num_over"][part])) for part in (slice(0, 5), slice(-5, None)))
    assert late > 1.5 * early  # goals are reached sooner, so more episodes end in as many steps
