"""The area under the ROC curve: by hand, against all pairs, and its interval."""

import math

import numpy as np
import pytest

from lts_jax.evaluation.auc import auc, auc_interval


def test_by_hand():
    # Wanted 3, 1; others 2, 1, 0. Pairs: 3 beats all (3); 1 loses to 2, ties 1 (1/2), beats 0 (1): 4.5 of 6.
    assert auc([3, 2, 1, 1, 0], [True, False, True, False, False]) == 0.75
    assert auc([1, 2], [False, True]) == 1.0
    assert auc([1, 2], [True, False]) == 0.0
    assert auc([5, 5, 5], [True, False, True]) == 0.5


def test_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 6, 60).astype(float), rng.random(60) < 0.3
    pairs = [(a > b) + (a == b) / 2 for a in scores[labels] for b in scores[~labels]]
    assert auc(scores, labels) == pytest.approx(np.mean(pairs))
    assert auc(-scores, labels) == pytest.approx(1 - auc(scores, labels))


def test_unknown_without_both_and_wrong_input_refused():
    assert math.isnan(auc([], [])) and math.isnan(auc([1.0, 2.0], [True, True]))
    assert math.isnan(auc_interval([], [], []).estimate)
    with pytest.raises(ValueError, match="same length"):
        auc([1.0], [True, False])
    with pytest.raises(ValueError, match="finite"):
        auc([math.nan], [True])


def test_the_interval_resamples_tasks():
    scores, labels = [2.0, 1.0] * 6, [True, False] * 6
    tasks = [f"task {number // 2}" for number in range(12)]
    found = auc_interval(scores, labels, tasks)
    assert (found.estimate, found.low, found.high) == (1.0, 1.0, 1.0)
    assert math.isnan(auc_interval(scores[:4], labels[:4], tasks[:4]).low)  # two tasks
    mixed = auc_interval([*scores[:10], 1.0, 2.0], labels, tasks)  # in one task of six the order is wrong
    assert mixed.low < mixed.estimate < 1.0
