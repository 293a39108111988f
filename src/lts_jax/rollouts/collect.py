"""Many rollouts by whoever runs them, grouped by task, stored as they finish, skipped where they are on disk."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from lts_jax.errors import UserError
from lts_jax.records import Coordinates, Rollout, RolloutGroup, Task
from lts_jax.redact import environment_secrets, redact_record
from lts_jax.rollouts.executor import (
    LOCAL,
    Executor,
    Finished,
    Job,
    OnFailure,
    RolloutCounter,
    Work,
    check_on_failure,
    given_up,
    run_side_by_side,
    run_to_end,
)
from lts_jax.rollouts.garbage import rare_garbage_collection
from lts_jax.rollouts.keeping import Keeper
from lts_jax.rollouts.restart import forget_unfinished, spend, stored_alone
from lts_jax.rollouts.rollout import RolloutParts
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import group_path, read_group, read_rollouts

__all__ = ["CollectSettings", "Iteration", "RolloutCounter", "collect_groups", "run_side_by_side", "run_to_end"]

READERS = 2  # threads that read what is stored; half of that is decompressing, which runs beside Python


@dataclass(frozen=True, slots=True)
class CollectSettings:
    """How rollouts are collected."""

    num_rollouts: int = 5  # G, rollouts per task and iteration; the paper
    num_in_flight: int = 64  # rollouts that run side by side at most, on each machine; changes speed, never results
    on_failure: OnFailure = "requeue"  # of a worker that is lost: its rollouts are run again, given up, or end the run

    def __post_init__(self) -> None:
        for name in ("num_rollouts", "num_in_flight"):
            if getattr(self, name) < 1:
                raise UserError(f"collect.{name}: expected at least 1, got {getattr(self, name)}")
        check_on_failure(self.on_failure, where="collect.on_failure")


@dataclass(frozen=True, slots=True)
class Iteration:
    """One round of rollouts: what their coordinates begin with, and who is told of them.

    Attributes:
        seed: of all random numbers.
        number: counts from 0; groups of different iterations share no random number.
        counter: the decider behind a learned policy, if there is one.
        on_rollout: called with each rollout as it ends.
        executor: who runs what is not stored.
    """

    seed: int
    number: int
    counter: RolloutCounter | None = None
    on_rollout: Callable[[Rollout], None] | None = None
    executor: Executor = LOCAL


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
            stored without a score, and so is one that the executor has given up.
    """
    names = [task.task_id for task in tasks]
    keeper = Keeper(names, collecting.num_rollouts, folder, iteration.on_rollout, each=not parts.virtual_time)
    missing: list[Job] = []
    stored = _stored_groups(tasks, folder, iteration.number)
    for task in tasks:
        expected = _Expected(_anywhere(task), iteration.seed, parts.policy.name, settings.num_teams)
        if task.task_id in stored:
            place, group = stored[task.task_id]
            keeper.done[task.task_id] = _check_group(place, group, expected, collecting.num_rollouts)
            keeper.finished[task.task_id] += keeper.done[task.task_id].rollouts
            if folder is not None:
                forget_unfinished(folder, keeper.done[task.task_id])  # a kill may have come between the two
            continue
        for number in range(collecting.num_rollouts):
            path = folder and stored_alone(folder, iteration.number, task, number)
            if path:
                keeper.finished[task.task_id] += _check_stored(path, read_rollouts(path), expected)
            else:
                missing.append(Job(task, Coordinates(iteration.seed, iteration.number, task.task_id, number)))
    for siblings in keeper.finished.values():
        spend(parts.budget, siblings)
    is_stored = folder is not None
    work = Work(parts, settings, collecting.num_in_flight, iteration.counter, collecting.on_failure, is_stored)

    def keep(finished: Finished) -> None:
        if finished.rollout is None and collecting.on_failure == "stop":
            raise UserError(f"{finished.job.task.task_id}: {finished.reason} (on-failure: stop)")
        keeper.keep(given_up(finished, work) if finished.rollout is None else finished.rollout, finished.row)

    try:
        keeper.take_stored()
        with rare_garbage_collection():
            iteration.executor.run(missing, work, keep)
        keeper.end()
    finally:
        keeper.close()
    return [keeper.done[name] for name in names]


@dataclass(frozen=True, slots=True)
class _Expected:
    task: Task
    seed: int
    policy: str
    num_teams: int


def _stored_groups(tasks: Sequence[Task], folder: Path | None, iteration: int) -> dict[str, tuple[Path, RolloutGroup]]:
    """The groups of an iteration that lie in a folder, by task; files are decompressed side by side."""
    if folder is None:
        return {}
    paths = {task.task_id: group_path(folder, iteration, task.task_id) for task in tasks}
    paths = {task_id: path for task_id, path in paths.items() if path.exists()}
    with rare_garbage_collection(), ThreadPoolExecutor(max_workers=READERS) as pool:
        groups = list(pool.map(read_group, paths.values()))
    return {task_id: (path, group) for (task_id, path), group in zip(paths.items(), groups, strict=True)}


def _check_group(path: Path, group: RolloutGroup, expected: _Expected, num_rollouts: int) -> RolloutGroup:
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
