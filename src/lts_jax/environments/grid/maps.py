"""Maps and what can be known of them before anybody moves: what lies in view of a cell, and the shortest paths.

Tables are made once, on the host; a step then looks up two numbers for an agent. Letters here: U maps, X cells (row *
width + column), Y goals, Z words of 32 bits that hold the cells in view, R regions (a room each), S places of a region.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from lts_jax.errors import UserError

ROOM_ROWS, ROOM_COLUMNS, CORRIDOR_COLUMN = 2, 9, 4
TRAINING_LENGTHS = (3, 4, 5, 6, 7, 8, 12, 16, 17, 18, 20, 21, 22, 23, 24, 27)
"""Corridors of SRMT's training maps (arXiv 2501.13200, its file bottlenecks-9-330)."""

_STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1))  # of equal paths the one that first goes up, then down, left, right: ours


@dataclass(frozen=True)
class GridMap:
    """Free cells, and the regions where agents begin: agent i in one of them, its goal in the next one."""

    name: str
    free: np.ndarray  # bool[rows, columns]
    regions: tuple[tuple[tuple[int, int], ...], ...]  # (row, column) of places


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("view_uxz", "path_uyxz", "place_urs", "num_places_ur", "limit_u"),
    meta_fields=("width", "radius"),
)
@dataclass(frozen=True)
class Maps:
    """Tables of several maps, of one size: smaller ones have obstacles around."""

    view_uxz: Any  # u32[U, X, Z] obstacles in view of a cell, a bit each
    path_uyxz: (
        Any  # u32[U, Y, X, Z] cells of the shortest path to goal Y = region * S + place, until it leaves the view
    )
    place_urs: Any  # i32[U, R, S] cells
    num_places_ur: Any  # i32[U, R]
    limit_u: Any  # i32[U] steps of an episode
    width: int
    radius: int


def bottleneck(length: int) -> GridMap:
    """Two rooms of 2 x 9 cells and a corridor between them, one cell wide."""
    if length < 1:
        raise UserError(f"length: expected at least 1, got {length}")
    rows = 2 * ROOM_ROWS + length
    free = np.zeros((rows, ROOM_COLUMNS), bool)
    free[:ROOM_ROWS] = free[-ROOM_ROWS:] = True
    free[:, CORRIDOR_COLUMN] = True
    rooms = (range(ROOM_ROWS), range(rows - ROOM_ROWS, rows))
    return GridMap(
        f"corridor {length}", free, tuple(tuple((r, c) for r in room for c in range(ROOM_COLUMNS)) for room in rooms)
    )


def drawn(text: str) -> GridMap:
    """A map from lines in which `.` is free and `#` is not; agents begin anywhere on its largest connected part.

    Raises:
        UserError: lines of unequal length, another sign, or nowhere to go.
    """
    lines = text.split()
    if not lines or len({len(line) for line in lines}) > 1 or set("".join(lines)) - {".", "#"}:
        raise UserError("map: expected lines of one length, made of . and #")
    free = np.array([[sign == "." for sign in line] for line in lines])
    return GridMap("drawn", free, (_largest_part(free),))


def random_map(rows: int, columns: int, *, density: float = 0.3, seed: int = 0) -> GridMap:
    """Each cell is an obstacle with probability `density`, POGEMA's default; agents begin on the largest part."""
    if not 0.0 <= density < 1.0:
        raise UserError(f"density: expected from 0 to below 1, got {density:g}")
    free = np.random.default_rng(seed).random((rows, columns)) >= density
    return GridMap(f"random {seed}", free, (_largest_part(free),))


def maze(rows: int, columns: int, *, seed: int = 0) -> GridMap:
    """Corridors by a walk that turns back where it cannot go on; sizes are odd. Between two cells there is one path."""
    if rows < 3 or columns < 3 or rows % 2 == 0 or columns % 2 == 0:
        raise UserError(f"maze: expected odd sizes of at least 3, got {rows} x {columns}")
    rng, free, walk = np.random.default_rng(seed), np.zeros((rows, columns), bool), [(0, 0)]
    free[0, 0] = True
    while walk:
        row, column = walk[-1]
        ahead = [(row + 2 * dr, column + 2 * dc) for dr, dc in _STEPS]
        ahead = [(r, c) for r, c in ahead if 0 <= r < rows and 0 <= c < columns and not free[r, c]]
        if not ahead:
            walk.pop()
            continue
        r, c = ahead[rng.integers(len(ahead))]
        free[r, c] = free[(row + r) // 2, (column + c) // 2] = True
        walk.append((r, c))
    return GridMap(f"maze {seed}", free, (_largest_part(free),))


def tabulate(maps: Sequence[GridMap], *, radius: int = 2, limits: Sequence[int] | int = 512) -> Maps:
    """The tables of some maps.

    Args:
        maps: at least one, with one number of regions.
        radius: of the view, in cells.
        limits: steps of an episode, of each map or of all; 512 is SRMT's in training.

    Raises:
        UserError: no map, a place on an obstacle or twice, a goal that cannot be reached, a limit below 1.
    """
    if not maps or len({len(one.regions) for one in maps}) > 1:
        raise UserError("maps: expected at least one, all with one number of regions")
    limit_u = np.broadcast_to(np.asarray(limits, np.int32), (len(maps),)).copy()
    if limit_u.min() < 1:
        raise UserError(f"limits: expected at least 1, got {limit_u.min()}")
    rows, columns = (max(one.free.shape[axis] for one in maps) for axis in (0, 1))
    size = max(len(region) for one in maps for region in one.regions)
    made = [_tables(_check(one), (rows, columns), size, radius) for one in maps]
    view_uxz, path_uyxz, place_urs = (np.stack(part) for part in zip(*made, strict=True))
    num_places_ur = np.array([[len(region) for region in one.regions] for one in maps], np.int32)
    return Maps(view_uxz, path_uyxz, place_urs, num_places_ur, limit_u, columns, radius)


def _check(one: GridMap) -> GridMap:
    for region in one.regions:
        if not region or len(set(region)) < len(region):
            raise UserError(f"map {one.name}: expected different places in every region")
        for row, column in region:
            if not (0 <= row < one.free.shape[0] and 0 <= column < one.free.shape[1] and one.free[row, column]):
                raise UserError(f"map {one.name}: expected places on free cells, got an obstacle at {row}, {column}")
    return one


def _tables(one: GridMap, sizes: tuple[int, int], size: int, radius: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, columns = sizes
    free = np.zeros(sizes, bool)
    free[: one.free.shape[0], : one.free.shape[1]] = one.free
    place_rs = np.zeros((len(one.regions), size), np.int32)
    for number, region in enumerate(one.regions):
        cells = [row * columns + column for row, column in region]
        place_rs[number] = cells + [cells[0]] * (size - len(cells))
    offsets = _offsets(radius)
    around = np.pad(~free, radius, constant_values=True)
    view_ov = np.stack([around[radius + r : radius + r + rows, radius + c : radius + c + columns] for r, c in offsets])
    view_xz = _packed(view_ov.reshape(len(offsets), -1))
    next_yx = _next_cells(free, place_rs.reshape(-1), one.name)
    return view_xz, _paths(next_yx, free, radius), place_rs


def _offsets(radius: int) -> list[tuple[int, int]]:
    """(rows, columns) of the cells in view from the middle, in the order of their bits."""
    span = range(-radius, radius + 1)
    return [(row, column) for row in span for column in span]


def _packed(bit_v: np.ndarray) -> np.ndarray:
    """u32[..., Z] from bool[V, ...]: bit v of word v // 32."""
    words = np.zeros((*bit_v.shape[1:], -(-len(bit_v) // 32)), np.uint32)
    for number, bit in enumerate(bit_v):
        words[..., number // 32] |= bit.astype(np.uint32) << np.uint32(number % 32)
    return words


def _neighbours(free: np.ndarray) -> list[np.ndarray]:
    """i64[X] for each of up, down, left, right: the cell there, or -1 where one of the two is an obstacle."""
    number = np.pad(np.where(free, np.arange(free.size).reshape(free.shape), -1), 1, constant_values=-1)
    rows, columns = free.shape
    found = [number[1 + r : 1 + r + rows, 1 + c : 1 + c + columns] for r, c in _STEPS]
    return [np.where(free, each, -1).reshape(-1) for each in found]


def _next_cells(free: np.ndarray, goal_y: np.ndarray, name: str) -> np.ndarray:
    """i32[Y, X] the next cell on the way to each goal; the cell itself at the goal and on obstacles."""
    ahead = _neighbours(free)
    start = np.concatenate([np.flatnonzero(one >= 0) for one in ahead])
    stop = np.concatenate([one[one >= 0] for one in ahead])
    links = csr_array((np.ones(len(start)), (start, stop)), shape=(free.size, free.size))
    distance_yx = dijkstra(links, indices=goal_y, unweighted=True)
    if not np.isfinite(distance_yx[:, goal_y]).all():
        raise UserError(f"map {name}: expected a path between any two places, got none")
    next_yx = np.broadcast_to(np.arange(free.size), distance_yx.shape).astype(np.int32)
    for one in reversed(ahead):  # the first direction that comes nearer wins
        nearer_yx = (one >= 0) & (distance_yx[:, np.maximum(one, 0)] < distance_yx) & np.isfinite(distance_yx)
        next_yx = np.where(nearer_yx, one, next_yx)
    return next_yx.astype(np.int32)


def _paths(next_yx: np.ndarray, free: np.ndarray, radius: int) -> np.ndarray:
    """u32[Y, X, Z]: cells in view on the path from each cell, its own among them, until the path first leaves view."""
    columns, side = free.shape[1], 2 * radius + 1
    cell_x = np.arange(free.size)
    now_yx = np.broadcast_to(cell_x, next_yx.shape)
    seen_yx = np.broadcast_to(free.reshape(-1), next_yx.shape)
    words = np.zeros((*next_yx.shape, -(-side * side // 32)), np.uint32)
    for _ in range(side * side):  # a path in view has no cell twice
        row, column = now_yx // columns - cell_x // columns, now_yx % columns - cell_x % columns
        seen_yx = seen_yx & (np.abs(row) <= radius) & (np.abs(column) <= radius)
        bit = np.where(seen_yx, (row + radius) * side + column + radius, 0)
        for word in range(words.shape[-1]):
            here = seen_yx & (bit // 32 == word)
            words[..., word] |= np.where(here, np.uint32(1) << (bit % 32).astype(np.uint32), 0).astype(np.uint32)
        after_yx = np.take_along_axis(next_yx, now_yx, axis=1)
        seen_yx = seen_yx & (after_yx != now_yx)
        now_yx = after_yx
        if not seen_yx.any():
            break
    return words


def _largest_part(free: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Cells of the largest connected part, in reading order."""
    left, best = {(int(r), int(c)) for r, c in zip(*np.nonzero(free), strict=True)}, set[tuple[int, int]]()
    while left:
        part, front = set[tuple[int, int]](), [min(left)]
        while front:
            cell = front.pop()
            if cell in left:
                left.discard(cell)
                part.add(cell)
                front += [(cell[0] + r, cell[1] + c) for r, c in _STEPS]
        best = max(best, part, key=len)
    if len(best) < 2:
        raise UserError("map: expected at least two connected free cells")
    return tuple(sorted(best))
