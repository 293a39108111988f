"""What charts share: their frame, grids, axes and legends, as pieces of SVG text."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.palette import FAINT, SOFT
from lts_jax.reports.svg import Scale, line, number_label, quote, rect, shorten_name, text, ticks

MAX_LETTERS = 34  # of a name in a legend
Mark = tuple[float, str]
"""A place on an axis in pixels, and what stands there."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A chart's words and its native size in pixels."""

    title: str = ""
    x_title: str = ""
    width: int = 760
    height: int = 380


def y_grid(y_ticks: Sequence[float], to_y: Scale, left: float, right: float, *, percent: bool = False) -> list[str]:
    """A line and a number for each tick."""
    parts = []
    for tick in y_ticks:
        mark = number_label(tick, y_ticks, percent=percent)
        parts.append(line(left, to_y(tick), right, to_y(tick), FAINT))
        parts.append(text(left - 7, to_y(tick) + 4, mark, anchor="end", color=SOFT))
    return parts


def x_axis(marks: Sequence[Mark], y: float, frame: Frame, right: float) -> list[str]:
    """The marks, and the axis' title below their right end."""
    parts = [text(x, y, mark, anchor="middle", color=SOFT) for x, mark in marks]
    return [*parts, text(right, frame.height - 4, frame.x_title, anchor="end", color=SOFT)]


def round_marks(scale: Scale, count: int) -> list[Mark]:
    """About `count` round numbers inside a scale, where they lie."""
    inside = [tick for tick in ticks(scale.low, scale.high, count) if scale.low <= tick <= scale.high]
    return [(scale(tick), number_label(tick, inside)) for tick in inside]


def legend_width(labels: Iterable[str], *, room: int = 0) -> int:
    """Pixels that a legend of these labels needs beside a chart, with `room` for more on their right."""
    return 40 + room + round(7 * min(MAX_LETTERS, max(map(len, labels), default=0)))


def legend_row(label: str, color: str, x: float, y: float, *, strong: bool = False) -> str:
    """A stroke of a colour and the name beside it."""
    word = text(x + 20, y, shorten_name(label, MAX_LETTERS), weight=700 if strong else 400)
    return f'<g data-series="{quote(label)}">{rect(x, y - 6, 14, 4, color)}{word}</g>'


def ends(intervals: Sequence[Interval], *, bars: bool) -> list[float]:
    """The finite estimates of intervals, and with `bars` their finite bounds."""
    numbers = [one.estimate for one in intervals]
    numbers += [end for one in intervals for end in (one.low, one.high) if bars]
    return [one for one in numbers if math.isfinite(one)]
