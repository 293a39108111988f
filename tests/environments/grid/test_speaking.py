"""Symbols in the corridors: what is said is heard once, by the others, and paid for; in silence nothing changes."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.grid.blocks import blocks
from lts_jax.environments.grid.speaking import SpeakingShape, speaking
from lts_jax.errors import UserError
from lts_jax.lab.ppo_training import play
from lts_jax.models.hearing import hearing_actor_critic
from lts_jax.models.shared_memory import CoreSettings, actor_critic

STAY = 0
BLOCK = blocks((2,), num_episodes=2, limit=3)
WORLD = speaking(BLOCK, price=0.25)
SEED = jnp.asarray([3, 4], jnp.uint32)
HEARD = slice(75, 83)  # of an observation: behind 3 planes of 25 cells


def said(*symbols):
    """Both stay and say this."""
    return jnp.asarray([STAY * 9 + symbol for symbol in symbols])


def test_what_is_said_is_heard_at_the_next_step_by_the_other_and_paid_for_by_hand():
    """Agent 0 says 3 and nothing, agent 1 nothing and 8: three steps an episode, at -.05 each, two symbols at .25."""
    act = jax.jit(lambda state, action: WORLD.act(WORLD.shape, WORLD.params, state, action, SEED))
    look = jax.jit(lambda state: WORLD.look(WORLD.shape, WORLD.params, state))
    state, heard, rewards = WORLD.reset(WORLD.shape, WORLD.params, SEED), [], []
    assert look(state).observation_io[:, 83].tolist() == [1, 1]  # an episode begins
    for action in (said(3, 0), said(0, 8), said(1, 1), said(0, 0)):
        state, outcome = act(state, action)
        heard.append(np.asarray(look(state).observation_io)[:, HEARD])
        rewards.append(np.asarray(outcome.reward_i).tolist())
    silence = [0] * 8
    assert heard[0].tolist() == [silence, [0, 0, 1, 0, 0, 0, 0, 0]]
    assert heard[1].tolist() == [[0, 0, 0, 0, 0, 0, 0, 1], silence]
    assert heard[2].tolist() == heard[3].tolist() == [silence, silence]  # an episode is over, and all are silent
    np.testing.assert_allclose(rewards, [[-0.3, -0.05], [-0.05, -0.3], [-0.3, -0.3], [-0.05, -0.05]], atol=1e-6)
    measures = {name: float(outcome.measures[name]) for name in ("return", "sent", "share_none")}
    assert measures == pytest.approx({"return": -1.4 / 2, "sent": 2.0, "share_none": 0.5})


def test_who_has_reached_the_goal_or_cannot_pay_is_silent():
    state = WORLD.reset(WORLD.shape, WORLD.params, SEED)
    done = replace(
        state, block=replace(state.block, grid=replace(state.block.grid, active_i=jnp.asarray([True, False])))
    )
    legal = WORLD.look(WORLD.shape, WORLD.params, done).legal_ia.reshape(2, 5, 9)
    assert legal[0].all() and legal[1].sum() == 1 and legal[1, STAY, 0]
    after, outcome = WORLD.act(WORLD.shape, WORLD.params, done, said(0, 5), SEED)
    assert after.symbol_i.tolist() == [0, 0] and float(outcome.measures["sent"]) == 0.0
    dear = replace(WORLD.params, price=jnp.inf)
    legal = WORLD.look(WORLD.shape, dear, state).legal_ia.reshape(2, 5, 9)
    assert legal[:, :, 0].all() and not legal[:, :, 1:].any()


SMALL = CoreSettings("rmt", width=8, num_heads=2, num_filters=2, history=2, unroll=4)
T, I, E = 6, 2, 3  # noqa: E741  the letter of agents


@pytest.fixture(scope="module")
def lived():
    """The network with parameters off their small first values, and observations with something heard."""
    made = hearing_actor_critic(SMALL, (3, 5, 5), 5, I, 8)
    leaves, tree = jax.tree.flatten(jax.jit(made.init)(jax.random.key(0)))
    key_p = jax.random.split(jax.random.key(5), len(leaves))
    moved = [leaf + 0.3 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, key_p, strict=True)]
    seen = jax.random.normal(jax.random.key(1), (T, I, E, 75))
    heard = jax.nn.one_hot(jax.random.randint(jax.random.key(2), (T, I, E), 0, 8), 8)
    flags = jnp.zeros((T, I, E, 2)).at[0, ..., 0].set(1.0).at[3, :, 0, 0].set(1.0).at[4:, 1, 1, 1].set(1.0)
    begins, everybody = jnp.zeros((T, E), bool).at[0].set(True), jnp.ones((T, I, E), bool)
    return made, jax.tree.unflatten(tree, moved), (seen, heard, flags), begins, everybody


def test_an_unroll_is_a_step_again_and_again(lived):
    made, params, parts, begins, everybody = lived
    seen = jnp.concatenate(parts, axis=-1)
    logits, values = jax.jit(made.unroll)(params, made.start(E), seen, begins, everybody)
    carry, step = made.start(E), jax.jit(made.step)
    for time in range(T):
        carry, logit, value = step(params, carry, seen[time], begins[time], everybody[time])
        np.testing.assert_allclose(logits[time], logit, atol=1e-5)
        np.testing.assert_allclose(values[time], value, atol=1e-5)
    other = jnp.concatenate([parts[0], parts[1].at[2, 0].add(1.0), parts[2]], axis=-1)
    changed = jax.jit(made.unroll)(params, made.start(E), other, begins, everybody)[0]
    assert float(jnp.abs(changed[2, :, 0] - logits[2, :, 0]).max()) > 1e-4  # what is heard counts


def test_in_silence_it_is_rmt(lived):
    """With the same parameters: the heads' first five numbers are the other's."""
    made, params, (seen, heard, flags), begins, everybody = lived
    params = params | {"heard": {"weight": params["heard"]["weight"], "bias": jnp.zeros(8)}}
    silent = jnp.concatenate([seen, 0 * heard, flags], axis=-1)
    logits, values = jax.jit(made.unroll)(params, made.start(E), silent, begins, everybody)
    plain = actor_critic(SMALL, (3, 5, 5), 14, I)
    same = {name: value for name, value in params.items() if name != "heard"}
    starts, active = flags[:, 0, :, 0] > 0, flags[..., 1] == 0
    right, right_values = jax.jit(plain.unroll)(same, plain.start(E), seen, starts, active)
    np.testing.assert_allclose(values, right_values, atol=1e-5)
    np.testing.assert_allclose(logits, (right[:, :5, None] + right[:, None, 5:]).reshape(T, 45, I, E), atol=1e-5)


def test_at_an_infinite_price_nothing_is_said():
    world = speaking(BLOCK, price=float("inf"))
    made = hearing_actor_critic(SMALL, (3, 5, 5), 5, I, 8)
    seed_ew = jax.random.bits(jax.random.key(1), (8, 2), jnp.uint32)
    params = jax.jit(made.init)(jax.random.key(0))
    found, _ = play(replace(world, params=None), made, 6, world.params, params, seed_ew)
    assert not found["sent"].any() and (found["share_none"] == 1.0).all() and np.isfinite(found["return"]).all()


def test_what_cannot_be_meant_is_one_line():
    with pytest.raises(UserError, match="price: expected at least 0, got -1"):
        speaking(BLOCK, price=-1.0)
    with pytest.raises(UserError, match="num_symbols: expected at least 2, got 1"):
        SpeakingShape(BLOCK.shape, 1)
    with pytest.raises(UserError, match="core: expected rmt, which reads nobody's memory, got 'srmt'"):
        hearing_actor_critic(replace(SMALL, core="srmt"), (3, 5, 5), 5, 2, 8)
    with pytest.raises(UserError, match="num_agents: expected at least 2, got 1"):
        hearing_actor_critic(SMALL, (3, 5, 5), 5, 1, 8)
