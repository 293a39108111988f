"""Credit worked by hand. One team, one step a rollout unless said otherwise; every step was decided."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lts_jax.credit.broadcast import trajectory_broadcast
from lts_jax.credit.group_relative import group_relative, leave_one_out
from lts_jax.credit.reinforce import reinforce
from lts_jax.credit.return_to_go import return_to_go
from lts_jax.credit.returns import episode_return
from lts_jax.credit.usage import cross_team_usage, reinforce_usage, time_discounted_usage, usage_aware, usage_bonus
from lts_jax.trajectory import Trajectory

NAN = math.nan


def group(rewards: list[float], num_steps: int = 1, num_teams: int = 1, first: list[float] | None = None) -> Trajectory:
    """R_agg as given, R_first zero; decisions at seconds 10, 20, ...; teams finish at 100, the rollout ends at 110."""
    count = len(rewards)
    shape = (count, num_teams, num_steps)
    return Trajectory(
        reward_agg_g=np.array(rewards, np.float32),
        reward_first_g=np.array(first or [0.0] * count, np.float32),
        runtime_g=np.full(count, 110.0, np.float32),
        finish_seconds_gk=np.full((count, num_teams), 100.0, np.float32),
        action_gkt=np.ones(shape, np.int32),
        behavior_log_prob_gkt=np.zeros(shape, np.float32),
        decision_seconds_gkt=np.broadcast_to(10.0 + 10.0 * np.arange(num_steps, dtype=np.float32), shape),
        used_gkt=np.zeros(shape, bool),
        num_other_readers_gkt=np.zeros(shape, np.int32),
        first_pull_seconds_gkt=np.full(shape, np.inf, np.float32),
        step_seconds_gkt=np.ones(shape, np.float32),
        step_mask_gkt=np.ones(shape, bool),
        decision_mask_gkt=np.ones(shape, bool),
        rollout_mask_g=np.ones(count, bool),
    )


@pytest.mark.parametrize(
    ("divisor", "expected"),
    [
        # mean .6, deviations (1.4, -.6, .4, -.6, -.6), sum of squares 3.2: std .8 (of 5) or .8944 (of 4)
        ("population", [1.75, -0.75, 0.5, -0.75, -0.75]),
        ("sample", [1.5652, -0.6708, 0.4472, -0.6708, -0.6708]),
        ("none", [1.4, -0.6, 0.4, -0.6, -0.6]),
    ],
)
def test_group_relative_of_2_0_1_0_0(divisor: str, expected: list[float]) -> None:
    credit = group_relative(group([2, 0, 1, 0, 0]), divisor=divisor)  # type: ignore[arg-type]
    np.testing.assert_allclose(credit[:, 0, 0], expected, atol=5e-5)


@pytest.mark.parametrize(("divisor", "winner"), [("none", 0.8), ("sample", 1.7889), ("population", 2.0)])
def test_one_success_in_five_is_three_different_numbers(divisor: str, winner: float) -> None:
    credit = group_relative(group([1, 0, 0, 0, 0]), divisor=divisor)  # type: ignore[arg-type]
    assert float(credit[0, 0, 0]) == pytest.approx(winner, abs=5e-5)


def test_epsilon_is_added_to_the_deviation() -> None:
    # Rewards 0 and 2: deviation 1; with epsilon 1 the credit halves.
    np.testing.assert_allclose(group_relative(group([0, 2]), epsilon=1.0)[:, 0, 0], [-0.5, 0.5], atol=1e-6)


def test_leave_one_out() -> None:
    # The others' mean: (0+1+0+0)/4 = .25, (2+1+0+0)/4 = .75, (2+0+0+0)/4 = .5, .75, .75
    np.testing.assert_allclose(leave_one_out(group([2, 0, 1, 0, 0]))[:, 0, 0], [1.75, -0.75, 0.5, -0.75, -0.75])
    np.testing.assert_allclose(leave_one_out(group([1, 0]))[:, 0, 0], [1.0, -1.0])


def test_group_of_one_and_equal_rewards() -> None:
    for scheme in (group_relative, leave_one_out, usage_aware, trajectory_broadcast):
        assert float(scheme(group([0.7]))[0, 0, 0]) == 0.0
        np.testing.assert_array_equal(scheme(group([0.1] * 5)), np.zeros((5, 1, 1)))
    assert float(reinforce(group([0.7]))[0, 0, 0]) == pytest.approx(0.7)


def test_return_adds_the_first_finisher() -> None:
    both = group([0.5, 1.0, 0.0], first=[1.0, 0.0, NAN])
    return_g, counted_g = episode_return(both, first_weight=0.5)
    np.testing.assert_array_equal(return_g, [1.0, 1.0, 0.0])
    np.testing.assert_array_equal(counted_g, [True, True, False])
    # Without weight a missing first reward does no harm.
    return_g, counted_g = episode_return(both, first_weight=0.0)
    np.testing.assert_array_equal(return_g, [0.5, 1.0, 0.0])
    assert counted_g.all()


def test_a_missing_reward_stays_out_of_the_baseline() -> None:
    # Of (1, NaN, 0) the mean is .5, not 1/3.
    credit = group_relative(group([1, NAN, 0]), divisor="none")
    np.testing.assert_allclose(credit[:, 0, 0], [0.5, 0.0, -0.5])
    crashed = replace(group([1, 5, 0]), rollout_mask_g=np.array([True, False, True]))
    np.testing.assert_allclose(group_relative(crashed, divisor="none")[:, 0, 0], [0.5, 0.0, -0.5])


def test_baseline_is_over_rollouts_whatever_their_number_of_decisions() -> None:
    # Returns 1 and 0 with 3 and 1 decisions. Over decisions the mean would be .75.
    pair = group([1, 0], num_steps=3)
    decided = np.ones((2, 1, 3), bool)
    decided[1, 0, 1:] = False
    pair = replace(pair, decision_mask_gkt=decided, step_mask_gkt=decided)
    np.testing.assert_allclose(trajectory_broadcast(pair)[0, 0], [0.70711] * 3, atol=1e-5)
    np.testing.assert_allclose(trajectory_broadcast(pair)[1, 0], [-0.70711, 0, 0], atol=1e-5)


def used_group() -> Trajectory:
    """Returns 1 and 0, two decisions each, the first of each was used: by one and by two other teams, 5 s later."""
    used = np.array([[[True, False]], [[True, False]]])
    return replace(
        group([1, 0], num_steps=2),
        used_gkt=used,
        num_other_readers_gkt=np.array([[[1, 0]], [[2, 0]]], np.int32),
        first_pull_seconds_gkt=np.where(used, 15.0, np.inf).astype(np.float32),
    )


def test_usage_bonus_needs_use_and_a_positive_return() -> None:
    np.testing.assert_array_equal(usage_bonus(used_group(), usage_weight=0.25), [[[0.25, 0.0]], [[0.0, 0.0]]])
    # Returns above zero on both sides: both used entries are paid.
    paid = replace(used_group(), reward_agg_g=np.array([1.0, 0.5], np.float32))
    np.testing.assert_array_equal(usage_bonus(paid, usage_weight=0.25), [[[0.25, 0.0]], [[0.25, 0.0]]])


def test_usage_aware_is_the_advantage_plus_the_bonus() -> None:
    # Advantage of (1, 0): +-1.
    np.testing.assert_allclose(usage_aware(used_group()), [[[1.5, 1.0]], [[-1.0, -1.0]]], atol=1e-5)
    np.testing.assert_allclose(
        usage_aware(used_group(), usage_weight=0.0), group_relative(used_group()), rtol=0, atol=0
    )


def test_reinforce_usage_is_the_return_plus_the_bonus() -> None:
    # Returns (1, 0), the first rollout's first entry used: no baseline takes anything away.
    np.testing.assert_array_equal(reinforce_usage(used_group(), usage_weight=0.25), [[[1.25, 1.0]], [[0.0, 0.0]]])


def test_usage_bonus_on_the_return_is_centred() -> None:
    # R' = (1.5, 1), (0, 0); rollout means 1.25 and 0; mean .625, deviation .625.
    credit = usage_aware(used_group(), bonus_on="return")
    np.testing.assert_allclose(credit, [[[1.4, 0.6]], [[-1.0, -1.0]]], atol=1e-5)
    # A group of one has no spread: R' minus its mean, (1.5, 1) - 1.25.
    alone = replace(used_group(), rollout_mask_g=np.array([True, False]))
    np.testing.assert_allclose(usage_aware(alone, bonus_on="return")[0, 0], [0.25, -0.25], atol=1e-6)


def test_cross_team_usage_counts_other_readers() -> None:
    both = replace(used_group(), reward_agg_g=np.array([1.0, 1.0], np.float32))
    np.testing.assert_allclose(cross_team_usage(both), [[[0.5, 0.0]], [[0.5, 0.0]]])
    np.testing.assert_allclose(cross_team_usage(both, counting="each_reader"), [[[0.5, 0.0]], [[1.0, 0.0]]])
    own = replace(both, num_other_readers_gkt=np.zeros((2, 1, 2), np.int32))
    np.testing.assert_array_equal(cross_team_usage(own), np.zeros((2, 1, 2)))


def test_time_discounted_usage_pays_early_pulls() -> None:
    # Decided at 10 s, pulled at 15 s, decay 5 s: a bonus of .5 / e = .18394.
    credit = time_discounted_usage(used_group(), decay_seconds=5.0)
    np.testing.assert_allclose(credit, [[[1.18394, 1.0]], [[-1.0, -1.0]]], atol=1e-5)


def test_return_to_go_pays_the_first_answer_only_to_what_came_before_it() -> None:
    # Decisions at 10 s and 20 s, first answer at 15 s; R_agg 1, R_first .5.
    late = replace(
        group([1, 0], num_steps=2, first=[0.5, 0.0]), finish_seconds_gk=np.array([[15.0], [15.0]], np.float32)
    )
    np.testing.assert_allclose(return_to_go(late, baseline=False), [[[1.5, 1.0]], [[0.0, 0.0]]])
    # Rollout means 1.25 and 0: baseline .625.
    np.testing.assert_allclose(return_to_go(late), [[[0.875, 0.375]], [[-0.625, -0.625]]])
    # Decay 50 s: R_agg at 110 s is worth exp(-2) at 10 s, R_first at 15 s exp(-.1).
    credit = return_to_go(late, baseline=False, decay_seconds=50.0)
    np.testing.assert_allclose(credit[0, 0], [math.exp(-2.0) + 0.5 * math.exp(-0.1), math.exp(-1.8)], atol=1e-6)


def test_return_to_go_without_any_finisher() -> None:
    nobody = replace(group([1, 0], first=[0.5, 0.0]), finish_seconds_gk=np.full((2, 1), np.inf, np.float32))
    np.testing.assert_allclose(return_to_go(nobody, baseline=False)[:, 0, 0], [1.5, 0.0])
    credit = return_to_go(nobody, baseline=False, decay_seconds=50.0)
    np.testing.assert_allclose(credit[:, 0, 0], [math.exp(-2.0), 0.0], atol=1e-6)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: group_relative(group([1, 0]), divisor="n"), '"population", "sample" or "none"'),  # type: ignore[arg-type]
        (lambda: usage_aware(group([1, 0]), bonus_on="reward"), '"advantage" or "return"'),  # type: ignore[arg-type]
        (lambda: cross_team_usage(group([1, 0]), counting="twice"), '"once" or "each_reader"'),  # type: ignore[arg-type]
    ],
)
def test_unknown_options_are_refused(call: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call()  # type: ignore[operator]
