"""Where rollouts are run: a port. What collects them gives jobs, and gets each one back as it ends.

A rollout is a function of its coordinates and its parts, so its bits do not depend on who runs it, nor on how often it
was tried. The caller stays the one writer of the run folder. `Local` runs them side by side in this process.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol, TypeVar, get_args

from lts_jax.errors import UserError
from lts_jax.records import Answer, Coordinates, Outcome, Rollout, StopReason, Task
from lts_jax.rollouts.restart import parts_of_rollout
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings

Result = TypeVar("Result")
OnFailure = Literal["requeue", "drop", "stop"]
"""What becomes of a rollout whose worker was lost: run again, given up, or the end of the run."""

FEW_IN_FLIGHT = 4  # where nothing waits for anything real, more only crowd the processor's cache


def check_on_failure(word: str, *, where: str) -> None:
    """Raise `UserError` if it is none of the three."""
    if word not in get_args(OnFailure):
        raise UserError(f"{where}: expected {', '.join(get_args(OnFailure))}, got {word!r}")


class RolloutCounter(Protocol):
    """Told of every start and end; a batched decider flushes when all active rollouts wait for it."""

    def rollout_started(self) -> None:
        """One more rollout may ask for decisions."""
        ...

    def rollout_ended(self) -> None:
        """One fewer rollout may ask for decisions."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One rollout that is to be run."""

    task: Task
    coordinates: Coordinates


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a job: a rollout, or the reason why there is none."""

    job: Job
    rollout: Rollout | None
    reason: str = ""
    row: bytes = field(default=b"", repr=False)  # as the store writes it, where it was made with the rollout


@dataclass(frozen=True, slots=True)
class Work:
    """What the jobs of one `run` have in common."""

    parts: RolloutParts
    settings: RolloutSettings
    num_in_flight: int  # rollouts that run side by side at most; of several machines: on each
    counter: RolloutCounter | None = None  # the decider behind a learned policy, if there is one
    on_failure: OnFailure = "requeue"
    is_stored: bool = False  # whether rollouts are written: then a row comes with those of other processes

    @property
    def num_side_by_side(self) -> int:
        """Rollouts that one process runs side by side: fewer where nothing is waited for."""
        if self.parts.is_offline and self.counter is None:
            return min(self.num_in_flight, FEW_IN_FLIGHT)
        return self.num_in_flight


class Executor(Protocol):
    """Runs jobs, here or elsewhere."""

    def run(self, jobs: Sequence[Job], work: Work, keep: Callable[[Finished], None]) -> None:
        """Run every job; `keep` gets each as it ends, in any order, and what it raises ends the run.

        A job without a rollout is one that was given up; how often it is tried before is the executor's matter.
        """
        ...


@dataclass(frozen=True, slots=True)
class Local:
    """All jobs side by side in this process, on one event loop. None is ever given up."""

    def run(self, jobs: Sequence[Job], work: Work, keep: Callable[[Finished], None]) -> None:
        """See `Executor`. An exception of one rollout is a programming error: the others are cancelled."""

        def done(rollout: Rollout) -> None:
            keep(Finished(Job(rollout.task, rollout.coordinates), rollout))

        runs = [  # what they had paid before a kill is counted here, before any new call
            partial(
                run_rollout, job.task, job.coordinates, parts_of_rollout(work.parts, job.coordinates), work.settings
            )
            for job in jobs
        ]
        run_to_end(_closing(work.parts, run_side_by_side(runs, work.num_side_by_side, work.counter, done)))


LOCAL = Local()


def run_to_end(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on a new event loop; in a thread of its own where a loop already runs, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(max_workers=1) as threads:
        return threads.submit(asyncio.run, coroutine).result()


async def _closing(parts: RolloutParts, running: Coroutine[Any, Any, None]) -> None:
    """Run, and end in the same event loop what tools have started there."""
    try:
        await running
    finally:
        if parts.tool_kit is not None:
            await parts.tool_kit.aclose()


async def run_side_by_side(
    runs: Sequence[Callable[[], Awaitable[Rollout]]],
    num_in_flight: int,
    counter: RolloutCounter | None,
    keep: Callable[[Rollout], None],
) -> None:
    """Start and await each of `runs`, at most `num_in_flight` at a time; `keep` gets each rollout as it ends.

    An exception of one rollout is a programming error: the others are cancelled and it is raised.
    """
    waiting, num_runs = iter(runs), len(runs)

    async def work() -> None:
        for run in waiting:
            if counter is not None:
                counter.rollout_started()
            try:
                await asyncio.sleep(0)  # let the others start, so that their decisions ride in one batch
                keep(await run())
            finally:
                if counter is not None:
                    counter.rollout_ended()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, min(num_in_flight, num_runs))):
                group.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # the others were cancelled because of it


def given_up(finished: Finished, work: Work) -> Rollout:
    """The record of a job that was given up: no step, no score, so that it teaches and measures nothing.

    Its group keeps its size, and whoever reads the record finds the reason.
    """
    text = f"given up: {finished.reason}"
    nothing, nan = Outcome(float("nan"), False, text), float("nan")
    answers = [Answer(team, "", 0.0, StopReason.MODEL_ERROR, detail=text) for team in range(work.settings.num_teams)]
    return Rollout(
        task=finished.job.task,
        coordinates=finished.job.coordinates,
        num_teams=work.settings.num_teams,
        steps=(),
        decisions=(),
        entries=(),
        pulls=(),
        answers=tuple(answers),
        final=Answer(-1, "", 0.0, StopReason.MODEL_ERROR, detail=text),
        outcome=nothing,
        first_outcome=nothing,
        reward_agg=nan,
        reward_first=nan,
        seconds=0.0,
        clock="virtual" if work.parts.virtual_time else "real",
        policy=work.parts.policy.name,
        listing_window=work.parts.policy.listing_window,
        stop_reason=StopReason.MODEL_ERROR,
        may_edit=getattr(work.parts.policy, "may_edit", False),
        reader="" if work.parts.reader is None else work.parts.reader.name,
    )
