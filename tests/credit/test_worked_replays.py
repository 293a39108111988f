"""Credit from values and replays, worked by hand. Two teams, two steps, every step decided unless said otherwise."""

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from lts_jax.credit.gae import gae
from lts_jax.credit.replays import counterfactual, difference_rewards, local_group, shapley
from lts_jax.credit.return_to_go import return_to_go
from lts_jax.credit.saved_work import saved_work
from lts_jax.credit.schemes import SCHEMES
from lts_jax.errors import UserError
from lts_jax.trajectory import Coalitions, FlippedRollouts, RegroupedRollouts, Trajectory

NAN = math.nan


def group(rewards: list[float], first: list[float] | None = None) -> Trajectory:
    """Team 0 decides at seconds 10 and 30, team 1 at 20 and 40; the first answer comes at 35, the end at 100."""
    count = len(rewards)
    shape = (count, 2, 2)
    return Trajectory(
        reward_agg_g=np.array(rewards, np.float32),
        reward_first_g=np.array(first or [0.0] * count, np.float32),
        runtime_g=np.full(count, 100.0, np.float32),
        finish_seconds_gk=np.broadcast_to(np.array([35.0, 45.0], np.float32), (count, 2)),
        action_gkt=np.ones(shape, np.int32),
        behavior_log_prob_gkt=np.zeros(shape, np.float32),
        decision_seconds_gkt=np.broadcast_to(np.array([[10.0, 30.0], [20.0, 40.0]], np.float32), shape),
        used_gkt=np.zeros(shape, bool),
        num_other_readers_gkt=np.zeros(shape, np.int32),
        first_pull_seconds_gkt=np.full(shape, np.inf, np.float32),
        step_seconds_gkt=np.ones(shape, np.float32),
        step_mask_gkt=np.ones(shape, bool),
        decision_mask_gkt=np.ones(shape, bool),
        rollout_mask_g=np.ones(count, bool),
    )


def f32(values: object) -> np.ndarray:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("gae", "value_gkt"),
        ("saved_work", "num_spared_gkt"),
        ("counterfactual", "flipped"),
        ("difference_rewards", "flipped"),
        ("shapley", "coalitions"),
        ("local_group", "regrouped"),
    ],
)
def test_what_is_missing_is_said_by_name(name: str, missing: str) -> None:
    with pytest.raises(UserError, match=f"credit scheme {name}: needs {missing}"):
        SCHEMES[name](group([1, 0]))


def test_saved_work_pays_what_readers_did_not_spend() -> None:
    # Mean runtime (100 + 60) / 2 = 80. Ten seconds spared two: 20 / 80 = .25; eight seconds spared one of two: .1; the
    # other took the step all the same. The second rollout earned nothing, so its pulled entry is paid nothing.
    # Advantage of (1, 0): +-1.
    both = replace(
        group([1, 0]),
        runtime_g=f32([100, 60]),
        num_other_readers_gkt=np.array([[[2, 0], [2, 2]], [[1, 0], [0, 0]]], np.int32),
        num_spared_gkt=np.array([[[2, 0], [1, 0]], [[1, 0], [0, 0]]], np.int32),
        step_seconds_gkt=f32([[[10, 10], [8, 10]], [[10, 10], [8, 10]]]),
    )
    expected = [[[1.5, 1.0], [1.2, 1.0]], [[-1.0, -1.0], [-1.0, -1.0]]]
    np.testing.assert_allclose(saved_work(both, saved_weight=2.0), expected, atol=1e-5)
    # A group of one: the bonus alone; the runtime of a rollout that does not count is not in the mean (20 / 100).
    alone = replace(both, rollout_mask_g=np.array([True, False]))
    np.testing.assert_allclose(saved_work(alone, saved_weight=2.0)[0], [[0.4, 0.0], [0.16, 0.0]], atol=1e-6)


def valued(values: object = ((0.5, 0.2), (0.4, 0.1))) -> Trajectory:
    """R_agg 1 at the end, R_first .5 at 35 s. In order of time: V = .5, .4, .2, .1."""
    return replace(group([1.0], first=[0.5]), value_gkt=f32([values]))


def test_gae_one_step_errors() -> None:
    # trace_decay 0. R_first comes after the third decision (30 <= 35 < 40), R_agg after the fourth.
    # .4 - .5 = -.1; .2 - .4 = -.2; .5 + .1 - .2 = .4; 1 - .1 = .9
    expected = [[[-0.1, 0.4], [-0.2, 0.9]]]
    np.testing.assert_allclose(gae(valued(), trace_decay=0.0), expected, atol=1e-6)


def test_gae_accumulates_errors_backwards() -> None:
    # trace_decay .5, from the end: .9; .4 + .45 = .85; -.2 + .425 = .225; -.1 + .1125 = .0125
    np.testing.assert_allclose(gae(valued(), trace_decay=0.5), [[[0.0125, 0.85], [0.225, 0.9]]], atol=1e-6)
    # With discount .5 too: errors .5 * .4 - .5 = -.3; .1 - .4 = -.3; .5 + .05 - .2 = .35; .9; they decay by .25:
    # .9; .35 + .225 = .575; -.3 + .14375 = -.15625; -.3 - .0390625 = -.3390625
    expected = [[[-0.3390625, 0.575], [-0.15625, 0.9]]]
    np.testing.assert_allclose(gae(valued(), trace_decay=0.5, discount=0.5), expected, atol=1e-6)


def test_gae_with_full_trace_is_the_return_to_go_less_the_value() -> None:
    # To go: 1.5 up to 35 s, then 1.
    np.testing.assert_allclose(gae(valued(), trace_decay=1.0), [[[1.0, 1.3], [1.1, 0.9]]], atol=1e-6)
    nothing = valued(((0.0, 0.0), (0.0, 0.0)))
    np.testing.assert_allclose(gae(nothing, trace_decay=1.0), [[[1.5, 1.5], [1.5, 1.0]]], atol=1e-6)
    np.testing.assert_array_equal(gae(nothing, trace_decay=1.0), return_to_go(nothing, baseline=False))


def test_gae_orders_ties_by_team_and_pays_nobody_for_an_answer_before_all_decisions() -> None:
    # All at second 40, the answer at 35: R_first is nobody's. In order V = .5, .2, .4, .1.
    tied = replace(valued(), decision_seconds_gkt=np.full((1, 2, 2), 40.0, np.float32))
    np.testing.assert_allclose(gae(tied, trace_decay=0.0), [[[-0.3, 0.2], [-0.3, 0.9]]], atol=1e-6)
    # Where no team answers, R_first is known at the end.
    nobody = replace(valued(), finish_seconds_gk=np.full((1, 2), np.inf, np.float32))
    np.testing.assert_allclose(gae(nobody, trace_decay=0.0), [[[-0.1, -0.1], [-0.2, 1.4]]], atol=1e-6)


def test_difference_rewards_are_what_would_have_been_lost() -> None:
    flipped = FlippedRollouts(
        reward_agg_gkt=f32([[[0.25, 1.0], [NAN, 1.0]]]),
        reward_first_gkt=f32([[[0.5, 0.0], [0.5, NAN]]]),
        runtime_gkt=f32([[[150.0, 100.0], [80.0, 90.0]]]),
    )
    one = replace(group([1.0], first=[0.5]), flipped=flipped)
    # 1.5 - .75; 1.5 - 1; not replayed; no first reward
    np.testing.assert_allclose(difference_rewards(one), [[[0.75, 0.5], [0.0, 0.0]]])
    # Fifty seconds longer without it, of a runtime of 100: + .2 * .5. Without weight on R_first its absence is no harm:
    # 1 - 1 + .2 * -.1.
    credit = difference_rewards(one, runtime_weight=0.2, first_weight=0.0)
    np.testing.assert_allclose(credit, [[[0.85, 0.0], [0.0, -0.02]]], atol=1e-6)
    # COMA's baseline: (1 - pi(z)) of that. Done for certain: nothing; with .6: .4 of it; never done: all of it.
    taken = replace(one, behavior_log_prob_gkt=f32([[[0.0, math.log(0.6)], [-math.inf, -math.inf]]]))
    np.testing.assert_allclose(counterfactual(taken), [[[0.0, 0.2], [0.0, 0.0]]], atol=1e-6)
    certain = counterfactual(taken, runtime_weight=0.2, first_weight=0.0)
    np.testing.assert_allclose(certain, [[[0.0, 0.0], [0.0, -0.02]]], atol=1e-6)


def coalition(values: object, blocks: object, **fields: object) -> Trajectory:
    rewards = f32([values])
    made = Coalitions(np.array([blocks], np.int32), rewards, np.zeros_like(rewards))
    return replace(group([1.0]), coalitions=made, **fields)  # type: ignore[arg-type]


def test_shapley_shares_each_blocks_gain() -> None:
    # Blocks {a00, a10} then {a01, a11}: gains .4 and .6, halved. Backwards: .2 for {a01, a11}, .8 for {a00, a10}.
    blocks = [[[0, 1], [0, 1]], [[1, 0], [1, 0]]]
    credit = shapley(coalition([[0.0, 0.4, 1.0], [0.0, 0.2, 1.0]], blocks))
    np.testing.assert_allclose(credit, [[[0.3, 0.2], [0.3, 0.2]]], atol=1e-6)
    # A permutation whose replay broke off says nothing of the two blocks beside it.
    credit = shapley(coalition([[0.0, 0.4, 1.0], [0.0, NAN, 1.0]], blocks))
    np.testing.assert_allclose(credit, [[[0.2, 0.3], [0.2, 0.3]]], atol=1e-6)


def test_shapley_of_a_rejected_step_is_zero_and_the_rest_share() -> None:
    rejected = coalition([[0.0, 0.4, 1.0]], [[[0, 1], [0, 1]]], action_gkt=np.array([[[1, 0], [1, 1]]], np.int32))
    np.testing.assert_allclose(shapley(rejected), [[[0.2, 0.0], [0.2, 0.6]]], atol=1e-6)


# Four admitted entries a, b, c, d of worth v(S) = .5 [a in S] + .3 [a in S] [b in S] + .2 [a in S] [c in S]; d does
# nothing. All 24 orders give the exact values: a .5 + .15 + .1 = .75, b .15, c .1, d 0.
def worth(entries: set[int]) -> float:
    return (0.5 + 0.3 * (1 in entries) + 0.2 * (2 in entries)) if 0 in entries else 0.0


def test_shapley_of_all_orders_is_exact() -> None:
    orders = list(permutations(range(4)))
    values = [[worth(set(order[:count])) for count in range(5)] for order in orders]
    blocks = [np.argsort(order).reshape(2, 2) for order in orders]
    credit = shapley(coalition(values, blocks))
    np.testing.assert_allclose(credit, [[[0.75, 0.15], [0.1, 0.0]]], atol=1e-6)


def regrouped(rewards: object, **fields: object) -> Trajectory:
    again = f32([rewards])
    return replace(group([1.0]), regrouped=RegroupedRollouts(again, np.zeros_like(again)), **fields)  # type: ignore[arg-type]


def test_local_group_compares_with_re_rollouts_of_this_decision() -> None:
    # Re-rollouts (0, .5), (1, 1), (none), (0, none) beside the rollout's own 1.
    local = regrouped([[[0.0, 1.0], [NAN, 0.0]], [[0.5, 1.0], [NAN, NAN]]])
    np.testing.assert_allclose(local_group(local), [[[0.5, 0.0], [0.0, 0.5]]], atol=1e-6)
    # Of (1, 0, .5): population deviation .40825, sample .5; of (1, 0): .5 and .70711.
    population = local_group(local, local_divisor="population")
    np.testing.assert_allclose(population, [[[1.22474, 0.0], [0.0, 1.0]]], atol=1e-5)
    np.testing.assert_allclose(local_group(local, local_divisor="sample"), [[[1.0, 0.0], [0.0, 0.70711]]], atol=1e-5)


def test_local_group_does_not_look_at_the_other_rollouts() -> None:
    again = RegroupedRollouts(np.full((2, 1, 2, 2), 0.5, np.float32), np.zeros((2, 1, 2, 2), np.float32))
    pair = replace(group([1.0, 0.0]), regrouped=again)
    np.testing.assert_allclose(local_group(pair)[:, 0, 0], [0.25, -0.25])
    rich = replace(pair, reward_agg_g=f32([1.0, 9.0]))
    np.testing.assert_allclose(local_group(rich)[0, 0, 0], 0.25)
