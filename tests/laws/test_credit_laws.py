"""What every credit scheme must obey. The suite runs over `SCHEMES`: to be listed is to be tested."""

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass, replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.credit.schemes import SCHEMES
from lts_jax.trajectory import Coalitions, FlippedRollouts, RegroupedRollouts, Trajectory

G, K, T = 5, 3, 4
M, P, C = 2, 3, 4  # re-rollouts of a decision, permutations, blocks of a coalition
TOLERANCE = 1e-5  # dividing by a small deviation multiplies rounding
SEEDS = range(6)
REWARDS = np.array([0.0, 0.0, 0.1, 0.25, 0.5, 0.8177, 1.0], np.float32)

all_schemes = pytest.mark.parametrize("name", list(SCHEMES))


def group_of(seed: int, num_rollouts: int = G) -> Trajectory:
    """A random group: ragged teams, some without decisions, some rollouts without a reward or left out.

    Values and replays are there too, and are not a number wherever the contract allows it.
    """
    rng, more = np.random.default_rng(seed), np.random.default_rng(seed + 1000)
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
        step_seconds_gkt=np.where(step_mask, more.uniform(1, 20, shape), 0).astype(np.float32),
        step_mask_gkt=step_mask,
        decision_mask_gkt=decision_mask,
        rollout_mask_g=rng.random(num_rollouts) < 0.9,
        num_spared_gkt=np.where(used, np.random.default_rng(seed + 2000).integers(0, K, shape), 0).astype(np.int32),
        value_gkt=np.where(decision_mask, more.random(shape), np.nan).astype(np.float32),
        **replays_of(decision_mask, more),
    )


def replays_of(decision_mask: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Replays with random rewards; some decisions were not replayed."""
    shape = decision_mask.shape
    replayed = decision_mask & (rng.random(shape) < 0.8)

    def reward(*lead: int) -> np.ndarray:
        return rng.choice(REWARDS, lead)

    again = np.broadcast_to(replayed[:, None], (shape[0], M, *shape[1:]))
    return {
        "flipped": FlippedRollouts(
            reward_agg_gkt=np.where(replayed, reward(*shape), np.nan),
            reward_first_gkt=np.where(replayed, reward(*shape), np.nan),
            runtime_gkt=np.where(replayed, rng.uniform(100, 200, shape), np.nan).astype(np.float32),
        ),
        "coalitions": Coalitions(
            block_gpkt=rng.integers(0, C, (shape[0], P, *shape[1:])).astype(np.int32),
            reward_agg_gpc=reward(shape[0], P, C + 1),
            reward_first_gpc=reward(shape[0], P, C + 1),
        ),
        "regrouped": RegroupedRollouts(
            reward_agg_gmkt=np.where(again, reward(*again.shape), np.nan),
            reward_first_gmkt=np.where(again, reward(*again.shape), np.nan),
        ),
    }


def changed(record: Any, change: Callable[[str, np.ndarray], np.ndarray]) -> Any:
    """The record with every array replaced, nested records included; what is None stays so."""
    fields = {name: getattr(record, name) for name in record.__dataclass_fields__}
    for name, value in fields.items():
        if is_dataclass(value):
            fields[name] = changed(value, change)
        elif value is not None:
            fields[name] = change(name, np.asarray(value))
    return type(record)(**fields)


def axes(name: str) -> str:
    """The axis letters of a field: its last word."""
    return name.rpartition("_")[2]


PADDING = {"decision_seconds_gkt": np.inf, "first_pull_seconds_gkt": np.inf, "finish_seconds_gk": np.inf}
REQUIRED = {name for name, field in Trajectory.__dataclass_fields__.items() if field.default is not None}


def padded(group: Trajectory, extra: dict[str, int]) -> Trajectory:
    """The same group with more rollouts (left out), teams and steps, filled as the contract says."""

    def wider(name: str, array: np.ndarray) -> np.ndarray:
        fill = PADDING.get(name, 0)
        if name not in REQUIRED:  # replays and values may hold anything there
            fill = np.nan if array.dtype == np.float32 else 99
        return np.pad(array, [(0, extra.get(letter, 0)) for letter in axes(name)], constant_values=fill)

    return changed(group, wider)


def teams_of(group: Trajectory, columns: np.ndarray) -> Trajectory:
    """The same group with its teams in another order."""
    return changed(
        group, lambda name, array: np.take(array, columns, axes(name).index("k")) if "k" in axes(name) else array
    )


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
        np.testing.assert_allclose(compiled(name)(group), plain, atol=TOLERANCE)
        np.testing.assert_allclose(together[index], plain, atol=TOLERANCE)


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
        np.testing.assert_allclose(permuted, compiled(name)(group)[rows], atol=TOLERANCE)


@all_schemes
def test_permuting_teams_permutes_credit(name: str) -> None:
    for seed in SEEDS:
        group, columns = group_of(seed), np.random.default_rng(seed).permutation(K)
        permuted = compiled(name)(teams_of(group, columns))
        np.testing.assert_allclose(permuted, compiled(name)(group)[:, columns], atol=TOLERANCE)


@all_schemes
def test_what_stands_where_nothing_was_decided_changes_nothing(name: str) -> None:
    for seed in SEEDS:
        group = group_of(seed)

        def junk(field: str, array: np.ndarray, decided: np.ndarray = group.decision_mask_gkt) -> np.ndarray:
            if not axes(field).endswith("kt") or field in REQUIRED:
                return array
            decided = decided if array.ndim == 3 else np.broadcast_to(decided[:, None], array.shape)
            return np.where(decided, array, np.inf if array.dtype == np.float32 else -7).astype(array.dtype)

        np.testing.assert_array_equal(compiled(name)(changed(group, junk)), compiled(name)(group))


@all_schemes
def test_numbers_may_be_traced(name: str) -> None:
    defaults = {item.name: item.default for item in inspect.signature(SCHEMES[name]).parameters.values()}
    numbers = {field: jnp.float32(value) for field, value in defaults.items() if isinstance(value, float)}
    if not numbers:
        pytest.skip("has no numbers to sweep")
    group = group_of(1)
    traced = jax.jit(lambda swept: partial(SCHEMES[name], **swept)(group))(numbers)
    np.testing.assert_allclose(traced, compiled(name)(group), atol=TOLERANCE)


@all_schemes
def test_padding_changes_nothing(name: str) -> None:
    for seed in SEEDS:
        group = group_of(seed)
        wide = compiled(name)(padded(group, {"g": 2, "k": 1, "t": 3}))
        np.testing.assert_allclose(wide[:G, :K, :T], compiled(name)(group), atol=TOLERANCE)
        assert float(jnp.abs(wide).sum()) == pytest.approx(float(jnp.abs(wide[:G, :K, :T]).sum()))


@all_schemes
def test_a_rollout_that_does_not_count_might_as_well_not_be_there(name: str) -> None:
    group = group_of(2)
    counted = np.flatnonzero(group.rollout_mask_g & np.isfinite(group.reward_agg_g))
    assert 2 <= len(counted) < G
    rest = jax.jit(SCHEMES[name])(rollouts_of(group, counted))
    np.testing.assert_allclose(compiled(name)(group)[counted], rest, atol=TOLERANCE)
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
        for other in (alone, level, replace(group, rollout_mask_g=np.zeros(G, bool))):
            credit = np.asarray(SCHEMES[name](other))
            assert np.isfinite(credit).all()
            assert np.abs(credit).max() < 10.0


@all_schemes
def test_credit_does_not_depend_on_the_action_probabilities(name: str) -> None:
    """But COMA's does: its baseline is the policy's own mean."""
    group = group_of(0)
    moved = replace(group, behavior_log_prob_gkt=group.behavior_log_prob_gkt - 3.0)
    is_equal = np.array_equal(compiled(name)(moved), compiled(name)(group))
    assert is_equal == (name != "counterfactual")
