"""Which settings a sweep visits: axes over dotted fields, combined as a grid, drawn at random, or listed.

An axis is written `field=a,b,c` (values), `field=low:high:count` (that many, evenly spaced, both ends among them) or
`field=low:high:count:log` (evenly in the logarithm). Random points are drawn from `field=low:high`,
`field=low:high:log` or evenly from `field=a,b,c`.
"""

import csv
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import product
from pathlib import Path

from lts_jax.errors import UserError, show
from lts_jax.parts import split_calls
from lts_jax.seeds import uniform
from lts_jax.storage import parse_json
from lts_jax.sweeps.fields import SweepField, Value, describe_values, find_field, value_of

Point = Mapping[str, Value]
"""Values by field name; every point of a sweep has the same fields in the same order."""

MAX_POINTS = 100_000  # a grid of more is a slip

Elsewhere = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Axis:
    """The values that a field takes."""

    field: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a field is drawn from, both ends included."""

    field: str
    low: float
    high: float
    is_log: bool = False  # evenly in the logarithm
    is_whole: bool = False  # whole numbers only

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise UserError(f"{self.field}: expected low:high with low below high, got {self.low:g}:{self.high:g}")
        if self.is_log and self.low <= 0:
            raise UserError(f"{self.field}: a logarithmic range starts above 0, got {self.low:g}")

    def at(self, share: float) -> float:
        """The number `share` of the way from low to high, `share` in [0, 1)."""
        low, high = (self.low - 0.5, self.high + 0.5) if self.is_whole else (self.low, self.high)
        number = low * (high / low) ** share if self.is_log else low + share * (high - low)
        return min(max(math.floor(number + 0.5), int(self.low)), int(self.high)) if self.is_whole else number


def parse_axis(
    known: Mapping[str, SweepField], text: str, *, at_random: bool = False, elsewhere: Elsewhere | None = None
) -> Axis | Range:
    """Read one `field=...`; see the module for the forms.

    Raises:
        UserError: no such field, no such form, or a value of another type.
    """
    name, equals, given = text.partition("=")
    if not equals or not name.strip():
        raise UserError(f"expected field=value,value or field=low:high:count, got {text!r}")
    field = find_field(known, name, elsewhere)
    if not given.strip():
        raise UserError(f"{field.name}: expected at least one value")
    if field.is_number and ":" in given:
        return _range(field, given) if at_random else _spaced_axis(field, given)
    return Axis(field.name, tuple(value_of(field, part) for part in split_calls(given)))


def _range(field: SweepField, given: str) -> Range:
    parts = [part.strip() for part in given.split(":")]
    if len(parts) not in {2, 3} or parts[2:] not in ([], ["log"]):
        raise UserError(f"{field.name}: random points are drawn from low:high or low:high:log, got {given!r}")
    low, high = (_end(field, part) for part in parts[:2])
    return Range(field.name, low, high, is_log=len(parts) == 3, is_whole=field.kind is int)


def _spaced_axis(field: SweepField, given: str) -> Axis:
    parts = [part.strip() for part in given.split(":")]
    is_count = len(parts) in {3, 4} and parts[2].isdecimal() and parts[2].lstrip("0") not in {"", "1"}
    if not is_count or parts[3:] not in ([], ["log"]):
        raise UserError(f"{field.name}: expected low:high:count or low:high:count:log, count from 2 on, got {given!r}")
    if len(parts[2]) > 9 or int(parts[2]) > MAX_POINTS:
        raise UserError(f"{field.name}: expected a count of at most {MAX_POINTS:,}, got {show(given)}")
    ends = Range(field.name, _end(field, parts[0]), _end(field, parts[1]), is_log=len(parts) == 4)
    count = int(parts[2])
    numbers = [ends.low, *(ends.at(place / (count - 1)) for place in range(1, count - 1)), ends.high]
    rounded = [float(f"{number:.12g}") for number in numbers]
    if field.kind is not int:
        return Axis(field.name, tuple(rounded))
    broken = [number for number in rounded if not number.is_integer()]
    if broken:
        raise UserError(f"{field.name}: {given} gives {broken[0]:g}, but only whole numbers are meant")
    return Axis(field.name, tuple(int(number) for number in rounded))


def _end(field: SweepField, text: str) -> float:
    number = value_of(field, text)
    if number is None:
        raise UserError(f"{field.name}: a range needs two numbers, got {text!r}")
    return float(number)


def grid(axes: Sequence[Axis]) -> tuple[Point, ...]:
    """Every combination of the axes' values; the last axis changes fastest.

    Raises:
        UserError: an axis with a value twice.
    """
    for axis in axes:
        twice = [name for name, count in Counter(map(repr, axis.values)).items() if count > 1]
        if twice:
            raise UserError(f"{axis.field}: the value {twice[0]} stands there twice")
    names = [axis.field for axis in axes]
    return tuple(dict(zip(names, values, strict=True)) for values in product(*(axis.values for axis in axes)))


def zip_axes(axes: Sequence[Axis]) -> tuple[Point, ...]:
    """The n-th point has the n-th value of every axis.

    Raises:
        UserError: axes of different lengths.
    """
    lengths = {axis.field: len(axis.values) for axis in axes}
    if len(set(lengths.values())) > 1:
        raise UserError(f"a list needs axes of one length, got {describe_values(lengths)}")
    names = [axis.field for axis in axes]
    return tuple(dict(zip(names, values, strict=True)) for values in zip(*(one.values for one in axes), strict=True))


def random_points(axes: Sequence[Axis | Range], num_points: int, seed: int) -> tuple[Point, ...]:
    """Points drawn independently and evenly; the first n are the same however many are asked for."""
    return tuple(
        {axis.field: _draw(axis, uniform(seed, number, axis.field, "sweep")) for axis in axes}
        for number in range(num_points)
    )


def _draw(axis: Axis | Range, share: float) -> Value:
    return axis.at(share) if isinstance(axis, Range) else axis.values[int(share * len(axis.values))]


def read_points(
    known: Mapping[str, SweepField], path: Path, *, elsewhere: Elsewhere | None = None
) -> tuple[Point, ...]:
    """Points from a file: one JSON object a line, or CSV (by its ending .csv) with field names in the first line.

    Raises:
        UserError: no such file, another form, an unknown field, or lines of different fields.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (IsADirectoryError, UnicodeDecodeError):
        raise UserError(f"{path}: expected a file of JSON lines, or of CSV") from None
    is_csv = Path(path).suffix == ".csv"
    rows = list(csv.DictReader(StringIO(text, newline=""))) if is_csv else _json_rows(path, text)
    if not rows or not rows[0]:
        raise UserError(f"{path}: holds no point")
    for number, row in enumerate(rows, 1):  # the csv module marks a short or a long line with None
        if list(row) != list(rows[0]) or None in row or None in row.values():
            raise UserError(f"{path}: point {number} has other fields than the first, or is cut short")
    fields = [find_field(known, name, elsewhere) for name in rows[0]]
    if len({field.name for field in fields}) < len(fields):
        raise UserError(f"{path}: names a field twice")
    return tuple(
        {field.name: value_of(field, value) for field, value in zip(fields, row.values(), strict=True)} for row in rows
    )


def _json_rows(path: Path, text: str) -> list[dict[str, object]]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):  # a line feed alone: texts may hold other ends of lines
        if not line.strip():
            continue
        try:
            row = parse_json(line, "")
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise UserError(f"{path}: line {number} is not a JSON object")
        rows.append({name: "null" if value is None else value for name, value in row.items()})
    return rows


def check_distinct(points: Sequence[Point]) -> None:
    """Refuse a sweep that would visit a point twice.

    Raises:
        UserError: naming the point and its two places.
    """
    places: dict[tuple[tuple[str, str], ...], int] = {}
    for number, point in enumerate(points, 1):
        seen = places.setdefault(tuple((name, repr(value)) for name, value in point.items()), number)
        if seen != number:
            raise UserError(f"points {seen} and {number} are the same: {describe_values(point)}")
