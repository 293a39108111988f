"""Intervals over tasks and trained controllers together, for studies that train several controllers of a method."""

import math

import numpy as np

from lts_jax.evaluation.statistics import LEVEL, MIN_TASKS, UNKNOWN, Interval

MIN_CONTROLLERS = 3  # two say so little of their own spread that an interval covers .88 of the time


def paired_two_way(value_ct: np.ndarray, *, level: float = LEVEL) -> Interval:
    """Mean of paired differences with an interval over fresh controllers and fresh tasks at once.

    `value_ct[c, t]` is what controller c differs by from its rival on task t, rollouts averaged. Controllers and tasks
    are crossed random effects, y = mu + a_c + b_t + e_ct, so that the variance of the mean is estimated by
    (MS_controllers + MS_tasks - MS_rest) / (C T), never less than either main mean square alone would give (Searle,
    Casella and McCulloch 1992, "Variance components", chapter 4), with Satterthwaite's (1946) degrees of freedom for
    Student's t. No resampling: a bootstrap over five controllers is too narrow by nature, and no bootstrap of a crossed
    table is exact (McCullagh 2000). An interval over tasks alone (`mean_interval`) speaks of these very controllers;
    this one of the method.

    Args:
        value_ct: f64[controllers, tasks]; a task that lacks a value of any controller is left out.
        level: of the interval.

    Returns:
        the mean of all, and its bounds: NaN below `MIN_CONTROLLERS` controllers or `MIN_TASKS` tasks.

    Raises:
        ValueError: not a matrix.
    """
    from scipy.special import stdtrit

    value_ct = np.asarray(value_ct, float)
    if value_ct.ndim != 2:
        raise ValueError(f"expected values [controllers, tasks], got shape {value_ct.shape}")
    value_ct = value_ct[:, np.isfinite(value_ct).all(axis=0)]
    num_controllers, num_tasks = value_ct.shape
    if not value_ct.size:
        return UNKNOWN
    mean = float(value_ct.mean())
    if num_controllers < MIN_CONTROLLERS or num_tasks < MIN_TASKS:
        return Interval(mean, math.nan, math.nan)
    row_c, column_t = value_ct.mean(axis=1) - mean, value_ct.mean(axis=0) - mean
    rest_ct = value_ct - mean - row_c[:, None] - column_t
    degrees = np.array([num_controllers - 1, num_tasks - 1, (num_controllers - 1) * (num_tasks - 1)], float)
    sums = np.array([num_tasks * np.sum(row_c**2), num_controllers * np.sum(column_t**2), np.sum(rest_ct**2)])
    squares = sums / degrees
    both = squares[0] + squares[1] - squares[2]
    largest = int(np.argmax(squares[:2]))
    if both > squares[largest]:
        freedom = max(both**2 / float(np.sum(squares**2 / degrees)), float(degrees[:2].min()))
    else:
        both, freedom = squares[largest], float(degrees[largest])
    half = float(stdtrit(freedom, 0.5 + level / 2)) * math.sqrt(both / value_ct.size)
    return Interval(mean, mean - half, mean + half)
