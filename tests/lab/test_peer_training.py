"""Learners in one world that teach each other: own parameters, lessons, and nothing of it where nothing is shared."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.grid.environment import bottlenecks
from lts_jax.errors import UserError
from lts_jax.lab.peer_training import advance_peers, begin_peers, peer_plan
from lts_jax.lab.ppo_training import PpoPlan, advance, begin_run
from lts_jax.learning.distillation import SharingSettings
from lts_jax.learning.ppo import PpoSettings
from lts_jax.models.own_parameters import with_own_parameters
from lts_jax.models.shared_memory import CoreSettings, actor_critic

WORLD = bottlenecks((3,), limits=60)
STATIC = replace(WORLD, params=None)
SETTINGS = PpoSettings(rollout_steps=4, num_environments=8)
NUMBERS = (WORLD.params, SETTINGS)


def network_of(core="empty", num_agents=1, width=8):
    settings = CoreSettings(core, width=width, num_heads=2, num_filters=2, history=2)
    return actor_critic(settings, WORLD.shape.observation, 5, num_agents)


def plan_of(**sharing):
    settings = SharingSettings(num_contexts=64, period=1, **sharing)
    return peer_plan(PpoPlan(STATIC, network_of(), SETTINGS), network_of(), (0, 0), settings, num_drawn=32)


@pytest.fixture(scope="module")
def programs():
    """By teachers: the plan, what begins a run, and what takes it two updates further, compiled once."""
    made = {}
    for teachers in ("all", "best"):
        plan = plan_of(teachers=teachers, num_decay_updates=40)
        made[teachers] = (plan, jax.jit(partial(begin_peers, plan)), jax.jit(partial(advance_peers, plan, 2)))
    return made


def alike(run):
    """The run with the first learner's parameters in both."""
    params = jax.tree.map(lambda leaf: jnp.stack([leaf[0], leaf[0]]), run.inner.learner.params)
    return replace(run, inner=replace(run.inner, learner=replace(run.inner.learner, params=params)))


@pytest.mark.parametrize("core", ["empty", "gru"])
def test_copies_of_one_network_with_equal_parameters_are_that_network(core):
    """Equal parameters for two agents, each alone, give what shared parameters give; different ones do not."""
    shared, own = network_of(core, num_agents=2), with_own_parameters(network_of(core), 2)
    params = shared.init(jax.random.key(0))
    seen_tieo = jax.random.normal(jax.random.key(1), (5, 2, 3, 75))
    begins_te = jnp.zeros((5, 3), bool).at[0].set(True).at[3, 1].set(True)
    active_tie = jnp.ones((5, 2, 3), bool)
    twice = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params)
    expected = shared.unroll(params, shared.start(3), seen_tieo, begins_te, active_tie)
    for found, right in zip(own.unroll(twice, own.start(3), seen_tieo, begins_te, active_tie), expected, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-5)
    _, logit_aie, value_ie = own.step(twice, own.start(3), seen_tieo[0], begins_te[0], active_tie[0])
    np.testing.assert_allclose(logit_aie, expected[0][0], atol=1e-5)
    np.testing.assert_allclose(value_ie, expected[1][0], atol=1e-5)
    other = own.init(jax.random.key(0))
    assert not np.allclose(*other["policy"]["weight"])


def test_without_sharing_the_bits_are_those_of_independent_learners(programs):
    plan, begin, go = programs["all"]
    run, told = go(begin(NUMBERS, jax.random.key(4)), NUMBERS, 0.0)
    alone = jax.jit(partial(begin_run, plan.ppo))(NUMBERS, jax.random.key(4))
    alone, expected = jax.jit(partial(advance, plan.ppo, 2))(alone, NUMBERS)
    for found, right in zip(jax.tree.leaves(run.inner.learner), jax.tree.leaves(alone.learner), strict=True):
        np.testing.assert_array_equal(found, right)
    np.testing.assert_array_equal(told["loss"], expected["loss"])
    assert float(told["diversity"][0]) > 0 and not np.any(told["sharing_weight"])


def test_learners_that_do_not_differ_learn_nothing_from_each_other(programs):
    """Equal parameters: the first lesson changes neither loss nor gradient, however heavy."""
    _, begin, go = programs["all"]
    begun = alike(begin(NUMBERS, jax.random.key(0)))
    told, heavily = (go(begun, NUMBERS, weight)[1] for weight in (0.0, 100.0))
    np.testing.assert_allclose(told["loss"][0], heavily["loss"][0], atol=1e-5)
    np.testing.assert_allclose(told["gradient_norm"][0], heavily["gradient_norm"][0], rtol=1e-4)
    assert float(told["diversity"][0]) == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("teachers", ["all", "best"])
def test_lessons_make_learners_alike_and_fade_over_all_calls(programs, teachers):
    _, begin, go = programs[teachers]
    ends, weights = [], []
    for weight in (0.0, 100.0):
        run = begin(NUMBERS, jax.random.key(0))
        for _ in range(20):
            run, told = go(run, NUMBERS, weight)
            weights += [float(one) for one in told["sharing_weight"]]
        ends.append(float(told["diversity"][-1]))
    assert ends[1] < 0.5 * ends[0]
    np.testing.assert_allclose(weights[:40], 0.0)
    np.testing.assert_allclose(weights[40:], np.linspace(100.0, 2.5, 40), rtol=1e-4)


def test_a_role_for_each_agent():
    with pytest.raises(UserError, match="roles: expected one for each of 2 agents, got 3"):
        peer_plan(PpoPlan(STATIC, network_of(), SETTINGS), network_of(), (0, 0, 0), SharingSettings())
