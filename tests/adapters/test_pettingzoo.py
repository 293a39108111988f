"""A world of single steps as PettingZoo's: the trajectories of the environment's own loop."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("pettingzoo", reason="needs the extra pettingzoo: pip install 'lts-jax[pettingzoo]'")

from pettingzoo.test import parallel_api_test

from lts_jax.adapters.pettingzoo_env import AgentsEnv
from lts_jax.environments.grid.environment import bottlenecks, grid
from lts_jax.environments.grid.maps import drawn
from lts_jax.environments.stepping import act_all, begin_all, look_all, seeds_at
from lts_jax.errors import UserError

WORLD = bottlenecks((3,), reward="dense", limits=40)
BEGIN, ACT, LOOK = (jax.jit(partial(function, WORLD)) for function in (begin_all, act_all, look_all))


@pytest.mark.filterwarnings("error")
def test_it_passes_the_librarys_own_test():
    parallel_api_test(AgentsEnv(WORLD), num_cycles=60)


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_the_same_seed_and_actions_give_the_episode_of_the_own_loop(seed):
    env, chance = AgentsEnv(WORLD), np.random.default_rng(seed)
    seen, _ = env.reset(seed=seed)
    seed_ew = np.asarray(env.seed_words)[None]
    state = BEGIN(seed_ew)
    for time in range(40):
        now = LOOK(state)
        for number, agent in enumerate(env.possible_agents):
            if agent in env.agents:
                np.testing.assert_array_equal(seen[agent].reshape(-1), now.observation_io[0, number])
        action_i = chance.integers(5, size=2)
        state, outcome = ACT(state, action_i[None], seeds_at(seed_ew, jnp.asarray(time)))
        asked = {agent: int(action_i[number]) for number, agent in enumerate(env.possible_agents)}
        before = list(env.agents)
        seen, rewards, terminated, truncated, infos = env.step({agent: asked[agent] for agent in before})
        for agent in before:
            number = env.possible_agents.index(agent)
            assert rewards[agent] == float(outcome.reward_i[0, number])
            assert (terminated[agent] or truncated[agent]) == bool(outcome.done_i[0, number])
        if outcome.is_over[0]:
            assert env.agents == [] and infos[before[0]]["isr"] == float(outcome.measures["isr"][0])
            assert any(truncated.values()) == bool(outcome.is_truncated[0])
            break
        assert env.agents == [agent for agent in before if not terminated[agent]]
    assert bool(outcome.is_over[0])


def test_seeds_decide_and_without_one_it_goes_on():
    env = AgentsEnv(WORLD)
    first = [env.reset(seed=3), env.reset()][1][0]["agent_0"]
    words = env.seed_words.copy()
    again = [env.reset(seed=3), env.reset()][1][0]["agent_0"]
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(words, env.seed_words)
    env.reset(seed=4)
    assert (words != env.seed_words).any()


def test_who_has_arrived_is_gone_and_may_only_stay():
    env = AgentsEnv(grid([drawn("... ...")]))
    chance = np.random.default_rng(0)
    _, infos = env.reset(seed=0)
    assert all(info["action_mask"].tolist() == [1] * 5 for info in infos.values())
    while len(env.agents) == 2:
        _, rewards, terminated, truncated, infos = env.step({agent: int(chance.integers(5)) for agent in env.agents})
    (gone,) = [agent for agent in env.possible_agents if agent not in env.agents]
    assert (terminated[gone], truncated[gone], rewards[gone]) == (True, False, 1.0)
    assert infos[gone]["action_mask"].tolist() == [1, 0, 0, 0, 0]
    assert list(env.step(dict.fromkeys(env.agents, 0))[0]) == env.agents
    assert env.state().shape == (11,)


def test_a_world_of_rollouts_is_refused():
    with pytest.raises(UserError, match=r"environment: expected one of single steps of agents, .* got teams"):
        AgentsEnv("teams")
