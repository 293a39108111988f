"""Pieces of SVG text: elements, scales, round ticks, and figures as files. Every text and attribute is escaped here."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

from lts_jax.reports.palette import INK
from lts_jax.storage import write_bytes, write_text

LETTER = 7.2  # mean width of a letter, in pixels
FONTS = "DejaVu Sans,Helvetica Neue,Arial,Liberation Sans,sans-serif"
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


class Figure(str):
    """An SVG element for a page. A notebook shows it; `save_figure` makes files of it."""

    __slots__ = ()

    @property
    def width(self) -> float:
        """Native width in pixels."""
        return _size(self)[0]

    def __repr__(self) -> str:
        return f"<figure of {self.width:g} pixels>" if self else "<no figure>"

    def _repr_svg_(self) -> str:
        return standalone(self)


def svg(content: str, width: float, height: float, label: str, *, extra_class: str = "") -> Figure:
    """An inline SVG element of a native size, with a text for those who cannot see it."""
    classes = f' class="{extra_class}"' if extra_class else ""
    return Figure(
        f'<svg{classes} role="img" aria-label="{quote(label)}" viewBox="0 0 {width:g} {height:g}" '
        f'style="--native:{width:g}px">{content}</svg>'
    )


def standalone(figure: str) -> str:
    """A figure as a document of its own: with the fonts and the white ground that the page gives it otherwise."""
    (width, height), margin = _size(figure), 12
    wide, high = width + 2 * margin, height + 2 * margin
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:g}" height="{high:g}" '
        f'viewBox="{-margin} {-margin} {wide:g} {high:g}" font-family="{FONTS}" font-size="12.5">'
        "<style>.reach{fill:none}.arrow{stroke-width:1.3;opacity:.5}</style>"
        f'<rect x="{-margin}" y="{-margin}" width="{wide:g}" height="{high:g}" fill="#fff"/>'
        f"{figure[figure.index('>') + 1 :]}\n"
    )


def _size(figure: str) -> tuple[float, float]:
    width, height = re.findall(r'viewBox="0 0 (\S+) (\S+)"', figure)[0]
    return float(width), float(height)


def save_figure(figure: str, path: Path | str, *, zoom: int = 2) -> tuple[Path, ...]:
    """Write a figure as SVG and, where resvg_py is installed (extra `notebook`), as a PNG beside it.

    Args:
        figure: what a chart function returned.
        path: where; its suffix is replaced by .svg and .png.
        zoom: pixels of the PNG for one of the figure's own.

    Returns:
        The files written.
    """
    drawing, picture = Path(path).with_suffix(".svg"), Path(path).with_suffix(".png")
    write_text(drawing, standalone(figure))
    try:
        import resvg_py
    except ModuleNotFoundError:
        return (drawing,)
    write_bytes(picture, bytes(resvg_py.svg_to_bytes(svg_string=standalone(figure), zoom=zoom)))
    return drawing, picture


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


def shorten_name(name: str, length: int) -> str:
    """A name, or its two ends: calls of one function differ at the end."""
    if len(name) <= length:
        return name
    tail = (length - 1) // 2
    return f"{name[: length - 1 - tail]}…{name[len(name) - tail :]}"


def line(x0: float, y0: float, x1: float, y1: float, color: str, width: float = 1) -> str:
    """A straight line."""
    return f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="{color}" stroke-width="{width:g}" fill="none"/>'


def rect(x: float, y: float, width: float, height: float, fill: str, *, radius: float = 0) -> str:
    """A filled rectangle."""
    round_ = f' rx="{radius:g}"' if radius else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{round_} fill="{fill}"/>'


def path(points: Iterable[tuple[float, float]], color: str, width: float, *, opacity: float = 1, dash: str = "") -> str:
    """A line through points, given in pixels."""
    places = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    fade = f' opacity="{opacity:g}"' if opacity < 1 else ""
    fade += f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="M{places}" stroke="{color}" stroke-width="{width:g}" fill="none" stroke-linejoin="round"{fade}/>'


def circle(x: float, y: float, radius: float, fill: str, *, ring: str = "") -> str:
    """A filled circle, with an outline where `ring` is a colour."""
    outline = f' stroke="{ring}" stroke-width="2"' if ring else ""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{fill}"{outline}/>'


def text(x: float, y: float, content: str, *, anchor: str = "start", color: str = INK, weight: int = 400) -> str:
    """A text; `y` is its base line."""
    style = f' font-weight="{weight}"' if weight != 400 else ""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{place} fill="{color}"{style}>{quote(content)}</text>'
