"""Pieces of SVG text: elements, scales and round ticks. Every text and attribute is escaped here."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

INK, SOFT, FAINT, ACCENT = "#1d2329", "#66707a", "#e3e6e9", "#0072b2"
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, lone surrogates


@dataclass(frozen=True, slots=True)
class Scale:
    """Linear map of the numbers [low, high] to the pixels [start, stop]; an empty range maps to `start`."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """The pixel of a number."""
        if self.high <= self.low:
            return self.start
        return self.start + (value - self.low) * (self.stop - self.start) / (self.high - self.low)


def quote(content: str) -> str:
    """A text made safe for markup and attributes: control characters and lone surrogates replaced, the rest escaped."""
    return escape(UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", content))


def svg(content: str, width: float, height: float, label: str, *, extra_class: str = "") -> str:
    """An inline SVG element of a native size, with a text for those who cannot see it."""
    classes = f' class="{extra_class}"' if extra_class else ""
    return (
        f'<svg{classes} role="img" aria-label="{quote(label)}" viewBox="0 0 {width:g} {height:g}" '
        f'style="--native:{width:g}px">{content}</svg>'
    )


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers (1, 2 or 5 times a power of ten apart) whose range covers [low, high]."""
    if not high > low:
        low, high = low - (abs(low) * 0.1 or 1), high + (abs(high) * 0.1 or 1)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    size = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
    return [round(number * size, 12) for number in range(first, last + 1)]


def number_label(value: float, all_ticks: Sequence[float], *, percent: bool = False) -> str:
    """A tick's number with as many decimals as the spacing of the ticks needs."""
    if percent:
        all_ticks, value = [100 * tick for tick in all_ticks], 100 * value
    spacing = min((b - a for a, b in pairwise(all_ticks)), default=1)
    decimals = max(0, -math.floor(math.log10(spacing) + 1e-9)) if spacing > 0 else 0
    return f"{value:,.{decimals}f}" + ("%" if percent else "")


def shorten(text: str, length: int) -> str:
    """The text, or its beginning with an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def line(x0: float, y0: float, x1: float, y1: float, color: str, width: float = 1) -> str:
    """A straight line."""
    return f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="{color}" stroke-width="{width:g}" fill="none"/>'


def rect(x: float, y: float, width: float, height: float, fill: str, *, radius: float = 0) -> str:
    """A filled rectangle."""
    round_ = f' rx="{radius:g}"' if radius else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{round_} fill="{fill}"/>'


def path(xs: Sequence[float], ys: Sequence[float], color: str, width: float, opacity: float = 1, dash: str = "") -> str:
    """A line through points, given in pixels."""
    points = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))
    fade = f' opacity="{opacity:g}"' if opacity < 1 else ""
    fade += f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="M{points}" stroke="{color}" stroke-width="{width:g}" fill="none" stroke-linejoin="round"{fade}/>'


def text(
    x: float, y: float, content: str, *, anchor: str = "start", soft: bool = False, color: str = INK, weight: int = 400
) -> str:
    """A text; `y` is its base line, `soft` greys it."""
    style = f' font-weight="{weight}"' if weight != 400 else ""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{place} fill="{SOFT if soft else color}"{style}>{quote(content)}</text>'
