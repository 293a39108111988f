"""Where sharing turns from help to harm: a smooth surface through noisy differences, its zero line, its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lts_jax.evaluation.statistics import task_weights

NUM_FINE = 241  # places along the error rate at which the surface is read
ORDER = (2, 3)  # of the polynomial in overlap and in error rate


@dataclass(frozen=True, slots=True)
class Crossing:
    """At one overlap, the smallest error rate from which on sharing harms: -inf if already at 0, inf if nowhere."""

    overlap: float
    error: float
    low: float  # of the 95 % bootstrap interval over seeds
    high: float


def crossings(difference_oes: np.ndarray, overlaps: Sequence[float], errors: Sequence[float]) -> list[Crossing]:
    """The crossover line of paired differences [overlaps, errors, seeds] (sharing minus none; above 0 is help).

    Least squares of a polynomial of degree `ORDER` over all cells; seeds are resampled whole, the surface fitted anew.
    """
    num_seeds = difference_oes.shape[-1]
    fine = np.linspace(min(errors), max(errors), NUM_FINE)
    # A fit is linear in the data: one matrix takes cell means to the fine grid.
    to_fine = _design(overlaps, fine) @ np.linalg.pinv(_design(overlaps, errors))
    cells_cs = difference_oes.reshape(-1, num_seeds)
    weights_rs = task_weights(num_seeds, 2000, 0) / num_seeds
    estimate_of = (to_fine @ cells_cs.mean(1)).reshape(len(overlaps), NUM_FINE)
    resampled_ofr = (to_fine @ (cells_cs @ weights_rs.T)).reshape(len(overlaps), NUM_FINE, -1)
    lines = []
    for place, overlap in enumerate(overlaps):
        many = np.array([first_fall(fine, column) for column in resampled_ofr[place].T])
        low, high = np.quantile(many, [0.025, 0.975], method="nearest")
        lines.append(Crossing(overlap, first_fall(fine, estimate_of[place]), float(low), float(high)))
    return lines


def first_fall(x: np.ndarray, y: np.ndarray) -> float:
    """The first x at which y, straight between its points, falls below 0: -inf if it starts there, inf if never."""
    below = np.flatnonzero(y < 0)
    if not len(below):
        return float("inf")
    right = int(below[0])
    if right == 0:
        return float("-inf")
    left = right - 1
    return float(x[left] + (x[right] - x[left]) * y[left] / (y[left] - y[right]))


def _design(overlaps: Sequence[float], errors: Sequence[float] | np.ndarray) -> np.ndarray:
    rows = [
        [(overlap**i) * (error**j) for i in range(ORDER[0] + 1) for j in range(ORDER[1] + 1)]
        for overlap in overlaps
        for error in errors
    ]
    return np.array(rows)
