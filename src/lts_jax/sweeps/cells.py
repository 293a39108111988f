"""What runs in one program: numbers of the simulated process inside, everything else outside, in chunks.

A cell is one combination of outer values (names, whole numbers, switches) with all points that share it; its inner
fields are what one program is vmapped over. A chunk is a part of a cell that is run, and stored, at once.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from lts_jax.sweeps.fields import SweepField, Value, replace_fields
from lts_jax.sweeps.points import Point


@dataclass(frozen=True, slots=True)
class Cell:
    """Points that differ only in numbers."""

    outer: Point  # the values that all of them share
    settings: Any  # the base with the first point's values; a runner puts the inner ones of each point in their place
    inner: tuple[Mapping[str, float], ...]  # of each point, in order
    numbers: tuple[int, ...]  # places of these points in the sweep


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a cell: some points with some seeds."""

    cell: Cell
    points: tuple[int, ...]  # places in the cell
    seeds: tuple[int, ...]
    num_padded: int  # points that one program of this cell takes; what is missing is filled with the last point
    digest: str  # its name in this sweep

    @property
    def num_pairs(self) -> int:
        """(Point, seed) pairs in it."""
        return len(self.points) * len(self.seeds)


INNER_PARTS = ("world", "learning", "credit")
"""Parts of a simulator's settings whose numbers are traced. The text side's are none: there each point is a cell."""


def inner_names(known: Mapping[str, SweepField], points: Sequence[Point]) -> tuple[str, ...]:
    """Fields that one program is vmapped over: numbers of `INNER_PARTS`, annotated as float, never none."""
    return tuple(
        name for name in points[0] if is_inner(known[name]) and all(point[name] is not None for point in points)
    )


def is_inner(field: SweepField) -> bool:
    """Whether values of a field can share one program."""
    return field.path[0] in INNER_PARTS and field.kind is float


def cells(base: Any, known: Mapping[str, SweepField], points: Sequence[Point]) -> tuple[Cell, ...]:
    """Points grouped by their outer values, in the order in which these first appear."""
    inner = inner_names(known, points)
    groups: dict[str, list[int]] = {}
    for number, point in enumerate(points):
        outer = repr([value for name, value in point.items() if name not in inner])
        groups.setdefault(outer, []).append(number)
    return tuple(_cell(base, known, points, numbers, inner) for numbers in groups.values())


def _cell(
    base: Any,
    known: Mapping[str, SweepField],
    points: Sequence[Point],
    numbers: Sequence[int],
    inner: Sequence[str],
) -> Cell:
    first = points[numbers[0]]
    return Cell(
        outer={name: value for name, value in first.items() if name not in inner},
        settings=replace_fields(base, known, first),
        inner=tuple({name: _float(points[number][name]) for name in inner} for number in numbers),
        numbers=tuple(numbers),
    )


def _float(value: Value) -> float:
    assert value is not None
    return float(value)


def chunks(all_cells: Sequence[Cell], seeds: Sequence[int], pairs_per_program: int) -> tuple[Chunk, ...]:
    """Each cell cut into chunks of at most `pairs_per_program` (point, seed) pairs, of one size within a cell.

    All seeds of a point stay together if they fit. The last chunk of a cell may hold fewer points; it is padded to the
    size of the others, so that a cell compiles once.
    """
    return tuple(chunk for cell in all_cells for chunk in _chunks(cell, tuple(seeds), pairs_per_program))


def _chunks(cell: Cell, seeds: tuple[int, ...], limit: int) -> Iterator[Chunk]:
    num_points = len(cell.inner)
    if len(seeds) > limit:
        for some in _pieces(seeds, limit):
            for place in range(num_points):
                yield _chunk(cell, (place,), some, 1)
        return
    pieces = _pieces(tuple(range(num_points)), limit // len(seeds))
    for places in pieces:
        yield _chunk(cell, places, seeds, len(pieces[0]))


def _pieces(items: tuple[int, ...], most: int) -> list[tuple[int, ...]]:
    """Consecutive pieces of at most `most`: as few as will do, all of one size but the last ones."""
    num_pieces = -(-len(items) // most)
    size = -(-len(items) // num_pieces)
    return [items[start : start + size] for start in range(0, len(items), size)]


def _chunk(cell: Cell, places: tuple[int, ...], seeds: tuple[int, ...], num_padded: int) -> Chunk:
    content = [dict(cell.outer), [dict(cell.inner[place]) for place in places], list(seeds), num_padded]
    digest = blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()
    return Chunk(cell, places, seeds, num_padded, digest)
