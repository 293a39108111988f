"""Run what a sweep still lacks, chunk by chunk, and write its table when all chunks are there."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

from lts_jax.sweeps.cells import Chunk, cells, chunks
from lts_jax.sweeps.curves import CURVES, write_curves
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


def run_sweep(
    path: Path, plan: SweepPlan, runner: Runner, on_news: Callable[[SweepNews], None] | None = None
) -> SweepFolder:
    """Run every chunk that is not stored in the folder `path`, then write its results.

    The order of chunks, their sizes and the bytes of the results do not depend on how often the sweep was stopped.

    Raises:
        UserError: the folder belongs to another plan, or another process works in it.
        ValueError: the runner gave other rows than one per (point, seed), each with the same finite-or-NaN numbers.
    """
    folder = open_sweep(path, plan)
    known = sweep_fields(plan.base, plan.points)
    with working_in(RunFolder(folder.path)):
        if not folder.results.exists():
            everything = chunks(cells(plan.base, known, plan.points), plan.seeds, plan.pairs_per_program)
            _run_missing(folder, everything, runner, on_news or _silent)
            _collect(folder, plan, everything)
    return folder


def _silent(news: SweepNews) -> None:
    """Say nothing."""


def _run_missing(
    folder: SweepFolder, everything: Sequence[Chunk], runner: Runner, on_news: Callable[[SweepNews], None]
) -> None:
    missing = [chunk for chunk in everything if not folder.part(chunk.digest).exists()]
    started, timings = time.monotonic(), list[Timing]()
    num_earlier = len(everything) - len(missing)

    def tell(place: int, doing: str, compiles: bool) -> None:
        left = seconds_left(timings, _ahead(missing[place:], missing[:place]))
        elapsed = time.monotonic() - started
        inside = elapsed - sum(one.seconds for one in timings)
        news = SweepNews(
            num_earlier + place, len(everything), elapsed, max(left - inside, 0.0), doing, compiles, inside
        )
        on_news(news if doing else replace(news, chunk_seconds=0.0))

    for place, chunk in enumerate(missing):
        compiles = _cold(chunk, missing[:place])
        before = time.monotonic()
        with _ticking(partial(tell, place, describe_values(chunk.cell.outer), compiles)):
            rows = _rows_of(chunk, runner)
        write_part(folder, chunk.digest, rows)
        timings.append(Timing(chunk.num_pairs, compiles, time.monotonic() - before))
    tell(len(missing), "", False)


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


def _rows_of(chunk: Chunk, runner: Runner) -> list[dict[str, Any]]:
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
