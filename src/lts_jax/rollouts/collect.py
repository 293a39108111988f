"""Many rollouts side by side in one process, grouped by task, stored as they finish, skipped where they are on disk."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lts_jax.errors import UserError
from lts_jax.records import Coordinates, Rollout, RolloutGroup, Task
from lts_jax.redact import environment_secrets, redact_record
from lts_jax.rollouts.garbage import rare_garbage_collection
from lts_jax.rollouts.keeping import Keeper
from lts_jax.rollouts.restart import forget_unfinished, parts_of_rollout, spend, unfinished_path
from lts_jax.rollouts.rollout import RolloutParts, RolloutSettings, run_rollout
from lts_jax.rollouts.store import group_path, read_group, read_rollouts

Result = TypeVar("Result")

FEW_IN_FLIGHT = 4  # where nothing waits for anything real, more only crowd the processor's cache


class RolloutCounter(Protocol):
    """Told of every start and end; a batched decider flushes when all active rollouts wait for it."""

    def rollout_started(self) -> None:
        """One more rollout may ask for decisions."""
        ...

    def rollout_ended(self) -> None:
        """One fewer rollout may ask for decisions."""
        ...


@dataclass(frozen=True, slots=True)
class CollectSettings:
    """How rollouts are collected."""

    num_rollouts: int = 5  # G, rollouts per task and iteration; the paper
    num_in_flight: int = 64  # rollouts that run side by side at most; changes speed, never results

    def __post_init__(self) -> None:
        for name in ("num_rollouts", "num_in_flight"):
            if getattr(self, name) < 1:
                raise UserError(f"collect.{name}: expected at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Iteration:
    """One round of rollouts: what their coordinates begin with, and who is told of them.

    Attributes:
        seed: of all random numbers.
        number: counts from 0; groups of different iterations share no random number.
        counter: the decider behind a learned policy, if there is one.
        on_rollout: called with each rollout as it ends.
    """

    seed: int
    number: int
    counter: RolloutCounter | None = None
    on_rollout: Callable[[Rollout], None] | None = None


def collect_groups(
    tasks: Sequence[Task],
    parts: RolloutParts,
    settings: RolloutSettings,
    collecting: CollectSettings,
    iteration: Iteration,
    folder: Path | None = None,
) -> list[RolloutGroup]:
    """G rollouts of every task, in the order of `tasks`.

    With a `folder`, groups that lie there are read instead of run, and each new group is written as soon as its last
    rollout ends, so that a killed collection goes on where it stopped. On the real clock that holds for every rollout.

    Raises:
        UserError: a stored group was made otherwise, the budget is used up, or the endpoint fails as a whole: it is
            dead, refuses the key, has no such model, or most calls fail for one reason in a few rollouts one after the
            other, or in all of them. Unfinished rollouts are not stored. One such rollout among others that work is
            stored without a score.
    """
    names = [task.task_id for task in tasks]
    keeper = Keeper(names, collecting.num_rollouts, folder, iteration.on_rollout, each=not parts.virtual_time)
    missing: list[tuple[Task, Coordinates]] = []
    for task in tasks:
        expected = _Expected(_anywhere(task), iteration.seed, parts.policy.name, settings.num_teams)
        path = folder and group_path(folder, iteration.number, task.task_id)
        if path and path.exists():
            keeper.done[task.task_id] = _stored_group(path, expected, collecting.num_rollouts)
            keeper.finished[task.task_id] += keeper.done[task.task_id].rollouts
            if folder is not None:
                forget_unfinished(folder, keeper.done[task.task_id])  # a kill may have come between the two
            continue
        for number in range(collecting.num_rollouts):
            path = folder and unfinished_path(folder, iteration.number, task, number)
            if path and path.exists():
                keeper.finished[task.task_id] += _check_stored(path, read_rollouts(path), expected)
            else:
                missing.append((task, Coordinates(iteration.seed, iteration.number, task.task_id, number)))
    for siblings in keeper.finished.values():
        spend(parts.budget, siblings)
    keeper.take_stored()
    runs = [partial(run_rollout, task, place, parts_of_rollout(parts, place), settings) for task, place in missing]
    num_in_flight = collecting.num_in_flight
    if parts.is_offline and iteration.counter is None:
        num_in_flight = min(num_in_flight, FEW_IN_FLIGHT)
    with rare_garbage_collection():
        run_to_end(_closing(parts, run_side_by_side(runs, num_in_flight, iteration.counter, keeper.keep)))
    keeper.end()
    return [keeper.done[name] for name in names]


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


@dataclass(frozen=True, slots=True)
class _Expected:
    task: Task
    seed: int
    policy: str
    num_teams: int


def _stored_group(path: Path, expected: _Expected, num_rollouts: int) -> RolloutGroup:
    group = read_group(path)
    _check_stored(path, group.rollouts, expected)
    if len(group.rollouts) != num_rollouts:
        raise _otherwise(path, "num_rollouts", len(group.rollouts), num_rollouts)
    return group


def _check_stored(path: Path, rollouts: Sequence[Rollout], expected: _Expected) -> Sequence[Rollout]:
    first = rollouts[0]
    found = _Expected(_anywhere(first.task), first.coordinates.seed, first.policy, first.num_teams)
    for name in _Expected.__slots__:
        stored = getattr(found, name)
        wanted = redact_record(getattr(expected, name), environment_secrets(os.environ))  # as the store writes it
        if stored != wanted:
            raise _otherwise(path, name, *((stored.task_id, wanted.task_id) if name == "task" else (stored, wanted)))
    return rollouts


def _otherwise(path: Path, name: str, stored: object, wanted: object) -> UserError:
    return UserError(f"{path}: made with {name} {stored!r}, now {wanted!r}; use another run folder, or delete it")


def _anywhere(task: Task) -> Task:
    """The task without the places of its files, which differ from machine to machine."""
    return replace(task, attachment_paths=())
