"""A sweep as a record: which side, which settings, which points, how many seeds."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, get_args

from lts_jax.bounds import check_bound, check_bounds
from lts_jax.errors import UserError
from lts_jax.parts import split_calls
from lts_jax.sweeps.cells import is_inner
from lts_jax.sweeps.fields import PART_FIELDS, SweepField, Value, find_field, replace_fields, sweep_fields, value_of
from lts_jax.sweeps.points import (
    MAX_POINTS,
    Axis,
    Elsewhere,
    Point,
    Range,
    check_distinct,
    grid,
    parse_axis,
    random_points,
    read_points,
    zip_axes,
)

Mode = Literal["grid", "random", "list"]


@dataclass(frozen=True, slots=True)
class PointSettings:
    """How the points of a sweep are found."""

    over: tuple[str, ...] = ()  # axes, `field=a,b,c` or `field=low:high:count`
    mode: Mode = "grid"  # every combination, drawn at random, or the axes side by side
    num_points: int | None = None  # of mode random
    points_seed: int = 0  # of mode random
    file: Path | None = None  # of mode list: JSON lines or CSV, in place of `over`

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise UserError(f"mode: expected grid, random or list, got {self.mode!r}")
        if self.file is not None and (self.mode != "list" or self.over):
            raise UserError("a file of points goes with mode list, and without axes of its own")
        if (self.mode == "random") != (self.num_points is not None):
            raise UserError("mode random needs the number of points, and no other mode takes it (--num-points)")
        if self.num_points is not None and self.num_points < 1:
            raise UserError(f"num_points: expected at least 1, got {self.num_points}")
        if self.file is None and not self.over:
            raise UserError("a sweep needs at least one axis, such as --over learning.sparsity_weight=0,.1,.2")


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """All that a sweep's results depend on, checked. Seeds are shared by all points, so they are compared in pairs."""

    side: str  # "simulator" or "text"
    base: Any  # settings of what is not swept
    points: tuple[Point, ...]
    num_seeds: int = 20
    first_seed: int = 0
    pairs_per_program: int = 64  # most (point, seed) pairs that are run, and stored, at once

    def __post_init__(self) -> None:
        for name in ("num_seeds", "pairs_per_program"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: expected at least 1, got {getattr(self, name)}")
            check_bound(name, getattr(self, name), name)
        if not 0 <= self.first_seed <= 2**31 - self.num_seeds:
            raise UserError(f"first_seed: expected from 0 to 2^31 - num_seeds, got {self.first_seed}")
        if not self.points or not self.points[0]:
            raise UserError("a sweep needs at least one point, and a point at least one field")
        check_distinct(self.points)
        known = sweep_fields(self.base, self.points)
        for point in self.points:
            replace_fields(self.base, known, point)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of what is swept."""
        return tuple(self.points[0])

    @property
    def seeds(self) -> range:
        """Of every point."""
        return range(self.first_seed, self.first_seed + self.num_seeds)

    @property
    def digest(self) -> str:
        """Of the points, in their order."""
        return blake2b(json.dumps([dict(point) for point in self.points]).encode(), digest_size=8).hexdigest()


def make_points(base: Any, settings: PointSettings, elsewhere: Elsewhere | None = None) -> tuple[Point, ...]:
    """The points that these settings mean for a base record; `elsewhere` explains fields that it lacks.

    Raises:
        UserError: an unknown field, a wrong value, two axes over one field, or too many points.
    """
    known = sweep_fields(base)
    if settings.file is not None:
        return read_points(known, settings.file, elsewhere=elsewhere)
    at_random = settings.mode == "random"
    known = sweep_fields(base, _named_parts(settings.over))
    axes = [parse_axis(known, text, at_random=at_random, elsewhere=elsewhere) for text in settings.over]
    names = [axis.field for axis in axes]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"{twice[0]}: named by two axes")
    if at_random:
        return random_points(axes, _check_number(settings.num_points or 0), settings.points_seed)
    listed = [_as_axis(axis) for axis in axes]
    if settings.mode == "list":
        return zip_axes(listed)
    num_points = 1
    for axis in listed:
        num_points = _check_number(num_points * len(axis.values))
    return grid(listed)


def _named_parts(over: Sequence[str]) -> list[Point]:
    """What the axes over parts visit, before their settings are known."""
    axes = [(text.partition("=")[0].strip().replace("-", "_"), text.partition("=")[2]) for text in over]
    return [{name: value} for name, values in axes if name in PART_FIELDS for value in split_calls(values)]


def check_points(plan: SweepPlan, check: Callable[[Any], None]) -> None:
    """Let a side refuse any point's settings, before anything is written.

    Raises:
        UserError: what `check` refuses; the point is named.
    """
    known = sweep_fields(plan.base, plan.points)

    def check_all(settings: Any) -> None:
        check_bounds(settings)
        check(settings)

    for point in plan.points:
        replace_fields(plan.base, known, point, check_all)


def _as_axis(axis: Axis | Range) -> Axis:
    assert isinstance(axis, Axis)  # ranges are parsed for random points only
    return axis


def _check_number(num_points: int) -> int:
    if num_points > MAX_POINTS:
        raise UserError(f"at most {MAX_POINTS:,} points, got {num_points:,}")
    return num_points


def with_settings(base: Any, given: Sequence[str], elsewhere: Elsewhere | None = None) -> Any:
    """A base record with fields set, each written `field=value`.

    Raises:
        UserError: an unknown field, a wrong value, or one that the record refuses.
    """
    known = sweep_fields(base)
    values: dict[str, Value] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"expected field=value, got {text!r}")
        field = find_field(known, name, elsewhere)
        if field.name in values:
            raise UserError(f"{field.name}: set twice")
        values[field.name] = value_of(field, value)
    return replace_fields(base, known, values)


def field_lines(known: Mapping[str, SweepField]) -> list[str]:
    """What may be swept, a line each: name, type, default; numbers that share a program are marked."""
    lines = []
    for field in known.values():
        kind = getattr(field.kind, "__name__", "") if field.kind in {str, int, float, bool} else _choices(field)
        if kind and field.name != "seed":
            kind = f"{kind} or none" if field.takes_none else kind
            lines.append(f"{'*' if is_inner(field) else ' '} {field.name:<42} {kind:<28} {field.default}")
    return lines


def _choices(field: SweepField) -> str:
    args = get_args(field.kind)
    return " ".join(str(choice) for choice in args) if args and all(isinstance(one, (str, int)) for one in args) else ""
