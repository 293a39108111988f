"""Run several admission policies over the same held-out tasks and seeds, stored as they finish, resumable."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from lts_jax.errors import UserError
from lts_jax.records import Rollout, Task
from lts_jax.rollouts.collect import CollectSettings, Iteration, RolloutCounter, collect_groups
from lts_jax.rollouts.executor import LOCAL, Executor, OnFailure, check_on_failure
from lts_jax.rollouts.rollout import RolloutParts
from lts_jax.rollouts.settings import RolloutSettings


@dataclass(frozen=True, slots=True)
class Arm:
    """One line of a comparison: how its rollouts are run."""

    name: str
    parts: RolloutParts
    rollout: RolloutSettings
    counter: RolloutCounter | None = None  # of a batched decider


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """What is evaluated. Every policy meets the same tasks and the same random numbers."""

    num_tasks: int = 60  # held-out tasks, balanced over families and difficulties
    num_seeds: int = 3  # rollouts of each task
    seed: int = 1000  # of the evaluation; apart from the training seed
    num_in_flight: int = 64  # rollouts that run side by side; changes speed, never results
    on_failure: OnFailure = "requeue"  # of a worker that is lost: its rollouts are run again, given up, or end the run

    def __post_init__(self) -> None:
        for name in ("num_tasks", "num_seeds", "num_in_flight"):
            if getattr(self, name) < 1:
                raise UserError(f"evaluation.{name} must be at least 1, got {getattr(self, name)}")
        check_on_failure(self.on_failure, where="evaluation.on_failure")


def evaluate(
    arms: Sequence[Arm],
    tasks: Sequence[Task],
    settings: EvaluationSettings,
    folder: Path | None = None,
    on_rollout: Callable[[str, Rollout], None] | None = None,
    executor: Executor = LOCAL,
) -> Mapping[str, list[Rollout]]:
    """Rollouts by arm: `num_seeds` of every task, at the coordinates (seed, 0, task, 0 .. num_seeds - 1).

    With a `folder`, each arm's groups lie in a folder of its name, and those already there are read instead of run.
    `executor` runs the others.

    Raises:
        UserError: two arms of one name.
    """
    names = [arm.name for arm in arms]
    if len(set(names)) != len(names):
        raise UserError(f"two policies of one name in {', '.join(names)}")
    collecting = CollectSettings(settings.num_seeds, settings.num_in_flight, settings.on_failure)
    finished: dict[str, list[Rollout]] = {}
    for arm in arms:
        groups = collect_groups(
            tasks,
            arm.parts,
            arm.rollout,
            collecting,
            Iteration(settings.seed, 0, arm.counter, _named(on_rollout, arm.name), executor),
            None if folder is None else arm_folder(folder, arm.name),
        )
        finished[arm.name] = [rollout for group in groups for rollout in group.rollouts]
    return finished


def arm_folder(folder: Path, name: str) -> Path:
    """Where the groups of an arm lie; a name may hold a path, its folder does not."""
    return Path(folder) / quote(name, safe="()=,.:' ")[:200]


def arm_name(folder: Path) -> str:
    """The name of the arm whose groups lie here."""
    return unquote(Path(folder).name)


def _named(on_rollout: Callable[[str, Rollout], None] | None, name: str) -> Callable[[Rollout], None] | None:
    return None if on_rollout is None else lambda rollout: on_rollout(name, rollout)
