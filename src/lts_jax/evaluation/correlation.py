"""Correlations and least-squares lines of many bootstrap resamples at once, where whole tasks are drawn.

A resample is a weight per task: how often the task, with all of its rows, stands in it. SciPy ranks without
weights, and one resample at a time; here the rows are sorted once.
"""

import numpy as np

_CHUNK = 4_000_000  # resampled rows held at once


def rank_correlations(x: np.ndarray, y: np.ndarray, task: np.ndarray, weight_rb: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of every resample, ties at their mean rank; NaN where a side is constant.

    Args:
        x, y: [n] values.
        task: [n] number of each row's task, 0..B-1.
        weight_rb: [R, B] how often each task stands in each resample.

    Returns:
        f64[R].
    """
    rows = max(1, _CHUNK // len(x))
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
    spread = np.sqrt((weight_rn * x_rn**2).sum(1) * (weight_rn * y_rn**2).sum(1))
    return np.where(spread > 0.0, (weight_rn * x_rn * y_rn).sum(1), np.nan) / np.where(spread > 0.0, spread, 1.0)
