"""The simulator in single steps: its own rollouts again, what is read and paid for, and reductions."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.contract import Acting, Controller
from lts_jax.environments.gates import BOTH
from lts_jax.environments.policies import constant, constant_logit
from lts_jax.environments.rollout import rollout
from lts_jax.environments.teams.environment import TEAMS
from lts_jax.environments.teams.gated import _nearest, gated_teams
from lts_jax.environments.teams.settings import SimulatorShape
from lts_jax.environments.teams.state import empty_state
from lts_jax.errors import UserError
from lts_jax.lab.ppo_training import play
from lts_jax.models.gated_controllers import COIN, Told, gated_controllers
from lts_jax.models.shared_memory import CoreSettings

SMALL = SimulatorShape(num_teams=2, max_steps=6, num_entries=8)
WORLD = gated_teams("switch", price=0.001, shape=SMALL)
SEEDS = jax.random.bits(jax.random.key(2), (6, 2), jnp.uint32)
K, E = 2, 3
FIRST_TOLD = -len(Told._fields)


@pytest.fixture(scope="module")
def lived():
    """States and outcomes [T, E] of rollouts by agents who admit everything and read both: none, then both, and on."""

    def one(seed_w):
        def step(state, _):
            seen = WORLD.look(WORLD.shape, params, state)
            after, outcome = WORLD.act(WORLD.shape, params, state, jnp.full(K, 4 + BOTH), seed_w)
            return after, (state, seen, outcome)

        params = replace(jax.tree.map(jnp.asarray, WORLD.params), gate_open_g=jnp.asarray([1, 0, 0, 1]) > 0)
        return jax.lax.scan(step, WORLD.reset(WORLD.shape, params, seed_w), None, length=12)[1]

    return jax.device_get(jax.jit(jax.vmap(one))(SEEDS))


def test_the_rollout_is_the_simulators_own(lived):
    """A task and a rollout from the same keys, everything admitted: score, seconds, and what was admitted."""
    _, _, outcome = lived
    world = replace(TEAMS, shape=SMALL)
    controller = Controller(constant, constant_logit(1.0), Acting(1.0, False))
    own = jax.jit(lambda task, key: rollout(world, task, key, controller))
    for number, seed_w in enumerate(SEEDS):
        task_key, key = jax.random.split(jax.random.wrap_key_data(seed_w, impl="threefry2x32"))
        trajectory, _, _ = own(TEAMS.draw_task(SMALL, TEAMS.params, task_key), key)
        over = int(np.argmax(outcome.is_over[number]))
        paid = trajectory.reward_agg_g + trajectory.reward_first_g
        sent = outcome.measures["sent"][number, over]
        np.testing.assert_allclose(outcome.measures["score"][number, over], trajectory.reward_agg_g, atol=1e-6)
        np.testing.assert_allclose(outcome.measures["seconds"][number, over], trajectory.runtime_g, rtol=1e-6)
        np.testing.assert_allclose(outcome.measures["return"][number, over], paid - 0.001 * sent, atol=1e-5)
        rewards = outcome.reward_i[number, : over + 1].sum()
        np.testing.assert_allclose(rewards, 2 * outcome.measures["return"][number, over], atol=1e-5)
        assert over + 1 == int(trajectory.step_mask_gkt.sum()) and outcome.measures["admitted"][number, over] == 1.0


def test_a_number_that_is_read_is_paid_for_by_the_one_who_reads(lived):
    """From its second decision on: 16 of the other's memory, if there is one, and 16 of each of two keys at most."""
    state, seen, outcome = lived
    decides = seen.observation_io[..., FIRST_TOLD] > 0
    has_memory = state.teams.num_steps_k > 0
    commit, num_checked = state.teams.commit_seconds_n, 0
    for number in range(len(SEEDS)):
        for time in range(int(np.argmax(outcome.is_over[number])) + 1):
            who = decides[number, time]
            if not who.any():
                continue
            now = state.teams.next_seconds_k[number, time].min() + TEAMS.params.summary_seconds
            num_keys = min(2, int((commit[number, time] <= now).sum()))
            told = seen.observation_io[number, time, who][0, FIRST_TOLD:]
            assert told[4] + told[5] == num_keys
            reads = state.gate_k[number, time][who][0] == BOTH
            numbers = (16 * has_memory[number, time][~who][0] + 16 * num_keys) * reads
            before = state.num_sent[number, time]
            after = outcome.measures["sent"][number, time] * K
            np.testing.assert_allclose(after - before, numbers, atol=1e-4)
            assert not reads or has_memory[number, time][who][0]
            num_checked += reads
    assert num_checked > 5


def test_who_does_not_decide_can_do_nothing_and_sees_no_entry(lived):
    _, seen, _ = lived
    decides = seen.observation_io[..., FIRST_TOLD] > 0
    assert (decides.sum(axis=-1) <= 1).all() and decides.any()
    assert (seen.legal_ia[~decides].sum(axis=-1) == 1).all() and seen.legal_ia[~decides][:, 0].all()
    assert (seen.legal_ia[decides].sum(axis=-1) == 4).all()  # two decisions by two gates
    first = WORLD.shape.num_own
    assert not seen.observation_io[~decides][:, first:FIRST_TOLD].any()


def test_the_nearest_keys_by_hand():
    """Three of four keys are committed, one of those is gone: of (1, 0), (.6, .8) and (0, 1) with (0, 1), .8 and 1."""
    shape = replace(SMALL, num_entries=5, embedding_width=8)
    key_nd = jnp.zeros((5, 8)).at[:4, :2].set(jnp.asarray([[1, 0], [0.6, 0.8], [0, 1], [0, 1]]))
    state = replace(empty_state(shape), key_nd=key_nd, is_alive_n=jnp.asarray([1, 1, 1, 1, 0]) > 0)
    summary_d = jnp.zeros(8).at[1].set(1.0)
    key_jd, there_j = _nearest(state, summary_d, jnp.asarray(3))
    np.testing.assert_allclose(key_jd[:, :2], [[0, 1], [0.6, 0.8]], atol=1e-6)
    assert there_j.tolist() == [True, True]
    key_jd, there_j = _nearest(replace(state, is_alive_n=jnp.arange(5) == 1), summary_d, jnp.asarray(3))
    np.testing.assert_allclose(key_jd[:, :2], [[0.6, 0.8], [0, 0]], atol=1e-6)
    assert there_j.tolist() == [True, False]


@pytest.fixture(scope="module")
def network():
    """The network, parameters off their small first values, and observations of four events."""
    made = gated_controllers(CoreSettings(width=8, num_heads=2, history=2), 6, 4, K)
    leaves, tree = jax.tree.flatten(jax.jit(made.init)(jax.random.key(0)))
    key_p = jax.random.split(jax.random.key(5), len(leaves))
    moved = [leaf + 0.3 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, key_p, strict=True)]
    begins = jnp.zeros((4, E), bool).at[0].set(True)
    return made, jax.tree.unflatten(tree, moved), jax.jit(made.unroll), begins


def events(**told):
    """Observations of four events: agents 0, 1, 0, 1 decide; what they are told, or zeros."""
    decides = jnp.zeros((4, K, E)).at[::2, 0].set(1.0).at[1::2, 1].set(1.0)
    given = dict.fromkeys(Told._fields, jnp.zeros((4, K, E))) | {"decides": decides} | told
    given["has_memory"] = jnp.zeros((4, K, E)).at[1:, 0].set(1.0).at[2:, 1].set(1.0)
    seen = jax.random.normal(jax.random.key(1), (4, K, E, 14))
    return jnp.concatenate([seen, jnp.stack([given[name] for name in Told._fields], axis=-1)], axis=-1)


ONES = jnp.ones((4, K, E))


def test_an_unroll_is_a_step_again_and_again(network):
    made, params, unroll, begins = network
    seen = events(reads_latent=ONES, reads_pool=ONES, first_is_there=ONES)
    logits, values = unroll(params, made.start(E), seen, begins, ONES > 0)
    carry, step = made.start(E), jax.jit(made.step)
    for time in range(4):
        carry, logit, value = step(params, carry, seen[time], begins[time], ONES[0] > 0)
        np.testing.assert_allclose(logits[time], logit, atol=1e-5)
        np.testing.assert_allclose(values[time], value, atol=1e-5)


@pytest.mark.parametrize(("gate", "reaches"), [({}, False), ({"reads_latent": ONES}, True)])
def test_what_another_saw_reaches_an_agent_through_its_gate_alone(network, gate, reaches):
    """Agent 1 decides at event 1; agent 0 at event 2, and what it makes of it follows from agent 1's memory or not."""
    made, params, unroll, begins = network
    seen = events(**gate)
    one = unroll(params, made.start(E), seen, begins, ONES > 0)[0]
    two = unroll(params, made.start(E), seen.at[1, 1, :, :6].add(1.0), begins, ONES > 0)[0]
    assert bool(jnp.abs(one[2, :, 0] - two[2, :, 0]).max() > 1e-5) == reaches
    # At an event that is not its own an agent remembers nothing, whatever it sees then.
    other = unroll(params, made.start(E), seen.at[1, 0, :, :6].add(1.0), begins, ONES > 0)[0]
    np.testing.assert_array_equal(one[2:], other[2:])


@pytest.mark.parametrize(("gate", "reaches"), [({}, False), ({"reads_pool": ONES}, True)])
def test_an_entry_is_read_where_the_gate_is_open_for_it(network, gate, reaches):
    made, params, unroll, begins = network
    seen = events(first_is_there=ONES, **gate)
    one = unroll(params, made.start(E), seen, begins, ONES > 0)[0]
    two = unroll(params, made.start(E), seen.at[2, 0, :, 6:10].add(1.0), begins, ONES > 0)[0]
    assert bool(jnp.abs(one[2, :, 0] - two[2, :, 0]).max() > 1e-5) == reaches
    absent = unroll(params, made.start(E), seen.at[2, 0, :, 10:14].add(1.0), begins, ONES > 0)[0]
    np.testing.assert_array_equal(one, absent)  # the second is not there


def test_at_an_infinite_price_nothing_is_read_and_a_rule_plays():
    world = gated_teams("switch", price=float("inf"), shape=SMALL)
    static = replace(world, params=None)
    made = gated_controllers(CoreSettings(width=8, num_heads=2, history=2), world.shape.num_own, 16, K)
    params = jax.jit(made.init)(jax.random.key(0))
    found, _ = play(static, made, 12, world.params, params, SEEDS)
    assert not found["sent"].any() and (found["share_none"] == 1.0).all() and np.isfinite(found["return"]).all()
    none, everything = (play(static, COIN, 12, world.params, jnp.asarray(rate), SEEDS)[0] for rate in (0.0, 1.0))
    assert not none["admitted"].any() and (everything["admitted"] == 1.0).all()


def test_what_cannot_be_meant_is_one_line():
    with pytest.raises(UserError, match="mode: expected one of none, latent, pool, both, switch, got"):
        gated_teams("all")
    with pytest.raises(UserError, match="price: expected at least 0, got -1"):
        gated_teams("none", price=-1.0)
    with pytest.raises(UserError, match="price: expected a finite one in a mode in which nothing is free"):
        gated_teams("pool", price=float("inf"))
    with pytest.raises(UserError, match="core: expected srmt, whose memories are read, got 'gru'"):
        gated_controllers(CoreSettings("gru"), 6, 4, 2)
