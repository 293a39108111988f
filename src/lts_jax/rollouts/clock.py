"""Clocks of a rollout: virtual time that costs no wall time, and the real one, behind the same four methods.

On a `VirtualClock` a sleeping task costs nothing: when every task that the clock counts as running has gone to sleep,
time jumps to the earliest wake-up. Exactly one sleeper is woken at a time, in order of (time, order of falling
asleep), so a rollout is a deterministic sequence of events. While a counted task waits for something that is not time
(a reply over HTTP, a batched decision), it still counts as running and the clock stands still.
"""

import asyncio
import heapq
from collections.abc import Coroutine, Sequence
from typing import Any


class VirtualClock:
    """Event clock of one rollout. The coroutine that makes the clock counts as running."""

    kind = "virtual"

    def __init__(self) -> None:
        self._now = 0.0
        self._order = 0
        self._num_running = 1
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._joiners: list[tuple[set[asyncio.Future[Any]], asyncio.Future[None]]] = []
        self._tasks: set[asyncio.Future[Any]] = set()

    def now(self) -> float:
        """Seconds since the clock was made."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` of virtual time pass. Zero or less returns at once."""
        if seconds <= 0.0:
            return
        wake_up = self._now + seconds
        if self._num_running == 1 and (not self._sleepers or wake_up < self._sleepers[0][0]):
            self._now = wake_up  # nobody else runs or wakes before: the sleeper would be woken next
            return
        woken = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._sleepers, (wake_up, self._order, woken))
        await self._stand_aside(woken)

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
        while self._num_running == 0 and self._sleepers:
            seconds, _, woken = heapq.heappop(self._sleepers)
            if woken.done():  # its task was cancelled
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
    """Wall time, from the moment the clock was made."""

    kind = "real"

    def __init__(self) -> None:
        self._started = asyncio.get_running_loop().time()

    def now(self) -> float:
        """Seconds since the clock was made."""
        return asyncio.get_running_loop().time() - self._started

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` of wall time pass."""
        if seconds > 0.0:
            await asyncio.sleep(seconds)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task."""
        return asyncio.get_running_loop().create_task(coroutine)

    async def join(self, futures: Sequence[asyncio.Future[Any]]) -> None:
        """Wait until all are done; results and exceptions stay where they are."""
        if futures:
            await asyncio.wait(futures)
