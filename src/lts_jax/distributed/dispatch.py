"""Which job is whose: a queue in which no job is lost and none counts twice, whatever happens to who holds it.

A job is open, held by one incarnation of a worker, done, or given up. A worker that is lost gives back what it holds,
to the front; what it says later is refused, since it holds nothing any more. A job that may be the reason is kept apart
from others of which the same is true, so that none is given up for its neighbour. No clock, no network: plain data.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lts_jax.records import Coordinates
from lts_jax.rollouts.executor import Finished, Job, OnFailure

MOST_LOSSES = 3  # workers that a job may take with it before it is given up: by then the job is the likely reason


@dataclass(frozen=True, slots=True)
class Ledger:
    """What became of the jobs of a run. `num_jobs` = `num_done` + `num_given_up` once it has ended."""

    num_jobs: int = 0
    num_done: int = 0
    num_given_up: int = 0
    num_run_again: int = 0  # losses of a job after which it was run again
    num_workers_lost: int = 0
    num_late: int = 0  # results of workers that had been given up by then; refused
    num_calls_asked_again: int = 0  # at most: those in flight when their worker was lost

    @property
    def adds_up(self) -> bool:
        """Whether every job has ended in one way."""
        return self.num_jobs == self.num_done + self.num_given_up

    def plus(self, other: "Ledger") -> "Ledger":
        """Both together."""
        return Ledger(*(getattr(self, name) + getattr(other, name) for name in Ledger.__slots__))

    def told(self) -> str:
        """In a line."""
        text = f"{self.num_jobs} rollouts: {self.num_done} done, {self.num_given_up} given up"
        if self.num_workers_lost:
            text += (
                f"; {self.num_workers_lost} workers lost, {self.num_run_again} rollouts run again for it, "
                f"at most {self.num_calls_asked_again} calls in flight asked again"
            )
        return text


@dataclass(slots=True, eq=False)
class _State:
    job: Job
    num_losses: int = 0
    holder: Any = None  # an incarnation; None: open or ended
    has_ended: bool = False

    @property
    def is_suspect(self) -> bool:
        return self.num_losses == MOST_LOSSES - 1


class Dispatch:
    """The jobs of one run."""

    def __init__(self, jobs: Sequence[Job], on_failure: OnFailure = "requeue") -> None:
        self._on_failure = on_failure
        self._states = {job.coordinates: _State(job) for job in jobs}
        if len(self._states) != len(jobs):
            raise ValueError("jobs: expected each coordinates once")
        self._open = deque(self._states.values())
        self._suspects: list[_State] = []  # one more loss, and they are given up: a worker holds one of them at a time
        self._num_open_or_held = len(jobs)
        self.ledger = Ledger(num_jobs=len(jobs))

    @property
    def has_ended(self) -> bool:
        """Whether every job is done or given up."""
        return self._num_open_or_held == 0

    @property
    def num_open(self) -> int:
        """Jobs that nobody holds."""
        return len(self._open)

    def take(self, holder: Any) -> Job | None:
        """The next job, held by an incarnation from now on; None while there is none to take."""
        may_suspect = not any(state.holder == holder for state in self._suspects)
        place = next((place for place, one in enumerate(self._open) if may_suspect or not one.is_suspect), None)
        if place is None:
            return None
        state = self._open[place]
        del self._open[place]
        state.holder = holder
        return state.job

    @property
    def num_suspects(self) -> int:
        """Open and held jobs that are kept apart."""
        return len(self._suspects)

    def finish(self, holder: Any, coordinates: Coordinates) -> bool:
        """Take a result; false where it is refused, as the incarnation does not hold the job (any more)."""
        state = self._states[coordinates]
        if state.holder is None or state.holder != holder:
            self._count(num_late=1)
            return False
        self._end(state)
        self._count(num_done=1)
        return True

    def lose(self, holder: Any, reason: str, last_lines: Sequence[str] = (), *, calls_each: int = 0) -> list[Finished]:
        """Take back what a lost incarnation holds; those that are given up for it, with the reason.

        Args:
            holder: the incarnation.
            reason: what became of it, in words.
            last_lines: that it wrote.
            calls_each: calls that a job has in flight at most, for the ledger.
        """
        held = [state for state in self._states.values() if state.holder == holder and not state.has_ended]
        self._count(num_workers_lost=1, num_calls_asked_again=calls_each * len(held))
        back = [self._take_back(state, reason, last_lines) for state in reversed(held)]  # the front is in their order
        return [one for one in reversed(back) if one is not None]

    def give_back(self, holder: Any, coordinates: Coordinates, reason: str, *, calls_each: int = 0) -> Finished | None:
        """Take one job back from an incarnation that lives, as another one that helped it is lost; see `lose`."""
        state = self._states[coordinates]
        if state.holder != holder:
            return None
        self._count(num_calls_asked_again=calls_each)
        return self._take_back(state, reason, ())

    def has_been_lost(self, coordinates: Coordinates) -> bool:
        """Whether a worker was lost with this job before: now it runs on one alone, and is nobody's neighbour."""
        return self._states[coordinates].num_losses > 0

    def _take_back(self, state: _State, reason: str, last_lines: Sequence[str]) -> Finished | None:
        """Put a job to the front, or give it up."""
        state.holder, state.num_losses = None, state.num_losses + 1
        if self._on_failure != "requeue" or state.num_losses >= MOST_LOSSES:
            self._end(state)
            self._count(num_given_up=1)
            return Finished(state.job, None, _reason(state, reason, last_lines))
        self._open.appendleft(state)
        self._suspects += [state] * (state.num_losses == MOST_LOSSES - 1)
        self._count(num_run_again=1)
        return None

    def held_by(self, holder: Any) -> list[Job]:
        """Jobs that an incarnation holds."""
        return [state.job for state in self._states.values() if state.holder == holder and not state.has_ended]

    def _end(self, state: _State) -> None:
        state.holder, state.has_ended = None, True
        if state in self._suspects:
            self._suspects.remove(state)
        self._num_open_or_held -= 1

    def _count(self, **more: int) -> None:
        self.ledger = replace(self.ledger, **{name: getattr(self.ledger, name) + by for name, by in more.items()})


def _reason(state: _State, reason: str, last_lines: Iterable[str]) -> str:
    times = "once" if state.num_losses == 1 else f"{state.num_losses} times"
    said = " | ".join(line.strip() for line in last_lines if line.strip())
    return f"its worker was lost {times} ({reason})" + (f"; its last lines: {said[-2000:]}" if said else "")
