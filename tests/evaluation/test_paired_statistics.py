"""Intervals, resolutions and p-values: closed forms, enumeration, and how often an interval covers the truth."""

import itertools
import math

import numpy as np
import pytest

from lts_jax.evaluation import statistics as stats


def paired(tasks: list[str], reference: list[float], policy: list[float]) -> stats.Paired:
    return stats.Paired(tuple(tasks), np.array(reference, float), np.array(policy, float))


def sign_flip_p_value(differences, tasks: list[str]) -> float:
    sums, _ = stats.task_sums(differences, tasks)
    return stats.sign_flip_p_values(sums[None], num_flips=stats.NUM_FLIPS)[0]


def test_cells_are_paired_and_unscored_ones_left_out() -> None:
    reference = {("b", 0, 0): 2.0, ("a", 0, 0): 1.0, ("a", 1, 0): math.nan, ("c", 0, 0): 9.0}
    policy = {("a", 0, 0): 5.0, ("b", 0, 0): 7.0, ("a", 1, 0): 3.0}
    got = stats.pair_cells(reference, policy)
    assert got.tasks == ("a", "b")
    assert got.reference.tolist() == [1.0, 2.0]
    assert got.policy.tolist() == [5.0, 7.0]


def test_mean_weighs_rows_and_leaves_out_nan() -> None:
    got = stats.mean_interval([1.0, 3.0, math.nan, 8.0, 3.0, 5.0, 4.0], ["a", "a", "b", "b", "c", "d", "e"])
    assert got.estimate == 4.0
    assert got.low < 4.0 < got.high


def test_bootstrap_against_enumeration() -> None:
    # five tasks: all 3125 resamples, at the expanded percentile of B = 5 (t_{0.975, 4} = 2.776445)
    values = [1.0, 2.0, 6.0, 7.0, 9.0]
    means = [np.mean(draw) for draw in itertools.product(values, repeat=5)]
    tail = 0.5 * math.erfc(math.sqrt(5 / 4) * 2.776445 / math.sqrt(2))  # 0.00095 against 0.025
    low, high = np.quantile(means, [tail, 1 - tail])
    got = stats.mean_interval(values, list("abcde"), num_resamples=100_000)
    assert got.estimate == 5.0
    assert (got.low, got.high) == pytest.approx((low, high), abs=0.21)  # one step of the resampled means is 0.2


def test_seeds_of_a_task_are_not_independent_rows() -> None:
    values, tasks = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], list("abcdef")
    once = stats.mean_interval(values, tasks)
    repeated = stats.mean_interval(np.repeat(values, 50), list(np.repeat(tasks, 50)))
    assert (repeated.low, repeated.high) == pytest.approx((once.low, once.high))


def test_interval_of_many_tasks_is_the_t_interval() -> None:
    values = np.arange(200.0)
    got = stats.mean_interval(values, [str(number) for number in range(200)], num_resamples=20_000)
    half = 1.971957 * np.std(values, ddof=1) / math.sqrt(200)  # t_{0.975, 199}
    assert (got.low, got.high) == pytest.approx((99.5 - half, 99.5 + half), abs=0.2)


def test_coverage_on_few_tasks() -> None:
    generator = np.random.default_rng(3)
    tasks = [str(number) for number in range(8) for _ in range(3)]
    covered = 0
    for trial in range(400):
        values = np.repeat(generator.normal(size=8), 3) + 0.3 * generator.normal(size=24)
        got = stats.mean_interval(values, tasks, seed=trial, num_resamples=500)
        covered += got.low <= 0.0 <= got.high
    assert 0.92 <= covered / 400 <= 0.98  # plain percentiles reach 0.89


def test_few_tasks_give_no_bounds() -> None:
    got = stats.mean_interval([1.0, 2.0], ["a", "a"])
    assert got.estimate == 1.5
    assert math.isnan(got.low)
    assert math.isnan(got.high)
    assert math.isnan(stats.mean_interval([1.0, 2.0, 3.0, 4.0], list("abcd")).low)
    assert math.isfinite(stats.mean_interval([1.0, 2.0, 3.0, 4.0, 5.0], list("abcde")).low)
    assert math.isnan(stats.mean_interval([], []).estimate)
    assert math.isnan(stats.minimum_detectable_effect([1.0], ["a"]))
    with pytest.raises(ValueError, match="one value per task label"):
        stats.mean_interval([1.0], ["a", "b"])


def test_reduction_is_relative_to_the_reference() -> None:
    got = stats.reduction_interval(paired(["a", "b"], [100.0, 200.0], [50.0, 150.0]))
    assert got.estimate == pytest.approx(100 / 3)  # the symmetric difference would say 40
    constant = stats.reduction_interval(paired(list("abcde"), [10, 70, 30, 500, 20], [8, 56, 24, 400, 16]))
    assert (constant.estimate, constant.low, constant.high) == pytest.approx((20.0, 20.0, 20.0))
    assert math.isnan(stats.reduction_interval(paired(["a"], [0.0], [1.0])).estimate)


def test_difference_is_policy_minus_reference() -> None:
    got = stats.difference_interval(paired(list("abcde"), [1.0] * 5, [1.5] * 5))
    assert (got.estimate, got.low, got.high) == (0.5, 0.5, 0.5)


def test_minimum_detectable_effect_closed_form() -> None:
    # task means 0, 1, 2, 3, 4: s = sqrt(2.5), B = 5, t_{0.975, 4} = 2.776445, t_{0.8, 4} = 0.940965
    differences = [-1.0, 1.0, 1.0, 2.0, 3.0, 4.0]
    got = stats.minimum_detectable_effect(differences, ["a", "a", "b", "c", "d", "e"])
    assert got == pytest.approx((2.776445 + 0.940965) * math.sqrt(2.5) / math.sqrt(5), rel=1e-6)


def test_minimum_detectable_effect_is_found_four_times_in_five() -> None:
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(2000, 20))
    tasks = [str(number) for number in range(20)]
    critical = 2.093024  # t_{0.975, 19}
    effect = np.mean([stats.minimum_detectable_effect(row, tasks) for row in noise[:200]])
    shifted = noise + effect
    t_values = shifted.mean(1) / (shifted.std(1, ddof=1) / math.sqrt(20))
    assert np.mean(t_values > critical) == pytest.approx(0.8, abs=0.03)


def test_reduction_resolution() -> None:
    # equal means: the residuals are b - a over mean a, in percent: -10, +10 of 100
    got = stats.reduction_resolution(paired(["a", "b"], [100.0, 100.0], [90.0, 110.0]))
    assert got == pytest.approx(stats.minimum_detectable_effect([-10.0, 10.0], ["a", "b"]))
    steady = stats.reduction_resolution(paired(["a", "b", "c"], [10.0, 70.0, 30.0], [8.0, 56.0, 24.0]))
    assert steady == pytest.approx(0.0, abs=1e-9)


def test_interquartile_mean_by_hand() -> None:
    assert stats.interquartile_mean([8, 7, 6, 5, 4, 3, 2, 1]) == pytest.approx(4.5)
    # of five values the second and fourth count 0.15, the third 0.2: (0 * 0.15 + 1 * 0.2 + 10 * 0.15) / 0.5
    assert stats.interquartile_mean([0, 0, 1, 10, 100]) == pytest.approx(3.4)
    assert stats.interquartile_mean([2.0, math.nan]) == 2.0
    assert math.isnan(stats.interquartile_mean([]))


def test_sign_flips_against_enumeration() -> None:
    differences = [0.3, 0.2, -0.1, 0.5, 0.4]
    flips = list(itertools.product([1, -1], repeat=5))
    as_large = [abs(np.dot(flip, differences)) >= sum(differences) - 1e-12 for flip in flips]
    got = sign_flip_p_value(differences, list("abcde"))
    assert got == pytest.approx(np.mean(as_large)) == 4 / 32
    assert sign_flip_p_value([1.0, 1.0, 1.0], list("abc")) == 0.25
    assert sign_flip_p_value([0.0, 0.0], list("ab")) == 1.0
    assert sign_flip_p_value(np.ones(30), [str(number) for number in range(30)]) == pytest.approx(1e-4)
    assert math.isnan(sign_flip_p_value([], []))
