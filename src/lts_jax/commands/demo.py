"""`lts demo`: the whole road in small: train, compare, report."""

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from lts_jax.commands.evaluate import evaluate_in
from lts_jax.commands.report import write_report
from lts_jax.commands.train import train_in
from lts_jax.evaluation.evaluate import EvaluationSettings
from lts_jax.systems.comparison import ComparisonSettings, held_out_tasks
from lts_jax.systems.run_folder import open_run, working_in
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings

TRAINING = TrainSettings()  # the paper's sizes: 33 tasks, 5 rollouts each, 5 epochs
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
    train: Annotated[TrainSettings, tyro.conf.arg(name="")] = field(default_factory=lambda: TRAINING)
    compare: ComparisonSettings = field(default_factory=lambda: COMPARISON)


def run(command: Command) -> None:
    """Train, evaluate, report."""
    parts = make_parts(command.train)
    parts.check()
    num_tested = len(held_out_tasks(parts, command.compare))
    if command.fresh and (command.run / "config.json").exists():
        shutil.rmtree(command.run)
    folder = open_run(command.run, command.train)
    simulated = " Agents are simulated; times are simulated seconds." if parts.virtual_time else ""
    print(
        f"Trains on {command.train.num_tasks} tasks, compares on {num_tested} held-out tasks with "
        f"{command.compare.evaluation.num_seeds} seeds: fewer than a study needs.{simulated}\n",
        flush=True,
    )
    with working_in(folder):
        train_in(folder, parts)
        evaluate_in(folder, parts, command.compare)
        print(write_report(folder))
    lts = "lts" if shutil.which("lts") else os.path.relpath(sys.argv[0])
    print(
        f"\nrun folder:  {folder.path}\n"
        f"look at it:  open {folder.report_html} in a browser\n"
        f"try next:    {lts} rollout --policy all     one task, told step by step\n"
        f"             {lts} rollout --policy lts --run {folder.path}\n"
        f"             {lts} train --credit leave_one_out --run runs/loo    another credit scheme"
    )
