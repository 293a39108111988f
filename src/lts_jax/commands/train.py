"""`lts train`: train an admission controller in a run folder; the same command goes on after an interruption."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from lts_jax.commands.progress import rollout_bar
from lts_jax.records import Rollout
from lts_jax.storage import read_json_lines
from lts_jax.systems.lts import Progress, TrainSettings, train_controller
from lts_jax.systems.run_folder import RunFolder, open_run


@dataclass(frozen=True, slots=True)
class Command:
    """Train the LTS admission controller on the offline world (or on any model, with --model.name)."""

    run: Path = Path("runs/lts")
    """Run folder. One that exists is gone on with, if it was made with the same settings."""
    train: Annotated[TrainSettings, tyro.conf.arg(name="")] = field(default_factory=TrainSettings)


def run(command: Command) -> None:
    """Train, with a progress bar, and say where the run lies."""
    folder = open_run(command.run, command.train)
    train_in(folder, command.train)
    print(f"trained {command.train.num_iterations} iterations in {folder.path}")
    print(f"next: lts evaluate --run {folder.path}")


def train_in(folder: RunFolder, settings: TrainSettings) -> None:
    """Train in an open run folder with a progress bar."""
    num_done = len(read_json_lines(folder.metrics)) if folder.checkpoints.exists() else 0
    per_iteration = settings.tasks_per_update * settings.collect.num_rollouts
    news = {"text": ""}
    with rollout_bar("training", max(0, settings.num_iterations - num_done) * per_iteration) as count:

        def on_rollout(rollout: Rollout) -> None:
            count(rollout, news["text"])

        def on_iteration(iteration: int, line: dict[str, float]) -> None:
            news["text"] = (
                f"return {line['credit/return_mean']:.2f}  admits {line['learning/admit_probability']:.0%}  "
                f"used {line['memory/used_fraction']:.0%}"
            )

        train_controller(folder, settings, Progress(on_rollout, on_iteration))
