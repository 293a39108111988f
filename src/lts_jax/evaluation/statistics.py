"""Paired comparisons: intervals, the smallest effect that could be resolved, permutation tests, rank correlations.

Two kinds of samples. *Rows of tasks*: flat arrays with one row per rollout or decision and a task label per row; seeds
and rollouts of one task share its difficulty and stay together in every resample. *Tables of seeds*: `value_cs` is
f64[configurations, seeds], where one seed means the same luck in every configuration. A value that is not finite is
missing. Means and reductions have one interval, Hall's transformed t over tasks or seeds (`evaluation.skewness`); what
is no mean (rank correlations, interquartile means) has bootstrap percentiles. Few units know little of their own spread
and nothing of rare events, so fewer than `MIN_TASKS` tasks (or seeds) give no bounds (NaN), never a narrow interval.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lts_jax.evaluation.skewness import mean_offsets

LEVEL = 0.95  # of every interval
MIN_TASKS = 5
NUM_RESAMPLES = 4000
MIN_RESAMPLES = 1000
NUM_FLIPS = 10_000  # random sign patterns of one comparison
MAX_RESAMPLED = 1_000_000  # configurations times resamples
MAX_FLIPPED = 600_000_000  # configurations times sign patterns
MAX_RANKED = 4_000_000  # resampled rows held at once
MAX_EXACT = 18  # tasks or seeds of which every sign pattern is looked at

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
    level: float = LEVEL,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Mean of rows with its interval over tasks, skewness taken into account: see `evaluation.skewness`.

    The mean is over rows; what varies are whole tasks with all of their rows (sum of values less the mean times their
    number). NaN values are left out with their row. For a paired difference pass differences. Where a policy was
    trained, this speaks of the controllers at hand: **how far another training would come out elsewhere is not in it**
    (`evaluation.two_way` has it, for several controllers). `within` is what the mean cannot leave, such as 0..1.
    """
    sums, counts = task_sums(values, tasks)
    if not len(sums):
        return UNKNOWN
    estimate = float(sums.sum() / counts.sum())
    return _interval(estimate, (sums - estimate * counts) * (len(sums) / counts.sum()), level, within)


def difference_interval(paired: Paired, *, within: tuple[float, float] = (-math.inf, math.inf)) -> Interval:
    """Mean of policy - reference over paired rows, as `mean_interval`."""
    return mean_interval(paired.policy - paired.reference, paired.tasks, within=within)


def reduction_interval(paired: Paired, *, level: float = LEVEL) -> Interval:
    """Reduction in percent of the reference, 100 * (a - b) / a with a, b the mean reference and policy values.

    Relative to the reference, never the symmetric difference. As `mean_interval`, the ratio linearised at its estimate
    (`reduction_resolution` has the same residuals).
    """
    reference_sums, _ = task_sums(paired.reference, paired.tasks)
    policy_sums, _ = task_sums(paired.policy, paired.tasks)
    total = reference_sums.sum()
    if not len(reference_sums) or total == 0:
        return UNKNOWN
    remaining = policy_sums.sum() / total
    residuals = (remaining * reference_sums - policy_sums) * (100 * len(reference_sums) / total)
    return _interval(float(100 * (1 - remaining)), residuals, level, (-math.inf, 100.0))


def mean_intervals(
    value_cs: np.ndarray, *, level: float = LEVEL, within: tuple[float, float] = (-math.inf, math.inf)
) -> list[Interval]:
    """Mean of every row of a table of seeds with its interval over seeds, as `mean_interval`. NaN is missing."""
    finite_cs = np.isfinite(value_cs)
    count_c = finite_cs.sum(axis=1)
    mean_c = np.sum(np.where(finite_cs, value_cs, 0.0), axis=1) / np.where(count_c > 0, count_c, math.nan)
    below_c, above_c = mean_offsets(np.where(finite_cs, value_cs - mean_c[:, None], math.nan), level)
    has_bounds_c = count_c >= MIN_TASKS
    bounds = (np.clip(mean_c + offset_c, *within) for offset_c in (below_c, above_c))
    low_c, high_c = (np.where(has_bounds_c, bound_c, math.nan) for bound_c in bounds)
    return [Interval(*map(float, row)) for row in zip(mean_c, low_c, high_c, strict=True)]


def _interval(estimate: float, residual_b: np.ndarray, level: float, within: tuple[float, float]) -> Interval:
    """Bounds from the residuals of tasks, which a range cuts off."""
    if len(residual_b) < MIN_TASKS:
        return Interval(estimate, math.nan, math.nan)
    below, above = mean_offsets(residual_b, level)
    return Interval(estimate, max(within[0], float(estimate + below)), min(within[1], float(estimate + above)))


def minimum_detectable_effect(
    differences: Sequence[float] | np.ndarray, tasks: Sequence[str], *, power: float = 0.8, level: float = LEVEL
) -> float:
    """Smallest true mean difference that a two-sided test at 1 - `level` finds with probability `power`.

    That of `detectable_effect` for the standard error s / sqrt(B), where s is the sample standard deviation (divisor
    B - 1) of the B task means of the paired differences. NaN below two tasks.
    """
    sums, counts = task_sums(differences, tasks)
    num_tasks = len(sums)
    if num_tasks < 2:
        return math.nan
    task_std = float(np.std(sums / counts, ddof=1))
    return detectable_effect(task_std, num_tasks, power=power, level=level) / math.sqrt(num_tasks)


def detectable_effect(standard_error: float, num_tasks: int, *, power: float = 0.8, level: float = LEVEL) -> float:
    """(t_{1-alpha/2, B-1} + t_{power, B-1}) * standard error of B tasks."""
    from scipy.special import stdtrit

    return float(stdtrit(num_tasks - 1, 0.5 + level / 2) + stdtrit(num_tasks - 1, power)) * standard_error


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


def interquartile_mean(values: Sequence[float] | np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean of the middle half of the finite values along an axis; the two at its edges count with their part inside.

    With a count that four divides this is `scipy.stats.trim_mean(values, 0.25)`; with any other, that function cuts
    whole values only and keeps more than half. NaN where nothing is finite.
    """
    array = np.asarray(values, float)
    ordered = np.sort(np.moveaxis(np.where(np.isfinite(array), array, np.nan), axis, -1), axis=-1)  # NaN comes last
    size = ordered.shape[-1]
    if size and not np.isnan(ordered).any():
        return np.asarray(ordered @ _middle_weights(np.array(size), size))
    counts = np.sum(np.isfinite(ordered), axis=-1)
    middle = np.sum(np.nan_to_num(ordered) * _middle_weights(counts, size), axis=-1)
    return np.where(counts > 0, middle, np.nan)


def bootstrap(
    statistic: Callable[..., np.ndarray], value_cs: np.ndarray, *, seed: int = 0, num_resamples: int | None = None
) -> np.ndarray:
    """A statistic of every configuration in every bootstrap resample of the seeds, f64[configurations, resamples].

    `statistic(values, axis=...)` reduces one axis. The resamples depend on `seed`, their number and the number of
    seeds, not on the values: two calls on tables of one shape draw the same seeds. Needs at least two seeds.
    """
    from scipy import stats

    num_configurations, num_seeds = value_cs.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # said of a row without any value
        result = stats.bootstrap(
            (value_cs,),
            statistic,
            axis=-1,
            vectorized=True,
            n_resamples=num_resamples or resample_count(num_configurations),
            batch=max(1, 2_000_000 // value_cs.size),
            method="percentile",
            rng=np.random.default_rng([seed, num_seeds]),
        )
    return np.asarray(result.bootstrap_distribution)


def resample_count(num_configurations: int) -> int:
    """How many bootstrap resamples a table gets: 4,000, and down to 1,000 where it has many configurations."""
    return int(np.clip(MAX_RESAMPLED // num_configurations, MIN_RESAMPLES, NUM_RESAMPLES))


def improvement_interval(differences: Sequence[float] | np.ndarray, *, level: float = LEVEL) -> Interval:
    """Probability of improvement, P(x > y) + P(x = y) / 2, over paired differences x - y where more is better.

    Paired: a seed is won, tied or lost. Agarwal et al. (2021), and `rliable` with them, compare every run of x with
    every run of y instead (Mann-Whitney), which is right for runs that share nothing. The interval is Wilson's (1927)
    for a proportion, with ties as half wins; a bootstrap would shrink to a point where every seed is won. NaN values
    are left out; without any other the result is NaN.
    """
    from scipy.special import ndtri

    finite = np.asarray(differences, float)
    finite = finite[np.isfinite(finite)]
    count = len(finite)
    if not count:
        return UNKNOWN
    share = float(np.mean((finite > 0) + 0.5 * (finite == 0)))
    quantile = float(ndtri(0.5 + level / 2))
    room = quantile**2 / count
    center = (share + room / 2) / (1 + room)
    half = math.sqrt(share * (1 - share) * room + room**2 / 4) / (1 + room)
    return Interval(share, max(0.0, center - half), min(1.0, center + half))


def sign_flip_p_values(
    difference_cs: np.ndarray, *, seed: int | Sequence[int] = 0, num_flips: int | None = None
) -> np.ndarray:
    """Two-sided p-values of "the mean paired difference is zero", one per row, by flipping signs as under the null.

    Columns are what is flipped as a whole: seeds, or tasks (`task_sums`). Exact over all 2^S patterns of S columns up
    to S = 18, if the table is not too long for it; else over `num_flips` random patterns with the observed one counted
    in, so that no value is zero. The same flips serve all rows. NaN for a row without finite values.
    """
    finite = np.isfinite(difference_cs)
    filled_cs = np.where(finite, difference_cs, 0.0)  # a zero keeps its place under any sign
    num_rows, num_columns = filled_cs.shape
    observed, tolerance = np.abs(filled_cs.sum(axis=1)), 1e-12 * np.abs(filled_cs).sum(axis=1)
    num_patterns, reached = num_flip_patterns(num_rows, num_columns), np.zeros(num_rows)
    exact = num_patterns == 2 ** max(0, num_columns - 1)
    num_patterns = num_patterns if exact else num_flips or num_patterns
    generator = np.random.default_rng(seed)
    size = int(np.clip(4_000_000 // num_rows, 256, 8192))  # patterns at a time, for the memory
    for start in range(0, num_patterns, size):
        index = np.arange(start, min(start + size, num_patterns))
        if exact:  # the first sign stays: the mirrored half of the patterns has the same sizes
            flips = (index[:, None] >> np.arange(num_columns)) & 1
        else:
            flips = generator.integers(0, 2, (len(index), num_columns))
            flips[index == 0] = 0
        reached += np.sum(np.abs((1.0 - 2 * flips) @ filled_cs.T) >= observed - tolerance, axis=0)
    return np.where(finite.any(axis=1), reached / num_patterns, np.nan)


def num_flip_patterns(num_rows: int, num_columns: int) -> int:
    """How many sign patterns `sign_flip_p_values` looks at by itself; one over this is its smallest p-value."""
    half = 2 ** max(0, num_columns - 1)
    if num_columns <= MAX_EXACT and (half <= 8192 or half * num_rows <= MAX_FLIPPED):
        return half
    return int(np.clip(MAX_FLIPPED // num_rows, 8192, 2**17))


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's (1979) step-down adjustment: below alpha with every false finding among them improbable at that alpha.

    The i-th smallest of m p-values becomes the largest of min(1, (m - j + 1) p_(j)) over j <= i. NaN stays NaN and is
    not counted in m.
    """
    values = np.asarray(p_values, float)
    tested = np.flatnonzero(np.isfinite(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    adjusted = np.full(len(values), np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1)))
    return adjusted


def task_sums(values: Sequence[float] | np.ndarray, tasks: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Per task: sum of its finite values and how many there are; tasks in sorted order, those without any left out."""
    array = np.asarray(values, float)
    if array.shape != (len(tasks),):
        raise ValueError(f"expected one value per task label, got {array.shape} values and {len(tasks)} labels")
    finite = np.isfinite(array)
    labels = [task for task, keep in zip(tasks, finite, strict=True) if keep]
    names, index = np.unique(np.array(labels, dtype=object), return_inverse=True) if labels else ((), np.array([], int))
    counts = np.bincount(index, minlength=len(names)).astype(float)
    return np.bincount(index, weights=array[finite], minlength=len(names)), counts


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


def rank_correlations(x: np.ndarray, y: np.ndarray, task: np.ndarray, weight_rb: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of every resample, ties at their mean rank; NaN where a side is constant.

    SciPy ranks without weights, and one resample at a time; here the rows are sorted once.

    Args:
        x, y: [n] values.
        task: [n] number of each row's task, 0..B-1.
        weight_rb: [R, B] how often each task stands in each resample.

    Returns:
        f64[R].
    """
    rows = max(1, MAX_RANKED // len(x))
    chunks = []
    for start in range(0, len(weight_rb), rows):
        weight_rn = weight_rb[start : start + rows][:, task]
        chunks.append(_correlations(_mid_ranks(x, weight_rn), _mid_ranks(y, weight_rn), weight_rn))
    return np.concatenate(chunks)


def least_squares(
    x: np.ndarray, y: np.ndarray, task: np.ndarray, weight_rb: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Slope of the line of y on x, and Pearson's r squared, of every resample; NaN where a side is constant.

    Arguments as in `rank_correlations`. f64[R] each.
    """
    scale_x, scale_y = np.std(x), np.std(y)
    x, y = (x - x.mean()) / scale_x, (y - y.mean()) / scale_y
    columns = (np.ones_like(x), x, y, x * x, x * y, y * y)
    sums_bc = np.stack([np.bincount(task, weights=column, minlength=weight_rb.shape[1]) for column in columns], axis=1)
    count, sum_x, sum_y, sum_xx, sum_xy, sum_yy = (weight_rb @ sums_bc).T
    var_x, var_y = sum_xx - sum_x**2 / count, sum_yy - sum_y**2 / count
    varies = (var_x > 1e-9 * count) & (var_y > 1e-9 * count)
    cov = np.where(varies, sum_xy - sum_x * sum_y / count, np.nan)
    var_x, var_y = np.where(varies, var_x, 1.0), np.where(varies, var_y, 1.0)
    return cov / var_x * (scale_y / scale_x), np.minimum(cov**2 / (var_x * var_y), 1.0)


def _middle_weights(counts: np.ndarray, size: int) -> np.ndarray:
    """f64[..., size]: weight of the i-th of `counts` sorted values in their interquartile mean; zero past the count."""
    place = np.arange(size + 1) / np.maximum(counts, 1)[..., None]  # value i occupies [i/n, (i+1)/n]
    return 2 * np.diff(np.clip(place, 0.25, 0.75), axis=-1)


def _mid_ranks(values: np.ndarray, weight_rn: np.ndarray) -> np.ndarray:
    """Rank of each row where row n stands weight_rn times in resample r; ties get their mean rank. f64[R, n]."""
    _, level = np.unique(values, return_inverse=True)
    order = np.argsort(level, kind="stable")
    first = np.searchsorted(level[order], np.arange(level.max() + 1))
    count_ru = np.add.reduceat(weight_rn[:, order], first, axis=1)
    rank_ru = np.cumsum(count_ru, axis=1) - count_ru / 2 + 0.5
    return np.asarray(rank_ru[:, level])


def _correlations(x_rn: np.ndarray, y_rn: np.ndarray, weight_rn: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each row of resampled values; NaN where either side is constant."""
    total = weight_rn.sum(1, keepdims=True)
    x_rn = x_rn - (weight_rn * x_rn).sum(1, keepdims=True) / total
    y_rn = y_rn - (weight_rn * y_rn).sum(1, keepdims=True) / total
    scale = np.sqrt((weight_rn * x_rn**2).sum(1) * (weight_rn * y_rn**2).sum(1))
    return np.where(scale > 0.0, (weight_rn * x_rn * y_rn).sum(1), np.nan) / np.where(scale > 0.0, scale, 1.0)
