"""A worker's side of its terms: no call begins without a place in flight and enough money for the most it may cost."""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from math import inf
from typing import Any

from lts_jax.distributed.leases import UNITS, Beat, Spent, Terms
from lts_jax.llm.budget import Price
from lts_jax.llm.chat import BudgetExhausted, ChatModel, Completion, ModelFailure
from lts_jax.llm.pace import Pace
from lts_jax.records import Message

TOKENS_OF_FRAME = 16  # that a message costs beside its text, at most


class Gate:
    """Lets calls through within the newest terms. One event loop; `Terms` may come from another thread's."""

    def __init__(self) -> None:
        self._share, self._limit, self._is_exhausted = 0, Spent(), False
        self._is_limited = False
        self._charged, self._reserved = Spent(), Spent()
        self._num_in_flight = 0
        self._lacks: list[Spent] = []
        self._largest = Spent()
        self._news: list[asyncio.Future[None]] = []
        self._rate: float | None = None
        self._pace = Pace()
        self._lock = threading.Lock()
        self.num_rate_limited = 0

    def beat(self, terms: Terms) -> Beat:
        """Keep to these terms from now on, and say how things stand."""
        with self._lock:
            self._share, self._is_limited = terms.share, terms.limit is not None
            self._is_exhausted, self._rate = terms.is_exhausted, terms.rate
            if terms.limit is not None:
                self._limit = _larger(terms.limit, self._charged.plus(self._reserved))
            limit = self._limit if self._is_limited else None
            lacks = self._lacks[0] if self._lacks else None
            said = Beat(self._charged, self._reserved, limit, lacks, self._num_in_flight, self.num_rate_limited)
            news, self._news = self._news, []
        for waiting in news:
            with suppress(RuntimeError):  # the loop was closed; nobody waits there
                waiting.get_loop().call_soon_threadsafe(_wake, waiting)
        return said

    async def enter(self, most: Spent) -> Spent:
        """Wait for a place, for money and for the moment; returns what was reserved.

        Raises:
            BudgetExhausted: no money is left anywhere.
        """
        most = _larger(most, self._largest)
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                can_pay = self._can_pay(most)
                self._pace.change(self._rate, loop.time())
                wait = self._pace.seconds_to_wait(loop.time())
                if can_pay and self._num_in_flight < self._share and not wait:
                    self._pace.take(loop.time())
                    self._num_in_flight += 1
                    self._reserved = self._reserved.plus(most)
                    return most
                if not can_pay and self._is_exhausted:
                    raise BudgetExhausted("the budget of the run is used up, whoever asks")
                waiting = loop.create_future()
                timer = loop.call_later(wait, _wake, waiting) if 0.0 < wait < inf else None
                self._news.append(waiting)
                if not can_pay:
                    self._lacks.append(most)
            try:
                await waiting
            finally:
                if timer is not None:
                    timer.cancel()
                with self._lock:
                    self._news = [one for one in self._news if one is not waiting]
                    if not can_pay:
                        self._lacks.remove(most)

    def leave(self, reserved: Spent, cost: Spent) -> None:
        """End a call: what it cost in place of what was reserved."""
        with self._lock:
            self._num_in_flight -= 1
            self._reserved = self._reserved.plus(reserved, -1.0)
            self._charged = self._charged.plus(cost)
            self._largest = _larger(cost, self._largest)
            news, self._news = self._news, []
        for waiting in news:
            _wake(waiting)

    def _can_pay(self, most: Spent) -> bool:
        if not self._is_limited:
            return True
        used = self._charged.plus(self._reserved).plus(most)
        return all(getattr(used, unit) <= getattr(self._limit, unit) for unit in UNITS if getattr(most, unit))


def _larger(one: Spent, other: Spent) -> Spent:
    return Spent(*(max(getattr(one, unit), getattr(other, unit)) for unit in UNITS))


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


class GatedModel:
    """ChatModel whose calls go through a gate; stands below the journal, so that what is replayed costs nothing."""

    def __init__(self, inner: ChatModel, gate: Gate, price: Price, max_completion_tokens: int | None) -> None:
        self._inner, self._gate, self._price, self._most = inner, gate, price, max_completion_tokens

    @property
    def name(self) -> str:
        """Name of the inner model."""
        return self._inner.name

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """Ask the inner model once there is room.

        Raises:
            BudgetExhausted: no money is left anywhere.
            ModelFailure: the inner model's.
        """
        reserved = await self._gate.enter(self._most_of(messages))
        cost = Spent()
        try:
            completion = await self._inner.complete(messages, seed=seed, json_reply=json_reply)
            cost = self._cost(completion.prompt_tokens, completion.completion_tokens, completion.seconds)
            return completion
        except ModelFailure as failure:
            cost = self._cost(failure.prompt_tokens, failure.completion_tokens, 0.0)
            raise
        finally:
            self._gate.num_rate_limited = _rate_limited(self._inner)
            self._gate.leave(reserved, cost)

    def _most_of(self, messages: Sequence[Message]) -> Spent:
        """What a call costs at most: a token holds a byte at least; without a limit of the reply, as the largest."""
        prompt = sum(len(message.content.encode()) + TOKENS_OF_FRAME for message in messages)
        reply = self._most or 0
        return Spent(prompt + reply, self._price.usd_of_tokens(prompt, reply), 0.0)

    def _cost(self, prompt_tokens: int, completion_tokens: int, seconds: float) -> Spent:
        usd = self._price.usd_of_tokens(prompt_tokens, completion_tokens)
        return Spent(prompt_tokens + completion_tokens, usd, seconds)


def _rate_limited(model: Any) -> int:
    return int(getattr(model, "num_rate_limited", 0))
