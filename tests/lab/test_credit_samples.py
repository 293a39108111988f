"""Credit beside truth: the flip is the difference reward, and where nobody reads, no admission does anything."""

from dataclasses import replace
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from lts_jax.credit.replays import difference_rewards
from lts_jax.environments.contract import Acting, Controller
from lts_jax.environments.policies import coin, constant, constant_logit
from lts_jax.environments.replays import ReplaySettings
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.errors import UserError
from lts_jax.lab.credit_samples import CreditSamples, SampleSettings, credit_samples, sample_group
from lts_jax.lab.settings import LabSettings
from lts_jax.learning.settings import LearningSettings
from lts_jax.trajectory import Trajectory

pytestmark = pytest.mark.slow

SETTINGS = LabSettings(
    shape=SimulatorShape(num_teams=2, max_steps=5, num_nodes=5, num_entries=10, embedding_width=8),
    world=SimulatorParams(needed_low=2.0, needed_high=4.0, num_dead_ends=1.0, find_probability=0.6),
    replays=ReplaySettings(max_places=10),
    num_rollouts=3,
    learning=LearningSettings(first_weight=0.0),  # who is first changes with every second
)
SAMPLING = SampleSettings(num_tasks=5, num_futures=2, max_future_places=3, tasks_per_call=3)


COIN = Controller(constant, constant_logit(0.5), Acting(1.0, False))


def one_each(trajectory: Trajectory) -> Array:
    return trajectory.decision_mask_gkt.astype(jnp.float32) * trajectory.rollout_mask_g[:, None, None]


CREDITS = {"difference_rewards": partial(difference_rewards, first_weight=0.0), "one_each": one_each}


def sampled(settings: LabSettings, admit_probability: float) -> CreditSamples:
    logit = constant_logit(admit_probability)
    return credit_samples(settings, CREDITS, Controller(constant, logit, Acting(1.0, False)), sampling=SAMPLING, seed=1)


@pytest.fixture(scope="module")
def everything() -> CreditSamples:
    return sampled(SETTINGS, 1.0)


def test_schemes_may_be_named_and_a_coin_is_a_controller(everything) -> None:
    found = credit_samples(SETTINGS, ["difference_rewards", one_each], coin(1.0), sampling=SAMPLING, seed=1)
    np.testing.assert_array_equal(found.reward_effect, everything.reward_effect)
    np.testing.assert_array_equal(found.credit[f"{__name__}:one_each"], 1.0)
    assert list(found.credit) == ["difference_rewards", f"{__name__}:one_each"]


def test_a_group_to_try_a_scheme_on() -> None:
    admits, rejects = (sample_group(SETTINGS, coin(odds), num_rollouts=4, seed=2) for odds in (1.0, 0.0))
    assert admits.action_gkt.shape == (4, 2, 5) and admits.decision_mask_gkt.any()
    np.testing.assert_array_equal(admits.action_gkt == 1, admits.decision_mask_gkt)
    assert rejects.decision_mask_gkt.any() and not (rejects.action_gkt == 1).any()


def test_a_row_is_an_admission_with_its_task_and_its_rollout(everything) -> None:
    num_rows = len(everything.tasks)
    assert len(set(everything.tasks)) == 5  # two calls of three tasks; the sixth is dropped
    assert len(set(everything.rollouts)) == 15
    for column in (*everything.credit.values(), everything.reward_effect, everything.seconds_saved):
        assert column.shape == (num_rows,) and np.isfinite(column).all()
    assert (everything.credit["one_each"] == 1.0).all()
    # A rollout lies within one task: three to a task, in order.
    assert [int(task) for task in everything.tasks] == (everything.rollouts // 3).tolist()


def test_the_difference_reward_is_the_truth_itself(everything) -> None:
    assert np.count_nonzero(everything.reward_effect) > 1
    np.testing.assert_allclose(everything.credit["difference_rewards"], everything.reward_effect, atol=1e-6)


def test_futures_are_drawn_for_a_few_admissions_of_every_rollout(everything) -> None:
    drawn = np.isfinite(everything.expected_reward_effect)
    assert np.array_equal(drawn, np.isfinite(everything.expected_seconds_saved))
    counts, rows = (np.bincount(everything.rollouts[which], minlength=15) for which in (drawn, slice(None)))
    assert np.array_equal(counts, np.minimum(rows, 3))
    assert np.abs(everything.expected_seconds_saved[drawn]).max() > 0.0


def test_without_readers_an_admission_changes_no_reward_and_only_costs_time(everything) -> None:
    world = replace(SETTINGS.world, pull_probability=0.0, idle_pull_probability=0.0)
    ignored = credit_samples(
        replace(SETTINGS, world=world), CREDITS, Controller(constant, constant_logit(1.0), Acting(1.0, False)),
        sampling=replace(SAMPLING, num_tasks=3), seed=1,
    )  # fmt: skip
    drawn = np.isfinite(ignored.expected_reward_effect)
    assert not ignored.was_used.any() and drawn.any()
    assert not ignored.reward_effect.any() and not ignored.expected_reward_effect[drawn].any()
    # Listings still grow longer, and the one whose reader had to look at it anew costs the selection.
    assert ignored.seconds_saved.max() < 1e-3 and ignored.seconds_saved.min() < 0.0


def test_sizes_and_schemes_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"samples.num_tasks: expected at least 1, got 0"):
        SampleSettings(num_tasks=0)
    with pytest.raises(UserError, match="credit scheme broken: expected shape"):
        credit_samples(
            SETTINGS, {"broken": lambda trajectory: trajectory.reward_agg_g}, COIN,
            sampling=SAMPLING, seed=1,
        )  # fmt: skip
