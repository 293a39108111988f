"""Workers that are functions of this process, on a clock that jumps: they do nothing for a while, and may die of it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from lts_jax.distributed.crew import Assignment, Reply, WorkerLost
from lts_jax.distributed.dispatch import Dispatch
from lts_jax.distributed.driving import Driver, Hooks, Patience
from lts_jax.distributed.jumping_loop import run_jumping
from lts_jax.distributed.leases import Beat, Lender
from lts_jax.llm.budget import BudgetSettings
from lts_jax.records import Coordinates, Task
from lts_jax.rollouts.executor import Job
from lts_jax.rollouts.settings import RolloutSettings

PATIENCE = Patience()
ASSIGNMENT = Assignment(1, None, RolloutSettings(), 2)


def jobs(number: int) -> list[Job]:
    return [Job(Task(f"t{place:03d}", "?", None), Coordinates(0, 0, f"t{place:03d}", 0)) for place in range(number)]


@dataclass
class StandIn:
    """A worker whose jobs take `seconds` each. Once it hangs it answers nothing, until it wakes."""

    incarnation: str
    seconds: float = 1.0
    dies_of: frozenset[str] = frozenset()  # tasks
    log: list[str] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    is_stopped: bool = False
    versions: list[int] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.awake.set()

    async def prepare(self, assignment):
        self.versions.append(assignment.version)
        await self._alive(0.0)

    async def run(self, errand):
        self.ran.append(errand.job.task.task_id)
        if errand.job.task.task_id in self.dies_of:
            self.log.append(f"segmentation fault in {errand.job.task.task_id}")
            self.gone.set()
        await self._alive(self.seconds)
        return Reply(errand.job)  # stands for a rollout

    async def beat(self, terms):
        await self._alive(0.0)
        return Beat(limit=terms.limit)

    def stop(self):
        self.is_stopped = True

    def last_lines(self):
        return self.log

    async def _alive(self, seconds: float):
        try:
            await asyncio.wait_for(self.gone.wait(), seconds or 1e-3)
        except TimeoutError:
            await self.awake.wait()
            return
        raise WorkerLost("killed")


@dataclass
class Office:
    """A staff of stand-ins; `make` may raise `WorkerLost`."""

    number: int
    make: Any = StandIn
    hired: list[StandIn] = field(default_factory=list)
    closed: set[int] = field(default_factory=set)

    def places(self):
        return [place for place in range(self.number) if place not in self.closed]

    async def hire(self, place):
        await asyncio.sleep(3.0)
        worker = self.make(f"{place}-{len(self.hired)}")
        self.hired.append(worker)
        return worker

    def keep_calls(self, folder):
        return None

    def hand_over(self, params):
        return params


def drive(office, work, meanwhile=None, *, on_failure="requeue", hooks=None, patience=PATIENCE):
    """Run jobs on an office; returns what was kept, what was told, the driver, and the seconds that it took."""
    kept, told = [], []

    async def whole():
        loop = asyncio.get_running_loop()
        driver = Driver(office, Lender(BudgetSettings(), 8, loop.time), patience, loop.time)
        given = hooks or Hooks(keep=kept.append, tell=told.append)
        other = asyncio.create_task(meanwhile(driver)) if meanwhile else None
        try:
            await driver.run(ASSIGNMENT, work, given, on_failure)
        finally:
            if other is not None:
                other.cancel()
        return driver, loop.time()

    driver, seconds = run_jumping(whole())
    return kept, told, driver, seconds


__all__ = ["ASSIGNMENT", "Dispatch", "Office", "StandIn", "drive", "jobs"]
