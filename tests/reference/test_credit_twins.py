"""Credit schemes against slow twins: Python loops over rollouts, teams and steps, straight from the equations."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import fmean, pstdev, stdev

import jax
import numpy as np
import pytest

from lts_jax.credit.broadcast import stepwise_broadcast, trajectory_broadcast
from lts_jax.credit.comam import comam
from lts_jax.credit.gae import gae
from lts_jax.credit.group_relative import group_relative, leave_one_out
from lts_jax.credit.reinforce import reinforce
from lts_jax.credit.replays import counterfactual, difference_rewards, local_group, shapley
from lts_jax.credit.return_to_go import return_to_go
from lts_jax.credit.saved_work import saved_work
from lts_jax.credit.usage import cross_team_usage, reinforce_usage, time_discounted_usage, usage_aware, usage_bonus
from lts_jax.trajectory import Coalitions, FlippedRollouts, RegroupedRollouts, Trajectory

FIRST_WEIGHT, USAGE_WEIGHT, DECAY = 0.5, 0.3, 40.0
G, K, T = 6, 3, 5
M, P, C = 3, 4, 3  # re-rollouts of a decision, permutations, blocks of a coalition
DISCOUNT, TRACE_DECAY, RUNTIME_WEIGHT, SAVED_WEIGHT, LOCAL_WEIGHT = 0.9, 0.7, 0.4, 2.0, 0.6


def group_of(seed: int) -> Trajectory:
    rng, more = np.random.default_rng(seed), np.random.default_rng(seed + 1000)
    shape = (G, K, T)

    def rewards(*lead: int) -> np.ndarray:
        return more.choice([0.0, 0.25, 0.5, 1.0, 1.0, math.nan], lead).astype(np.float32)

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
        behavior_log_prob_gkt=-np.where(decided, more.random(shape), 0.0).astype(np.float32),
        decision_seconds_gkt=np.where(decided, seconds, np.inf).astype(np.float32),
        used_gkt=used,
        num_other_readers_gkt=np.where(used, rng.integers(0, K, shape), 0).astype(np.int32),
        first_pull_seconds_gkt=np.where(used, seconds + 10 * rng.random(shape), np.inf).astype(np.float32),
        step_seconds_gkt=np.where(decided, 5 + 5 * more.random(shape), 0.0).astype(np.float32),
        step_mask_gkt=decided,
        decision_mask_gkt=decided,
        rollout_mask_g=rng.random(G) < 0.9,
        num_spared_gkt=np.random.default_rng(seed + 2000).integers(0, K, shape).astype(np.int32),
        value_gkt=more.random(shape).astype(np.float32),
        flipped=FlippedRollouts(rewards(*shape), rewards(*shape), more.uniform(80, 130, shape).astype(np.float32)),
        coalitions=Coalitions(
            more.integers(0, C, (G, P, K, T)).astype(np.int32), rewards(G, P, C + 1), rewards(G, P, C + 1)
        ),
        regrouped=RegroupedRollouts(rewards(G, M, K, T), rewards(G, M, K, T)),
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


def twin_reinforce_usage(t: Trajectory) -> np.ndarray:
    return twin_reinforce(t) + twin_usage_bonus(t)


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


def mean_runtime(t: Trajectory) -> float:
    return fmean(float(t.runtime_g[g]) for g in returns(t, FIRST_WEIGHT))


def twin_saved_work(t: Trajectory) -> np.ndarray:
    def one(g: int, k: int, s: int) -> float:
        seconds = float(t.num_spared_gkt[g, k, s]) * float(t.step_seconds_gkt[g, k, s])
        return SAVED_WEIGHT * seconds / mean_runtime(t) if returns(t, FIRST_WEIGHT)[g] > 0 else 0.0

    return twin_group_relative(t) + spread_out(t, one)


def twin_gae(t: Trajectory) -> np.ndarray:
    credit = np.zeros((G, K, T))
    for g in returns(t, FIRST_WEIGHT):
        places = [(t.decision_seconds_gkt[g, k, s], k, s) for k, s in np.ndindex(K, T) if t.decision_mask_gkt[g, k, s]]
        places.sort()
        first, later_value, later_credit = min(t.finish_seconds_gk[g]), 0.0, 0.0
        in_time = [place for place in places if place[0] <= first]
        for place in reversed(places):
            reward = float(t.reward_agg_g[g]) if place == places[-1] else 0.0
            if in_time and place == in_time[-1]:
                reward += FIRST_WEIGHT * float(t.reward_first_g[g])
            value = float(t.value_gkt[g, *place[1:]])
            error = reward + DISCOUNT * later_value - value
            later_credit = error + DISCOUNT * TRACE_DECAY * later_credit
            later_value = value
            credit[g, *place[1:]] = later_credit
    return credit


def twin_difference_rewards(t: Trajectory) -> np.ndarray:
    def one(g: int, k: int, s: int) -> float:
        other = float(t.flipped.reward_agg_gkt[g, k, s]) + FIRST_WEIGHT * float(t.flipped.reward_first_gkt[g, k, s])
        saved = float(t.flipped.runtime_gkt[g, k, s]) - float(t.runtime_g[g])
        worth = returns(t, FIRST_WEIGHT)[g] - other + RUNTIME_WEIGHT * saved / mean_runtime(t)
        return 0.0 if math.isnan(worth) else worth

    return spread_out(t, one)


def twin_counterfactual(t: Trajectory) -> np.ndarray:
    return twin_difference_rewards(t) * (1.0 - np.exp(t.behavior_log_prob_gkt.astype(float)))


def twin_shapley(t: Trajectory) -> np.ndarray:
    def worth(g: int, p: int, c: int) -> float:
        return float(t.coalitions.reward_agg_gpc[g, p, c]) + FIRST_WEIGHT * float(
            t.coalitions.reward_first_gpc[g, p, c]
        )

    def is_in(g: int, p: int, block: int, k: int, s: int) -> bool:
        is_admitted = t.decision_mask_gkt[g, k, s] and t.action_gkt[g, k, s] == 1
        return bool(is_admitted and t.coalitions.block_gpkt[g, p, k, s] == block)

    credit = np.zeros((G, K, T))
    shares = {place: [] for place in np.ndindex(G, K, T)}
    for g, p, c in np.ndindex(G, P, C):
        members = [(k, s) for k, s in np.ndindex(K, T) if is_in(g, p, c, k, s)]
        gain = worth(g, p, c + 1) - worth(g, p, c)
        for place in members:
            if not math.isnan(gain):
                shares[g, *place].append(gain / len(members))
    for place, found in shares.items():
        credit[place] = fmean(found) if found and place[0] in returns(t, FIRST_WEIGHT) else 0.0
    return credit


def twin_local_group(t: Trajectory, deviation: Callable | None = None) -> np.ndarray:
    def one(g: int, k: int, s: int) -> float:
        itself = returns(t, FIRST_WEIGHT)[g]
        members = [itself]
        for m in range(M):
            again = float(t.regrouped.reward_agg_gmkt[g, m, k, s])
            again += FIRST_WEIGHT * float(t.regrouped.reward_first_gmkt[g, m, k, s])
            members += [] if math.isnan(again) else [again]
        if len(set(members)) < 2:
            return 0.0
        return (itself - fmean(members)) / (deviation(members) + 1e-6 if deviation else 1.0)

    return spread_out(t, one)


def twin_comam(t: Trajectory) -> np.ndarray:
    found = returns(t, FIRST_WEIGHT)
    local = np.zeros((G, K))
    for g, k in np.ndindex(G, K):
        admitted = [s for s in range(T) if t.decision_mask_gkt[g, k, s] and t.action_gkt[g, k, s] == 1]
        if admitted:
            local[g, k] = fmean(t.num_other_readers_gkt[g, k, s] > 0 for s in admitted)
    present = [k for k in range(K) if any(t.decision_mask_gkt[g, k].any() for g in found)]
    quality = {k: twin_ndcg(found, {g: local[g, k] for g in found}) for k in present}
    credit = np.zeros((G, K, T))
    for k in present:
        weight = quality[k] / sum(quality.values())
        shaped = {g: LOCAL_WEIGHT * local[g, k] + weight * found[g] for g in found}
        mean, deviation = fmean(shaped.values()), pstdev(shaped.values())
        level = len({round(value, 9) for value in shaped.values()}) < 2
        for g in found:
            credit[g, k] = 0.0 if level else (shaped[g] - mean) / (deviation + 1e-6) * t.decision_mask_gkt[g, k]
    return credit


def twin_ndcg(gain: dict[int, float], order: dict[int, float]) -> float:
    """Ties are averaged over the ranks they share."""

    def total(by: dict[int, float]) -> float:
        ranked, rank, reached = sorted(by, key=lambda g: -by[g]), 1, 0.0
        while ranked:
            tied = [g for g in ranked if by[g] == by[ranked[0]]]
            discounts = [1.0 / math.log2(rank + i + 1) for i in range(len(tied))]
            reached += sum(gain[g] for g in tied) * fmean(discounts)
            ranked, rank = ranked[len(tied) :], rank + len(tied)
        return reached

    best = total(gain)
    return total(order) / best if best else 1.0


def twin_stepwise_broadcast(t: Trajectory, *, step_norm: bool = False) -> np.ndarray:
    credit, terminal = np.zeros((G, K, T)), {}
    for g in returns(t, 0.0):
        answered = any(math.isfinite(seconds) for seconds in t.finish_seconds_gk[g])
        terminal[g] = min(1.0, max(-1.0, float(t.reward_agg_g[g]))) if answered else -1.0
    for g in terminal if len(set(terminal.values())) > 1 else ():
        advantage = (terminal[g] - fmean(terminal.values())) / (stdev(terminal.values()) + 1e-6)
        credit[g][t.decision_mask_gkt[g]] = advantage / (t.decision_mask_gkt[g].sum() if step_norm else 1)
    return credit


PAIRS = {
    "reinforce": (reinforce, twin_reinforce),
    "group_relative": (group_relative, twin_group_relative),
    "leave_one_out": (leave_one_out, twin_leave_one_out),
    "usage_bonus": (partial(usage_bonus, usage_weight=USAGE_WEIGHT), twin_usage_bonus),
    "reinforce_usage": (partial(reinforce_usage, usage_weight=USAGE_WEIGHT), twin_reinforce_usage),
    "usage_aware": (partial(usage_aware, usage_weight=USAGE_WEIGHT), twin_usage_aware),
    "usage_on_return": (partial(usage_aware, usage_weight=USAGE_WEIGHT, bonus_on="return"), twin_usage_on_return),
    "cross_team_usage": (partial(cross_team_usage, usage_weight=USAGE_WEIGHT), twin_cross_team_usage),
    "time_discounted_usage": (
        partial(time_discounted_usage, usage_weight=USAGE_WEIGHT, decay_seconds=DECAY),
        twin_time_discounted_usage,
    ),
    "return_to_go": (partial(return_to_go, decay_seconds=DECAY), twin_return_to_go),
    "saved_work": (partial(saved_work, saved_weight=SAVED_WEIGHT), twin_saved_work),
    "gae": (partial(gae, discount=DISCOUNT, trace_decay=TRACE_DECAY), twin_gae),
    "difference_rewards": (partial(difference_rewards, runtime_weight=RUNTIME_WEIGHT), twin_difference_rewards),
    "counterfactual": (partial(counterfactual, runtime_weight=RUNTIME_WEIGHT), twin_counterfactual),
    "shapley": (shapley, twin_shapley),
    "local_group": (local_group, twin_local_group),
    "local_group_population": (
        partial(local_group, local_divisor="population"),
        partial(twin_local_group, deviation=pstdev),
    ),
    "comam": (partial(comam, local_weight=LOCAL_WEIGHT), twin_comam),
}


@pytest.mark.parametrize("name", list(PAIRS))
def test_scheme_equals_its_slow_twin(name: str) -> None:
    (scheme, twin), total = PAIRS[name], 0.0
    compiled = jax.jit(partial(scheme, first_weight=FIRST_WEIGHT))
    for seed in range(8):
        group = group_of(seed)
        credit = np.asarray(compiled(group))
        np.testing.assert_allclose(credit, twin(group), atol=2e-5)
        total += np.abs(credit).sum()
    assert total > 1.0  # two that are always zero would agree


def test_trajectory_broadcast_equals_its_slow_twin() -> None:
    for seed in range(8):
        np.testing.assert_allclose(
            trajectory_broadcast(group_of(seed)), twin_trajectory_broadcast(group_of(seed)), atol=2e-5
        )


@pytest.mark.parametrize("step_norm", [False, True])
def test_stepwise_broadcast_equals_its_slow_twin(step_norm: bool) -> None:
    for seed in range(8):
        group = group_of(seed)
        finish = np.where(np.random.default_rng(seed).random((G, 1)) < 0.3, np.inf, group.finish_seconds_gk)
        silent = replace(group, finish_seconds_gk=finish.astype(np.float32))
        credit = stepwise_broadcast(silent, step_norm=step_norm)
        np.testing.assert_allclose(credit, twin_stepwise_broadcast(silent, step_norm=step_norm), atol=2e-5)
