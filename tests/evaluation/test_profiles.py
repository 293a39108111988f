"""rliable's terms: by hand, and equal to rliable where it is installed."""

import numpy as np
import pytest

from lts_jax.evaluation.profiles import performance_profile, unpaired_improvement
from lts_jax.evaluation.statistics import improvement_interval, interquartile_mean


def test_a_profile_by_hand():
    value_cs = np.array([[1.0, 2.0, 3.0, 4.0], [2.0, 2.0, np.nan, np.nan], [np.nan] * 4])
    found = performance_profile(value_cs, [0.0, 2.0, 3.5])
    np.testing.assert_array_equal(found[:2], [[1.0, 0.5, 0.25], [1.0, 0.0, 0.0]])
    assert np.isnan(found[2]).all()


def test_improvement_by_hand():
    # Of the six pairs 3 > 1, 3 = 3, 3 < 5 and 4 > 1, 4 > 3, 4 < 5: three wins, one tie.
    assert unpaired_improvement(np.array([3.0, 4.0]), np.array([1.0, 3.0, 5.0])) == pytest.approx(3.5 / 6)
    assert np.isnan(unpaired_improvement(np.array([]), np.array([1.0])))
    # The same luck in both: paired, the better one is better on every seed; to strangers it is hardly told.
    luck = np.arange(20.0)
    assert improvement_interval((luck + 0.1) - luck).estimate == 1.0
    assert unpaired_improvement(luck + 0.1, luck) == pytest.approx(0.525)


def test_the_same_numbers_as_rliable():
    metrics = pytest.importorskip("rliable.metrics", reason="rliable is not installed: pip install rliable")
    library = pytest.importorskip("rliable.library", reason="rliable is not installed: pip install rliable")
    generator = np.random.default_rng(0)
    one, other = generator.normal(0.3, 1, 20), generator.normal(0, 1, 20)
    assert float(interquartile_mean(one)) == pytest.approx(metrics.aggregate_iqm(one[:, None]))
    assert unpaired_improvement(one, other) == pytest.approx(
        metrics.probability_of_improvement(one[:, None], other[:, None])
    )
    tau = np.linspace(-1, 1, 9)
    theirs = [library.run_score_deviation(one[:, None], float(each)) for each in tau]
    np.testing.assert_allclose(performance_profile(one[None], tau.tolist())[0], theirs)
