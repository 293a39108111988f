"""Writes to the pool as admissions: who read what by hand, groups that share a reset, and the loss of one part."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.credit.usage import cross_team_usage
from lts_jax.environments.grid.blocks import blocks
from lts_jax.environments.grid.gated import gated
from lts_jax.errors import UserError
from lts_jax.lab.ppo_training import PpoPlan, advance, begin_run
from lts_jax.lab.write_credit import begun_in_groups, only_first_blocks, write_credit, write_trajectory
from lts_jax.learning.part_credit import PartCredit, in_units, part_log_probs, part_losses
from lts_jax.learning.ppo import PpoSettings, Steps, legal_log_probs
from lts_jax.models.gated_memory import NUM_TOLD, Told, gated_actor_critic
from lts_jax.models.pulled_entries import pulled_of
from lts_jax.models.shared_memory import CoreSettings
from lts_jax.systems.hybrid_settings import HybridSettings

SMALL = CoreSettings(width=8, num_heads=2, num_filters=2, history=2, unroll=4)
WRITE, NO_WRITE = 4, 0  # actions: (move * 2 + write) * 4 + gate


def steps_of(action_tie, reward_tie, done_te):
    """Steps of two agents, everybody active; what learning alone reads is nothing."""
    action_tie, done_te = jnp.asarray(action_tie), jnp.asarray(done_te) > 0
    nothing, alive = jnp.zeros(action_tie.shape), jnp.ones(action_tie.shape, bool)
    done_tie = jnp.broadcast_to(done_te[:, None], action_tie.shape)
    legal = jnp.ones((len(done_te), 40, *action_tie.shape[1:]), bool)
    return Steps(
        (), nothing[..., None], done_te, alive, legal, action_tie, nothing, nothing, jnp.asarray(reward_tie), done_tie,
        done_te, nothing[0],
    )  # fmt: skip


def test_what_was_read_by_hand():
    """Three steps of one block. Agent 0 writes at 0, agent 1 at 0 and 1.

    At step 1 agent 1 reads write 0 (agent 0's) and its own, write 1; at step 2 agent 0 reads write 3 (agent 1's of step
    1) and agent 1 reads write 0 again. So agent 0's write was first read at 1, agent 1's first by itself alone, its
    second at 2. Rewards are 1 + 2 + 3 for each agent, a return of 6.
    """
    action_tie = jnp.asarray([[WRITE, WRITE], [NO_WRITE, WRITE], [NO_WRITE, NO_WRITE]])[:, :, None]
    reward_tie = jnp.broadcast_to(jnp.asarray([1.0, 2.0, 3.0])[:, None, None], (3, 2, 1))
    steps = steps_of(action_tie, reward_tie, [[0], [0], [1]])
    own = PartCredit(jnp.zeros((3, 2, 1)), jnp.ones((3, 2, 1), bool), jnp.zeros((3, 2, 1)), (5, 2, 4), 1)
    pulled_tji = jnp.asarray([[[-1, -1], [-1, -1]], [[-1, 0], [-1, 1]], [[3, 0], [-1, -1]]])
    found = write_trajectory(steps, own, pulled_tji[..., None])
    assert found.action_gkt.tolist() == [[[1, 0, 0], [1, 1, 0]]]
    assert found.num_other_readers_gkt.tolist() == [[[1, 0, 0], [0, 1, 0]]]
    assert found.used_gkt.tolist() == [[[True, False, False], [False, True, False]]]
    inf = float("inf")
    assert found.first_pull_seconds_gkt.tolist() == [[[1.0, inf, inf], [inf, 2.0, inf]]]
    assert found.reward_agg_g.tolist() == [6.0] and found.runtime_g.tolist() == [3.0]
    credit = cross_team_usage(found, usage_weight=0.5, first_weight=0.0)  # a group of one: the bonus alone
    assert credit.tolist() == [[[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]]


def test_only_whole_first_blocks_count():
    """The first episode's block is over at step 1: what is paid and decided at step 2 is another block's."""
    steps = steps_of(jnp.zeros((3, 2, 2), jnp.int32), jnp.ones((3, 2, 2)), [[0, 0], [1, 0], [0, 1]])
    found = only_first_blocks(steps)
    assert found.active_tie[:, 0].T.tolist() == [[True, True, False], [True, True, True]]
    assert found.reward_tie.sum(axis=(0, 1)).tolist() == [4.0, 6.0]


def test_a_part_with_the_others_advantage_is_ppo_where_nothing_is_clipped():
    """pi is a product: the parts' log-probabilities sum up, and at ratios of one the slopes of both losses do too."""
    key_p = jax.random.split(jax.random.key(0), 4)
    move, write, gate = (jax.random.normal(key, (size,)) for key, size in zip(key_p, (5, 2, 4), strict=False))
    logit_a = (move[:, None, None] + write[None, :, None] + gate).reshape(-1)
    legal_a = (jnp.ones((5, 2, 4), bool).at[:, :, 3].set(False)).reshape(-1)
    action = jnp.asarray([[[(2 * 2 + 1) * 4 + 1]]])

    def shaped(logit_a):
        return legal_log_probs(logit_a[None, :, None, None], legal_a[None, :, None, None], axis=1)

    log_prob = shaped(logit_a)
    parts = [part_log_probs(log_prob, action, (5, 2, 4), place)[0, 0, 0] for place in range(3)]
    right = [jax.nn.log_softmax(move)[2], jax.nn.log_softmax(write)[1], jax.nn.log_softmax(gate[:3])[1]]
    np.testing.assert_allclose(parts, right, atol=1e-5)
    joint = log_prob[0, 21]
    np.testing.assert_allclose(sum(parts), joint[0, 0], atol=1e-5)

    def losses(logit_a, own_advantage):
        now = shaped(logit_a)
        own = PartCredit(jnp.full((1, 1, 1), own_advantage), action > 0, parts[1][None, None, None], (5, 2, 4), 1)
        return sum(part_losses(own, (now, action, now[:, 21]), joint[None], jnp.full((1, 1, 1), 0.7), 0.2))[0, 0, 0]

    usual = jax.grad(lambda logit_a: -0.7 * jnp.exp(shaped(logit_a)[0, 21, 0, 0] - joint[0, 0]))(logit_a)
    np.testing.assert_allclose(jax.grad(losses)(logit_a, 0.7), usual, atol=1e-5)
    unpaid = jax.grad(losses)(logit_a, 0.0).reshape(5, 2, 4)
    np.testing.assert_allclose(unpaid.sum(axis=(0, 2)), 0.0, atol=1e-5)  # no slope on whether to write


def test_credit_comes_in_units_of_its_own_size_where_it_was_decided():
    """Of 3, -4, 9 and 7 the third was not decided and the fourth has nobody active: mean square (9 + 16) / 2."""
    active = jnp.asarray([True, True, True, False])[:, None, None]
    decided = jnp.asarray([True, True, False, True])[:, None, None]
    own = PartCredit(jnp.asarray([3.0, -4.0, 9.0, 7.0])[:, None, None], decided, active, (5, 2, 4), 1)
    found = in_units(own, active).advantage_tie[:, 0, 0]
    np.testing.assert_allclose(found[:2], np.asarray([3.0, -4.0]) / 12.5**0.5, rtol=1e-4)
    assert in_units(replace(own, advantage_tie=0.0 * own.advantage_tie), active).advantage_tie.tolist() == [[[0.0]]] * 4


@pytest.fixture(scope="module")
def world():
    """Small blocks with a pool, and its network."""
    made = gated(blocks((2,), num_episodes=2, limit=3), "pool", entry_numbers=11)
    shape = made.shape
    sizes = (SMALL, shape.block.observation, shape.num_moves, shape.num_agents, 4)
    return made, gated_actor_critic(*sizes), pulled_of(*sizes)


def test_pulled_entries_are_those_that_change_what_is_done(world):
    """Agent 1 writes at step 0; agent 0 reads write 1 at step 1, and nothing else; with its gate shut nothing."""
    _, network, pulled = world
    told = {name: jnp.zeros((3, 2, 1)) for name in Told._fields}
    told |= {"writes": told["writes"].at[1, 1].set(1.0), "reads_pool": told["reads_pool"].at[1, 0].set(1.0)}
    seen = jax.random.normal(jax.random.key(1), (3, 2, 1, 75))
    seen = jnp.concatenate([seen, jnp.stack(list(told.values()), axis=-1)], axis=-1)
    begins = jnp.asarray([[True], [False], [False]])
    params = jax.jit(network.init)(jax.random.key(0))
    found = jax.jit(pulled)(params, seen, begins)
    assert found[:, :, :, 0].tolist() == [[[-1, -1]] * 2, [[1, -1], [-1, -1]], [[-1, -1]] * 2]
    assert seen.shape[-1] == 75 + NUM_TOLD


def test_groups_share_a_reset_and_a_training_goes_through(world):
    made, network, pulled = world
    settings = PpoSettings(num_environments=4, rollout_steps=6)
    own = write_credit(partial(cross_team_usage, first_weight=0.0), pulled, 2)
    plan = PpoPlan(replace(made, params=None), network, settings, own)
    numbers = (made.params, settings)
    run = jax.jit(partial(begin_run, plan))(numbers, jax.random.key(0))
    begun = begun_in_groups(made, network, run, 2)
    cell_ei, own_e = begun.world.block.grid.cell_i, begun.world.block.is_own
    assert (cell_ei[::2] == cell_ei[1::2]).all() and (own_e[::2] == own_e[1::2]).all()
    assert (cell_ei[0] != cell_ei[2]).any()
    later = begun_in_groups(made, network, replace(run, time=run.time + 6), 2).world.block.grid.cell_i
    assert (later != cell_ei).any()
    after, told = jax.jit(partial(advance, plan, 2))(run, numbers)
    assert all(np.isfinite(value).all() for value in told.values()) and int(after.learner.num_skipped) == 0
    assert float(jnp.abs(told["part_loss"]).max()) > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"write_credit": "shapley"}, "hybrid.write_credit: expected a scheme that needs rollouts alone, got one that"),
        ({"write_credit": "pay"}, "hybrid.write_credit"),
        ({"write_credit": "usage_aware", "write_rollouts": 7}, "hybrid.write_rollouts: expected a divisor of 24"),
    ],
)
def test_what_cannot_be_meant_is_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        HybridSettings(**changes)
