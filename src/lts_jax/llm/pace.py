"""How often calls may begin: a bucket that fills with the right to one call, so many times a second."""

import asyncio
from collections.abc import Sequence
from math import inf

from lts_jax.llm.chat import ChatModel, Completion
from lts_jax.records import Message

BURST_SECONDS = 0.1  # whose calls may begin at one time, after as long without any; at least one call


class Pace:
    """A token bucket. In any t seconds at most `rate` t + max(1, `BURST_SECONDS` `rate`) calls begin.

    `now` is in seconds, of any clock that does not go back. Not safe from several threads.
    """

    def __init__(self, rate: float | None = None) -> None:
        """`rate`: calls a second; None: no limit; 0: none for now."""
        self._rate, self._full_at = rate, -inf  # when the bucket is full, if nobody takes

    @property
    def rate(self) -> float | None:
        """Calls a second; None: no limit."""
        return self._rate

    def change(self, rate: float | None, now: float) -> None:
        """Keep to another rate from now on; what is in the bucket is no more than fits into the new one."""
        if rate == self._rate:
            return
        before, self._rate = self._rate, rate
        if not rate:
            return
        in_it = 0.0 if before is not None else 1.0  # while the rate was 0 nothing came in
        if before:
            in_it = _size(before) - max(0.0, self._full_at - now) * before
        size = _size(rate)
        self._full_at = now + (size - min(in_it, size)) / rate

    def seconds_to_wait(self, now: float) -> float:
        """Until the next call may begin; 0.0: it may; infinite while the rate is 0."""
        if self._rate is None:
            return 0.0
        if self._rate == 0.0:
            return inf
        wait = max(self._full_at, now) + (1.0 - _size(self._rate)) / self._rate - now
        return wait if wait > 1e-9 else 0.0

    def take(self, now: float) -> None:
        """One call begins."""
        if self._rate:
            self._full_at = max(self._full_at, now) + 1.0 / self._rate


def _size(rate: float) -> float:
    return max(1.0, BURST_SECONDS * rate)


class PacedModel:
    """ChatModel whose calls begin at a pace, in the order in which they are asked. A call's retries are not counted."""

    def __init__(self, inner: ChatModel, rate: float) -> None:
        """`rate`: calls a second."""
        self._inner, self._pace = inner, Pace(rate)
        self._turn: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    @property
    def name(self) -> str:
        """Name of the inner model."""
        return self._inner.name

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """Ask the inner model once it is this call's turn.

        Raises:
            BudgetExhausted, ModelFailure: the inner model's.
        """
        loop = asyncio.get_running_loop()
        if self._turn is None or self._turn[0] is not loop:
            self._turn, self._pace = (loop, asyncio.Lock()), Pace(self._pace.rate)
        async with self._turn[1]:
            while wait := self._pace.seconds_to_wait(loop.time()):
                await asyncio.sleep(wait)
            self._pace.take(loop.time())
        return await self._inner.complete(messages, seed=seed, json_reply=json_reply)
