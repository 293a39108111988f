"""Submission files of an evaluation on a split whose answers are withheld."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lts_jax.live.submission import submit_rollouts
from lts_jax.records import Rollout, Task


def write_submissions(folder: Path, tasks: Sequence[Task], rollouts: Mapping[str, Sequence[Rollout]]) -> list[Path]:
    """A file for the leaderboard per policy, of its first rollout of every task; none where answers are known.

    Tasks without a rollout get an empty answer, as leaderboards refuse a file in which a task is missing.
    """
    if not tasks or any(task.answer is not None or task.split != "test" for task in tasks):
        return []
    written = []
    for policy, given in rollouts.items():
        path = folder / f"submission_{policy}.jsonl"
        submit_rollouts(path, tasks, [one for one in given if one.coordinates.rollout == 0], partial=True)
        written.append(path)
    return written
