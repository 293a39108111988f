"""Replays under common random numbers: exact where nothing follows, whole where all is kept, fresh after a fork."""

from dataclasses import dataclass, replace
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.credit.replays import shapley
from lts_jax.environments.contract import ASK, Acting, Controller, Script
from lts_jax.environments.policies import constant, constant_logit
from lts_jax.environments.replays import Original, ReplaySettings, flip_decisions, regroup, withhold_coalitions
from lts_jax.environments.rollout import group, rollout
from lts_jax.environments.teams.environment import TEAMS
from lts_jax.environments.teams.gathering import Truth
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.environments.teams.task import SimulatedTask, draw_task
from lts_jax.errors import UserError
from lts_jax.trajectory import Coalitions, FlippedRollouts, RegroupedRollouts, Trajectory

SHAPE = SimulatorShape(num_teams=2, max_steps=6, num_nodes=6, num_entries=12, embedding_width=8)
WORLD = SimulatorParams(needed_low=3.0, needed_high=4.0, num_dead_ends=1.0, find_probability=0.5)
ENVIRONMENT = replace(TEAMS, shape=SHAPE, params=WORLD)
CONTROLLER = Controller(constant, constant_logit(0.5), Acting(1.0, False))
G = 6
SETTINGS = ReplaySettings(max_places=8, num_permutations=2, num_blocks=3, num_rerollouts=40)


@dataclass(frozen=True)
class Replayed:
    """A group with everything that can be replayed."""

    task: SimulatedTask
    prng_key_g: jax.Array
    trajectory: Trajectory
    truth: Truth
    flipped: FlippedRollouts
    coalitions: Coalitions
    regrouped: RegroupedRollouts


@lru_cache
def replayed() -> Replayed:
    def make(key: jax.Array) -> tuple:
        task = draw_task(SHAPE, WORLD, key)
        key_g = jax.random.split(key, G)
        trajectory, _, truth = group(ENVIRONMENT, task, key_g, CONTROLLER)
        original = Original(ENVIRONMENT, task, key_g, CONTROLLER, trajectory, truth)
        replays = (flip_decisions, withhold_coalitions, regroup)
        return (task, key_g, trajectory, truth, *(one(original, SETTINGS) for one in replays))

    return Replayed(*jax.jit(make)(jax.random.key(4)))


@lru_cache
def alone():
    return jax.jit(partial(rollout, ENVIRONMENT, controller=CONTROLLER))


def forced(g: int, action_kt: np.ndarray) -> Trajectory:
    script = Script(jnp.asarray(action_kt, jnp.int32))
    return alone()(replayed().task, replayed().prng_key_g[g], script=script)[0]


def test_a_flip_is_the_rollout_with_that_one_action_forced() -> None:
    r = replayed()
    num_replayed = 0
    for g, k, t in np.argwhere(np.isfinite(r.flipped.runtime_gkt))[::5]:
        action_kt = np.full((2, 6), ASK)
        action_kt[k, t] = 1 - r.trajectory.action_gkt[g, k, t]
        again = forced(g, action_kt)
        assert float(again.reward_agg_g) == float(r.flipped.reward_agg_gkt[g, k, t])
        assert float(again.runtime_g) == pytest.approx(float(r.flipped.runtime_gkt[g, k, t]), rel=1e-6)
        # Up to the decision nothing has changed.
        now = r.trajectory.decision_seconds_gkt[g, k, t]
        earlier = np.asarray(r.trajectory.decision_seconds_gkt[g]) < now
        np.testing.assert_array_equal(again.action_gkt[earlier], r.trajectory.action_gkt[g][earlier])
        num_replayed += 1
    assert num_replayed >= 5


def test_decisions_beyond_the_places_are_left_out_at_random_and_padding_is_never_replayed() -> None:
    r = replayed()
    known = np.isfinite(r.flipped.reward_agg_gkt)
    decided = np.asarray(r.trajectory.decision_mask_gkt)
    assert not (known & ~decided).any()
    np.testing.assert_array_equal(known.sum((1, 2)), np.minimum(decided.sum((1, 2)), SETTINGS.max_places))
    assert (decided.sum((1, 2)) > SETTINGS.max_places).any()  # else the line above says little


def test_an_admission_that_changed_nothing_has_the_original_as_its_flip() -> None:
    """Whoever pulled nothing and read no listing that held the entry cannot tell the difference."""
    r = replayed()
    last = np.asarray(r.trajectory.decision_seconds_gkt).reshape(G, -1)
    unseen = 0
    for g in range(G):
        times = np.where(np.isfinite(last[g]), last[g], -np.inf)
        k, t = np.unravel_index(times.argmax(), (2, 6))
        if np.isfinite(r.flipped.runtime_gkt[g, k, t]):
            assert float(r.flipped.reward_agg_gkt[g, k, t]) == float(r.trajectory.reward_agg_g[g])
            unseen += 1
    assert unseen >= 2


def test_the_whole_bank_is_the_original_and_shapley_credit_adds_up() -> None:
    r = replayed()
    for values, reward in (
        (r.coalitions.reward_agg_gpc, r.trajectory.reward_agg_g),
        (r.coalitions.reward_first_gpc, r.trajectory.reward_first_g),
    ):
        np.testing.assert_array_equal(values[:, :, -1], np.broadcast_to(reward[:, None], (G, 2)))
    none = forced(0, np.where(r.trajectory.decision_mask_gkt[0], 0, ASK))
    assert float(none.reward_agg_g) == float(r.coalitions.reward_agg_gpc[0, 0, 0])
    credit = shapley(replace(r.trajectory, coalitions=r.coalitions), first_weight=0.0)
    gained = r.trajectory.reward_agg_g - r.coalitions.reward_agg_gpc[:, :, 0].mean(axis=1)
    has_entries = np.asarray((r.trajectory.action_gkt == 1).any((1, 2)))
    np.testing.assert_allclose(credit.sum((1, 2))[has_entries], gained[has_entries], atol=1e-5)


def test_rerollouts_keep_the_past_and_redraw_the_rest() -> None:
    r = replayed()
    shape = r.regrouped.reward_agg_gmkt.shape
    assert shape == (G, SETTINGS.num_rerollouts, 2, 6)
    np.testing.assert_array_equal(
        np.isfinite(r.regrouped.reward_agg_gmkt).all(axis=1), np.isfinite(r.flipped.reward_agg_gkt)
    )
    spread_gkt = np.asarray(r.regrouped.reward_agg_gmkt).std(axis=1)
    time_gkt = np.asarray(r.trajectory.decision_seconds_gkt)
    known = np.isfinite(spread_gkt)
    assert np.nanmax(spread_gkt) > 0.2  # the future is drawn afresh
    early, late = time_gkt < np.median(time_gkt[known]), time_gkt >= np.median(time_gkt[known])
    assert spread_gkt[known & late].mean() < spread_gkt[known & early].mean()  # with less of it left to draw


def test_settings_that_replay_nothing_are_refused() -> None:
    with pytest.raises(UserError, match=r"^replays.num_blocks: expected at least 1, got 0$"):
        ReplaySettings(num_blocks=0)
