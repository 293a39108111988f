"""CoMAM: the ranking, the weights, and the credit they give, worked by hand; and AgeMem's terminal reward."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lts_jax.credit.broadcast import stepwise_broadcast, trajectory_broadcast
from lts_jax.credit.comam import comam, ndcg, shared_fraction, team_weights
from lts_jax.trajectory import Trajectory

GLOBAL = np.array([1, 1, 0, 0], np.float32)
LOCAL = np.array([[0.9, 0.6, 0.3, 0.1], [0.2, 0.9, 0.4, 0.8], [0.1, 0.2, 0.8, 0.9]], np.float32).T
ALL = np.ones(4, bool)
THREE = np.ones(3, bool)


def test_ndcg_of_three_agents() -> None:
    # Discounts 1, 1/log2 3 = .63093, .5, 1/log2 5 = .43068; best 1.63093. Agent 2 ranks the two successes first and
    # last: 1.43068 / 1.63093. Agent 3 ranks them third and fourth: .93068 / 1.63093.
    np.testing.assert_allclose(ndcg(GLOBAL, LOCAL, ALL), [1.0, 0.8772, 0.5706], atol=5e-5)


@pytest.mark.parametrize(
    ("normaliser", "expected"), [("share", [0.4085, 0.3584, 0.2331]), ("softmax", [0.3944, 0.3488, 0.2567])]
)
def test_weights_of_three_agents(normaliser: str, expected: list[float]) -> None:
    weights = team_weights(ndcg(GLOBAL, LOCAL, ALL), THREE, normaliser=normaliser)  # type: ignore[arg-type]
    np.testing.assert_allclose(weights, expected, atol=6e-5)


def test_tied_rollouts_share_their_ranks() -> None:
    # Agent 1 ties all four: mean discount 2.56161 / 4 = .64040, twice over 1.63093. Agent 2 ties the successes with one
    # failure on ranks 1 to 3: 2.13093 / 3 = .71031, twice.
    local = np.array([[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.1]], np.float32).T
    expected = [2 * 0.640403 / 1.630930, 2 * 0.710310 / 1.630930]
    np.testing.assert_allclose(ndcg(GLOBAL, local, ALL), expected, atol=1e-5)
    rows = np.array([2, 0, 3, 1])
    np.testing.assert_allclose(ndcg(GLOBAL[rows], local[rows], ALL), expected, atol=1e-5)


def test_what_the_ranking_must_obey() -> None:
    constant = team_weights(ndcg(np.full(4, 0.3, np.float32), LOCAL, ALL), THREE)
    np.testing.assert_allclose(constant, [1 / 3] * 3, atol=1e-6)
    np.testing.assert_allclose(team_weights(ndcg(np.zeros(4, np.float32), LOCAL, ALL), THREE), [1 / 3] * 3, atol=1e-6)
    np.testing.assert_allclose(ndcg(GLOBAL, LOCAL + 3.0, ALL), ndcg(GLOBAL, LOCAL, ALL), atol=1e-6)
    graded = np.array([1.0, 0.7, 0.4, 0.0], np.float32)
    orders = np.array([[4, 3, 2, 1], [3, 4, 2, 1], [1, 2, 3, 4], [2, 1, 4, 3]], np.float32).T
    found = np.asarray(ndcg(graded, orders, ALL))
    assert found.argmin() == 2  # the reversed agent
    assert found.argmax() == 0 and found[0] == pytest.approx(1.0)
    # A rollout that does not count has no rank: the failure before the second success goes away.
    without = ndcg(GLOBAL, LOCAL[:, 1:2], np.array([True, True, False, True]))
    np.testing.assert_allclose(without, [1.5 / 1.63093], atol=1e-5)


def pair(weighting_group: list[float]) -> Trajectory:
    """Two rollouts, two teams of two admitted steps; entries (1, 1), (0, 1) of rollout 0 and (0, 0), (1, 0) of 1."""
    shape = (2, 2, 2)
    return Trajectory(
        reward_agg_g=np.array(weighting_group, np.float32),
        reward_first_g=np.zeros(2, np.float32),
        runtime_g=np.full(2, 100.0, np.float32),
        finish_seconds_gk=np.full((2, 2), 90.0, np.float32),
        action_gkt=np.ones(shape, np.int32),
        behavior_log_prob_gkt=np.zeros(shape, np.float32),
        decision_seconds_gkt=np.zeros(shape, np.float32),
        used_gkt=np.ones(shape, bool),
        num_other_readers_gkt=np.array([[[1, 1], [0, 1]], [[0, 0], [1, 0]]], np.int32),
        first_pull_seconds_gkt=np.ones(shape, np.float32),
        step_seconds_gkt=np.ones(shape, np.float32),
        step_mask_gkt=np.ones(shape, bool),
        decision_mask_gkt=np.ones(shape, bool),
        rollout_mask_g=np.ones(2, bool),
    )


def test_the_local_reward_is_the_share_that_others_pulled() -> None:
    np.testing.assert_array_equal(shared_fraction(pair([1, 0])), [[1.0, 0.5], [0.0, 0.5]])
    none = replace(pair([1, 0]), action_gkt=np.array([[[1, 0], [0, 0]], [[1, 1], [1, 1]]], np.int32))
    np.testing.assert_array_equal(shared_fraction(none), [[1.0, 0.0], [0.0, 0.5]])


@pytest.mark.parametrize(
    ("weighting", "expected"),
    [
        # NDCG: team 0 ranks the success first, 1; team 1 ties, (1 + .63093) / 2 = .81546. Shares .55082, .44918.
        # R = (1 + .55082, .5 + .44918) and (0, .5): halves of the differences 1.55082 and .44918.
        ("adaptive", [0.77541, 0.22459]),
        ("fixed", [0.75, 0.25]),  # (1 + .5) / 2 and .5 / 2
        ("global_only", [0.5, 0.5]),
        ("independent", [0.5, 0.0]),  # the local rewards alone: (1, 0) and (.5, .5)
    ],
)
def test_credit_of_two_teams(weighting: str, expected: list[float]) -> None:
    credit = comam(pair([1, 0]), weighting=weighting, divisor="none")  # type: ignore[arg-type]
    np.testing.assert_allclose(credit[0], [[expected[0]] * 2, [expected[1]] * 2], atol=1e-5)
    np.testing.assert_allclose(credit[1], -credit[0], atol=1e-6)


def test_a_local_reward_of_the_worlds_own_goes_before_the_share_that_was_pulled() -> None:
    # Team 0 ranks the success first, 1; team 1 second, .63093. Shares .61315, .38685; R = (.9 + .61315, .1) and
    # (.2 + .38685, .8): halves of the differences. With weights of their own: (.45 + .61315, .05), (.38685, 0).
    own = replace(pair([1, 0]), local_reward_gk=np.array([[0.9, 0.2], [0.1, 0.8]], np.float32))
    np.testing.assert_allclose(comam(own, divisor="none")[0, :, 0], [0.706573, -0.106573], atol=1e-5)
    weighed = comam(own, divisor="none", local_weight=np.array([0.5, 0.0], np.float32))
    np.testing.assert_allclose(weighed[0, :, 0], [0.506573, 0.193427], atol=1e-5)
    shifted = replace(own, local_reward_gk=own.local_reward_gk + np.float32(0.1))  # a constant changes nothing
    np.testing.assert_allclose(comam(shifted, divisor="none"), comam(own, divisor="none"), atol=1e-6)


def test_shares_that_rounding_tells_apart_still_tie(monkeypatch: pytest.MonkeyPatch) -> None:
    # Team 1 has a third in both rollouts; nudged by one rounding, the failure must not rank above the success.
    third = np.float32(1 / 3)
    credits = []
    for other in (third, np.nextafter(third, np.float32(1))):
        local = np.array([[1.0, third], [0.0, other]], np.float32)
        monkeypatch.setattr("lts_jax.credit.comam.shared_fraction", lambda _, local=local: local)
        credits.append(comam(pair([1, 0]), divisor="none"))
    np.testing.assert_allclose(credits[0], credits[1], atol=1e-6)


def test_divisor_softmax_and_local_weight() -> None:
    # Two rollouts: whatever the difference, the population divisor makes it 1, the sample divisor .70711.
    np.testing.assert_allclose(comam(pair([1, 0]))[0], np.ones((2, 2)), atol=1e-4)
    np.testing.assert_allclose(comam(pair([1, 0]), divisor="sample")[0], np.full((2, 2), 0.70711), atol=1e-4)
    # Softmax of (1, .81546): .54601, .45399. Local reward a tenth: (.1 + .54601) / 2 and .45399 / 2.
    credit = comam(pair([1, 0]), normaliser="softmax", local_weight=0.1, divisor="none")
    np.testing.assert_allclose(credit[0, :, 0], [0.32300, 0.22700], atol=1e-5)


def test_equal_rewards_leave_the_local_differences() -> None:
    np.testing.assert_allclose(comam(pair([0, 0]), divisor="none")[0], [[0.5, 0.5], [0.0, 0.0]])
    alone = replace(pair([1, 0]), rollout_mask_g=np.array([True, False]))
    np.testing.assert_array_equal(comam(alone), np.zeros((2, 2, 2)))


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValueError, match="weighting: expected adaptive, fixed, global_only or independent, got 'half'"):
        comam(pair([1, 0]), weighting="half")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='normaliser: expected "share" or "softmax", got \'sum\''):
        comam(pair([1, 0]), normaliser="sum")  # type: ignore[arg-type]


def test_stepwise_broadcast_gives_one_number_to_every_step() -> None:
    # Two numbers with the sample deviation: +-.70711, as with trajectory_broadcast.
    np.testing.assert_allclose(stepwise_broadcast(pair([1, 0]))[0], np.full((2, 2), 0.70711), atol=1e-5)
    np.testing.assert_allclose(stepwise_broadcast(pair([1, 0])), trajectory_broadcast(pair([1, 0])), atol=1e-6)
    # Step by step it pays a step that nobody pulled as well as one that was: rollout 0, team 1.
    assert stepwise_broadcast(pair([1, 0]))[0, 1, 0] == stepwise_broadcast(pair([1, 0]))[0, 1, 1] > 0


def three(rewards: list[float], finish: list[float]) -> Trajectory:
    """Three rollouts of one team with 2, 1 and 1 decisions."""
    both = pair([0, 0])
    decided = np.array([[[True, True]], [[True, False]], [[True, False]]])
    arrays = {
        name: np.zeros((3, 1, 2), np.asarray(getattr(both, name)).dtype)
        for name in both.__dataclass_fields__
        if name.endswith("gkt")
    }
    return Trajectory(
        **{**arrays, "decision_mask_gkt": decided, "step_mask_gkt": decided, "value_gkt": None},
        reward_agg_g=np.array(rewards, np.float32),
        reward_first_g=np.full(3, math.nan, np.float32),
        runtime_g=np.full(3, 100.0, np.float32),
        finish_seconds_gk=np.array(finish, np.float32)[:, None],
        rollout_mask_g=np.ones(3, bool),
    )


def test_stepwise_broadcast_clips_and_punishes_silence() -> None:
    # Terminal rewards: 7 clipped to 1; 0; and -1 for no answer although the aggregate scored .5. Deviation 1.
    silent = three([7.0, 0.0, 0.5], [10.0, 10.0, math.inf])
    np.testing.assert_allclose(stepwise_broadcast(silent)[:, 0], [[1, 1], [0, 0], [-1, 0]], atol=1e-5)
    halved = stepwise_broadcast(silent, step_norm=True)
    np.testing.assert_allclose(halved[:, 0], [[0.5, 0.5], [0, 0], [-1, 0]], atol=1e-5)
