"""Run what a sweep still lacks, chunk by chunk, and write its table when all chunks are there."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

from lts_jax.learning.processes import ALONE, Processes, agree
from lts_jax.sweeps.cells import Chunk, cells, chunks
from lts_jax.sweeps.curves import CURVES, write_curves
from lts_jax.sweeps.elsewhere import WHOLE, Mapper, Share
from lts_jax.sweeps.fields import describe_values, sweep_fields
from lts_jax.sweeps.folder import SweepFolder, open_sweep, read_part, write_part, write_results
from lts_jax.sweeps.plan import SweepPlan
from lts_jax.sweeps.time_left import Ahead, SweepNews, Timing, seconds_left
from lts_jax.systems.run_folder import RunFolder, working_in

Runner = Callable[[Any, Sequence[Mapping[str, float]], Sequence[int]], list[dict[str, Any]]]
"""Settings, points (numbers by field name, to be put into the settings) and seeds in; measures by name out, one row per
(point, seed), the seeds of a point together. A row may hold its learning curves too, under the name `curves`: numbers
over the updates, by name."""

TICK_SECONDS = 10.0  # between two pieces of news while a chunk runs


@dataclass(frozen=True)
class Computing:
    """Who computes the chunks: this process one after the other, unless something else is said."""

    mapper: Mapper | None = None  # other processes
    share: Share = WHOLE  # a part of the chunks; other commands compute the others
    processes: Processes = ALONE  # of one program, which compute each chunk together


HERE = Computing()


def run_sweep(
    path: Path,
    plan: SweepPlan,
    runner: Runner,
    on_news: Callable[[SweepNews], None] | None = None,
    how: Computing = HERE,
) -> SweepFolder:
    """Run every chunk that is not stored in the folder `path`, then write its results.

    The order of chunks, their sizes and the bytes of the results do not depend on how often the sweep was stopped, nor
    on who computes them. Of a part of the chunks, results are written by whoever finds all of them stored.

    Raises:
        UserError: the folder belongs to another plan, or another process works in it.
        ValueError: the runner gave other rows than one per (point, seed), each with the same finite-or-NaN numbers.
    """
    known = sweep_fields(plan.base, plan.points)
    everything = chunks(cells(plan.base, known, plan.points), plan.seeds, plan.pairs_per_program)
    if not how.processes.is_writer:
        _compute_along(everything, runner, how.processes)
        return SweepFolder(Path(path))
    folder = open_sweep(path, plan)
    with working_in(RunFolder(folder.path), lock=how.share.lock):
        if not folder.results.exists() or how.processes.count > 1:
            own = how.share.of(everything)
            missing = [chunk for chunk in own if not folder.part(chunk.digest).exists()]
            agree([chunk in missing for chunk in everything], how.processes)
            news = _News(len(own), missing, on_news or _silent)
            for chunk, rows in _computed(missing, runner, how, news):
                write_part(folder, chunk.digest, rows)
                how.processes.step()
                news.ended(chunk)
            if all(folder.part(chunk.digest).exists() for chunk in everything):
                _collect(folder, plan, everything)
    return folder


def _compute_along(everything: Sequence[Chunk], runner: Runner, processes: Processes) -> None:
    """In a process that does not write: compute what the writing one misses, together with it."""
    missing = agree([False] * len(everything), processes)
    for chunk, is_missing in zip(everything, missing, strict=True):
        if is_missing:
            rows_of(chunk, runner)
            processes.step()


def _computed(
    missing: Sequence[Chunk], runner: Runner, how: Computing, news: "_News"
) -> Iterator[tuple[Chunk, list[dict[str, Any]]]]:
    if how.mapper is not None:
        news.elsewhere()
        yield from how.mapper(missing)
        return
    for chunk in missing:
        with news.here(chunk):
            rows = rows_of(chunk, runner)
        yield chunk, rows


def _silent(news: SweepNews) -> None:
    """Say nothing."""


class _News:
    """Tells how far the chunks are, and how long the rest will take by those before."""

    def __init__(self, num_chunks: int, missing: Sequence[Chunk], on_news: Callable[[SweepNews], None]) -> None:
        self._num_chunks, self._missing, self._on_news = num_chunks, list(missing), on_news
        self._num_earlier = num_chunks - len(missing)
        self._done: list[Chunk] = []
        self._timings: list[Timing] = []
        self._started = self._last = time.monotonic()
        self._compiles = False

    def elsewhere(self) -> None:
        """Others are at work on the chunks."""
        self._tell("on workers", False)

    @contextmanager
    def here(self, chunk: Chunk) -> Iterator[None]:
        """A chunk is computed here, inside; it is told now and again that it still is."""
        self._compiles = _cold(chunk, self._done)
        with _ticking(partial(self._tell, describe_values(chunk.cell.outer), self._compiles)):
            yield

    def ended(self, chunk: Chunk) -> None:
        """A chunk is stored."""
        now = time.monotonic()
        self._timings.append(Timing(chunk.num_pairs, self._compiles, now - self._last))
        self._done.append(chunk)
        self._missing.remove(chunk)
        self._last = now
        if not self._missing:
            self._tell("", False)

    def _tell(self, doing: str, compiles: bool) -> None:
        left = seconds_left(self._timings, _ahead(self._missing, self._done))
        now = time.monotonic()
        elapsed, inside = now - self._started, now - self._last
        news = SweepNews(
            self._num_earlier + len(self._done),
            self._num_chunks,
            elapsed,
            max(left - inside, 0.0),
            doing,
            compiles,
            inside,
        )
        self._on_news(news if doing else replace(news, chunk_seconds=0.0))


@contextmanager
def _ticking(tell: Callable[[], None]) -> Iterator[None]:
    """Tell now, and again while what is inside runs: a program of minutes gives no other sign of life.

    What runs is one compiled program, so how far inside it is nobody knows; only the seconds can be told.
    """
    ended = Event()

    def tick() -> None:
        while not ended.wait(TICK_SECONDS):
            tell()

    tell()
    thread = Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _cold(chunk: Chunk, earlier: Sequence[Chunk]) -> bool:
    """Whether no chunk of the same program went before it in this process."""
    return all(
        (one.cell is not chunk.cell, one.num_padded, len(one.seeds)) != (False, chunk.num_padded, len(chunk.seeds))
        for one in earlier
    )


def _ahead(left: Sequence[Chunk], done: Sequence[Chunk]) -> Ahead:
    programs = {(id(one.cell), one.num_padded, len(one.seeds)) for one in left}
    programs -= {(id(one.cell), one.num_padded, len(one.seeds)) for one in done}
    return Ahead(sum(one.num_pairs for one in left), len(programs))


def rows_of(chunk: Chunk, runner: Runner) -> list[dict[str, Any]]:
    """The chunk's rows, with the place of their point in the sweep and their seed."""
    cell = chunk.cell
    padded = [*chunk.points, *[chunk.points[-1]] * (chunk.num_padded - len(chunk.points))]
    rows = runner(cell.settings, [cell.inner[place] for place in padded], chunk.seeds)
    if len(rows) != len(padded) * len(chunk.seeds):
        raise ValueError(f"the runner gave {len(rows)} rows for {len(padded)} points and {len(chunk.seeds)} seeds")
    places = [(cell.numbers[place], seed) for place in chunk.points for seed in chunk.seeds]
    return [
        {"point": point, "seed": seed} | _measures(row, rows[0]) | ({CURVES: row[CURVES]} if row.get(CURVES) else {})
        for (point, seed), row in zip(places, rows[: len(places)], strict=True)
    ]


def _measures(row: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, float]:
    names, expected = ([name for name in one if name != CURVES] for one in (row, first))
    if names != expected or not names:
        raise ValueError(f"the runner measured {', '.join(names) or 'nothing'} here and {', '.join(expected)} there")
    numbers = {name: float(row[name]) for name in names}
    endless = [name for name, number in numbers.items() if math.isinf(number)]
    if endless:
        raise ValueError(f"the runner gave {numbers[endless[0]]} as {endless[0]}; where nothing was measured, give NaN")
    return numbers


def _collect(folder: SweepFolder, plan: SweepPlan, everything: Sequence[Chunk]) -> None:
    stored = [row for chunk in everything for row in read_part(folder, chunk.digest)]
    stored.sort(key=lambda row: (row["point"], row["seed"]))
    measures = [name for name in stored[0] if name not in {"point", "seed", CURVES}]
    clashing = {"seed", *plan.fields} & set(measures)
    if clashing:
        raise ValueError(f"the runner measured {min(clashing)}, which is a field of the sweep")
    rows = [
        {**plan.points[row["point"]], "seed": row["seed"]} | {name: row[name] for name in measures} for row in stored
    ]
    write_curves(folder, plan, stored)
    write_results(folder, rows, measures)
