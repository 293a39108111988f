"""Rollouts of a split without answers become the file that the benchmark's leaderboard takes."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from lts_jax.errors import UserError
from lts_jax.live.datasets import write_submission
from lts_jax.records import Rollout, Task


def submission_answers(tasks: Sequence[Task], rollouts: Iterable[Rollout], *, partial: bool = False) -> dict[str, str]:
    """The final answer of every task, task id -> text, in the order of `tasks`.

    A team that found nothing submits an empty answer. With `partial`, so does a task without a rollout: leaderboards
    refuse a file in which a task is missing.

    Raises:
        UserError: a rollout of another task, two rollouts of one task, or (without `partial`) a task without one.
    """
    answers: dict[str, str] = {}
    known = {task.task_id for task in tasks}
    for rollout in rollouts:
        task_id = rollout.task.task_id
        if task_id not in known:
            raise UserError(f"task {task_id}: its rollout is not of the {len(known)} tasks to submit")
        if task_id in answers:
            raise UserError(f"task {task_id}: expected one rollout to submit, got more; choose one of each task")
        answers[task_id] = rollout.final.text
    missing = [task.task_id for task in tasks if task.task_id not in answers]
    if missing and not partial:
        raise UserError(f"{len(missing)} of {len(tasks)} tasks have no rollout, the first is {missing[0]}")
    return {task.task_id: answers.get(task.task_id, "") for task in tasks}


def submit_rollouts(
    path: str | Path, tasks: Sequence[Task], rollouts: Iterable[Rollout], *, partial: bool = False
) -> int:
    """Write the leaderboard's file for `tasks`, all or nothing; returns how many answers are not empty.

    Raises:
        UserError: as `submission_answers`, tasks of more than one benchmark or split, or no tasks.
    """
    kinds = sorted({(task.scoring, task.split) for task in tasks})
    if len(kinds) != 1:
        raise UserError(f"{path}: expected tasks of one benchmark and one split, got {kinds}")
    answers = submission_answers(tasks, rollouts, partial=partial)
    write_submission(path, answers, kinds[0][0])
    return sum(bool(text) for text in answers.values())
