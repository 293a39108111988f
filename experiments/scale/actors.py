"""The real driver over hundreds of real Ray actors that do nothing: `python -m experiments.scale.actors --actors 250`.

Each actor is a process behind the driver's port (`distributed/crew.py`) that imports nothing of ours; it takes a
thousandth of a processor, so that one machine holds them all. Measured: seconds until all have been hired, then
finished jobs a second and processor seconds of the driver for a job, with 8 jobs side by side on each. Writes
results/actors.json.
"""

import argparse
import asyncio
import json
import os
import pickle
import time
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import psutil

from lts_jax.distributed.crew import Reply
from lts_jax.distributed.leases import Beat
from lts_jax.distributed.starting import start_ray, stop_ray
from lts_jax.storage import write_json

HERE = Path(__file__).parent / "results"
LOST_SECONDS = 120.0
LEAST_FREE = 4 * 2**30  # bytes of memory; no further actor is started below it, as Ray kills processes at 95 per cent


class Nothing:
    """The process of a worker that does nothing, at once."""

    async def about(self) -> int:
        """Its process."""
        return os.getpid()

    async def prepare(self, version: int) -> None:
        """Nothing is to be made."""

    async def run(self, errand: bytes) -> bytes:
        """200 bytes."""
        return b"x" * 200

    async def beat(self) -> None:
        """Alive."""


class Hired:
    """See `Worker`."""

    def __init__(self, actor: Any, incarnation: str) -> None:
        self._actor, self.incarnation = actor, incarnation

    async def prepare(self, assignment: Any) -> None:
        """It has no parts."""
        await self._actor.prepare.remote(assignment.version)

    async def run(self, errand: Any) -> Any:
        """A job as bytes, so that its process need not know what it is."""
        return Reply(None, row=await self._actor.run.remote(pickle.dumps(errand)))

    async def beat(self, terms: Any) -> Any:
        """See `Nothing`."""
        await self._actor.beat.remote()
        return Beat()

    def peer(self) -> None:
        """Nobody asks it for a team."""

    async def stop_teams(self, coordinates: Any) -> None:
        """It has none."""

    def stop(self) -> None:
        """End its process."""
        import ray

        ray.kill(self._actor)

    def last_lines(self) -> list[str]:
        """It wrote nothing."""
        return []


class ManyActors:
    """See `Staff`: at most so many actors, fewer where memory ends; `num_starting` of them start at one time."""

    def __init__(self, number: int, num_starting: int = 8) -> None:
        self._number, self._starting = number, asyncio.Semaphore(num_starting)
        self.hired: list[Hired] = []

    def places(self) -> Sequence[Hashable]:
        """All of them."""
        return range(self._number)

    async def hire(self, place: Hashable) -> Hired:
        """A new process."""
        import ray

        async with self._starting:
            remote: Any = ray.remote(num_cpus=0.001, max_restarts=0, max_task_retries=0, max_concurrency=64)(Nothing)
            actor = remote.remote()
            worker = Hired(actor, f"actor-{await actor.about.remote()}-{place}")
        self.hired.append(worker)
        return worker

    def keep_calls(self, folder: str) -> None:
        """Every worker sees the folder."""

    def hand_over(self, params: Any) -> Any:
        """Nothing travels."""
        return params


async def measured(number: int, num_jobs: int) -> dict[str, Any]:
    """Hire them all by a first run, then measure a second one."""
    from lts_jax.distributed.crew import Assignment
    from lts_jax.distributed.driving import Driver, Hooks, Patience
    from lts_jax.distributed.leases import Lender
    from lts_jax.llm.budget import BudgetSettings
    from lts_jax.records import Coordinates, Task
    from lts_jax.rollouts.executor import Job
    from lts_jax.rollouts.settings import RolloutSettings

    staff = ManyActors(number)
    patience = Patience(lost=LOST_SECONDS)  # two cores do not wake 250 processes within the usual ten seconds
    driver = Driver(staff, Lender(BudgetSettings(), 8 * number, time.monotonic), patience)
    started = time.monotonic()
    for place in range(number):
        if psutil.virtual_memory().available < LEAST_FREE:
            number = place
            break
        driver.workers[place] = await staff.hire(place)
        if place % 25 == 24:
            print(f"{place + 1} actors, {time.monotonic() - started:.0f} s", flush=True)
    staff._number, hired_seconds = number, time.monotonic() - started

    async def run(first: int, count: int) -> tuple[float, float]:
        jobs = [Job(Task(f"t{n}", "?", None), Coordinates(0, 0, f"t{n}", 0)) for n in range(first, first + count)]
        ended: list[Any] = []
        wall, used = time.monotonic(), time.process_time()
        told = lambda text: print(text, flush=True)  # noqa: E731
        await driver.run(Assignment(1, None, RolloutSettings(), 8), jobs, Hooks(keep=ended.append, tell=told))
        assert len(ended) == count
        return time.monotonic() - wall, time.process_time() - used

    print("first run", await run(0, 8 * number), flush=True)
    wall, used = await run(8 * number, num_jobs)
    processes = [psutil.Process(int(worker.incarnation.split("-")[1])) for worker in staff.hired]
    unique = [process.memory_full_info().uss for process in processes]
    ledger = driver.ledger
    driver.close()
    return {
        "actors": number,
        "seconds_until_all_were_hired": round(hired_seconds, 1),
        "jobs": num_jobs,
        "jobs_a_wall_second": round(num_jobs / wall, 1),
        "driver_cpu_ms_a_job": round(1e3 * used / num_jobs, 2),
        "mb_of_its_own_each": round(sum(unique) / len(unique) / 2**20, 1),
        "workers_lost": ledger.num_workers_lost,
        "ledger_adds_up": ledger.adds_up,
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", type=int, default=250)
    parser.add_argument("--jobs", type=int, default=10_000)
    given = parser.parse_args()
    start_ray("2")
    try:
        found = asyncio.run(measured(given.actors, given.jobs))
    finally:
        stop_ray()
    write_json(HERE / "actors.json", found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
