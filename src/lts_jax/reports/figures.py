"""Figures as SVG text: data in, text out. No library, no network; every text is escaped.

Colours are those of Okabe and Ito (2008), told apart by colour-blind readers too. A figure is drawn at its native
width; the page shrinks it, or scrolls it where its text would become too small.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lts_jax.evaluation.statistics import Interval
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

PALETTE = ("#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d00", "#7f3c8d", "#5f6b6d", "#b3a5d6")


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart. `emphasis` draws it thicker and over the others."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    color: str = ACCENT
    emphasis: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    """One row of a dot plot: a value with its interval, and the level it is to be compared with (NaN for none)."""

    label: str
    value: Interval
    level: float = math.nan
    color: str = INK
    text: str = ""  # printed at the right edge
    tip: str = ""  # shown while pointing at the row


def policy_colors(policies: Sequence[str], *, reference: str, highlight: str) -> dict[str, str]:
    """A colour for each policy: the reference in ink, the highlighted one in the accent, others from the palette."""
    others = [policy for policy in policies if policy not in (reference, highlight)]
    colors = {policy: PALETTE[number % len(PALETTE)] for number, policy in enumerate(others)}
    return {**colors, reference: INK, highlight: ACCENT if highlight != reference else INK}


def line_chart(
    x: Sequence[float], y: Sequence[float], *, title: str, x_title: str, width: int = 360, height: int = 190
) -> str:
    """One metric: the raw values faint, their trailing mean over a tenth of the run on top, its last value printed."""
    left, right, top, bottom = 46, 62, 30, 34
    window = max(1, len(y) // 10)
    smooth = [
        math.fsum(y[max(0, i + 1 - window) : i + 1]) / len(y[max(0, i + 1 - window) : i + 1]) for i in range(len(y))
    ]
    y_ticks = ticks(min(y), max(y), 4)
    x_ticks = [tick for tick in ticks(min(x), max(x), 4) if min(x) <= tick <= max(x)]
    to_x = Scale(min(x), max(x), left, width - right)
    to_y = Scale(y_ticks[0], y_ticks[-1], height - bottom, top)
    parts = [text(0, 14, title, weight=600), *_y_grid(y_ticks, to_y, left, width - right)]
    parts += [
        text(to_x(tick), height - bottom + 16, number_label(tick, x_ticks), anchor="middle", soft=True)
        for tick in x_ticks
    ]
    parts.append(text(width - right, height - 3, x_title, anchor="end", soft=True))
    parts.append(path(list(map(to_x, x)), list(map(to_y, y)), ACCENT, 1, opacity=0.3))
    parts.append(path(list(map(to_x, x)), list(map(to_y, smooth)), ACCENT, 2))
    last = f"{smooth[-1]:.3g}"
    parts.append(f'<circle cx="{to_x(x[-1]):.1f}" cy="{to_y(smooth[-1]):.1f}" r="3" fill="{ACCENT}"/>')
    parts.append(text(to_x(x[-1]) + 7, to_y(smooth[-1]) + 4, last, color=ACCENT, weight=600))
    return svg("".join(parts), width, height, f"{title}: from {smooth[0]:.3g} to {last}")


def cumulative_chart(series: Sequence[Series], *, x_title: str, width: int = 1000, height: int = 400) -> str:
    """Empirical distribution functions: the share of rollouts that were done by each time.

    `x` of a series are its sorted values; `y` is not read. The labels stand in order of the medians, which they name.
    """
    left, right, top, bottom = 46, 196, 16, 40
    end = max(one.x[-1] for one in series)
    x_ticks = [tick for tick in ticks(0, end, 6) if tick <= end]
    to_x, to_y = Scale(0, end, left, width - right), Scale(0, 1, height - bottom, top)
    parts = _y_grid([0, 0.25, 0.5, 0.75, 1], to_y, left, width - right, percent=True)
    parts += [
        text(to_x(tick), height - bottom + 17, number_label(tick, x_ticks), anchor="middle", soft=True)
        for tick in x_ticks
    ]
    parts.append(text(width - right, height - 4, x_title, anchor="end", soft=True))
    for one in sorted(series, key=lambda one: one.emphasis):
        xs, ys = _staircase(one.x, end)
        stairs = path(list(map(to_x, xs)), list(map(to_y, ys)), one.color, 2.6 if one.emphasis else 1.4)
        parts.append(f'<g data-series="{quote(one.label)}">{stairs}</g>')
    parts.append(text(width - right + 14, top + 2, "median, fastest first", soft=True))
    ordered = sorted(series, key=lambda one: median(one.x))
    for number, one in enumerate(ordered):
        y, weight = top + 24 + 20 * number, 700 if one.emphasis else 400
        parts.append(f'<g data-series="{quote(one.label)}">' + rect(width - right + 14, y - 6, 14, 3, one.color))
        parts.append(text(width - right + 34, y, shorten(one.label, 18), weight=weight))
        parts.append(text(width - 2, y, f"{median(one.x):,.0f} s", anchor="end", weight=weight) + "</g>")
    label = "; ".join(f"{one.label} median {median(one.x):.0f} s" for one in ordered)
    height = max(height, top + 24 + 20 * len(series))
    return svg("".join(parts), width, height, f"Completion times: {label}", extra_class="distribution")


def dot_plot(
    dots: Sequence[Dot],
    *,
    title: str,
    x_title: str = "",
    bounds: tuple[float, float] | None = None,
    zero_line: bool = False,
    percent: bool = False,
    resolution: float = math.nan,
    text_title: str = "",
    width: int = 400,
    label_width: int = 130,
    text_width: int = 98,
) -> str:
    """A row per policy: a dot with its interval; a dashed tick at its chance level; the value as text at the right.

    `text_title` stands over these values. `zero_line` marks no difference; `resolution` shades the band around it
    inside which effects stay unseen. `label_width` and `text_width` are the pixels left and right of the dots.
    """
    left, right, top, row_height = label_width, text_width, 34, 24
    height = top + row_height * len(dots) + 30
    low, high = bounds or _span(dots, zero_line=zero_line)
    x_ticks = [tick for tick in ticks(low, high, 4) if low <= tick <= high]
    to_x = Scale(low, high, left, width - right)
    base = top + row_height * len(dots)
    parts = [text(0, 14, title, weight=600), text(width, 14, text_title, anchor="end", soft=True)]
    if zero_line and math.isfinite(resolution):
        x0, x1 = to_x(max(low, -resolution)), to_x(min(high, resolution))
        parts.append(rect(x0, top - 6, x1 - x0, base - top + 6, "#eef1f3"))
    for tick in x_ticks:
        strong = zero_line and tick == 0
        parts.append(line(to_x(tick), top - 6, to_x(tick), base, SOFT if strong else FAINT))
        parts.append(
            text(to_x(tick), base + 15, number_label(tick, x_ticks, percent=percent), anchor="middle", soft=True)
        )
    if x_title:
        parts.append(text(width - right, base + 29, x_title, anchor="end", soft=True))
    for number, dot in enumerate(dots):
        y = top + row_height * (number + 0.5)
        parts.append(_dot_row(dot, y, to_x, width, label_width))
    return svg("".join(parts), width, height, f"{title}: " + "; ".join(f"{dot.label} {dot.text}" for dot in dots))


def _dot_row(dot: Dot, y: float, to_x: Scale, width: int, label_width: int) -> str:
    tip = quote(dot.tip or f"{dot.label}: {dot.text}")
    parts = [f'<g data-tip="{tip}">' + rect(0, y - 12, width, 24, "transparent")]
    bold = 700 if dot.color == ACCENT else 400
    parts.append(
        text(0, y + 4, shorten(dot.label, label_width // 7), color=ACCENT if bold == 700 else INK, weight=bold)
    )
    if math.isfinite(dot.level):
        x = to_x(dot.level)
        parts.append(path([x, x], [y - 8, y + 8], SOFT, 2, dash="3 2.5"))
    if math.isfinite(dot.value.low):
        parts.append(line(to_x(dot.value.low), y, to_x(dot.value.high), y, dot.color, 2))
    if math.isfinite(dot.value.estimate):
        parts.append(f'<circle cx="{to_x(dot.value.estimate):.1f}" cy="{y:.1f}" r="4.5" fill="{dot.color}"/>')
    parts.append(text(width, y + 4, dot.text or "–", anchor="end", weight=bold))
    return "".join(parts) + "</g>"


def median(values: Sequence[float]) -> float:
    """Median of sorted values; NaN without any."""
    count = len(values)
    return (values[(count - 1) // 2] + values[count // 2]) / 2 if count else math.nan


def _span(dots: Sequence[Dot], *, zero_line: bool) -> tuple[float, float]:
    numbers = [number for dot in dots for number in (dot.value.estimate, dot.value.low, dot.value.high, dot.level)]
    finite = [number for number in numbers if math.isfinite(number)] + ([0.0] if zero_line else [])
    if not finite or max(finite) == min(finite):
        return (-1.0, 1.0) if zero_line else (0.0, 1.0)
    room = 0.06 * (max(finite) - min(finite))
    return min(finite) - room, max(finite) + room


def _staircase(values: Sequence[float], end: float) -> tuple[list[float], list[float]]:
    xs, ys = [0.0], [0.0]
    for number, value in enumerate(values):
        xs += [value, value]
        ys += [number / len(values), (number + 1) / len(values)]
    return [*xs, end], [*ys, 1.0]


def _y_grid(y_ticks: Sequence[float], to_y: Scale, left: float, right: float, *, percent: bool = False) -> list[str]:
    parts = []
    for tick in y_ticks:
        parts.append(line(left, to_y(tick), right, to_y(tick), FAINT))
        parts.append(
            text(left - 6, to_y(tick) + 4, number_label(tick, y_ticks, percent=percent), anchor="end", soft=True)
        )
    return parts
