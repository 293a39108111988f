"""Figures as SVG text: data in, text out. No library, no network; every text is escaped.

A figure is drawn at its native width; the page shrinks it, or scrolls it where its text would become too small.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.axes import Frame, ends, legend_row, legend_width, round_marks, x_axis, y_grid
from lts_jax.reports.palette import ACCENT, FAINT, INK, ON_PALE, SHADE, SOFT, name_colors
from lts_jax.reports.svg import (
    LETTER,
    Figure,
    Scale,
    circle,
    line,
    path,
    quote,
    rect,
    shorten,
    shorten_name,
    svg,
    text,
    ticks,
)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Sorted values of one name; `strong` draws it thicker and over the others."""

    label: str
    values: Sequence[float]
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    """One row of a dot plot: a value with its interval, and the level it is to be compared with (NaN for none)."""

    label: str
    value: Interval
    level: float = math.nan
    color: str = INK
    text: str = ""  # printed at the right edge
    tip: str = ""  # shown while pointing at the row
    strong: bool = False


@dataclass(frozen=True, slots=True)
class DotAxis:
    """What the rows of a dot plot share; widths in pixels."""

    title: str
    bounds: tuple[float, float] | None = None  # of the axis; by default of the values
    zero_line: bool = False  # marks no difference
    resolution: float = math.nan  # shades the band around zero inside which effects stay unseen
    text_title: str = ""  # over the texts
    label_width: int = 230  # at most; names are cut to it
    plot_width: int = 172
    text_width: int = 98


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One cell of a heat map."""

    value: float
    text: str
    tip: str
    strong: bool = False  # framed


@dataclass(frozen=True, slots=True)
class HeatAxes:
    """Words of a heat map, the least and the most of its measure, and which of them is dark."""

    title: str
    x_labels: Sequence[str]
    y_labels: Sequence[str]
    x_title: str
    y_title: str
    bounds: tuple[float, float]
    darker_is_more: bool = True


def line_chart(x: Sequence[float], y: Sequence[float], frame: Frame) -> Figure:
    """One metric: the raw values faint, their trailing mean over a tenth of the run on top, its last value printed."""
    left, right, top, base = 46, frame.width - 62, 30, frame.height - 34
    window = max(1, len(y) // 10)
    recent = [y[max(0, end - window) : end] for end in range(1, len(y) + 1)]
    smooth = [math.fsum(values) / len(values) for values in recent]
    y_ticks = ticks(min(y), max(y), 4)
    to_x, to_y = Scale(min(x), max(x), left, right), Scale(y_ticks[0], y_ticks[-1], base, top)
    parts = [text(0, 14, frame.title, weight=600), *y_grid(y_ticks, to_y, left, right)]
    parts += x_axis(round_marks(to_x, 4), base + 16, frame, right)
    parts.append(path(zip(map(to_x, x), map(to_y, y), strict=True), ACCENT, 1, opacity=0.3))
    parts.append(path(zip(map(to_x, x), map(to_y, smooth), strict=True), ACCENT, 2))
    last, (end_x, end_y) = f"{smooth[-1]:.3g}", (to_x(x[-1]), to_y(smooth[-1]))
    parts += [circle(end_x, end_y, 3, ACCENT), text(end_x + 7, end_y + 4, last, color=ACCENT, weight=600)]
    return svg("".join(parts), frame.width, frame.height, f"{frame.title}: from {smooth[0]:.3g} to {last}")


def cumulative_chart(series: Sequence[Distribution], frame: Frame) -> Figure:
    """Empirical distribution functions: the share of rollouts that were done by each time.

    The labels stand in order of the medians, which they name.
    """
    labels = [one.label for one in series]
    left, right, top, base = 46, frame.width - max(196, legend_width(labels, room=46)), 16, frame.height - 40
    colors, end = name_colors(labels), max(one.values[-1] for one in series)
    to_x, to_y = Scale(0, end, left, right), Scale(0, 1, base, top)
    parts = y_grid([0, 0.25, 0.5, 0.75, 1], to_y, left, right, percent=True)
    parts += x_axis(round_marks(to_x, 6), base + 17, frame, right)
    for one in sorted(series, key=lambda one: one.strong):
        corners = [(to_x(x), to_y(y)) for x, y in _staircase(one.values, end)]
        stairs = path(corners, colors[one.label], 2.6 if one.strong else 1.4)
        parts.append(f'<g data-series="{quote(one.label)}">{stairs}</g>')
    parts.append(text(right + 14, top + 2, "median, fastest first", color=SOFT))
    ordered = sorted(series, key=lambda one: median(one.values))
    for number, one in enumerate(ordered):
        y = top + 24 + 20 * number
        parts.append(legend_row(one.label, colors[one.label], right + 14, y, strong=one.strong))
        shown = f"{median(one.values):,.0f} s"
        parts.append(text(frame.width - 2, y, shown, anchor="end", weight=700 if one.strong else 400))
    label = "; ".join(f"{one.label} median {median(one.values):.0f} s" for one in ordered)
    height = max(frame.height, top + 24 + 20 * len(series))
    return svg("".join(parts), frame.width, height, f"Completion times: {label}", extra_class="distribution")


def dot_plot(dots: Sequence[Dot], axis: DotAxis) -> Figure:
    """A row per policy: a dot with its interval; a dashed tick at its chance level; the value as text at the right."""
    top, row_height = 34, 24
    longest = max((len(dot.label) for dot in dots), default=0)
    base, left = top + row_height * len(dots), min(axis.label_width, max(130, 14 + 7 * longest))
    stop, width = left + axis.plot_width, left + axis.plot_width + axis.text_width
    low, high = axis.bounds or _span(dots, zero_line=axis.zero_line)
    to_x = Scale(low, high, left, stop)
    parts = [text(0, 14, axis.title, weight=600), text(width, 14, axis.text_title, anchor="end", color=SOFT)]
    if axis.zero_line and math.isfinite(axis.resolution):
        x0, x1 = to_x(max(low, -axis.resolution)), to_x(min(high, axis.resolution))
        parts.append(rect(x0, top - 6, x1 - x0, base - top + 6, SHADE))
    for x, mark in round_marks(to_x, 4):
        is_zero = axis.zero_line and x == to_x(0)
        parts.append(line(x, top - 6, x, base, SOFT if is_zero else FAINT))
        parts.append(text(x, base + 15, mark, anchor="middle", color=SOFT))
    parts += [_dot_row(dot, top + row_height * (number + 0.5), to_x, width) for number, dot in enumerate(dots)]
    label = f"{axis.title}: " + "; ".join(f"{dot.label} {dot.text}" for dot in dots)
    return svg("".join(parts), width, base + 30, label)


def heat_map(cells: Mapping[tuple[int, int], HeatCell], axes: HeatAxes) -> Figure:
    """A measure over two settings: `cells` by (column, row); what was not run stays empty."""
    left, top, row_height = 74, 52, 34
    column_width = max(34, min(74, 560 // len(axes.x_labels)))
    width, base = left + column_width * len(axes.x_labels) + 8, top + row_height * len(axes.y_labels)
    shade = Scale(*axes.bounds, *((0.06, 0.95) if axes.darker_is_more else (0.95, 0.06)))
    parts = [text(0, 14, shorten(axes.title, 60), weight=600), text(0, top - 10, shorten(axes.y_title, 24), color=SOFT)]
    for row, label in enumerate(axes.y_labels):
        parts.append(text(left - 8, top + row_height * (row + 0.5) + 4, label, anchor="end", color=SOFT))
    for column, label in enumerate(axes.x_labels):
        parts.append(text(left + column_width * (column + 0.5), base + 16, label, anchor="middle", color=SOFT))
    parts.append(text(width - 8, base + 34, axes.x_title, anchor="end", color=SOFT))
    for (column, row), cell in cells.items():
        known = math.isfinite(cell.value)
        depth = (shade(cell.value) if axes.bounds[0] != axes.bounds[1] else 0.4) if known else 0.0
        x, y = left + column_width * column, top + row_height * row
        shown = cell.text if column_width >= LETTER * len(cell.text) else ""
        parts.append(f'<g data-tip="{quote(cell.tip)}">')
        parts.append(rect(x + 1, y + 1, column_width - 2, row_height - 2, _mix(depth), radius=2))
        if cell.strong:
            frame = (
                f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{column_width - 2}" height="{row_height - 2}" rx="2" '
            )
            parts.append(f'{frame}fill="none" stroke="{INK}" stroke-width="2.5"/>')
        color = "#fff" if depth > 0.5 else ON_PALE
        parts.append(text(x + column_width / 2, y + row_height / 2 + 4, shown, anchor="middle", color=color) + "</g>")
    return svg("".join(parts), max(width, 300), base + 42, f"{axes.title}: {axes.y_title} against {axes.x_title}")


def _dot_row(dot: Dot, y: float, to_x: Scale, width: float) -> str:
    tip, weight = quote(dot.tip or f"{dot.label}: {dot.text}"), 700 if dot.strong else 400
    parts = [f'<g data-tip="{tip}">' + rect(0, y - 12, width, 24, "transparent")]
    parts.append(text(0, y + 4, shorten_name(dot.label, round(to_x.start) // 7), weight=weight))
    if math.isfinite(dot.level):
        parts.append(path([(to_x(dot.level), y - 8), (to_x(dot.level), y + 8)], SOFT, 2, dash="3 2.5"))
    if math.isfinite(dot.value.low):
        parts.append(line(to_x(dot.value.low), y, to_x(dot.value.high), y, dot.color, 2))
    if math.isfinite(dot.value.estimate):
        parts.append(circle(to_x(dot.value.estimate), y, 4.5, dot.color))
    parts.append(text(width, y + 4, dot.text or "–", anchor="end", weight=weight))
    return "".join(parts) + "</g>"


def _span(dots: Sequence[Dot], *, zero_line: bool) -> tuple[float, float]:
    finite = ends([dot.value for dot in dots], bars=True) + [dot.level for dot in dots if math.isfinite(dot.level)]
    finite += [0.0] if zero_line else []
    if not finite or max(finite) == min(finite):
        return (-1.0, 1.0) if zero_line else (0.0, 1.0)
    room = 0.06 * (max(finite) - min(finite))
    return min(finite) - room, max(finite) + room


def _staircase(values: Sequence[float], end: float) -> list[tuple[float, float]]:
    count = len(values)
    steps = [(value, rank / count) for place, value in enumerate(values) for rank in (place, place + 1)]
    return [(0.0, 0.0), *steps, (end, 1.0)]


def _mix(depth: float) -> str:
    """White to the accent colour."""
    accent = [int(ACCENT[start : start + 2], 16) for start in (1, 3, 5)]
    return "#" + "".join(f"{round(255 + (part - 255) * depth):02x}" for part in accent)
