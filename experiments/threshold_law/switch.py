"""Where admission switches, from sums per ratio, seed and kind of step; seeds are resampled for intervals."""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit
from tabular import crossing

from lts_jax.evaluation.statistics import UNKNOWN, Interval, percentile_interval, task_weights

NUM_RESAMPLES = 2000
Sums = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Switch:
    """Where admission of one kind of step passes one half as lambda / beta rises, and what it is worth there."""

    variant: str
    kind: str
    ratio: Interval  # lambda / beta at which half is admitted
    paid: Interval  # Pr(used and R > 0 | admitted) at that ratio
    worth: Interval  # the same plus the effect on the group-relative advantage / beta
    distance: Interval  # ratio - paid: 0 by the law
    full_distance: Interval  # ratio - worth: 0 by the law with the group-relative part


def curves(sums: Sums, weight_s: np.ndarray, usage_weight: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Admission, Pr(paid) and worth f64[ratios] of one kind (arrays [ratios, seeds]), seeds weighted."""
    total_r = {name: value @ weight_s for name, value in sums.items()}
    count_r = np.maximum(total_r["count"], 1e-9)
    paid_r = total_r["is_paid"] / count_r
    return total_r["admit_probability"] / count_r, paid_r, paid_r + total_r["advantage_effect"] / count_r / usage_weight


def switch_point(ratio_r: np.ndarray, admitted_r: np.ndarray, value_r: np.ndarray) -> tuple[float, float]:
    """The ratio at which admission passes one half, and the value there, both by straight lines."""
    ratio = crossing(ratio_r, admitted_r)
    return ratio, float(np.interp(ratio, ratio_r, value_r)) if np.isfinite(ratio) else float("nan")


def find_switch(
    variant: str, kind: str, ratios: tuple[float, ...], sums: Sums, *, usage_weight: float, group_part: bool
) -> Switch:
    """The switch of one kind with intervals; `group_part` False leaves the advantage out of what a step is worth."""
    ratio_r = np.asarray(ratios)
    num_seeds = sums["count"].shape[1]

    def values(weight_s: np.ndarray) -> tuple[float, float, float]:
        admitted_r, paid_r, worth_r = curves(sums, weight_s, usage_weight)
        ratio, paid = switch_point(ratio_r, admitted_r, paid_r)
        return ratio, paid, switch_point(ratio_r, admitted_r, worth_r)[1] if group_part else paid

    drawn = np.array([values(weight_s) for weight_s in task_weights(num_seeds, NUM_RESAMPLES, 0)])
    found = values(np.ones(num_seeds))
    columns = [
        (found[0], drawn[:, 0]),
        (found[1], drawn[:, 1]),
        (found[2], drawn[:, 2]),
        (found[0] - found[1], drawn[:, 0] - drawn[:, 1]),
        (found[0] - found[2], drawn[:, 0] - drawn[:, 2]),
    ]
    return Switch(variant, kind, *(_interval(estimate, values_, num_seeds) for estimate, values_ in columns))


def ratio_shift(ratios: tuple[float, ...], sums: Sums, reference: Sums) -> tuple[Interval, float]:
    """How far the ratio at which half is admitted lies above the reference's, paired over seeds; and what can be told.

    The second number is the smallest true shift found with 80 % power at 5 %, from the spread of the resamples.
    """
    ratio_r, num_seeds = np.asarray(ratios), sums["count"].shape[1]

    def shift(weight_s: np.ndarray) -> float:
        own, other = (curves(one, weight_s, 1.0)[0] for one in (sums, reference))
        return crossing(ratio_r, own) - crossing(ratio_r, other)

    drawn = np.array([shift(weight_s) for weight_s in task_weights(num_seeds, NUM_RESAMPLES, 0)])
    finite = drawn[np.isfinite(drawn)]
    quantiles = stdtrit(num_seeds - 1, 0.975) + stdtrit(num_seeds - 1, 0.8)
    spread = float(np.std(finite)) if len(finite) else float("nan")
    return _interval(shift(np.ones(num_seeds)), drawn, num_seeds), float(quantiles * spread)


def _interval(estimate: float, drawn: np.ndarray, num_seeds: int) -> Interval:
    finite = drawn[np.isfinite(drawn)]
    if not np.isfinite(estimate) or len(finite) < 0.9 * len(drawn):  # a switch outside the grid is no switch point
        return UNKNOWN
    return percentile_interval(estimate, finite, num_seeds)
