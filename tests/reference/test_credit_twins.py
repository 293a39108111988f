"""Credit schemes against slow twins: Python loops over rollouts, teams and steps, straight from the equations."""

import math
from collections.abc import Callable
from functools import partial
from statistics import fmean, pstdev, stdev

import numpy as np
import pytest

from lts_jax.credit.broadcast import trajectory_broadcast
from lts_jax.credit.group_relative import group_relative, leave_one_out
from lts_jax.credit.reinforce import reinforce
from lts_jax.credit.return_to_go import return_to_go
from lts_jax.credit.usage import cross_team_usage, time_discounted_usage, usage_aware, usage_bonus
from lts_jax.trajectory import Trajectory

FIRST_WEIGHT, USAGE_WEIGHT, DECAY = 0.5, 0.3, 40.0
G, K, T = 6, 3, 5


def group_of(seed: int) -> Trajectory:
    rng = np.random.default_rng(seed)
    shape = (G, K, T)
    decided = rng.random(shape) < 0.7
    used = decided & (rng.random(shape) < 0.4)
    seconds = rng.uniform(0, 90, shape)
    reward = rng.choice([0.0, 0.0, 0.5, 1.0, math.nan], G)
    return Trajectory(
        reward_agg_g=reward.astype(np.float32),
        reward_first_g=rng.choice([0.0, 0.25, 1.0], G).astype(np.float32),
        runtime_g=rng.uniform(90, 120, G).astype(np.float32),
        finish_seconds_gk=rng.uniform(20, 120, (G, K)).astype(np.float32),
        action_gkt=rng.integers(0, 2, shape).astype(np.int32),
        behavior_log_prob_gkt=np.zeros(shape, np.float32),
        decision_seconds_gkt=np.where(decided, seconds, np.inf).astype(np.float32),
        used_gkt=used,
        num_other_readers_gkt=np.where(used, rng.integers(0, K, shape), 0).astype(np.int32),
        first_pull_seconds_gkt=np.where(used, seconds + 10 * rng.random(shape), np.inf).astype(np.float32),
        step_seconds_gkt=np.where(decided, 5 + 5 * np.random.default_rng(seed + 1000).random(shape), 0.0).astype(
            np.float32
        ),
        step_mask_gkt=decided,
        decision_mask_gkt=decided,
        rollout_mask_g=rng.random(G) < 0.9,
    )


def returns(t: Trajectory, first_weight: float) -> dict[int, float]:
    """R of the rollouts that count."""
    found = {}
    for g in range(G):
        value = float(t.reward_agg_g[g]) + first_weight * float(t.reward_first_g[g])
        if t.rollout_mask_g[g] and not math.isnan(value):
            found[g] = value
    return found


def advantages(t: Trajectory, deviation: Callable, first_weight: float = FIRST_WEIGHT) -> dict[int, float]:
    found = returns(t, first_weight)
    if len(set(found.values())) < 2:
        return dict.fromkeys(found, 0.0)
    mean, spread = fmean(found.values()), deviation(found.values()) + 1e-6
    return {g: (value - mean) / spread for g, value in found.items()}


def spread_out(t: Trajectory, per_step: Callable[[int, int, int], float]) -> np.ndarray:
    """A number for each decision of the rollouts that count."""
    credit, counted = np.zeros((G, K, T)), returns(t, FIRST_WEIGHT)
    for g, k, s in np.ndindex(G, K, T):
        if g in counted and t.decision_mask_gkt[g, k, s]:
            credit[g, k, s] = per_step(g, k, s)
    return credit


def twin_reinforce(t: Trajectory) -> np.ndarray:
    return spread_out(t, lambda g, k, s: returns(t, FIRST_WEIGHT)[g])


def twin_group_relative(t: Trajectory) -> np.ndarray:
    return spread_out(t, lambda g, k, s: advantages(t, pstdev)[g])


def twin_trajectory_broadcast(t: Trajectory) -> np.ndarray:
    return spread_out(t, lambda g, k, s: advantages(t, stdev, 0.0)[g])


def twin_leave_one_out(t: Trajectory) -> np.ndarray:
    def one(g: int, k: int, s: int) -> float:
        found = returns(t, FIRST_WEIGHT)
        others = [value for other, value in found.items() if other != g]
        return found[g] - fmean(others) if others else 0.0

    return spread_out(t, one)


def bonus(t: Trajectory, g: int, k: int, s: int) -> float:
    return USAGE_WEIGHT if t.used_gkt[g, k, s] and returns(t, FIRST_WEIGHT)[g] > 0 else 0.0


def twin_usage_bonus(t: Trajectory) -> np.ndarray:
    return spread_out(t, partial(bonus, t))


def twin_usage_aware(t: Trajectory) -> np.ndarray:
    return twin_group_relative(t) + twin_usage_bonus(t)


def twin_usage_on_return(t: Trajectory) -> np.ndarray:
    found = returns(t, FIRST_WEIGHT)
    decisions = {g: [(k, s) for k, s in np.ndindex(K, T) if t.decision_mask_gkt[g, k, s]] for g in found}
    shaped = {g: {place: found[g] + bonus(t, g, *place) for place in decisions[g]} for g in found}
    means = {g: fmean(shaped[g].values()) if shaped[g] else found[g] for g in found}
    level = len(set(means.values())) < 2
    mean, deviation = fmean(means.values()), 1.0 if level else pstdev(means.values()) + 1e-6
    return spread_out(t, lambda g, k, s: (shaped[g][k, s] - mean) / deviation)


def twin_cross_team_usage(t: Trajectory) -> np.ndarray:
    def one(g: int, k: int, s: int) -> float:
        return USAGE_WEIGHT if t.num_other_readers_gkt[g, k, s] and returns(t, FIRST_WEIGHT)[g] > 0 else 0.0

    return twin_group_relative(t) + spread_out(t, one)


def twin_time_discounted_usage(t: Trajectory) -> np.ndarray:
    def one(g: int, k: int, s: int) -> float:
        waited = t.first_pull_seconds_gkt[g, k, s] - t.decision_seconds_gkt[g, k, s]
        return bonus(t, g, k, s) * math.exp(-waited / DECAY) if bonus(t, g, k, s) else 0.0

    return twin_group_relative(t) + spread_out(t, one)


def twin_return_to_go(t: Trajectory) -> np.ndarray:
    def to_go(g: int, k: int, s: int) -> float:
        now, first = t.decision_seconds_gkt[g, k, s], min(t.finish_seconds_gk[g])
        total = t.reward_agg_g[g] * math.exp(-(t.runtime_g[g] - now) / DECAY)
        if now <= first:
            total += FIRST_WEIGHT * t.reward_first_g[g] * math.exp(-(first - now) / DECAY)
        return float(total)

    plain = spread_out(t, to_go)
    means = [plain[g][t.decision_mask_gkt[g]].mean() for g in returns(t, FIRST_WEIGHT) if t.decision_mask_gkt[g].any()]
    baseline = fmean(means) if means else 0.0
    return spread_out(t, lambda g, k, s: plain[g, k, s] - baseline)


PAIRS = {
    "reinforce": (reinforce, twin_reinforce),
    "group_relative": (group_relative, twin_group_relative),
    "leave_one_out": (leave_one_out, twin_leave_one_out),
    "usage_bonus": (partial(usage_bonus, usage_weight=USAGE_WEIGHT), twin_usage_bonus),
    "usage_aware": (partial(usage_aware, usage_weight=USAGE_WEIGHT), twin_usage_aware),
    "usage_on_return": (partial(usage_aware, usage_weight=USAGE_WEIGHT, bonus_on="return"), twin_usage_on_return),
    "cross_team_usage": (partial(cross_team_usage, usage_weight=USAGE_WEIGHT), twin_cross_team_usage),
    "time_discounted_usage": (
        partial(time_discounted_usage, usage_weight=USAGE_WEIGHT, decay_seconds=DECAY),
        twin_time_discounted_usage,
    ),
    "return_to_go": (partial(return_to_go, decay_seconds=DECAY), twin_return_to_go),
}


@pytest.mark.parametrize("name", list(PAIRS))
def test_scheme_equals_its_slow_twin(name: str) -> None:
    scheme, twin = PAIRS[name]
    for seed in range(8):
        group = group_of(seed)
        np.testing.assert_allclose(scheme(group, first_weight=FIRST_WEIGHT), twin(group), atol=2e-5)


def test_trajectory_broadcast_equals_its_slow_twin() -> None:
    for seed in range(8):
        np.testing.assert_allclose(
            trajectory_broadcast(group_of(seed)), twin_trajectory_broadcast(group_of(seed)), atol=2e-5
        )
