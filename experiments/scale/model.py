"""A thousand nodes without having them: the real driver among workers that are sleeps, on a clock that jumps.

What is run: `distributed/driving.py`, queue, beats, losses and all. What is modelled: a rollout is 300 seconds of
sleep; each message and each result takes the driver as long as was measured here (results/service.json), one at a time,
and a message what a call of a Ray actor took on the wall when 500 were awaited together (1.4 ms, at a load of 6).
`python -m experiments.scale.model` writes results/model.json. Results of 2 MB are left out where they alone take more
than the driver's time: there the queue grows without end.
"""

import argparse
import asyncio
import json
import random
from collections.abc import Hashable, Sequence
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
    draw: random.Random
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def prepare(self, assignment: Assignment) -> None:
        """Nothing is to be made."""
        await self.costs.take(self.costs.message)

    async def run(self, errand: Errand) -> Reply:
        """Sleep, then bring the result to the driver."""
        await self.costs.take(self.costs.message)
        try:
            await asyncio.wait_for(self.gone.wait(), self.draw.uniform(0.5, 1.5) * ROLLOUT_SECONDS)
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
    draw: random.Random
    hired: dict[Hashable, Sleeper] = field(default_factory=dict)
    count: int = 0

    def places(self) -> Sequence[Hashable]:
        """All of them, always."""
        return range(self.number)

    async def hire(self, place: Hashable) -> Sleeper:
        """A new incarnation after ten seconds."""
        await asyncio.sleep(10.0)
        self.count += 1
        self.hired[place] = Sleeper(f"{place}-{self.count}", self.costs, self.draw)
        return self.hired[place]

    def keep_calls(self, folder: str) -> None:
        """Every worker sees the folder."""

    def hand_over(self, params: Any) -> Any:
        """Nothing travels."""
        return params


def predicted(num_workers: int, service: dict[str, float], size: str, *, lost: int = 0, rounds: int = 3) -> dict:
    """What `rounds` rollouts a lane take on so many workers, of which `lost` go at once half way."""

    async def whole() -> dict:
        loop = asyncio.get_running_loop()
        costs = Costs(service["message_seconds"], service[f"result_{size}_seconds"])
        racks = Racks(num_workers, costs, random.Random(0))
        num_jobs = num_workers * LANES * rounds
        jobs = [Job(Task(f"t{n}", "?", None), Coordinates(0, 0, f"t{n}", 0)) for n in range(num_jobs)]
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


def main() -> None:
    """Predict and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ray-message-seconds", type=float, default=0.0014)
    parser.add_argument("--service", type=Path, default=HERE / "results" / "service.json")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "model.json")
    given = parser.parse_args()
    service = read_json(given.service, dict)
    service["message_seconds"] += given.ray_message_seconds
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
