"""A thousand nodes without having them: the real driver among workers that are sleeps, on a clock that jumps.

What is run: `distributed/driving.py`, queue, beats, losses and all. What is modelled: a rollout is 300 seconds of
sleep; each message and each result takes the driver as long as was measured here (results/service.json), one at a time,
and a message what a call of a Ray actor took on the wall when 500 were awaited together (1.4 ms, at a load of 6).
`python -m experiments.scale.model` writes results/model.json. Results of 2 MB are left out where they alone take more
than the driver's time: there the queue grows without end.

`python -m experiments.scale.model --against results/on_ray_endpoint.json` holds it against the real driver over real
Ray workers, as `on_ray endpoint` measured them: the same rollouts, each as long as it was over one worker.
"""

import argparse
import asyncio
import json
import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lts_jax.distributed.crew import Assignment, Errand, Reply, WorkerLost
from lts_jax.distributed.driving import Driver, Hooks, Patience
from lts_jax.distributed.jumping_loop import run_jumping
from lts_jax.distributed.leases import Beat, Lender, Terms
from lts_jax.llm.budget import BudgetSettings
from lts_jax.records import Coordinates, Task
from lts_jax.rollouts.executor import Job
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.storage import read_json, write_json

HERE = Path(__file__).parent
ROLLOUT_SECONDS, LANES, CALLS = 300.0, 8, 60  # of a live rollout; side by side on a worker; calls of a rollout


@dataclass
class Costs:
    """Seconds of the driver, which does one thing at a time."""

    message: float
    result: float  # a finished rollout: received, unpickled, accounted, stored
    busy: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take(self, seconds: float) -> None:
        """Take the driver for so long, once it is free."""
        async with self.lock:
            self.busy += seconds
            await asyncio.sleep(seconds)


@dataclass
class Sleeper:
    """A worker whose rollouts are sleeps."""

    incarnation: str
    costs: Costs
    seconds_of: Callable[[Job], float]  # a rollout
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def prepare(self, assignment: Assignment) -> None:
        """Nothing is to be made."""
        await self.costs.take(self.costs.message)

    async def run(self, errand: Errand) -> Reply:
        """Sleep, then bring the result to the driver."""
        await self.costs.take(self.costs.message)
        try:
            await asyncio.wait_for(self.gone.wait(), self.seconds_of(errand.job))
        except TimeoutError:
            await self.costs.take(self.costs.result)
            return Reply(errand.job)  # type: ignore[arg-type]  # stands for a rollout
        raise WorkerLost("its rack is gone")

    async def beat(self, terms: Terms) -> Beat:
        """A message there and back."""
        await self.costs.take(self.costs.message)
        if self.gone.is_set():
            raise WorkerLost("its rack is gone")
        return Beat()

    def stop(self) -> None:
        """Nothing is left to stop."""

    def last_lines(self) -> list[str]:
        """It wrote nothing."""
        return []


@dataclass
class Racks:
    """Workers that can be had, each at once."""

    number: int
    costs: Costs
    seconds_of: Callable[[Job], float]
    hire_seconds: float = 10.0
    hired: dict[Hashable, Sleeper] = field(default_factory=dict)
    count: int = 0

    def places(self) -> Sequence[Hashable]:
        """All of them, always."""
        return range(self.number)

    async def hire(self, place: Hashable) -> Sleeper:
        """A new incarnation after a while."""
        await asyncio.sleep(self.hire_seconds)
        self.count += 1
        self.hired[place] = Sleeper(f"{place}-{self.count}", self.costs, self.seconds_of)
        return self.hired[place]

    def keep_calls(self, folder: str) -> None:
        """Every worker sees the folder."""

    def hand_over(self, params: Any) -> Any:
        """Nothing travels."""
        return params


def jobs_of(number: int) -> list[Job]:
    """So many, of a task each."""
    return [Job(Task(f"t{n}", "?", None), Coordinates(0, 0, f"t{n}", 0)) for n in range(number)]


def predicted(num_workers: int, service: dict[str, float], size: str, *, lost: int = 0, rounds: int = 3) -> dict:
    """What `rounds` rollouts a lane take on so many workers, of which `lost` go at once half way."""

    async def whole() -> dict:
        loop = asyncio.get_running_loop()
        costs = Costs(service["message_seconds"], service[f"result_{size}_seconds"])
        draw = random.Random(0)
        racks = Racks(num_workers, costs, lambda job: draw.uniform(0.5, 1.5) * ROLLOUT_SECONDS)
        num_jobs = num_workers * LANES * rounds
        jobs = jobs_of(num_jobs)
        lender = Lender(BudgetSettings(), num_workers * LANES, loop.time)
        driver = Driver(racks, lender, Patience(), loop.time)
        ended: list[float] = []

        async def lose() -> None:
            await asyncio.sleep(rounds * ROLLOUT_SECONDS / 2)
            for place in range(lost):
                racks.hired[place].gone.set()

        losing = asyncio.create_task(lose()) if lost else None
        hooks = Hooks(keep=lambda finished: ended.append(loop.time()))
        await driver.run(Assignment(1, None, RolloutSettings(), LANES), jobs, hooks)
        if losing is not None:
            await losing
        steady = sorted(ended)[num_jobs // 4 : 3 * num_jobs // 4]
        rate = (len(steady) - 1) / (steady[-1] - steady[0])
        return {
            "workers": num_workers,
            "result": size,
            "lost_at_once": lost,
            "rollouts": num_jobs,
            "rollouts_a_second": round(rate, 2),
            "of_what_workers_can": round(rate * ROLLOUT_SECONDS / (num_workers * LANES), 3),
            "driver_busy": round(costs.busy / loop.time(), 3),
            "calls_a_second": round(rate * CALLS),
            "seconds": round(loop.time()),
            "run_again": driver.ledger.num_run_again,
            "adds_up": driver.ledger.adds_up,
        }

    return run_jumping(whole())


def seconds_predicted(num_workers: int, seconds: Sequence[float], service: dict[str, float]) -> float:
    """Until rollouts that take so many seconds are through, one at a time on each of workers that are there."""

    async def whole() -> float:
        loop = asyncio.get_running_loop()
        costs = Costs(service["message_seconds"], service["result_200KB_seconds"])
        left = dict(zip(jobs_of(len(seconds)), seconds, strict=True))
        racks = Racks(num_workers, costs, left.__getitem__, hire_seconds=0.0)
        driver = Driver(racks, Lender(BudgetSettings(), num_workers, loop.time), Patience(), loop.time)
        started = loop.time()
        ended: list[float] = []
        hooks = Hooks(keep=lambda finished: ended.append(loop.time()))
        await driver.run(Assignment(1, None, RolloutSettings(), 1), list(left), hooks)
        return ended[-1] - started

    return run_jumping(whole())


def against(path: Path, service: dict[str, float]) -> list[dict[str, float]]:
    """The model beside what `on_ray endpoint` measured."""
    real = read_json(path, dict)
    rows = []
    for row in real["rows"]:
        found = seconds_predicted(row["workers"], real["seconds_alone"], service)
        seconds = {"real_seconds": row["wall_seconds"], "model_seconds": round(found, 1)}
        rows.append({"workers": row["workers"]} | seconds | {"ratio": round(found / row["wall_seconds"], 3)})
    return rows


def main() -> None:
    """Predict and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ray-message-seconds", type=float, default=0.0014)
    parser.add_argument("--service", type=Path, default=HERE / "results" / "service.json")
    parser.add_argument("--against", type=Path, help="results of on_ray endpoint")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "model.json")
    given = parser.parse_args()
    service = read_json(given.service, dict)
    service["message_seconds"] += given.ray_message_seconds
    if given.against is not None:
        print(json.dumps(against(given.against, service), indent=2))
        return
    about = {"rollout_seconds": ROLLOUT_SECONDS, "side_by_side": LANES, "service": service}
    rows: list[dict] = []
    for number in given.workers:
        cases = [("200KB", 0)]
        cases += [("2MB", 0)] if number * LANES / ROLLOUT_SECONDS * service["result_2MB_seconds"] < 1 else []
        cases += [("200KB", 50)] if number >= 100 else []
        for size, lost in cases:
            rows.append(predicted(number, service, size, lost=lost, rounds=given.rounds))
            print(json.dumps(rows[-1]), flush=True)
            write_json(given.out, about | {"rows": rows})


if __name__ == "__main__":
    main()
