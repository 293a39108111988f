"""Many rollouts side by side in one process, grouped by task, stored as they finish, skipped where they are on disk."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from lts_jax.errors import UserError
from lts_jax.llm.budget import Budget
from lts_jax.records import Coordinates, Rollout, RolloutGroup, Task
from lts_jax.redact import environment_secrets, redacted_record
from lts_jax.rollouts.outcomes import ran_out_of_budget
from lts_jax.rollouts.rollout import RolloutParts, RolloutSettings, run_rollout
from lts_jax.rollouts.store import group_path, read_group, write_group


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
    num_in_flight: int = 64  # rollouts that run side by side; changes speed, never results

    def __post_init__(self) -> None:
        for name in ("num_rollouts", "num_in_flight"):
            if getattr(self, name) < 1:
                raise UserError(f"collect.{name} must be at least 1, got {getattr(self, name)}")


def collect_groups(
    tasks: Sequence[Task],
    parts: RolloutParts,
    settings: RolloutSettings,
    collecting: CollectSettings,
    *,
    seed: int,
    iteration: int,
    folder: Path | None = None,
    counter: RolloutCounter | None = None,
    on_rollout: Callable[[Rollout], None] | None = None,
) -> list[RolloutGroup]:
    """G rollouts of every task, in the order of `tasks`.

    With a `folder`, groups that lie there are read instead of run, and each new group is written as soon as its last
    rollout ends, so that a killed collection goes on where it stopped.

    Raises:
        UserError: a stored group was made otherwise, or the budget is used up (unfinished groups are not stored).
    """
    done: dict[str, RolloutGroup] = {}
    for task in tasks:
        path = folder and group_path(folder, iteration, task.task_id)
        if path and path.exists():
            expected = _Expected(_anywhere(task), seed, collecting.num_rollouts, parts.policy.name, settings.num_teams)
            done[task.task_id] = _stored(path, expected)
            spend(parts.budget, done[task.task_id].rollouts)
    missing = [task for task in tasks if task.task_id not in done]
    runs = [
        partial(run_rollout, task, Coordinates(seed, iteration, task.task_id, rollout), parts, settings)
        for task in missing
        for rollout in range(collecting.num_rollouts)
    ]
    finished: dict[str, list[Rollout]] = {task.task_id: [] for task in missing}

    def keep(rollout: Rollout) -> None:
        if ran_out_of_budget(rollout.answers):
            raise UserError("the budget of the run is used up; raise --model.budget and give the same command again")
        siblings = finished[rollout.task.task_id]
        siblings.append(rollout)
        if on_rollout is not None:
            on_rollout(rollout)
        if len(siblings) == collecting.num_rollouts:
            siblings.sort(key=lambda one: one.coordinates.rollout)
            group = RolloutGroup(rollout.task, iteration, tuple(siblings))
            done[rollout.task.task_id] = group
            if folder is not None:
                write_group(folder, group)

    for group in done.values():
        for rollout in group.rollouts:
            if on_rollout is not None:
                on_rollout(rollout)
    run_to_end(run_side_by_side(runs, collecting.num_in_flight, counter, keep))
    return [done[task.task_id] for task in tasks]


def run_to_end(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on a new event loop; in a thread of its own where a loop already runs, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(coroutine)
        return
    with ThreadPoolExecutor(max_workers=1) as threads:
        threads.submit(asyncio.run, coroutine).result()


async def run_side_by_side(
    runs: Iterable[Callable[[], Awaitable[Rollout]]],
    num_in_flight: int,
    counter: RolloutCounter | None,
    keep: Callable[[Rollout], None],
) -> None:
    """Start and await each of `runs`, at most `num_in_flight` at a time; `keep` gets each rollout as it ends.

    An exception of one rollout is a programming error: the others are cancelled and it is raised.
    """
    waiting = iter(runs)

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
            for _ in range(num_in_flight):
                group.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # the others were cancelled because of it


def spend(budget: Budget, rollouts: Iterable[Rollout]) -> None:
    """Count what stored rollouts have cost, so that a restart does not grant the budget again."""
    for rollout in rollouts:
        for call in rollout.calls:
            budget.spend(call.prompt_tokens, call.completion_tokens, call.usd, call.seconds)


@dataclass(frozen=True, slots=True)
class _Expected:
    task: Task
    seed: int
    num_rollouts: int
    policy: str
    num_teams: int


def _stored(path: Path, expected: _Expected) -> RolloutGroup:
    group = read_group(path)
    first = group.rollouts[0]
    found = _Expected(_anywhere(group.task), first.coordinates.seed, len(group.rollouts), first.policy, first.num_teams)
    for name in _Expected.__slots__:
        stored = getattr(found, name)
        wanted = redacted_record(getattr(expected, name), environment_secrets(os.environ))  # as the store writes it
        if stored != wanted:
            shown = (stored.task_id, wanted.task_id) if name == "task" else (stored, wanted)
            raise UserError(
                f"{path}: made with {name} {shown[0]!r}, now {shown[1]!r}; use another run folder, or delete it"
            )
    return group


def _anywhere(task: Task) -> Task:
    """The task without the places of its files, which differ from machine to machine."""
    return replace(task, attachment_paths=())
