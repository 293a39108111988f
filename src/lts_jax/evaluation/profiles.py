"""Comparisons in the terms of rliable (Agarwal et al., arXiv 2108.13264), on tables of seeds.

`statistics.interquartile_mean` is their IQM: with a number of runs that four divides the same number, else ours weighs
the runs at the quarters by the part of them that lies inside, where theirs drops them. Their probability of
improvement compares every run of one with every run of the other, as if seeds were strangers; ours (`ranking`) pairs
them, since one seed is the same luck everywhere, and is the more precise of the two.
"""

from collections.abc import Sequence

import numpy as np


def performance_profile(value_cs: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """The share of runs of each configuration whose value exceeds each threshold: f64[configurations, thresholds].

    rliable's run-score distribution. A value that is not finite is no run.
    """
    value_cs, tau = np.asarray(value_cs, float), np.asarray(thresholds, float)
    finite_cs = np.isfinite(value_cs)
    above_ct = (np.where(finite_cs, value_cs, -np.inf)[:, :, None] > tau).sum(axis=1)
    count_c = finite_cs.sum(axis=1)
    return np.where(count_c[:, None] > 0, above_ct / np.maximum(count_c, 1)[:, None], np.nan)


def unpaired_improvement(value_s: np.ndarray, other_s: np.ndarray) -> float:
    """P(X > Y) + P(X = Y) / 2 over all pairs of runs: rliable's probability of improvement; NaN without runs."""
    one, other = (np.asarray(each, float)[np.isfinite(each)] for each in (value_s, other_s))
    if not len(one) or not len(other):
        return float("nan")
    return float((np.sign(one[:, None] - other[None, :]).mean() + 1.0) / 2.0)
