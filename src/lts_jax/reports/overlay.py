"""Several learning curves in one chart, a colour each: of runs side by side, or of a sweep's configurations."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lts_jax.evaluation.curves import Curve
from lts_jax.reports.axes import Frame, round_marks, x_axis, y_grid
from lts_jax.reports.palette import SOFT
from lts_jax.reports.svg import Figure, Scale, circle, path, quote, svg, text, ticks

MAX_DRAWN = 200  # points of one curve


@dataclass(frozen=True, slots=True)
class Line:
    """One curve of a chart. `low` and `high` bound a band around it; empty for none."""

    label: str
    color: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


def smoothed(label: str, color: str, curve: Curve) -> Line:
    """A run's curve as the trailing mean over a tenth of it; the values themselves differ too much to be told apart."""
    window = max(1, len(curve.y) // 10)
    recent = [curve.y[max(0, end - window) : end] for end in range(1, len(curve.y) + 1)]
    return Line(label, color, curve.x, tuple(math.fsum(values) / len(values) for values in recent))


def overlay(lines: Sequence[Line], frame: Frame) -> Figure:
    """Curves over one axis, each with its last value at the right; pointing at one dims the others."""
    drawn = [_thinned(line) for line in lines if len(line.x)]
    left, right, top, base = 46, frame.width - 62, 30, frame.height - 34
    numbers = [value for line in drawn for values in (line.y, line.low, line.high) for value in values]
    y_ticks = ticks(min(numbers), max(numbers), 4)
    to_x = Scale(min(line.x[0] for line in drawn), max(line.x[-1] for line in drawn), left, right)
    to_y = Scale(y_ticks[0], y_ticks[-1], base, top)
    parts = [text(0, 14, frame.title, weight=600), *y_grid(y_ticks, to_y, left, right)]
    parts += x_axis(round_marks(to_x, 4), base + 16, frame, right)
    places = _apart([to_y(line.y[-1]) for line in drawn], 12)
    for line, place in zip(drawn, places, strict=True):
        tip = quote(f"{line.label}\n{frame.title}: from {line.y[0]:.3g} to {line.y[-1]:.3g}")
        parts.append(f'<g data-series="{quote(line.label)}" data-tip="{tip}">{_band(line, to_x, to_y)}')
        parts.append(path(zip(map(to_x, line.x), map(to_y, line.y), strict=True), line.color, 2))
        parts.append(circle(to_x(line.x[-1]), to_y(line.y[-1]), 3, line.color))
        parts.append(text(right + 7, place + 4, f"{line.y[-1]:.3g}", color=line.color or SOFT, weight=600) + "</g>")
    said = "; ".join(f"{line.label} from {line.y[0]:.3g} to {line.y[-1]:.3g}" for line in drawn)
    return svg("".join(parts), frame.width, frame.height, f"{frame.title}: {said}")


def by_name(curves: Mapping[str, Sequence[Curve]]) -> dict[str, dict[str, Curve]]:
    """Curves by their names, then by whose they are, where at least one of the owners has a curve of the name."""
    found: dict[str, dict[str, Curve]] = {}
    for owner, own in curves.items():
        for curve in own:
            found.setdefault(curve.name, {})[owner] = curve
    return found


def _band(line: Line, to_x: Scale, to_y: Scale) -> str:
    if not len(line.low):
        return ""
    there = [f"{to_x(x):.1f} {to_y(y):.1f}" for x, y in zip(line.x, line.high, strict=True)]
    back = [f"{to_x(x):.1f} {to_y(y):.1f}" for x, y in zip(line.x, line.low, strict=True)][::-1]
    return f'<path d="M{"L".join([*there, *back])}Z" fill="{line.color}" opacity="0.15"/>'


def _thinned(line: Line) -> Line:
    """At most `MAX_DRAWN` points of a curve, its first and last among them."""
    count = len(line.x)
    if count <= MAX_DRAWN:
        return line
    kept = [round(place * (count - 1) / (MAX_DRAWN - 1)) for place in range(MAX_DRAWN)]
    parts = (
        [values[place] for place in kept] if len(values) else [] for values in (line.x, line.y, line.low, line.high)
    )
    return Line(line.label, line.color, *parts)


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """Heights of labels, moved down where they would overlap."""
    moved = list(places)
    order = sorted(range(len(places)), key=lambda number: places[number])
    for above, below in pairwise(order):
        moved[below] = max(moved[below], moved[above] + gap)
    return moved
