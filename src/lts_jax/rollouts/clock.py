"""Clocks of a rollout: virtual time that costs no wall time, and the real one, behind the same methods.

On a `VirtualClock` a sleeping task costs nothing: when every task that the clock counts as running has gone to sleep,
time jumps to the earliest wake-up. Exactly one sleeper is woken at a time, in order of (time, order of falling
asleep), so a rollout is a deterministic sequence of events. While a counted task waits for something that is not time
(a reply over HTTP, a batched decision), it still counts as running and the clock stands still.

Work is sleep that others at work slow down, as calls to one endpoint do: with n at work at the same time, each advances
by 1 / (1 + contention * (n - 1)) seconds a second. At contention 0 it is plain sleep; at 1 the n of them share what
one would have alone. A clock belongs to one rollout, so that rollouts side by side never slow each other.
"""

import asyncio
import heapq
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False)
class _Work:
    """Work under way. `left`: its seconds alone, as of the clock's last count; `due`: when it ends as things stand."""

    left: float
    due: float = 0.0


class VirtualClock:
    """Event clock of one rollout. The coroutine that makes the clock counts as running."""

    kind = "virtual"

    def __init__(self) -> None:
        self._now = 0.0
        self._order = 0
        self._num_running = 1
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._at_work: dict[asyncio.Future[None], _Work] = {}
        self._contention = 0.0
        self._counted = 0.0  # until when the work under way has been counted
        self._joiners: list[tuple[set[asyncio.Future[Any]], asyncio.Future[None]]] = []
        self._tasks: set[asyncio.Future[Any]] = set()

    def now(self) -> float:
        """Seconds since the clock was made."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` of virtual time pass. Zero or less returns at once."""
        if seconds <= 0.0:
            return
        woken = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._sleepers, (self._now + seconds, self._order, woken))
        await self._stand_aside(woken)

    async def work(self, seconds: float, contention: float = 0.0) -> None:
        """Let work pass that takes `seconds` alone and longer while others work; see the module's head.

        Args:
            seconds: that it takes alone.
            contention: at least 0, the same for all work on this clock.
        """
        if seconds <= 0.0 or contention == 0.0:
            await self.sleep(seconds)
            return
        self._contention = contention
        self._count_work()
        woken = asyncio.get_running_loop().create_future()
        self._at_work[woken] = _Work(seconds)
        self._set_due()
        try:
            await self._stand_aside(woken)
        finally:
            self._leave_work([woken])

    def _leave_work(self, leaving: Sequence[asyncio.Future[None]]) -> None:
        self._count_work()
        for woken in leaving:
            self._at_work.pop(woken, None)
        self._set_due()

    def _count_work(self) -> None:
        passed, self._counted = self._now - self._counted, self._now
        for one in self._at_work.values():
            one.left -= passed / self._slowness

    def _set_due(self) -> None:
        """When each piece of work ends, if none comes and none goes. Earlier alarms of a piece are void."""
        for woken, one in self._at_work.items():
            if not woken.done():
                one.due = self._now + max(0.0, one.left) * self._slowness
                self._order += 1
                heapq.heappush(self._sleepers, (one.due, self._order, woken))

    @property
    def _slowness(self) -> float:
        """Seconds that one second of work takes now."""
        return 1.0 + self._contention * (len(self._at_work) - 1)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task that the clock counts as running until it is done."""
        self._num_running += 1
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    async def join(self, futures: Sequence[asyncio.Future[Any]]) -> None:
        """Wait until all are done; the waiter does not count as running meanwhile.

        A plain future must be settled by a counted task. Results and exceptions stay where they are.
        """
        remaining = {future for future in futures if not future.done()}
        if not remaining:
            return
        joined = asyncio.get_running_loop().create_future()
        self._joiners.append((remaining, joined))
        for future in remaining - self._tasks:
            future.add_done_callback(self._settle)
        await self._stand_aside(joined)

    async def _stand_aside(self, woken: asyncio.Future[None]) -> None:
        self._num_running -= 1
        self._advance()
        try:
            await woken
        except asyncio.CancelledError:
            # Cancelled while asleep: the task runs again. If it had been woken already, it counts as running.
            if not woken.done() or woken.cancelled():
                self._num_running += 1
            raise

    def _advance(self) -> None:
        cancelled = [woken for woken in self._at_work if woken.cancelled()]  # their tasks may not have run since
        if cancelled:
            self._leave_work(cancelled)
        while self._num_running == 0 and self._sleepers:
            seconds, _, woken = heapq.heappop(self._sleepers)
            if woken.done():  # its task was cancelled
                continue
            if woken in self._at_work and self._at_work[woken].due != seconds:  # moved since
                continue
            self._now = seconds
            self._num_running += 1
            woken.set_result(None)

    def _finish(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        self._settle(task)  # a joiner whose last task this is takes over before the clock may move on
        self._num_running -= 1
        self._advance()

    def _settle(self, done: asyncio.Future[Any]) -> None:
        for remaining, joined in self._joiners:
            remaining.discard(done)
            if not remaining and not joined.done():
                self._num_running += 1
                joined.set_result(None)
        self._joiners = [(remaining, joined) for remaining, joined in self._joiners if not joined.done()]


class RealClock:
    """Wall time, from the moment the clock was made, or from `passed` seconds before it."""

    kind = "real"

    def __init__(self, passed: float = 0.0) -> None:
        self._time = asyncio.get_running_loop().time
        self._started = self._time() - passed

    def now(self) -> float:
        """Seconds since the clock was made."""
        return self._time() - self._started

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` of wall time pass."""
        if seconds > 0.0:
            await asyncio.sleep(seconds)

    async def work(self, seconds: float, contention: float = 0.0) -> None:
        """Let `seconds` of wall time pass: what real calls cost each other is in their own time already."""
        await self.sleep(seconds)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task."""
        return asyncio.get_running_loop().create_task(coroutine)

    async def join(self, futures: Sequence[asyncio.Future[Any]]) -> None:
        """Wait until all are done; results and exceptions stay where they are."""
        if futures:
            await asyncio.wait(futures)
