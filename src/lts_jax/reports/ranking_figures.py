"""Figures of a sweep as SVG text: a measure over one setting or two, and one measure against another."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.figures import PALETTE
from lts_jax.reports.svg import (
    ACCENT,
    FAINT,
    INK,
    SOFT,
    Scale,
    line,
    number_label,
    path,
    quote,
    rect,
    shorten,
    svg,
    text,
    ticks,
)

COLORS = (ACCENT, *PALETTE)
WIDE_RATIO = 50  # of positive values: more may be drawn on a logarithmic axis, or evenly spaced if joined


@dataclass(frozen=True, slots=True)
class Point:
    """A configuration in a chart."""

    x: Interval
    y: Interval
    tip: str = ""
    strong: bool = False  # the reference or the best one: drawn larger, with its name


@dataclass(frozen=True, slots=True)
class PointSeries:
    """Points of one colour, in order of x where they are joined."""

    label: str
    points: Sequence[Point] = field(default_factory=tuple)


def point_chart(
    series: Sequence[PointSeries],
    *,
    title: str,
    x_title: str,
    joined: bool = False,
    bars: bool = True,
    width: int = 760,
    height: int = 380,
) -> str:
    """Points with their intervals as thin bars; `joined` makes lines of them. The legend stands on the right.

    A joined chart has few x values, which are then its ticks; where they span a wide range they are evenly spaced.
    """
    left, right, top, bottom = 62, 190, 34, 44
    points = [point for one in series for point in one.points if _is_drawn(point)]
    if not points:
        return ""
    xs = sorted({point.x.estimate for point in points})
    place, x_marks = _x_axis(xs, points, joined=joined, start=left + 8, stop=width - right - 8, bars=bars)
    y_numbers = _ends([point.y for point in points], bars=bars)
    y_ticks = ticks(min(y_numbers), max(y_numbers), 5)
    to_y = Scale(y_ticks[0], y_ticks[-1], height - bottom, top)
    parts = [text(0, 14, title, weight=600)]
    for tick in y_ticks:
        parts.append(line(left, to_y(tick), width - right, to_y(tick), FAINT))
        parts.append(text(left - 7, to_y(tick) + 4, number_label(tick, y_ticks), anchor="end", soft=True))
    for x, mark in x_marks:
        parts.append(line(x, height - bottom, x, height - bottom + 4, SOFT))
        parts.append(text(x, height - bottom + 18, mark, anchor="middle", soft=True))
    parts.append(text(width - right, height - 4, x_title, anchor="end", soft=True))
    for number, one in enumerate(series):
        color = COLORS[number % len(COLORS)]
        parts.append(_series(one, color, place, to_y, joined=joined, bars=bars))
        if len(series) > 1:
            y = top + 8 + 20 * number
            parts.append(f'<g data-series="{quote(one.label)}">' + rect(width - right + 16, y - 5, 12, 5, color))
            parts.append(text(width - right + 34, y + 1, shorten(one.label, 24)) + "</g>")
    height = max(height, top + 20 * len(series))
    return svg("".join(parts), width, height, f"{title} over {x_title}, {len(points)} points")


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One cell of a heat map."""

    value: float
    text: str
    tip: str
    strong: bool = False  # framed


def heat_map(
    cells: Mapping[tuple[int, int], HeatCell],
    *,
    title: str,
    x_labels: Sequence[str],
    y_labels: Sequence[str],
    x_title: str,
    y_title: str,
    bounds: tuple[float, float],
    darker_is_more: bool = True,
) -> str:
    """A measure over two settings: `cells` by (column, row); what was not run stays empty.

    `bounds` are the least and the most of the measure; `darker_is_more` says which of them is dark.
    """
    left, top, row_height = 74, 52, 34
    column_width = max(34, min(74, 560 // len(x_labels)))
    width, base = left + column_width * len(x_labels) + 8, top + row_height * len(y_labels)
    shade = Scale(*bounds, *((0.06, 0.95) if darker_is_more else (0.95, 0.06)))
    parts = [text(0, 14, shorten(title, 60), weight=600), text(0, top - 10, shorten(y_title, 24), soft=True)]
    for row, label in enumerate(y_labels):
        parts.append(text(left - 8, top + row_height * (row + 0.5) + 4, label, anchor="end", soft=True))
    for column, label in enumerate(x_labels):
        parts.append(text(left + column_width * (column + 0.5), base + 16, label, anchor="middle", soft=True))
    parts.append(text(width - 8, base + 34, x_title, anchor="end", soft=True))
    for (column, row), cell in cells.items():
        depth = _shade(shade, cell.value, bounds)
        x, y = left + column_width * column, top + row_height * row
        parts.append(f'<g data-tip="{quote(cell.tip)}">')
        parts.append(rect(x + 1, y + 1, column_width - 2, row_height - 2, _mix(depth), radius=2))
        if cell.strong:
            parts.append(
                f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{column_width - 2}" height="{row_height - 2}" rx="2" '
                f'fill="none" stroke="{INK}" stroke-width="2.5"/>'
            )
        color = "#fff" if depth > 0.5 else INK
        shown = cell.text if column_width >= 7.2 * len(cell.text) else ""
        parts.append(text(x + column_width / 2, y + row_height / 2 + 4, shown, anchor="middle", color=color) + "</g>")
    return svg("".join(parts), max(width, 300), base + 42, f"{title}: {y_title} against {x_title}")


def framed(figure: str, width: int) -> str:
    """A figure of a native width in a box that lets it grow a little and scrolls it on a narrow screen."""
    return f'<div class="scroll" style="max-width:{width * 1.15:.0f}px">{figure}</div>' if figure else ""


def _x_axis(
    xs: Sequence[float], points: Sequence[Point], *, joined: bool, start: float, stop: float, bars: bool
) -> tuple[Callable[[float], float], list[tuple[float, str]]]:
    """Where numbers lie on the x axis, and its marks."""
    if joined and (len(xs) <= 2 or _is_wide(xs)):
        step = (stop - start) / max(1, len(xs) - 1)
        places = {x: start + step * number for number, x in enumerate(xs)}
        every = math.ceil(len(xs) / 10)
        return places.__getitem__, [(place, f"{x:g}") for x, place in list(places.items())[::every]]
    numbers = _ends([point.x for point in points], bars=bars and not joined)
    if not joined and min(numbers) > 0 and _is_wide(numbers) and median(xs) < 0.2 * max(numbers):
        to_log = Scale(math.log10(min(numbers)), math.log10(max(numbers)), start, stop)
        return (lambda value: to_log(math.log10(value))), _log_marks(to_log)
    to_x = Scale(min(numbers), max(numbers), start, stop)
    if joined and len(xs) <= 8:
        return to_x, [(to_x(x), f"{x:g}") for x in xs]
    round_ticks = [tick for tick in ticks(min(numbers), max(numbers), 6) if min(numbers) <= tick <= max(numbers)]
    return to_x, [(to_x(tick), number_label(tick, round_ticks)) for tick in round_ticks]


def _log_marks(to_log: Scale) -> list[tuple[float, str]]:
    """Powers of ten, and twice and five times these where there are few."""
    powers = range(math.floor(to_log.low), math.ceil(to_log.high) + 1)
    factors = (1, 2, 5) if to_log.high - to_log.low < 3 else (1,)
    marks = [(math.log10(factor) + power, factor * 10.0**power) for power in powers for factor in factors]
    return [(to_log(at), f"{value:g}") for at, value in marks if to_log.low <= at <= to_log.high]


def _series(
    one: PointSeries, color: str, at: Callable[[float], float], to_y: Scale, *, joined: bool, bars: bool
) -> str:
    parts, drawn = [f'<g data-series="{quote(one.label)}">'], [point for point in one.points if _is_drawn(point)]
    if joined and len(drawn) > 1:
        ends = [(at(point.x.estimate), to_y(point.y.estimate)) for point in drawn]
        parts.append(path([x for x, _ in ends], [y for _, y in ends], color, 2))
    for point in drawn:
        x, y = at(point.x.estimate), to_y(point.y.estimate)
        parts.append(f'<g data-tip="{quote(point.tip)}"><g opacity=".35">')
        if bars and math.isfinite(point.y.low):
            parts.append(line(x, to_y(point.y.low), x, to_y(point.y.high), color, 1.5))
        if bars and not joined and math.isfinite(point.x.low):
            parts.append(line(at(point.x.low), y, at(point.x.high), y, color, 1.5))
        ring = f' stroke="{INK}" stroke-width="2"' if point.strong else ""
        parts.append(f'</g><circle cx="{x:.1f}" cy="{y:.1f}" r="{6 if point.strong else 4}" fill="{color}"{ring}/></g>')
    return "".join(parts) + "</g>"


def _is_drawn(point: Point) -> bool:
    return math.isfinite(point.x.estimate) and math.isfinite(point.y.estimate)


def _is_wide(xs: Sequence[float]) -> bool:
    positive = [x for x in xs if x > 0]
    return len(positive) > 1 and max(positive) / min(positive) >= WIDE_RATIO


def _ends(intervals: Sequence[Interval], *, bars: bool) -> list[float]:
    numbers = [one.estimate for one in intervals]
    numbers += [end for one in intervals for end in (one.low, one.high) if bars]
    return [one for one in numbers if math.isfinite(one)]


def _shade(shade: Scale, value: float, bounds: tuple[float, float]) -> float:
    if not math.isfinite(value):
        return 0.0
    return shade(value) if bounds[0] != bounds[1] else 0.4


def _mix(depth: float) -> str:
    """White to the accent colour."""
    accent = [int(ACCENT[start : start + 2], 16) for start in (1, 3, 5)]
    return "#" + "".join(f"{round(255 + (part - 255) * depth):02x}" for part in accent)
