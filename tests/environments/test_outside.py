"""Worlds of JaxMARL and Jumanji behind the contract; skipped where they are not installed."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.check import check_environment
from lts_jax.environments.outside import jaxmarl_world, jumanji_world
from lts_jax.environments.stepping import act_all, begin_all, look_all, seeds_at
from lts_jax.errors import UserError


@pytest.mark.parametrize(
    ("library", "make", "name", "num_agents"),
    [
        ("jaxmarl", jaxmarl_world, "MPE_simple_spread_v3", 3),
        ("jaxmarl", jaxmarl_world, "MPE_simple_tag_v3", 4),
        ("jumanji", jumanji_world, "LevelBasedForaging-v0", None),
    ],
)
def test_a_hundred_steps_of_a_random_policy(library, make, name, num_agents):
    pytest.importorskip(library)
    world = make(name)
    assert num_agents in (None, world.shape.num_agents)
    check_environment(world)
    seed_ew = jax.random.bits(jax.random.key(0), (3, 2), jnp.uint32)

    def step(state, time):
        seen, seed_tew = look_all(world, state), seeds_at(seed_ew, time)
        logit_eia = jnp.where(seen.legal_ia, 0.0, -1e9)
        action_ei = jax.random.categorical(jax.random.fold_in(jax.random.key(1), time), logit_eia)
        state, outcome = act_all(world, state, action_ei, seed_tew)
        return state, (seen.observation_io, outcome)

    begun = jax.jit(partial(begin_all, world))(seed_ew)
    _, (seen, outcome) = jax.jit(partial(jax.lax.scan, step))(begun, jnp.arange(100))
    assert seen.shape == (100, 3, world.shape.num_agents, *world.shape.observation)
    assert np.isfinite(seen).all() and np.isfinite(outcome.reward_i).all()
    assert np.asarray(outcome.is_over).any()  # and it begins anew


def test_what_is_missing_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jaxmarl", None)
    jaxmarl_world.cache_clear()
    with pytest.raises(UserError, match=r'jaxmarl is not installed; pip install "lts-jax\[worlds\]"'):
        jaxmarl_world("MPE_simple_spread_v3")
