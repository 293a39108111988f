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


def test_expanded_percentiles_against_enumeration() -> None:
    # five tasks: all 3125 resamples, at the expanded percentile of B = 5 (t_{0.975, 4} = 2.776445)
    values = [1.0, 2.0, 6.0, 7.0, 9.0]
    means = [np.mean(draw) for draw in itertools.product(values, repeat=5)]
    tail = 0.5 * math.erfc(math.sqrt(5 / 4) * 2.776445 / math.sqrt(2))  # 0.00095 against 0.025
    low, high = np.quantile(means, [tail, 1 - tail])
    drawn = stats.task_weights(5, 100_000, 0) @ np.array(values) / 5
    got = stats.percentile_interval(5.0, drawn, 5)
    assert (got.low, got.high) == pytest.approx((low, high), abs=0.21)  # one step of the resampled means is 0.2


def test_an_interval_by_hand() -> None:
    # 0 0 0 0 10: mean 2, s / sqrt(5) = 2, skewness (4 * -8 + 512) / 5 / (80 / 5) ** 1.5 = 1.5, q = t_{.975, 4}
    # = 2.776445. c = 1.5 / sqrt(5) = .670820: 1 + c (q - c / 6) = 2.787497, whose cube root 1.407362 gives
    # 3 / c * .407362 = 1.821775, nearer than q: q it is. 1 - c (q + c / 6) = -.937495, cube root -.978716:
    # 3 / c * -1.978716 = -8.849085. So 2 - 2 * 2.776445 and 2 + 2 * 8.849085.
    got = stats.mean_interval([0.0, 0.0, 0.0, 0.0, 10.0], list("abcde"))
    assert (got.estimate, got.low, got.high) == pytest.approx((2.0, -3.552890, 19.698170), abs=1e-4)
    mirrored = stats.mean_interval([0.0, 0.0, 0.0, 0.0, -10.0], list("abcde"))
    assert (mirrored.low, mirrored.high) == pytest.approx((-got.high, -got.low))
    # Two values mirrored have no skewness: Student's t.
    even = stats.mean_interval([1.0, 2.0, 3.0, 4.0, 5.0], list("abcde"))
    half = 2.776445 * math.sqrt(2.5 / 5)
    assert (even.low, even.high) == pytest.approx((3 - half, 3 + half), abs=1e-6)
    # What a mean cannot leave, its interval does not.
    cut = stats.mean_interval([0.0, 0.0, 0.0, 0.0, 1.0], list("abcde"), within=(0.0, 1.0))
    assert (cut.low, cut.high) == (0.0, 1.0)


def test_rows_of_a_table_have_the_intervals_of_each_alone() -> None:
    rows = np.random.default_rng(1).exponential(size=(4, 9))
    rows[1, :3], rows[2, 2:], rows[3] = math.nan, math.nan, 0.25
    labels = [str(number) for number in range(9)]
    for row, got in zip(rows, stats.mean_intervals(rows), strict=True):
        alone = stats.mean_interval(row, labels)
        expected = (alone.estimate, alone.low, alone.high)
        np.testing.assert_allclose((got.estimate, got.low, got.high), expected, atol=1e-9)
    assert math.isnan(stats.mean_intervals(np.full((1, 6), math.nan))[0].estimate)
    share = np.asarray([[1.0, 0.0, 0.0, 0.0, 0.0]])  # what cannot be negative has no bound below 0
    wide, cut = stats.mean_intervals(share)[0], stats.mean_intervals(share, within=(0.0, 1.0))[0]
    assert wide.low < 0.0 and (cut.low, cut.high, cut.estimate) == (0.0, min(1.0, wide.high), wide.estimate)


def test_seeds_of_a_task_are_not_independent_rows() -> None:
    values, tasks = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], list("abcdef")
    once = stats.mean_interval(values, tasks)
    repeated = stats.mean_interval(np.repeat(values, 50), list(np.repeat(tasks, 50)))
    assert (repeated.low, repeated.high) == pytest.approx((once.low, once.high))


def test_interval_of_many_tasks_is_the_t_interval() -> None:
    values = np.arange(200.0)
    got = stats.mean_interval(values, [str(number) for number in range(200)])
    half = 1.971957 * np.std(values, ddof=1) / math.sqrt(200)  # t_{0.975, 199}
    assert (got.low, got.high) == pytest.approx((99.5 - half, 99.5 + half), abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "num_tasks", "least", "most"),
    [
        ("normal", 5, 0.945, 0.975),
        ("normal", 20, 0.940, 0.970),
        ("exponential", 5, 0.905, 0.945),  # expanded percentiles 0.85, Student's t 0.88
        ("exponential", 8, 0.915, 0.955),  # 0.89, 0.89
        ("exponential", 20, 0.935, 0.970),
        ("exponential", 60, 0.940, 0.970),
        ("lognormal", 8, 0.895, 0.935),  # 0.86, 0.87: skewness 3.7
        ("mostly zero", 8, 0.920, 0.960),
        ("mostly zero", 60, 0.945, 0.975),
        ("heavy tails", 12, 0.945, 0.980),  # Hall's transform alone 0.93
    ],
)
def test_coverage_by_simulation(kind: str, num_tasks: int, least: float, most: float) -> None:
    """Of 2,000 studies, three rows a task. Misses are what an interval of 95 % should have in one of twenty."""
    generator = np.random.default_rng([3, num_tasks])
    shape, truth = (2000, num_tasks), 0.0
    if kind == "normal":
        effect = generator.normal(size=shape)
    elif kind == "exponential":
        effect = generator.exponential(size=shape) - 1.0
    elif kind == "lognormal":
        effect = generator.lognormal(0.0, 0.8, shape) - math.exp(0.32)
    elif kind == "heavy tails":
        effect = generator.standard_t(3, shape)
    else:  # differences of scores: most are none
        effect = generator.choice([0.0, -1 / 3, 1 / 3, 2 / 3, 1.0], shape, p=[0.6, 0.1, 0.15, 0.1, 0.05])
        truth = -0.1 / 3 + 0.15 / 3 + 0.2 / 3 + 0.05
    covered = [got.low - 1e-12 <= truth <= got.high + 1e-12 for got in stats.mean_intervals(effect)]
    assert least <= np.mean(covered) <= most


def test_coverage_with_rows_of_seeds() -> None:
    generator, covered = np.random.default_rng(3), 0
    tasks = [str(number) for number in range(8) for _ in range(3)]
    for _ in range(1000):
        values = np.repeat(generator.normal(size=8), 3) + 0.3 * generator.normal(size=24)
        got = stats.mean_interval(values, tasks)
        covered += got.low <= 0.0 <= got.high
    assert 0.94 <= covered / 1000 <= 0.98


def test_coverage_of_a_reduction() -> None:
    generator, covered, tasks = np.random.default_rng(5), 0, [str(number) for number in range(8)]
    for _ in range(1000):
        reference = 100.0 * generator.exponential(size=8) + 50.0  # mean 150
        policy = 0.8 * reference + 20.0 * (generator.exponential(size=8) - 1.0)
        got = stats.reduction_interval(paired(tasks, reference, policy))
        covered += got.low <= 20.0 <= got.high
    assert 0.92 <= covered / 1000 <= 0.98


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
