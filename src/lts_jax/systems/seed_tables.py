"""Numbers of several seeds as cells of a table, and curves as lines of a figure."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from lts_jax.evaluation.statistics import Interval, mean_intervals
from lts_jax.reports.point_chart import Point, PointSeries

SHARE = (0.0, 1.0)  # what a share cannot leave
ANY = (-math.inf, math.inf)


def over_seeds(values: Any, within: tuple[float, float] = ANY) -> Interval:
    """Mean of one number a seed, with its 95 % interval over seeds, cut off at what the mean cannot leave."""
    return mean_intervals(np.asarray(values, float)[None], within=within)[0]


def curve(name: str, points: Iterable[tuple[float, float]]) -> PointSeries:
    """A line through points (x, y) without intervals."""
    return PointSeries(name, [Point(Interval(x, x, x), Interval(y, y, y)) for x, y in points])


def evenly(values: Iterable[float], all_steps: float) -> list[tuple[float, float]]:
    """Points (steps, value) of values that divide so many steps evenly, each at its end."""
    listed = list(values)
    return [((place + 1) * all_steps / len(listed), value) for place, value in enumerate(listed)]
