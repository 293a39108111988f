"""A budget and an endpoint shared by many workers: the driver lends both out in parts, and the parts never exceed them.

A worker is told up to where it may spend, in all, and how many calls it may have in flight. What a dead worker had not
spent, by its journal, comes back; a worker that lacks money while others have some left over waits until they gave it
back. So workers ask nobody before a call, and a hundred of them do not multiply the calls at an endpoint.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from lts_jax.llm.budget import Budget, BudgetSettings

UNITS = ("tokens", "usd", "seconds")
SLICES_EACH = 4  # into how many parts a worker's fair part of what is left is cut
QUIET_SECONDS = 30.0  # without a 429, after which calls in flight rise by a tenth
HALVE_SECONDS = 10.0  # between one halving and the next: the answers to the calls before it still come


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens, US dollars, seconds of model time."""

    tokens: float = 0.0
    usd: float = 0.0
    seconds: float = 0.0

    def plus(self, other: "Spent", sign: float = 1.0) -> "Spent":
        """Sum, or with `sign` -1 difference."""
        return Spent(*(getattr(self, unit) + sign * getattr(other, unit) for unit in UNITS))


@dataclass(frozen=True, slots=True)
class Terms:
    """What a worker may do from now on. `limit`: what it may have spent in all; None: no limit on anything."""

    share: int  # calls in flight
    limit: Spent | None = None
    is_exhausted: bool = False  # nothing is left anywhere: whoever waits for money is told so
    rate: float | None = None  # calls a second that may begin; None: no limit


@dataclass(frozen=True, slots=True)
class Beat:
    """What a worker says of itself."""

    charged: Spent = field(default_factory=Spent)  # by calls that have ended
    reserved: Spent = field(default_factory=Spent)  # for calls in flight, at most
    limit: Spent | None = None  # that it keeps to
    lacks: Spent | None = None  # what the next call needs, where it waits for money
    num_in_flight: int = 0
    num_rate_limited: int = 0  # responses 429 so far


@dataclass(slots=True)
class _Loan:
    limit: Spent
    number: int
    share: int = 0
    rate: float = 0.0  # calls a second that it may begin at most, by the last terms and those before that it heard
    rate_told: float = 0.0
    beat: Beat = field(default_factory=Beat)

    @property
    def held(self) -> int:
        """Calls in flight that are its, or were until it lets go of them."""
        return max(self.share, self.beat.num_in_flight)


class Lender:
    """The driver's side.

    `now` gives seconds; `max_in_flight` are the calls that the endpoint takes at one time, `rate` those that may begin
    in a second; None: no limit.
    """

    def __init__(
        self, settings: BudgetSettings, max_in_flight: int, now: Callable[[], float], rate: float | None = None
    ) -> None:
        self._limits = {unit: limit for unit in UNITS if (limit := getattr(settings, f"max_{unit}")) is not None}
        self._most, self._in_flight, self._now, self._rate = max_in_flight, float(max_in_flight), now, rate
        self._loans: dict[Hashable, _Loan] = {}
        self._base, self._dead = Spent(), Spent()
        self._changed_at = now()
        self._num_rate_limited = 0
        self._num_loans = self._held = 0  # workers so far; calls in flight that are theirs

    @property
    def max_in_flight(self) -> int:
        """Calls in flight of all workers together, by what the endpoint last said."""
        return max(1, int(self._in_flight))

    def begin(self, budget: Budget) -> None:
        """Take what the run has spent before its workers did, once no job is in flight."""
        life = self._dead
        for loan in self._loans.values():
            life = life.plus(loan.beat.charged)
        self._base = Spent(budget.tokens, budget.usd, budget.seconds).plus(life, -1.0)

    def terms(self, worker: Hashable) -> Terms:
        """What a worker may do now; call it in turn for each, and give its answer to `heard`."""
        loan = self._loans.get(worker)
        if loan is None:
            limit = Spent(*(0.0 if unit in self._limits else inf for unit in UNITS))
            loan = self._loans[worker] = _Loan(limit, self._num_loans)
            self._num_loans += 1
        before = loan.held
        loan.share = self._share(loan)
        self._held += loan.held - before
        rate = self._rate_of(loan)
        if not self._limits:
            return Terms(loan.share, rate=rate)
        loan.limit = self._limit(worker, loan)
        return Terms(loan.share, loan.limit, self._is_exhausted(worker, loan), rate)

    def heard(self, worker: Hashable, beat: Beat) -> None:
        """Take in what a worker said in answer to its terms."""
        loan = self._loans.get(worker)
        if loan is None:
            return
        more, before = beat.num_rate_limited - loan.beat.num_rate_limited, loan.held
        loan.beat, loan.rate = beat, loan.rate_told
        self._held += loan.held - before
        if beat.limit is not None:
            loan.limit = beat.limit
        self._adapt(more)

    def lost(self, worker: Hashable, charged: Spent) -> None:
        """Take back the loan of a dead worker but what it had spent, as its journal shows."""
        loan = self._loans.pop(worker, None)
        if loan is not None:
            self._held -= loan.held
            self._dead = self._dead.plus(charged)

    def left(self, unit: str) -> float:
        """What of a limited unit nobody has spent or on loan."""
        lent = sum(getattr(loan.limit, unit) for loan in self._loans.values())
        return self._limits[unit] - getattr(self._base, unit) - getattr(self._dead, unit) - lent

    def _adapt(self, num_rate_limited: int) -> None:
        now = self._now()
        if num_rate_limited > 0:
            if now - self._changed_at >= HALVE_SECONDS or self._num_rate_limited == 0:
                self._in_flight, self._changed_at = max(1.0, self._in_flight / 2), now
            self._num_rate_limited += num_rate_limited
        elif self._in_flight < self._most and now - self._changed_at >= QUIET_SECONDS:
            self._in_flight, self._changed_at = min(float(self._most), self._in_flight * 1.1 + 1), now

    def _share(self, loan: _Loan) -> int:
        """Its part of the calls in flight; less while others still have more than theirs in flight."""
        num = len(self._loans)
        fair = self.max_in_flight // num + (loan.number % num < self.max_in_flight % num)
        return max(0, min(fair, self.max_in_flight - (self._held - loan.held)))

    def _rate_of(self, loan: _Loan) -> float | None:
        """Its part of the calls a second, fewer after a 429; less while others may still keep to more than theirs."""
        if self._rate is None:
            return None
        others = sum(one.rate for one in self._loans.values() if one is not loan)
        fair = self._rate * min(1.0, self._in_flight / self._most) / len(self._loans)
        loan.rate_told = max(0.0, min(fair, self._rate - others))
        loan.rate = max(loan.rate, loan.rate_told)
        return loan.rate_told

    def _limit(self, worker: Hashable, loan: _Loan) -> Spent:
        """Its limit, raised by a part where half of its last part is used, lowered where another one lacks money.

        Of several that lack it, the first is served first, and the rest give back what they have not used.
        """
        used = loan.beat.charged.plus(loan.beat.reserved)
        first = next((name for name, one in self._loans.items() if one.beat.lacks is not None), worker)
        found = {}
        for unit in UNITS:
            limit, spent = getattr(loan.limit, unit), getattr(used, unit)
            if unit not in self._limits:
                found[unit] = limit
            elif first != worker:
                found[unit] = min(limit, spent)
            else:
                found[unit] = limit + self._slice(unit, limit - spent, loan)
        return Spent(**found)

    def _slice(self, unit: str, unused: float, loan: _Loan) -> float:
        left = max(0.0, self.left(unit))
        part = left / (SLICES_EACH * len(self._loans))
        lacking = 0.0 if loan.beat.lacks is None else max(0.0, getattr(loan.beat.lacks, unit) - unused)
        wanted = max(part if unused < part / 2 else 0.0, lacking)
        return min(left, wanted)

    def _is_exhausted(self, worker: Hashable, loan: _Loan) -> bool:
        """Whether what it lacks is nowhere, even if all others gave back what they have not spent or reserved."""
        lacks = loan.beat.lacks
        if lacks is None:
            return False
        for unit in self._limits:
            used = getattr(loan.beat.charged, unit) + getattr(loan.beat.reserved, unit)
            back = sum(
                max(0.0, getattr(one.limit, unit) - getattr(one.beat.charged, unit))  # what is reserved may come back
                for name, one in self._loans.items()
                if name != worker
            )
            own = getattr(loan.beat.reserved, unit)
            if getattr(loan.limit, unit) - used + self.left(unit) + back + own < getattr(lacks, unit):
                return True
        return False


def charged_of(completions: Any, price: Any) -> Spent:
    """What completions have cost together."""
    total = Spent()
    for one in completions:
        total = total.plus(Spent(one.prompt_tokens + one.completion_tokens, price.usd(one), one.seconds))
    return total
