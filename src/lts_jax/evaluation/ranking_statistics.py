"""Statistics of many configurations run on the same seeds, a row each: `value_cs` is f64[configurations, seeds].

Seeds are the sampled units. A value that is not finite is missing. Resampling is `scipy.stats.bootstrap`, which draws
the same seeds for every configuration, so that differences and ranks of one resample belong together.
"""

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from lts_jax.evaluation.statistics import LEVEL, Interval

NUM_RESAMPLES = 4000
MIN_RESAMPLES = 1000
MAX_RESAMPLED = 1_000_000  # configurations times resamples
MAX_FLIPPED = 600_000_000  # configurations times sign patterns
MAX_EXACT_SEEDS = 18


def interquartile_means(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean of the middle half of the finite values along an axis; the two at its edges count with their part inside.

    With a count that four divides this is `scipy.stats.trim_mean(values, 0.25)`; with any other, that function cuts
    whole values only and keeps more than half. NaN where nothing is finite.
    """
    ordered = np.sort(np.moveaxis(np.where(np.isfinite(values), values, np.nan), axis, -1), axis=-1)  # NaN comes last
    size = ordered.shape[-1]
    if not np.isnan(ordered).any():
        return ordered @ _middle_weights(np.array(size), size)
    counts = np.sum(np.isfinite(ordered), axis=-1)
    weights = _middle_weights(counts, size)
    return np.where(counts > 0, np.sum(np.nan_to_num(ordered) * weights, axis=-1), np.nan)


def resampled(
    statistic: Callable[..., np.ndarray], value_cs: np.ndarray, *, seed: int = 0, num_resamples: int | None = None
) -> np.ndarray:
    """A statistic of every configuration in every bootstrap resample of the seeds, f64[configurations, resamples].

    `statistic(values, axis=...)` reduces one axis. The resamples depend on `seed`, their number and the number of
    seeds, not on the values: two calls on tables of one shape draw the same seeds. Needs at least two seeds.
    """
    from scipy.stats import DegenerateDataWarning, bootstrap

    num_configurations, num_seeds = value_cs.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # said of a row without any value
        result = bootstrap(
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
        return Interval(math.nan, math.nan, math.nan)
    share = float(np.mean((finite > 0) + 0.5 * (finite == 0)))
    quantile = float(ndtri(0.5 + level / 2))
    room = quantile**2 / count
    center = (share + room / 2) / (1 + room)
    half = math.sqrt(share * (1 - share) * room + room**2 / 4) / (1 + room)
    return Interval(share, max(0.0, center - half), min(1.0, center + half))


def sign_flip_p_values(difference_cs: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Two-sided p-values of "the mean paired difference is zero", one per configuration, by flipping signs of seeds.

    Exact over all 2^S patterns of S seeds up to S = 18, if the table is not too long for it; else over random patterns
    with the observed one counted in. The same flips serve all configurations. NaN for a row without finite values.
    """
    finite = np.isfinite(difference_cs)
    filled_cs = np.where(finite, difference_cs, 0.0)  # a zero keeps its place under any sign
    num_configurations, num_seeds = filled_cs.shape
    observed = np.abs(filled_cs.sum(axis=1))
    tolerance = 1e-12 * np.abs(filled_cs).sum(axis=1)
    num_patterns, reached = num_flip_patterns(num_configurations, num_seeds), np.zeros(num_configurations)
    exact = num_patterns == 2 ** max(0, num_seeds - 1)
    generator = np.random.default_rng([seed, num_seeds])
    size = int(np.clip(4_000_000 // num_configurations, 256, 8192))  # patterns at a time, for the memory
    for start in range(0, num_patterns, size):
        index = np.arange(start, min(start + size, num_patterns))
        if exact:  # the first sign stays: the mirrored half of the patterns has the same sizes
            flips = (index[:, None] >> np.arange(num_seeds)) & 1
        else:
            flips = generator.integers(0, 2, (len(index), num_seeds))
            flips[index == 0] = 0
        reached += np.sum(np.abs((1.0 - 2 * flips) @ filled_cs.T) >= observed - tolerance, axis=0)
    return np.where(finite.any(axis=1), reached / num_patterns, np.nan)


def num_flip_patterns(num_configurations: int, num_seeds: int) -> int:
    """How many sign patterns `sign_flip_p_values` looks at; one over this is the smallest p-value it can give."""
    half = 2 ** max(0, num_seeds - 1)
    if num_seeds <= MAX_EXACT_SEEDS and (half <= 8192 or half * num_configurations <= MAX_FLIPPED):
        return half
    return int(np.clip(MAX_FLIPPED // num_configurations, 8192, 2**17))


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


def _middle_weights(counts: np.ndarray, size: int) -> np.ndarray:
    """f64[..., size]: weight of the i-th of `counts` sorted values in their interquartile mean; zero past the count."""
    place = np.arange(size + 1) / np.maximum(counts, 1)[..., None]  # value i occupies [i/n, (i+1)/n]
    return 2 * np.diff(np.clip(place, 0.25, 0.75), axis=-1)
