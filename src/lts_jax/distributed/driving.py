"""The driver: hires workers, gives them jobs, notices who is gone, and ends when every job has.

It holds everything that counts and writes everything that stays; a worker can be lost at any moment and costs what was
in flight on it. The driver itself may be killed, too: the same command reads what is stored and goes on.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lts_jax.distributed.crew import Assignment, Errand, Staff, Worker, WorkerLost
from lts_jax.distributed.dispatch import Dispatch, Ledger
from lts_jax.distributed.leases import Lender
from lts_jax.errors import UserError
from lts_jax.rollouts.executor import Finished, Job, OnFailure

MOST_BEATS = 100  # signs of life a second, of all workers: with a thousand they come every ten seconds
GATHER_SECONDS = 0.1  # in which jobs that lost their teams with one worker come back
MOST_FAILED_STARTS = 3  # in a row, at one place, before the place is left alone


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the driver waits, in seconds."""

    beat: float = 2.0  # between one sign of life and the next
    lost: float = 10.0  # without one, after which a worker is given up
    start: float = 600.0  # for a worker to start and to make its parts
    notice: float = 10.0  # of that, after which the user is told that the first one still does
    peers: float = 60.0  # that the first worker waits for those who are to take teams of its jobs
    look: float = 5.0  # between one look for new places and the next


PATIENCE = Patience()


@dataclass(frozen=True)
class Hooks:
    """What the driver asks of whoever uses it."""

    keep: Callable[[Finished], None]  # each job that has ended
    recorded: Callable[[Job], tuple[bytes, ...]] = lambda job: ()  # calls that earlier tries have paid for
    lost: Callable[[Worker, Sequence[Job]], None] = lambda worker, jobs: None  # before its jobs are run again
    given_back: Callable[[Sequence[Job]], None] = lambda jobs: None  # before jobs are run again whose worker lives
    tell: Callable[[str], None] = lambda text: None  # a line for the user
    calls_each: int = 0  # that a job has in flight at most, for the ledger


class Driver:
    """Runs jobs on a staff. Workers stay from one run to the next."""

    def __init__(
        self,
        staff: Staff,
        lender: Lender,
        patience: Patience = PATIENCE,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.staff, self.lender, self.patience, self._now = staff, lender, patience, now
        self.workers: dict[Hashable, Worker] = {}
        self.ledger = Ledger()  # of all runs
        self._refused: dict[Hashable, WorkerLost] = {}
        self._failed_starts: dict[Hashable, int] = {}

    async def run(
        self, assignment: Assignment, jobs: Sequence[Job], hooks: Hooks, on_failure: OnFailure = "requeue"
    ) -> None:
        """Run every job; those that end are given to `hooks.keep`, whose exceptions end the run.

        Raises:
            UserError: no worker can be started, a worker cannot make the parts, or a mistake of the user's in a
                rollout.
            RuntimeError: a mistake of ours in a rollout, with the end of its traceback.
        """
        if not jobs:
            return
        run = _Run(self, assignment, Dispatch(jobs, on_failure), hooks)
        try:
            await run.to_end()
        except BaseException:
            self.close()  # else they would go on, and spend
            raise
        finally:
            self.ledger = self.ledger.plus(run.dispatch.ledger)

    def close(self) -> None:
        """End every worker at once."""
        for place in list(self.workers):
            self.workers.pop(place).stop()


class _Run:
    """One run: its queue, and a task for each place."""

    def __init__(self, driver: Driver, assignment: Assignment, dispatch: Dispatch, hooks: Hooks) -> None:
        self.driver, self.assignment, self.dispatch, self.hooks = driver, assignment, dispatch, hooks
        self.has_told = False  # that a worker takes long to start
        self.news = asyncio.Event()  # replaced whenever jobs came back or the last has ended
        self.ready: dict[Hashable, Worker] = {}  # those that have made their parts
        self.back: list[Job] = []  # that lost a team a moment ago

    async def to_end(self) -> None:
        tending: dict[Hashable, asyncio.Task[None]] = {}
        driver = self.driver
        nobody_since = driver._now()
        try:
            while not self.dispatch.has_ended:
                for place in driver.staff.places():
                    if place not in tending and place not in driver._refused:
                        tending[place] = asyncio.create_task(self._tend(place))
                if tending:
                    nobody_since = driver._now()
                    done, _ = await asyncio.wait(
                        tending.values(), timeout=driver.patience.look, return_when=asyncio.FIRST_COMPLETED
                    )
                    tending = {place: task for place, task in tending.items() if task not in done}
                    for task in done:
                        task.result()
                elif driver._refused or driver._now() - nobody_since > driver.patience.start:
                    raise UserError(_nobody(driver._refused))
                else:
                    await asyncio.sleep(driver.patience.look)
        finally:
            await _end(list(tending.values()))

    async def _tend(self, place: Hashable) -> None:
        """Keep a worker at a place, one incarnation after the other, as long as there are jobs."""
        driver = self.driver
        while not self.dispatch.has_ended and place not in driver._refused:
            worker = driver.workers.get(place)
            num_done = self.dispatch.ledger.num_done
            try:
                if worker is None:
                    worker = driver.workers[place] = await self._in_time(driver.staff.hire(place), "started", None)
                await self._in_time(worker.prepare(self.assignment), "made its parts", worker)
                self.ready[place] = worker
                await self._wait_for_peers()
                await self._employ(worker)
            except WorkerLost as loss:
                driver.workers.pop(place, None)
                self.ready.pop(place, None)
                if worker is not None:
                    worker.stop()
                await self._stop_teams_of(worker)
                self._lose(worker, loss)
                self._count_start(place, loss, has_worked=self.dispatch.ledger.num_done > num_done)
                if place not in driver.staff.places():
                    return

    async def _in_time(self, coroutine: Any, deed: str, worker: Worker | None) -> Any:
        """Its result; what takes long is told once, so that nobody waits in silence for the first worker."""
        patience, begun = self.driver.patience, asyncio.ensure_future(coroutine)
        try:
            done, _ = await asyncio.wait([begun], timeout=min(patience.notice, patience.start))
            if not done and not self.has_told:
                self.has_told = True
                name = "a worker" if worker is None else f"worker {worker.incarnation}"
                said = "" if worker is None else _below(worker.last_lines())
                text = f"{name} has not {deed} within {patience.notice:g} seconds; it has {patience.start:g}{said}"
                self.hooks.tell(text)
            return await asyncio.wait_for(begun, max(0.0, patience.start - patience.notice))
        except TimeoutError:
            raise WorkerLost(f"it has not {deed} within {patience.start:g} seconds") from None
        finally:
            begun.cancel()

    def _count_start(self, place: Hashable, loss: WorkerLost, *, has_worked: bool) -> None:
        starts = 0 if has_worked else self.driver._failed_starts.get(place, 0) + 1
        self.driver._failed_starts[place] = starts
        if starts >= MOST_FAILED_STARTS:
            self.driver._refused[place] = loss

    def _lose(self, worker: Worker | None, loss: WorkerLost) -> None:
        """Take back what a worker held, once it can do no more."""
        lines: Sequence[str] = loss.last_lines
        name = "a worker"
        if worker is not None:
            name, lines = f"worker {worker.incarnation}", lines or worker.last_lines()
        said = _below(lines)
        self.hooks.tell(f"{name} is lost: {loss.reason}{said}")
        if worker is None:
            return
        self.hooks.lost(worker, self.dispatch.held_by(worker.incarnation))
        given_up = self.dispatch.lose(worker.incarnation, loss.reason, lines[-20:], calls_each=self.hooks.calls_each)
        for finished in given_up:
            self.hooks.keep(finished)
        self._announce()

    async def _employ(self, worker: Worker) -> None:
        """Give a worker jobs until all have ended."""
        beating = asyncio.create_task(self._beat(worker))
        lanes = [asyncio.create_task(self._lane(worker)) for _ in range(self.assignment.num_side_by_side)]
        working = asyncio.gather(*lanes)
        try:
            watched: list[asyncio.Future[Any]] = [beating, working]
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for one in sorted(done, key=lambda one: one is beating):
                one.result()
        finally:
            await _end([beating, *lanes, working])

    async def _lane(self, worker: Worker) -> None:
        """One job after the other."""
        dispatch = self.dispatch
        while not dispatch.has_ended:
            news = self.news
            job = dispatch.take(worker.incarnation)
            if job is None:
                await news.wait()
                continue
            errand = Errand(job, self.assignment.version, self.hooks.recorded(job), self._peers_of(worker, job))
            reply = await worker.run(errand)
            if reply.is_lost:
                await self._give_back(worker, job, reply.error)
                continue
            if reply.is_users:
                raise UserError(reply.error)
            if reply.error:
                raise RuntimeError(reply.error)
            num_suspects = dispatch.num_suspects
            if dispatch.finish(worker.incarnation, job.coordinates):
                self.hooks.keep(Finished(job, reply.rollout, row=reply.row))
            if dispatch.has_ended or dispatch.num_suspects < num_suspects:
                self._announce()

    async def _wait_for_peers(self) -> None:
        """Let the first jobs wait a moment for those who are to take their teams."""
        settings, patience = self.assignment.settings, self.driver.patience
        until = self.driver._now() + patience.peers
        while settings.spread_teams and self.driver._now() < until:
            if len(self.ready) >= min(settings.num_teams, len(self.driver.staff.places())):
                return
            await asyncio.sleep(patience.beat / 20)

    def _peers_of(self, worker: Worker, job: Job) -> tuple[Any, ...]:
        """Who may take teams of a job that this worker holds: the others, in the order after it."""
        if not self.assignment.settings.spread_teams or self.dispatch.has_been_lost(job.coordinates):
            return ()
        ready = list(self.ready.values())
        at = next((place for place, one in enumerate(ready) if one is worker), 0)
        return tuple(one.peer() for one in (*ready[at + 1 :], *ready[:at]))

    async def _give_back(self, worker: Worker, job: Job, reason: str) -> None:
        """Take back a job of which a team was lost; journals are read once for all that come at one time."""
        self.hooks.tell(f"{job.task.task_id} is run again: {reason}")
        self.back.append(job)
        await asyncio.sleep(GATHER_SECONDS)
        if self.back:
            jobs, self.back = self.back, []
            self.hooks.given_back(jobs)
        calls_each = self.hooks.calls_each
        finished = self.dispatch.give_back(worker.incarnation, job.coordinates, reason, calls_each=calls_each)
        if finished is not None:
            self.hooks.keep(finished)
        self._announce()

    async def _stop_teams_of(self, worker: Worker | None) -> None:
        """Let the others stop the teams of jobs whose home is lost, before their journals are read."""
        if worker is None or not self.assignment.settings.spread_teams:
            return
        held = self.dispatch.held_by(worker.incarnation)
        asked = [one.stop_teams(job.coordinates) for one in self.ready.values() for job in held]
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), self.driver.patience.lost)

    async def _beat(self, worker: Worker) -> None:
        """Give it terms and hear that it lives, as long as it does; more often where it waits for money or a place."""
        patience, lender = self.driver.patience, self.driver.lender
        while True:
            pause = max(patience.beat, len(self.driver.workers) / MOST_BEATS)
            limit = max(patience.lost, 2 * pause)  # a driver of a thousand may itself be behind for ten seconds
            try:
                beat = await asyncio.wait_for(worker.beat(lender.terms(worker.incarnation)), limit)
            except TimeoutError:
                raise WorkerLost(f"no sign of life for {limit:g} seconds") from None
            lender.heard(worker.incarnation, beat)
            await asyncio.sleep(pause if beat.lacks is None else pause / 20)

    def _announce(self) -> None:
        news, self.news = self.news, asyncio.Event()
        news.set()


async def _end(tasks: Sequence["asyncio.Future[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _below(lines: Sequence[str]) -> str:
    return "".join(f"\n  {line}" for line in lines[-20:])


def _nobody(refused: dict[Hashable, WorkerLost]) -> str:
    if not refused:
        return "workers: expected at least one machine to run on, found none"
    loss = next(iter(refused.values()))
    said = " | ".join(line.strip() for line in loss.last_lines[-20:] if line.strip())
    return f"workers: none can be started: {loss.reason}" + (f" (its last lines: {said[-2000:]})" if said else "")
