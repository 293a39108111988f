"""Paired comparisons over tasks and seeds: intervals, the smallest effect that could be resolved, a permutation test.

Tasks are the sampled units; seeds and rollouts of one task share its difficulty and stay together in every resample.
All functions take flat arrays with one row per rollout and a task label per row. Randomness is a NumPy generator made
from `seed`. A resample never leaves the range of the tasks it has, so fewer than `MIN_TASKS` tasks give no bounds
(NaN), never a narrow interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95  # of every interval
NUM_RESAMPLES = 4000
MIN_TASKS = 5

Cell = tuple[str, int, int]  # (task id, seed, rollout): what two policies have in common


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the bounds of its interval; NaN where it cannot be known."""

    estimate: float
    low: float
    high: float


UNKNOWN = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Paired:
    """Values of a reference and of a policy on the cells both have, with the task of each cell."""

    tasks: tuple[str, ...]
    reference: np.ndarray  # f64[P]
    policy: np.ndarray  # f64[P]


def pair_cells(reference: Mapping[Cell, float], policy: Mapping[Cell, float]) -> Paired:
    """Keep the cells on which both have a finite value, in sorted order."""
    shared = sorted(reference.keys() & policy.keys())
    cells = [cell for cell in shared if math.isfinite(reference[cell]) and math.isfinite(policy[cell])]
    return Paired(
        tasks=tuple(cell[0] for cell in cells),
        reference=np.array([reference[cell] for cell in cells], float),
        policy=np.array([policy[cell] for cell in cells], float),
    )


def mean_interval(
    values: Sequence[float] | np.ndarray,
    tasks: Sequence[str],
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """Mean with a cluster-bootstrap interval: tasks are drawn with replacement, each with all of its rows.

    NaN values are left out with their row. For a paired difference pass differences.
    """
    sums, counts, _ = _task_sums(values, tasks)
    if not len(sums):
        return UNKNOWN
    weights = task_weights(len(sums), num_resamples, seed)
    means = (weights @ sums) / (weights @ counts)
    return percentile_interval(float(sums.sum() / counts.sum()), means, len(sums), level)


def difference_interval(paired: Paired, *, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> Interval:
    """Mean of policy - reference over paired rows, with its cluster-bootstrap interval."""
    return mean_interval(paired.policy - paired.reference, paired.tasks, seed=seed, num_resamples=num_resamples)


def reduction_interval(
    paired: Paired, *, seed: int = 0, num_resamples: int = NUM_RESAMPLES, level: float = LEVEL
) -> Interval:
    """Reduction in percent of the reference, 100 * (a - b) / a with a, b the mean reference and policy values.

    Relative to the reference, never the symmetric difference. Both means are taken from the same resampled tasks.
    """
    reference_sums, _, _ = _task_sums(paired.reference, paired.tasks)
    policy_sums, _, _ = _task_sums(paired.policy, paired.tasks)
    if not len(reference_sums) or reference_sums.sum() == 0:
        return UNKNOWN
    weights = task_weights(len(reference_sums), num_resamples, seed)
    resampled_reference = weights @ reference_sums
    usable = resampled_reference != 0
    reductions = 100 * (1 - (weights @ policy_sums)[usable] / resampled_reference[usable])
    estimate = float(100 * (1 - policy_sums.sum() / reference_sums.sum()))
    return percentile_interval(estimate, reductions, len(reference_sums), level)


def minimum_detectable_effect(
    differences: Sequence[float] | np.ndarray, tasks: Sequence[str], *, power: float = 0.8, level: float = LEVEL
) -> float:
    """Smallest true mean difference that a two-sided test at 1 - `level` finds with probability `power`.

    (t_{1-alpha/2, B-1} + t_{power, B-1}) * s / sqrt(B), where s is the sample standard deviation (divisor B - 1) of the
    B task means of the paired differences. NaN below two tasks.
    """
    from scipy.special import stdtrit

    sums, counts, _ = _task_sums(differences, tasks)
    num_tasks = len(sums)
    if num_tasks < 2:
        return math.nan
    task_std = float(np.std(sums / counts, ddof=1))
    quantiles = stdtrit(num_tasks - 1, 0.5 + level / 2) + stdtrit(num_tasks - 1, power)
    return float(quantiles) * task_std / math.sqrt(num_tasks)


def reduction_resolution(paired: Paired, *, power: float = 0.8, level: float = LEVEL) -> float:
    """Smallest true runtime reduction, in percent, that a two-sided test finds with probability `power`.

    The ratio 100 * (a - b) / a is linearised at its estimate r: task residuals (a - b) - r/100 * a, divided by the
    mean of a, take the place of differences in `minimum_detectable_effect`. NaN below two tasks.
    """
    total = float(np.sum(paired.reference))
    if total == 0:
        return math.nan
    remaining = float(np.sum(paired.policy)) / total
    residuals = (remaining * paired.reference - paired.policy) * (100 * len(paired.tasks) / total)
    return minimum_detectable_effect(residuals, paired.tasks, power=power, level=level)


def interquartile_mean(values: Sequence[float] | np.ndarray) -> float:
    """Mean of the middle half of the values; the two at its edges count with the part that lies inside.

    NaN values are left out; an empty list gives NaN.
    """
    ordered = np.sort(np.asarray(values, float))
    ordered = ordered[np.isfinite(ordered)]
    count = len(ordered)
    if not count:
        return math.nan
    edges = np.arange(count + 1) / count  # value i occupies [i/n, (i+1)/n] of the distribution
    inside = np.clip(edges[1:], 0.25, 0.75) - np.clip(edges[:-1], 0.25, 0.75)
    return float(ordered @ inside / inside.sum())


def sign_flip_p_value(
    differences: Sequence[float] | np.ndarray, tasks: Sequence[str], *, seed: int = 0, num_flips: int = 10_000
) -> float:
    """Two-sided p-value of "no difference": the signs of whole tasks are flipped, as they could under the null.

    All 2^B patterns up to B = 12 tasks, else `num_flips` random ones with the observed pattern counted in, so that
    the value is never zero. NaN without data.
    """
    sums, counts, _ = _task_sums(differences, tasks)
    num_tasks = len(sums)
    if not num_tasks:
        return math.nan
    if num_tasks <= 12:
        patterns = (np.arange(2**num_tasks)[:, None] >> np.arange(num_tasks)) & 1
    else:
        patterns = np.random.default_rng(seed).integers(0, 2, (num_flips, num_tasks))
        patterns[0] = 0
    flipped = np.abs((1 - 2 * patterns) @ sums) / counts.sum()
    observed = abs(sums.sum()) / counts.sum()
    return float(np.mean(flipped >= observed * (1 - 1e-12) - 1e-15))


def _task_sums(
    values: Sequence[float] | np.ndarray, tasks: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Per task: sum of its finite values and how many there are; tasks in sorted order, those without any left out."""
    array = np.asarray(values, float)
    if array.shape != (len(tasks),):
        raise ValueError(f"expected one value per task label, got {array.shape} values and {len(tasks)} labels")
    finite = np.isfinite(array)
    labels = [task for task, keep in zip(tasks, finite, strict=True) if keep]
    names, index = np.unique(np.array(labels, dtype=object), return_inverse=True) if labels else ((), np.array([], int))
    counts = np.bincount(index, minlength=len(names)).astype(float)
    return np.bincount(index, weights=array[finite], minlength=len(names)), counts, tuple(names)


def task_weights(num_tasks: int, num_resamples: int, seed: int) -> np.ndarray:
    """f64[num_resamples, num_tasks]: how often each task is drawn in each resample."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(num_tasks, np.full(num_tasks, 1 / num_tasks), size=num_resamples).astype(float)


def percentile_interval(estimate: float, resampled: np.ndarray, num_tasks: int, level: float = LEVEL) -> Interval:
    """Expanded percentile interval (Hesterberg 2015, "What teachers should know about the bootstrap", section 3.3).

    Plain percentiles are too narrow for few tasks; the tail is moved to Phi(-sqrt(B/(B-1)) * t_{1-alpha/2, B-1}).
    """
    from scipy.special import ndtr, stdtrit

    if num_tasks < MIN_TASKS:
        return Interval(estimate, math.nan, math.nan)
    quantile = stdtrit(num_tasks - 1, 0.5 + level / 2)
    tail = float(ndtr(-math.sqrt(num_tasks / (num_tasks - 1)) * quantile))
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))
