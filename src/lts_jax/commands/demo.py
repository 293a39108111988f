"""`lts demo`: the whole road in small: train, compare, report."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from lts_jax.commands.evaluate import evaluate_in
from lts_jax.commands.report import write_report
from lts_jax.commands.train import train_in
from lts_jax.evaluation.evaluate import EvaluationSettings
from lts_jax.systems.comparison import ComparisonSettings
from lts_jax.systems.lts import TrainSettings
from lts_jax.systems.run_folder import open_run

TRAINING = TrainSettings(num_tasks=18, num_epochs=3)
COMPARISON = ComparisonSettings(evaluation=EvaluationSettings(num_tasks=24, num_seeds=2))


@dataclass(frozen=True, slots=True)
class Command:
    """Train a small controller on the offline world, compare it with every rule, and write a report.

    No API key, no accelerator. Fewer tasks and seeds than a study: see experiments/main_comparison for that.
    """

    run: Path = Path("runs/demo")
    """Run folder. An interrupted demo goes on; a finished one is shown again."""
    fresh: bool = False
    """Delete the run folder first."""
    train: TrainSettings = field(default_factory=lambda: TRAINING)
    compare: ComparisonSettings = field(default_factory=lambda: COMPARISON)


def run(command: Command) -> None:
    """Train, evaluate, report."""
    if command.fresh and (command.run / "config.json").exists():
        shutil.rmtree(command.run)
    folder = open_run(command.run, command.train)
    evaluation = command.compare.evaluation
    print(
        f"A small run: {command.train.num_tasks} training tasks, {evaluation.num_tasks} held-out tasks, "
        f"{evaluation.num_seeds} seeds. Agents are simulated; times are simulated seconds.\n"
    )
    train_in(folder, command.train)
    evaluate_in(folder, command.train, command.compare)
    print(write_report(folder))
    print(
        f"\nrun folder: {folder.path}\n"
        f"look at it:  open {folder.report_html} in a browser\n"
        "try next:    lts rollout --policy all             one task, told step by step\n"
        "             lts train --credit leave_one_out --run runs/loo    another credit scheme\n"
        "             notebooks/01_read_a_rollout.ipynb    every decision and pull of a run"
    )
