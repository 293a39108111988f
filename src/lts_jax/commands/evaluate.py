"""`lts evaluate`: compare a trained controller with every rule on held-out tasks, and write the report."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from lts_jax.commands.progress import rollout_bar
from lts_jax.commands.report import write_report
from lts_jax.commands.submissions import write_submissions
from lts_jax.llm.budget import Budget
from lts_jax.records import Rollout
from lts_jax.systems.comparison import LEARNED, ComparisonSettings, TrainedPolicy, held_out_tasks, run_comparison
from lts_jax.systems.lts import learned_policy, trained_params
from lts_jax.systems.run_folder import RunFolder, read_settings, working_in
from lts_jax.systems.run_parts import RunParts, as_parts, make_parts
from lts_jax.systems.train_settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Command:
    """Compare a trained controller with Magentic-One, M1-Parallel and every rule, paired over tasks and seeds."""

    run: Path = Path("runs/lts")
    """Run folder of a finished `lts train`."""
    compare: Annotated[ComparisonSettings, tyro.conf.arg(name="")] = field(default_factory=ComparisonSettings)


def run(command: Command) -> None:
    """Evaluate what is not stored yet, then report."""
    settings = read_settings(command.run, TrainSettings)
    folder = RunFolder(command.run)
    run = make_parts(settings)
    with working_in(folder):
        evaluate_in(folder, run, command.compare)
        print(write_report(folder))


def evaluate_in(folder: RunFolder, training: TrainSettings | RunParts, settings: ComparisonSettings) -> None:
    """Run the comparison in an open run folder with a progress bar."""
    trained = None
    if LEARNED in settings.policies:
        trained = TrainedPolicy(learned_policy(training, trained_params(folder, training)))
    evaluate_lines(folder, training, settings, trained)


def evaluate_lines(
    folder: RunFolder,
    training: TrainSettings | RunParts,
    settings: ComparisonSettings,
    trained: TrainedPolicy | None,
    *,
    budget: Budget | None = None,
    quiet: bool = False,
) -> None:
    """Run every line in an open run folder with a progress bar, and write submission files where answers are withheld.

    Arguments and errors are those of `run_comparison`.
    """
    training = as_parts(training)
    tasks = held_out_tasks(training, settings)
    per_policy = len(tasks) * settings.evaluation.num_seeds
    with rollout_bar("evaluating", per_policy * len(settings.policies), quiet=quiet) as count:

        def on_rollout(name: str, rollout: Rollout) -> None:
            count(rollout, name)

        finished = run_comparison(folder, training, settings, trained, on_rollout, budget=budget)
    for path in write_submissions(folder.path, tasks, finished):
        if quiet:
            continue
        print(f"for the leaderboard: {path}")
