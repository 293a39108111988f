"""`lts train`: train an admission controller in a run folder; the same command goes on after an interruption."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from lts_jax.adapters.tracking.follow import following
from lts_jax.adapters.tracking.tracker import Tracker
from lts_jax.adapters.tracking.trackers import make_tracker
from lts_jax.commands.progress import rollout_bar
from lts_jax.commands.workers import executor_of, processes_of
from lts_jax.learning.checkpoint import tidy
from lts_jax.learning.processes import ALONE, Processes
from lts_jax.learning.run_keeping import num_trained, read_metrics
from lts_jax.records import Rollout
from lts_jax.rollouts.executor import LOCAL, Executor
from lts_jax.systems.lts import Progress, train_controller
from lts_jax.systems.run_folder import RunFolder, name_parts, open_run, working_in
from lts_jax.systems.run_parts import RunParts, as_parts, make_parts
from lts_jax.systems.train_settings import TrainSettings

NEWS = {"credit/return_mean": "return", "learning/admit_probability": "admits", "memory/used_fraction": "used"}


@dataclass(frozen=True, slots=True)
class Command:
    """Train the LTS admission controller on the offline world (or on any model, with --model.name)."""

    run: Path = Path("runs/lts")
    """Run folder. One that exists is gone on with, if it was made with the same settings."""
    config: Path | None = None
    """Another run's config.json, or its folder: its settings in place of the defaults."""
    track: tuple[str, ...] = ()
    """Trackers that follow the run: csv, tensorboard, wandb(project=mine), trackio, mlflow, mine.py:tracker."""
    workers: str = ""
    """Who runs rollouts: so many processes of this machine, or the Ray cluster at ray://HOST:PORT; none: this one."""
    distributed: str = ""
    """One program over many processes: auto (SLURM, Open MPI, GKE), or HOST:PORT,COUNT,INDEX. All see the folder."""
    train: Annotated[TrainSettings, tyro.conf.arg(name="")] = field(default_factory=TrainSettings)


def run(command: Command) -> None:
    """Train, with a progress bar, and say where the run lies."""
    with processes_of(command.distributed, command.train.mesh.stall_seconds) as processes:
        parts = make_parts(command.train)
        parts.check()
        if processes.is_writer:
            trackers = [make_tracker(one) for one in command.track]
            folder = open_run(command.run, command.train)
        processes.meet("the run folder is there")
        if not processes.is_writer:
            train_in(open_run(command.run, command.train), parts, quiet=True, processes=processes)
            return
        with working_in(folder), executor_of(command.workers, folder.path) as executor:
            train_in(folder, parts, trackers=trackers, executor=executor, processes=processes)
    print(f"trained {command.train.num_iterations} iterations in {folder.path}")
    for one in remarks(read_metrics(folder.metrics)[-1]):
        print(one)
    print(f"next: lts evaluate --run {folder.path}")


def remarks(line: dict[str, float | None]) -> list[str]:
    """What the last metrics of a training say that its user should know, a line each; mostly nothing."""
    found = []
    if skipped := line["learning/num_skipped"]:
        found.append(f"{skipped:.0f} updates were skipped because something in them was not finite")
    beliefs = [line.get(f"learning/{outcome}_belief") for outcome in ("reward", "runtime")]
    told = [one for one in beliefs if one is not None]
    if told and max(told) < 0.5:
        found.append(
            "these rollouts do not tell whether admissions change reward or runtime "
            f"(beliefs {' and '.join(f'{one:.2f}' for one in told)}), so little will be admitted: train on more tasks"
        )
    return found


def train_in(
    folder: RunFolder,
    training: TrainSettings | RunParts,
    *,
    quiet: bool = False,
    trackers: Sequence[Tracker] = (),
    on_iteration: Callable[[int, dict[str, float | None]], None] | None = None,
    executor: Executor = LOCAL,
    processes: Processes = ALONE,
) -> None:
    """Train in an open run folder with a progress bar, followed by trackers; `executor` runs the rollouts.

    See `train_controller`.
    """
    if trackers and processes.is_writer:
        with following(folder.path, trackers):
            train_in(folder, training, quiet=quiet, on_iteration=on_iteration, executor=executor, processes=processes)
        return
    parts = as_parts(training)
    settings = parts.settings
    if processes.is_writer:
        name_parts(folder, parts.names)
    num_left = settings.num_iterations - num_trained(folder.checkpoints)
    if num_left <= 0:
        if processes.is_writer:
            tidy(folder.checkpoints)
        if quiet:
            return
        print(f"{folder.path}: trained already")
        return
    if on_iteration is not None:
        train_controller(folder, parts, Progress(on_iteration=on_iteration), executor, processes)
        return
    news = {"text": ""}
    num_rollouts = num_left * settings.tasks_per_update * settings.collect.num_rollouts
    with rollout_bar("training", num_rollouts, quiet=quiet) as count:

        def on_rollout(rollout: Rollout) -> None:
            count(rollout, news["text"])

        def tell(iteration: int, line: dict[str, float | None]) -> None:
            known = {word: line[name] for name, word in NEWS.items()}
            news["text"] = "  ".join(f"{word} {value:.2f}" for word, value in known.items() if value is not None)

        train_controller(folder, parts, Progress(on_rollout, tell), executor, processes)
