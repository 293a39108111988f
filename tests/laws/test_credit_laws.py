"""What every credit scheme must obey. The suite runs over `SCHEMES`: to be listed is to be tested."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.credit.schemes import SCHEMES
from lts_jax.trajectory import Trajectory

G, K, T = 5, 3, 4
SEEDS = range(6)
REWARDS = np.array([0.0, 0.0, 0.1, 0.25, 0.5, 0.8177, 1.0], np.float32)

all_schemes = pytest.mark.parametrize("name", list(SCHEMES))


def group_of(seed: int, num_rollouts: int = G) -> Trajectory:
    """A random group: ragged teams, some without decisions, some rollouts without a reward or left out."""
    rng = np.random.default_rng(seed)
    shape = (num_rollouts, K, T)
    num_steps = rng.integers(0, T + 1, (num_rollouts, K))
    step_mask = np.arange(T) < num_steps[..., None]
    decision_mask = step_mask & (rng.random(shape) < 0.8)
    action = np.where(decision_mask, rng.integers(0, 2, shape), 0)
    used = (action == 1) & (rng.random(shape) < 0.5)
    decided = np.where(decision_mask, rng.uniform(0, 100, shape), np.inf)
    reward_agg = rng.choice(REWARDS, num_rollouts)
    reward_agg[rng.random(num_rollouts) < 0.15] = np.nan
    return Trajectory(
        reward_agg_g=reward_agg,
        reward_first_g=rng.choice(REWARDS, num_rollouts),
        runtime_g=rng.uniform(100, 200, num_rollouts).astype(np.float32),
        finish_seconds_gk=rng.uniform(30, 150, (num_rollouts, K)).astype(np.float32),
        action_gkt=action.astype(np.int32),
        behavior_log_prob_gkt=np.where(decision_mask, -rng.random(shape), 0.0).astype(np.float32),
        decision_seconds_gkt=decided.astype(np.float32),
        used_gkt=used,
        num_other_readers_gkt=np.where(used, rng.integers(0, K, shape), 0).astype(np.int32),
        first_pull_seconds_gkt=np.where(used, decided + rng.uniform(0, 50, shape), np.inf).astype(np.float32),
        step_seconds_gkt=np.where(step_mask, np.random.default_rng(seed + 1000).uniform(1, 20, shape), 0).astype(
            np.float32
        ),
        step_mask_gkt=step_mask,
        decision_mask_gkt=decision_mask,
        rollout_mask_g=rng.random(num_rollouts) < 0.9,
    )


PADDING = {"decision_seconds_gkt": np.inf, "first_pull_seconds_gkt": np.inf, "finish_seconds_gk": np.inf}


def padded(group: Trajectory, extra: tuple[int, int, int]) -> Trajectory:
    """The same group with more rollouts (left out), teams and steps, filled as the contract says."""
    arrays = {}
    for field in group.__dataclass_fields__:
        if getattr(group, field) is None:
            continue
        array = np.asarray(getattr(group, field))
        widths = [(0, more) for more in extra[: array.ndim]]
        arrays[field] = np.pad(array, widths, constant_values=PADDING.get(field, 0))
    return Trajectory(**arrays)


def rollouts_of(group: Trajectory, rows: np.ndarray) -> Trajectory:
    return jax.tree.map(lambda array: array[rows], group)


@lru_cache
def compiled(name: str) -> Callable[[Trajectory], jax.Array]:
    return jax.jit(SCHEMES[name])


@all_schemes
def test_same_under_jit_and_vmap(name: str) -> None:
    groups = [group_of(seed) for seed in SEEDS]
    stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *groups)
    together = jax.jit(jax.vmap(SCHEMES[name]))(stacked)
    for index, group in enumerate(groups):
        plain = SCHEMES[name](group)
        assert plain.shape == (G, K, T)
        assert plain.dtype == jnp.float32
        assert np.isfinite(plain).all()
        np.testing.assert_allclose(compiled(name)(group), plain, atol=2e-6)
        np.testing.assert_allclose(together[index], plain, atol=2e-6)


@all_schemes
def test_zero_where_nothing_was_decided_and_for_rollouts_that_do_not_count(name: str) -> None:
    seen = 0.0
    for seed in SEEDS:
        group = group_of(seed)
        credit = np.asarray(compiled(name)(group))
        counted = group.rollout_mask_g & np.isfinite(group.reward_agg_g)
        assert (credit[~group.decision_mask_gkt] == 0.0).all()
        assert (credit[~counted] == 0.0).all()
        seen += np.abs(credit).sum()
    assert seen > 0.1  # a scheme that is always zero would pass


@all_schemes
def test_permuting_rollouts_permutes_credit(name: str) -> None:
    for seed in SEEDS:
        group, rows = group_of(seed), np.random.default_rng(seed).permutation(G)
        permuted = compiled(name)(rollouts_of(group, rows))
        np.testing.assert_allclose(permuted, compiled(name)(group)[rows], atol=2e-6)


@all_schemes
def test_padding_changes_nothing(name: str) -> None:
    for seed in SEEDS:
        group = group_of(seed)
        wide = compiled(name)(padded(group, (2, 1, 3)))
        np.testing.assert_allclose(wide[:G, :K, :T], compiled(name)(group), atol=2e-6)
        assert float(jnp.abs(wide).sum()) == pytest.approx(float(jnp.abs(wide[:G, :K, :T]).sum()))


@all_schemes
def test_a_rollout_that_does_not_count_might_as_well_not_be_there(name: str) -> None:
    group = group_of(2)
    counted = np.flatnonzero(group.rollout_mask_g & np.isfinite(group.reward_agg_g))
    assert 2 <= len(counted) < G
    rest = jax.jit(SCHEMES[name])(rollouts_of(group, counted))
    np.testing.assert_allclose(compiled(name)(group)[counted], rest, atol=2e-6)
    # Whatever stands in the rows that do not count changes nothing, NaN and infinity included.
    left_out = np.setdiff1d(np.arange(G), counted)
    reward, rollout_mask = group.reward_agg_g.copy(), group.rollout_mask_g.copy()
    rollout_mask[left_out] = False
    for junk in (np.nan, np.inf, 7.0):
        reward[left_out] = junk
        spoiled = replace(group, reward_agg_g=reward.copy(), rollout_mask_g=rollout_mask)
        np.testing.assert_array_equal(compiled(name)(spoiled), compiled(name)(group))


@all_schemes
def test_a_group_of_one_and_equal_rewards_are_finite(name: str) -> None:
    for seed in SEEDS:
        group = group_of(seed)
        alone = rollouts_of(group, np.array([0]))
        ones = np.ones(G, np.float32)
        # Five times .1 does not average to .1 in binary; the scheme must not blow the rounding up.
        level = replace(group, reward_agg_g=0.1 * ones, reward_first_g=0.2 * ones)
        for changed in (alone, level, replace(group, rollout_mask_g=np.zeros(G, bool))):
            credit = np.asarray(SCHEMES[name](changed))
            assert np.isfinite(credit).all()
            assert np.abs(credit).max() < 10.0


@all_schemes
def test_credit_does_not_depend_on_the_action_probabilities(name: str) -> None:
    group = group_of(0)
    moved = replace(group, behavior_log_prob_gkt=group.behavior_log_prob_gkt - 3.0)
    np.testing.assert_array_equal(compiled(name)(moved), compiled(name)(group))
