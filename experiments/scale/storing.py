"""What storing costs the driver: `python -m experiments.scale.storing [--many 100000]`, results/storing.json.

A hundred stand-ins hand the driver rollouts of 200 KB as fast as it takes them, each unpickled as Ray would do it; five
make a group. Four ways, in turn, so that what else the machine does meets all of them:

nothing        no rollout is stored
by_the_driver  as it was: the driver makes the row and the file of each rollout, and waits for the disk
own_rows       a thread writes; rows are made there, as where rollouts run in this process
workers_rows   a thread writes; rows come with the rollouts, as from workers

`live` stores each rollout and then its group, `simulated` groups only. `--many` then hands over so many rollouts in
iterations of a thousand, live, with workers' rows, and tells the memory after a tenth of them and at the end.
"""

import argparse
import asyncio
import gc
import json
import pickle
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.scale.run import HERE, Crowd, Idle, padded, some_rollouts
from lts_jax.distributed.crew import Assignment, Reply
from lts_jax.distributed.driving import Driver, Hooks
from lts_jax.distributed.leases import Lender
from lts_jax.llm.budget import BudgetSettings
from lts_jax.records import Rollout, RolloutGroup
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.executor import Finished, Job, Work
from lts_jax.rollouts.restart import forget_unfinished, unfinished_path
from lts_jax.rollouts.rows import row_of
from lts_jax.rollouts.store import write_group, write_rollouts
from lts_jax.storage import write_json
from lts_jax.systems.comparison import ComparisonSettings, make_arm, make_policy
from lts_jax.systems.train_settings import TrainSettings

GROUP = 5
WORKERS = 100
WAYS = ("nothing", "by_the_driver", "own_rows", "workers_rows")


class Bringing(Idle):
    """A stand-in that brings the same rollout for every job, at the job's own place."""

    async def run(self, errand: Any) -> Any:
        """At once."""
        await asyncio.sleep(0)
        reply = pickle.loads(self._result)
        placed = replace(reply.rollout, task=errand.job.task, coordinates=errand.job.coordinates)
        return replace(reply, rollout=placed)


class Bringers(Crowd):
    """A staff of such stand-ins."""

    async def hire(self, place: Any) -> Bringing:
        """At once."""
        return Bringing(f"bringing-{place}", self._result)


class OnStandIns:
    """An `Executor` whose workers are these."""

    def __init__(self, sent: bytes) -> None:
        self._sent = sent

    def run(self, jobs: Sequence[Job], work: Work, keep: Callable[[Finished], None]) -> None:
        """See `Executor`."""
        driver = Driver(Bringers(WORKERS, self._sent), Lender(BudgetSettings(), 8 * WORKERS, time.monotonic))
        asyncio.run(driver.run(Assignment(1, None, work.settings, 8), jobs, Hooks(keep)))


def as_it_was(folder: Path, *, live: bool) -> Callable[[Rollout], None]:
    """Stores in the caller's thread what it is told of: each rollout, then its group."""
    groups: dict[str, list[Rollout]] = {}

    def store(rollout: Rollout) -> None:
        siblings = groups.setdefault(rollout.task.task_id, [])
        siblings.append(rollout)
        if len(siblings) < GROUP:
            if live:
                path = unfinished_path(folder, 0, rollout.task, rollout.coordinates.rollout)
                write_rollouts(path.with_suffix(".parquet"), [rollout])
            return
        siblings.sort(key=lambda one: one.coordinates.rollout)
        group = RolloutGroup(rollout.task, 0, tuple(groups.pop(rollout.task.task_id)))
        write_group(folder, group)
        forget_unfinished(folder, group)

    return store


class Measured:
    """Hands rollouts over in one of the ways; wall and processor seconds."""

    def __init__(self) -> None:
        training = TrainSettings()
        self._arm = make_arm("all", training, make_policy("all", training, ComparisonSettings()))
        self._rollout = padded(some_rollouts(1)[0], 200_000)
        self._plain = pickle.dumps(Reply(self._rollout))
        self._with_row = pickle.dumps(Reply(self._rollout, row=row_of(self._rollout)))

    def once(self, way: str, number: int, *, live: bool) -> tuple[float, float]:
        """Of `number` rollouts."""
        task = self._rollout.task
        tasks = [replace(task, task_id=f"task-{place}") for place in range(number // GROUP)]
        parts = replace(self._arm.parts, virtual_time=not live)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            told = as_it_was(folder, live=live) if way == "by_the_driver" else None
            executor = OnStandIns(self._with_row if way == "workers_rows" else self._plain)
            iteration = Iteration(0, 0, None, told, executor)
            gc.collect()
            wall, used = time.monotonic(), time.process_time()
            where = None if way in ("nothing", "by_the_driver") else folder
            collect_groups(tasks, parts, self._arm.rollout, CollectSettings(GROUP), iteration, where)
            found = time.monotonic() - wall, time.process_time() - used
            if way != "nothing":
                assert len(list(folder.glob("*.parquet"))) == len(tasks), way
                assert not (folder / "unfinished").exists(), way
            return found


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=500, help="rollouts a time")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--many", type=int, default=0)
    given = parser.parse_args()
    measured = Measured()
    found: dict[str, Any] = {"rollouts_each": given.number, "rounds": given.rounds}
    for live in (True, False):
        kind = "live" if live else "simulated"
        rounds = [{way: measured.once(way, given.number, live=live) for way in WAYS} for _ in range(given.rounds)]
        for way in WAYS:
            walls, used = zip(*(one[way] for one in rounds), strict=True)
            found[f"{kind}_{way}"] = {
                "a_second": round(given.number / statistics.median(walls)),
                "least_and_most": [round(given.number / max(walls)), round(given.number / min(walls))],
                "cpu_ms": round(1e3 * statistics.median(used) / given.number, 2),
            }
            print(kind, way, json.dumps(found[f"{kind}_{way}"]), flush=True)
    if given.many:
        found["many"] = many(measured, given.many)
    HERE.mkdir(parents=True, exist_ok=True)
    write_json(HERE / "storing.json", found)


def many(measured: Measured, number: int) -> dict[str, Any]:
    """Memory and rate over so many, a thousand at a time."""
    peaks, wall = [], 0.0
    for place in range(number // 1000):
        wall += measured.once("workers_rows", 1000, live=True)[0]
        if place + 1 in (max(1, number // 10_000), number // 1000):
            peaks.append(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    told = {"rollouts": number, "a_second": round(number / wall), "peak_mb_after_a_tenth_and_at_the_end": peaks}
    print("many", json.dumps(told), flush=True)
    return told


if __name__ == "__main__":
    main()
