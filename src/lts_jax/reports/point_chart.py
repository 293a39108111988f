"""Points with intervals as SVG text: one measure over a setting, or one against another."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.axes import Frame, Mark, ends, legend_row, legend_width, round_marks, x_axis, y_grid
from lts_jax.reports.palette import INK, SHADE, SOFT, name_colors
from lts_jax.reports.svg import LETTER, Figure, Scale, circle, line, path, quote, rect, shorten_name, svg, text, ticks

HALO = 'paint-order="stroke" stroke="#fff" stroke-width="3" stroke-linejoin="round"'
WIDE_RATIO = 50  # of positive values: more may be drawn on a logarithmic axis, or evenly spaced if joined


@dataclass(frozen=True, slots=True)
class Point:
    """A configuration in a chart."""

    x: Interval
    y: Interval
    tip: str = ""
    strong: bool = False  # drawn larger, with a ring


@dataclass(frozen=True, slots=True)
class PointSeries:
    """Points of one colour, in order of x where they are joined."""

    label: str
    points: Sequence[Point] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """A point that all are compared with: dashed lines through it, and the corner of less x and more y shaded."""

    x: float
    y: float
    corner: str = ""  # what lies there


def point_chart(
    series: Sequence[PointSeries],
    frame: Frame,
    *,
    joined: bool = False,
    bars: bool = True,
    named: bool = False,
    origin: Origin | None = None,
) -> Figure:
    """Points with their intervals as thin bars; `joined` makes lines of them.

    The legend stands on the right; `named` writes the names beside the first points instead. A joined chart has few x
    values, which are then its ticks; where they span a wide range they are evenly spaced. `origin` is where all are
    compared with.
    """
    labels = [one.label for one in series]
    legend = 24 if named else max(190, legend_width(labels))
    left, right, top, base = 62, frame.width - legend, 34, frame.height - 44
    points = [point for one in series for point in one.points if _is_drawn(point)]
    if not points:
        return Figure("")
    place, x_marks = _x_scale(points, left + 8, right - 8, joined=joined, bars=bars)
    y_ends = ends([point.y for point in points], bars=bars)
    y_ticks = ticks(min(y_ends), max(y_ends), 5)
    to_y = Scale(y_ticks[0], y_ticks[-1], base, top)
    parts = [text(0, 14, frame.title, weight=600)]
    x0, y0 = (place(origin.x), to_y(origin.y)) if origin is not None else (left, top)
    if origin is not None:
        parts += [rect(left, top, x0 - left, y0 - top, SHADE), text(left + 9, top + 18, origin.corner, color=SOFT)]
    parts += y_grid(y_ticks, to_y, left, right)
    parts += [line(x, base, x, base + 4, SOFT) for x, _ in x_marks]
    parts += x_axis(x_marks, base + 18, frame, right)
    if origin is not None:
        crossing = [(x0, top), (x0, base)], [(left, y0), (right, y0)]
        parts += [path(stroke, SOFT, 1, dash="4 3") for stroke in crossing]
    colors = name_colors(labels)
    for number, one in enumerate(series):
        drawn = [(place(point.x.estimate), to_y(point.y.estimate)) for point in one.points if _is_drawn(point)]
        lines = [path(drawn, colors[one.label], 2)] if joined and len(drawn) > 1 else []
        marks = [_point(p, colors[one.label], place, to_y, (bars and not joined, bars)) for p in one.points]
        parts += [f'<g data-series="{quote(one.label)}">', *lines, *marks, "</g>"]
        if len(series) > 1 and not named:
            parts.append(legend_row(one.label, colors[one.label], right + 16, top + 9 + 20 * number))
    if named:
        parts += _names(series, colors, place, to_y, frame)
    height = max(frame.height, 0 if named else top + 20 * len(series))
    return svg("".join(parts), frame.width, height, f"{frame.title} over {frame.x_title}, {len(points)} points")


def free_offsets(labels: Sequence[tuple[float, float, float]], stop: float = math.inf) -> list[tuple[float, float]]:
    """Where to write each label (x, y, width), as offsets from its point, so that it covers no other label or point.

    All in pixels, y downwards. The nearest free place of a few is taken; where none is free, the first. `stop` is the
    right edge, beyond which nothing is written.
    """
    boxes = [(x - 6, y - 6, x + 6, y + 6) for x, y, _ in labels]
    chosen = []
    for x, y, width in labels:
        heights = sorted(
            (4.0 + sign * step for step in range(0, 61, 6) for sign in (1, -1)), key=lambda dy: abs(dy - 4)
        )
        candidates = [(dx, dy) for dy in heights for dx in (9.0, -width - 9.0)]
        places = {(dx, dy): (x + dx, y + dy - 10, x + dx + width, y + dy + 3) for dx, dy in candidates}
        free = (one for one in candidates if places[one][2] <= stop and not any(map(_overlap(places[one]), boxes)))
        offset = next(free, candidates[0])
        boxes.append(places[offset])
        chosen.append(offset)
    return chosen


def _overlap(box: tuple[float, ...]) -> Callable[[tuple[float, ...]], bool]:
    return lambda other: box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]


def _names(
    series: Sequence[PointSeries],
    colors: Mapping[str, str],
    place: Callable[[float], float],
    to_y: Scale,
    frame: Frame,
) -> list[str]:
    """Names beside the first points; a thin line leads to those that found no place nearby."""
    named = [(one.label, one.points[0]) for one in series if one.points and _is_drawn(one.points[0])]
    spots = [(place(point.x.estimate), to_y(point.y.estimate)) for _, point in named]
    labels = [(x, y, LETTER * len(shorten_name(name, 30))) for (name, _), (x, y) in zip(named, spots, strict=True)]
    parts = []
    for (name, point), (x, y), (dx, dy) in zip(named, spots, free_offsets(labels, frame.width), strict=True):
        if abs(dy - 4) > 14:
            parts.append(line(x, y, x + (7 if dx > 0 else -7), y + dy - 4, colors[name], 0.7))
        side, end = ("start", x + dx) if dx > 0 else ("end", x - 9)
        word = text(
            end, y + dy, shorten_name(name, 30), anchor=side, color=colors[name], weight=700 if point.strong else 400
        )
        parts.append(f'<g data-series="{quote(name)}" {HALO}>{word}</g>')
    return parts


def _point(point: Point, color: str, place: Callable[[float], float], to_y: Scale, bars: tuple[bool, bool]) -> str:
    """A dot, with its interval along x and along y where `bars` says so."""
    if not _is_drawn(point):
        return ""
    x, y = place(point.x.estimate), to_y(point.y.estimate)
    parts = [f'<g data-tip="{quote(point.tip)}"><g opacity=".35">']
    if bars[1] and math.isfinite(point.y.low):
        parts.append(line(x, to_y(point.y.low), x, to_y(point.y.high), color, 1.5))
    if bars[0] and math.isfinite(point.x.low):
        parts.append(line(place(point.x.low), y, place(point.x.high), y, color, 1.5))
    dot = circle(x, y, 6 if point.strong else 4, color, ring=INK if point.strong else "")
    return "".join(parts) + f"</g>{dot}</g>"


def _x_scale(
    points: Sequence[Point], start: float, stop: float, *, joined: bool, bars: bool
) -> tuple[Callable[[float], float], list[Mark]]:
    """Where numbers lie on the x axis of a chart of points, and its marks."""
    xs = sorted({point.x.estimate for point in points})
    if joined and (len(xs) <= 2 or _is_wide(xs)):
        step = (stop - start) / max(1, len(xs) - 1)
        places = {x: start + step * number for number, x in enumerate(xs)}
        every = math.ceil(len(xs) / 10)
        return places.__getitem__, [(place, f"{x:g}") for x, place in list(places.items())[::every]]
    numbers = ends([point.x for point in points], bars=bars and not joined)
    if not joined and min(numbers) > 0 and _is_wide(numbers) and median(xs) < 0.2 * max(numbers):
        to_log = Scale(math.log10(min(numbers)), math.log10(max(numbers)), start, stop)
        return (lambda value: to_log(math.log10(value))), _log_marks(to_log)
    to_x = Scale(min(numbers), max(numbers), start, stop)
    return to_x, [(to_x(x), f"{x:g}") for x in xs] if joined and len(xs) <= 8 else round_marks(to_x, 6)


def _log_marks(to_log: Scale) -> list[Mark]:
    """Powers of ten, and twice and five times these where there are few."""
    powers = range(math.floor(to_log.low), math.ceil(to_log.high) + 1)
    factors = (1, 2, 5) if to_log.high - to_log.low < 3 else (1,)
    marks = [(math.log10(factor) + power, factor * 10.0**power) for power in powers for factor in factors]
    return [(to_log(at), f"{value:g}") for at, value in marks if to_log.low <= at <= to_log.high]


def _is_drawn(point: Point) -> bool:
    return math.isfinite(point.x.estimate) and math.isfinite(point.y.estimate)


def _is_wide(xs: Sequence[float]) -> bool:
    positive = [x for x in xs if x > 0]
    return len(positive) > 1 and max(positive) / min(positive) >= WIDE_RATIO
