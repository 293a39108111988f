"""Statistics of tables of seeds: by hand, against scipy where it has them, against enumeration, at their edges."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from lts_jax.evaluation import statistics as stats


def test_interquartile_mean_by_hand() -> None:
    # 8 values: the middle four. 5 values: 1.25 are cut at each end, so .75 of 2, all of 4 and .75 of 9 stay
    assert stats.interquartile_mean(np.array([1, 2, 3, 4, 5, 6, 7, 100.0])) == pytest.approx(4.5)
    assert stats.interquartile_mean(np.array([9, 0, 2, 50, 4.0])) == pytest.approx((0.75 * 2 + 4 + 0.75 * 9) / 2.5)


def test_interquartile_mean_leaves_out_what_is_missing() -> None:
    rows = np.array([[math.nan, 1, 3, math.inf], [math.nan] * 4, [0, 2, 4, 90.0]])
    np.testing.assert_allclose(stats.interquartile_mean(rows), [2.0, math.nan, 3.0])


def test_interquartile_mean_of_rows_and_of_columns_and_of_scipy() -> None:
    rows = np.random.default_rng(0).normal(size=(6, 11))
    rows[2, :4] = math.nan
    np.testing.assert_allclose(stats.interquartile_mean(rows), [stats.interquartile_mean(row) for row in rows])
    np.testing.assert_allclose(stats.interquartile_mean(rows.T, axis=0), stats.interquartile_mean(rows))
    twenty = np.random.default_rng(1).normal(size=(5, 20))  # what rliable calls: trim_mean, right where 4 divides n
    np.testing.assert_allclose(stats.interquartile_mean(twenty), scipy_stats.trim_mean(twenty, 0.25, axis=1))


def test_improvement_by_hand() -> None:
    # won, won, tied, lost of 4: (2 + .5) / 4. Wilson with z = 1.959964, z^2 / n = .960365:
    # centre (.625 + .480182) / 1.960365 = .563764, half sqrt(.234375 * .960365 + .230575) / 1.960365 = .344337
    got = stats.improvement_interval([1.0, 0.2, 0.0, -3.0, math.nan])
    assert got.estimate == 0.625
    assert (got.low, got.high) == pytest.approx((0.563764 - 0.344337, 0.563764 + 0.344337), abs=2e-6)


@pytest.mark.parametrize(("num_won", "count"), [(0, 5), (20, 20), (13, 20)])
def test_improvement_interval_is_wilsons(num_won: int, count: int) -> None:
    expected = scipy_stats.binomtest(num_won, count).proportion_ci(method="wilson")
    got = stats.improvement_interval([1.0] * num_won + [-1.0] * (count - num_won))
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert got.high - got.low > 0.1  # never a point, not even where every seed was won


def test_improvement_pairs_seeds_where_mann_whitney_compares_all() -> None:
    # y is x a little lower: better on every seed, though only 15 of the 25 pairs of unlike seeds say so
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert stats.improvement_interval(x - (x - 0.5)).estimate == 1.0
    assert scipy_stats.mannwhitneyu(x, x - 0.5).statistic / 25 == 0.6


def test_holm_by_hand() -> None:
    # sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, and never below the one before: .04 .06 .06 .06
    np.testing.assert_allclose(stats.holm([0.03, 0.01, math.nan, 0.04, 0.02]), [0.06, 0.04, math.nan, 0.06, 0.06])
    np.testing.assert_allclose(stats.holm([0.6, 0.5]), [1.0, 1.0])
    assert stats.holm([]).shape == (0,)


def test_holm_keeps_false_findings_rare_over_a_whole_table() -> None:
    generator, found = np.random.default_rng(6), [0, 0]
    for _ in range(300):
        noise = generator.normal(size=(12, 10))
        p_values = stats.sign_flip_p_values(noise[1:] - noise[0])  # eleven configurations, none of them different
        found[0] += bool((p_values < 0.05).any())
        found[1] += bool((stats.holm(p_values) < 0.05).any())
    assert found[0] > 60 and found[1] <= 24  # one table in five or more, against at most one in twenty and luck


def test_sign_flips_by_hand_and_by_enumeration() -> None:
    # three seeds, all differences positive: 2 of the 8 patterns reach the observed sum
    differences = np.array([[1.0, 2.0, 3.0], [1.0, -1.0, 0.5], [math.nan, 2.0, 2.0]])
    by_hand = [2 / 8, 1.0, 2 / 4]
    every = [
        np.mean([abs(np.dot(signs, row)) >= abs(row.sum()) - 1e-12 for signs in itertools.product((1, -1), repeat=3)])
        for row in np.nan_to_num(differences)
    ]
    np.testing.assert_allclose(stats.sign_flip_p_values(differences), by_hand)
    np.testing.assert_allclose(every, by_hand)
    many = np.random.default_rng(2).normal(0.4, 1, (5, 10))
    patterns = 1 - 2 * ((np.arange(2**10)[:, None] >> np.arange(10)) & 1)
    as_large = np.abs(patterns @ many.T) >= np.abs(many.sum(axis=1)) - 1e-12
    np.testing.assert_allclose(stats.sign_flip_p_values(many), as_large.mean(axis=0))


def test_sign_flips_of_many_seeds_are_drawn_and_never_zero() -> None:
    rows = np.array([np.full(40, 1.0), np.tile([1.0, -1.0], 20)])
    p_values = stats.sign_flip_p_values(rows)
    assert p_values[0] == 1 / stats.num_flip_patterns(2, 40)
    assert p_values[1] == 1.0
    noise = np.random.default_rng(3).normal(size=(400, 12))
    assert 0.02 <= np.mean(stats.sign_flip_p_values(noise) < 0.05) <= 0.08
    assert np.isnan(stats.sign_flip_p_values(np.full((1, 4), math.nan))).all()


def test_resamples_are_shared_by_rows_and_by_calls() -> None:
    rows = np.random.default_rng(4).normal(size=(3, 7))
    rows[2] = rows[0] + 1.0
    drawn = stats.bootstrap(np.mean, rows, num_resamples=50)
    assert drawn.shape == (3, 50)
    np.testing.assert_allclose(drawn[2], drawn[0] + 1.0)
    np.testing.assert_array_equal(drawn, stats.bootstrap(np.mean, rows, num_resamples=50))
    np.testing.assert_allclose(stats.bootstrap(np.mean, rows[1:2], num_resamples=50)[0], drawn[1])
    assert not np.allclose(drawn, stats.bootstrap(np.mean, rows, num_resamples=50, seed=1))


def test_resampled_means_spread_as_they_should() -> None:
    values = np.arange(20.0)[None]
    drawn = stats.bootstrap(np.mean, values)
    assert drawn.shape == (1, 4000)
    assert np.std(drawn) == pytest.approx(np.std(values) / math.sqrt(20), rel=0.05)
    assert stats.resample_count(500) == 2000 and stats.resample_count(10_000) == 1000
