"""`lts demo`: the whole road in small: train, compare, report."""

import os
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from lts_jax.commands.evaluate import evaluate_in
from lts_jax.commands.report import write_report
from lts_jax.commands.train import train_in
from lts_jax.evaluation.evaluate import EvaluationSettings
from lts_jax.systems.comparison import LEARNED, VALUE, ComparisonSettings, held_out_tasks
from lts_jax.systems.run_folder import delete_run, open_run, working_in
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings

TRAINING = TrainSettings(controller="set_transformer(inputs=paper)")  # 33 tasks, 5 rollouts each, 5 epochs
LINES = ("magentic_one", "m1_parallel", "all", "recency", "similarity", "judge", LEARNED, "random_matched")
COMPARISON = ComparisonSettings(policies=LINES, evaluation=EvaluationSettings(num_tasks=36, num_seeds=2))
PAPER = "lts"  # folder of the paper's run, in that of ours
MOST_TASKS = 504  # training tasks of the offline world


@dataclass(frozen=True, slots=True)
class Command:
    """Train two small controllers on the offline world, ours and the paper's, compare them with rules, and report.

    No API key, no accelerator. Fewer tasks and seeds than a study: see experiments/main_comparison for that. Settings
    are those of the paper's method; ours is trained on as many rollouts, with the objective admission_value.
    """

    run: Path = Path("runs/demo")
    """Run folder. An interrupted demo goes on; a finished one is shown again."""
    fresh: bool = False
    """Delete the run folder first."""
    train: Annotated[TrainSettings, tyro.conf.arg(name="")] = field(default_factory=lambda: TRAINING)
    compare: ComparisonSettings = field(default_factory=lambda: COMPARISON)


def own_training(paper: TrainSettings) -> TrainSettings:
    """Ours beside the paper's: as many rollouts, but of other tasks rather than of the same ones again."""
    num_tasks = paper.num_tasks * paper.num_epochs
    if paper.tasks.foreign or num_tasks > MOST_TASKS:
        num_tasks = paper.num_tasks
    per_update = next(size for size in (15, paper.tasks_per_update) if num_tasks % size == 0)
    return replace(
        paper,
        objective=VALUE,
        controller="linear",
        num_tasks=num_tasks,
        num_epochs=paper.num_tasks * paper.num_epochs // num_tasks,
        tasks_per_update=per_update,
    )


def run(command: Command) -> None:
    """Train both, evaluate, report."""
    ours, paper = make_parts(own_training(command.train)), make_parts(command.train)
    for parts in (ours, paper):
        parts.check()
    num_tested = len(held_out_tasks(ours, command.compare))
    if command.fresh:
        delete_run(command.run)
    folder, beside = open_run(command.run, ours.settings), open_run(command.run / PAPER, paper.settings)
    simulated = " Agents are simulated; times are simulated seconds." if ours.virtual_time else ""
    print(
        f"Trains two controllers, by our objective and by the paper's (lts), and compares them on {num_tested} "
        f"held-out tasks with {command.compare.evaluation.num_seeds} seeds: fewer than a study needs.{simulated}\n",
        flush=True,
    )
    with working_in(folder):
        train_in(folder, ours)
        train_in(beside, paper)
        compared = command.compare
        if LEARNED in compared.policies:
            compared = replace(compared, beside=(*compared.beside, beside.path))
        evaluate_in(folder, ours, compared)
        print(write_report(folder))
    lts = "lts" if shutil.which("lts") else os.path.relpath(sys.argv[0])
    print(
        f"\nrun folder:  {folder.path}\n"
        f"look at it:  open {folder.report_html} in a browser\n"
        f"try next:    {lts} rollout --policy all     one task, told step by step\n"
        f"             {lts} rollout --policy lts --run {folder.path}\n"
        f"             {lts} train --credit leave_one_out --run runs/loo    another credit scheme"
    )
