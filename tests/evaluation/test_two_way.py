"""Intervals over controllers and tasks together: by hand, in their limits, and how often they cover."""

import math

import numpy as np
import pytest

from lts_jax.evaluation.statistics import mean_interval
from lts_jax.evaluation.two_way import paired_two_way


def test_an_interval_by_hand() -> None:
    # Rows 1, 2, 3 on average, columns 1 .. 5 less 1, no rest: y = row + column, rows -1 0 1, columns -2 .. 2 about 2.
    # MS_controllers = 5 * 2 / 2 = 5, MS_tasks = 3 * 10 / 4 = 7.5, MS_rest = 0: variance (5 + 7.5) / 15 = .833333.
    # Degrees 12.5 ** 2 / (25 / 2 + 56.25 / 4) = 5.882353, t = 2.458748.
    value_ct = 2.0 + np.array([-1.0, 0.0, 1.0])[:, None] + np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    got = paired_two_way(value_ct)
    assert got.estimate == 2.0
    assert (got.high - 2.0, 2.0 - got.low) == pytest.approx((2.458748 * 0.912871,) * 2, abs=2e-3)


def test_equal_controllers_give_the_t_interval_over_tasks() -> None:
    column_t = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    got = paired_two_way(np.tile(column_t, (4, 1)))
    even = mean_interval(column_t, list("abcdef"))  # no skewness here
    assert (got.low, got.high) == pytest.approx((even.low, even.high), abs=1e-6)


def test_few_controllers_few_tasks_and_what_is_missing() -> None:
    value_ct = np.random.default_rng(0).normal(size=(5, 9))
    for few in (value_ct[:2], value_ct[:, :4]):
        got = paired_two_way(few)
        assert got.estimate == pytest.approx(few.mean()) and math.isnan(got.low) and math.isnan(got.high)
    spoiled = value_ct.copy()
    spoiled[3, 2] = math.nan
    assert paired_two_way(spoiled) == paired_two_way(np.delete(value_ct, 2, axis=1))
    assert math.isnan(paired_two_way(np.full((3, 6), math.nan)).estimate)
    with pytest.raises(ValueError, match="controllers, tasks"):
        paired_two_way(np.zeros(5))


@pytest.mark.parametrize(
    ("controllers", "tasks", "spreads", "least", "most"),
    [
        (5, 60, (0.0, 0.2, 0.4), 0.945, 0.98),  # training makes no difference
        (5, 60, (0.05, 0.2, 0.4), 0.93, 0.975),
        (5, 60, (0.2, 0.2, 0.4), 0.92, 0.965),  # an interval over tasks alone: see below
        (3, 20, (0.05, 0.2, 0.4), 0.94, 0.98),
        (5, 8, (0.1, 0.3, 0.3), 0.94, 0.98),
    ],
)
def test_coverage_by_simulation(controllers: int, tasks: int, spreads: tuple, least: float, most: float) -> None:
    """Of 1,500 studies: standard deviations over controllers, over tasks, and of what is left."""
    generator, covered = np.random.default_rng([7, controllers, tasks]), 0
    for _ in range(1500):
        value_ct = spreads[0] * generator.normal(size=(controllers, 1)) + spreads[1] * generator.normal(size=tasks)
        got = paired_two_way(value_ct + spreads[2] * generator.normal(size=(controllers, tasks)))
        covered += got.low <= 0.0 <= got.high
    assert least <= covered / 1500 <= most


def test_tasks_alone_do_not_know_of_training() -> None:
    generator, covered = np.random.default_rng(8), 0
    labels = [str(number) for number in range(60)]
    for _ in range(500):
        value_ct = 0.2 * generator.normal(size=(5, 1)) + 0.2 * generator.normal(size=60)
        got = mean_interval((value_ct + 0.4 * generator.normal(size=(5, 60))).mean(axis=0), labels)
        covered += got.low <= 0.0 <= got.high
    assert covered / 500 < 0.7
