"""What a killed collection goes on with: its unfinished groups, and the calls that it had paid for.

On a virtual clock a rollout that is run again asks the same calls in the same order, so the recorded calls alone bring
it back. On the real clock teams may meet the bank a moment earlier or later the second time and then ask other things;
there each finished rollout of a group is kept, below `unfinished/`, until the group is whole.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lts_jax.llm.budget import Budget
from lts_jax.llm.recorded import ReplayModel
from lts_jax.records import Coordinates, Rollout, RolloutGroup, Task
from lts_jax.rollouts.rollout import RolloutParts
from lts_jax.rollouts.store import ROW, group_path


def spend(budget: Budget, rollouts: Iterable[Rollout]) -> None:
    """Count what stored rollouts have cost, so that a restart does not grant the budget again."""
    for rollout in rollouts:
        for call in rollout.calls:
            budget.spend(call.prompt_tokens, call.completion_tokens, call.usd, call.seconds)


def purpose_of(policy: str, place: Coordinates) -> str:
    """What the calls of a rollout are recorded as asked for."""
    return f"{policy} {place.seed}/{place.iteration}/{place.task}/{place.rollout}"


def parts_of_rollout(parts: RolloutParts, coordinates: Coordinates) -> RolloutParts:
    """The parts for one rollout whose calls, where they are recorded, are recorded as asked for by it.

    What it had recorded before a kill is counted in the budget at once, before any new call; see `Budget.prepay`.
    """
    if not isinstance(parts.model, ReplayModel):
        return parts
    purpose = purpose_of(parts.policy.name, coordinates)
    for completion in parts.model.recordings_of(purpose):
        usd = parts.price.usd(completion)
        parts.budget.prepay(completion.prompt_tokens, completion.completion_tokens, usd, completion.seconds)
    return replace(parts, model=parts.model.with_purpose(purpose))


def unfinished_path(folder: Path, iteration: int, task: Task, rollout: int) -> Path:
    """Where a finished rollout waits for the others of its group."""
    whole = group_path(folder, iteration, task.task_id)
    return whole.parent / "unfinished" / f"{whole.stem}-{rollout}{ROW}"


def stored_alone(folder: Path, iteration: int, task: Task, rollout: int) -> Path | None:
    """The file of a finished rollout that waits there, if there is one. Those of older runs are Parquet files."""
    path = unfinished_path(folder, iteration, task, rollout)
    return next((one for one in (path, path.with_suffix(".parquet")) if one.exists()), None)


def forget_unfinished(folder: Path, group: RolloutGroup) -> None:
    """Take away what was kept of a group that is stored whole."""
    for rollout in group.rollouts:
        path = unfinished_path(folder, group.iteration, group.task, rollout.coordinates.rollout)
        for one in (path, path.with_suffix(".parquet")):
            one.unlink(missing_ok=True)
    with suppress(OSError):  # others wait there, or it never was
        (Path(folder) / "unfinished").rmdir()
