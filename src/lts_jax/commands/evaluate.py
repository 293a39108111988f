"""`lts evaluate`: compare a trained controller with every rule on held-out tasks, and write the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from lts_jax.commands.progress import rollout_bar
from lts_jax.commands.report import write_report
from lts_jax.commands.submissions import write_submissions
from lts_jax.commands.workers import executor_of
from lts_jax.errors import UserError
from lts_jax.llm.budget import Budget
from lts_jax.records import Rollout
from lts_jax.rollouts.executor import LOCAL, Executor
from lts_jax.systems.comparison import (
    LEARNED,
    ComparisonSettings,
    TrainedPolicy,
    held_out_tasks,
    own_line,
    reads,
    run_comparison,
    train_tasks,
)
from lts_jax.systems.lts import learned_policy, trained_params
from lts_jax.systems.run_folder import RunFolder, read_settings, working_in
from lts_jax.systems.run_parts import RunParts, as_parts, make_parts
from lts_jax.systems.train_settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Command:
    """Compare a trained controller with Magentic-One, M1-Parallel and every rule, paired over tasks and seeds."""

    run: Path = Path("runs/lts")
    """Run folder of a finished `lts train`."""
    workers: str = ""
    """Who runs rollouts: so many processes of this machine, or the Ray cluster at ray://HOST:PORT; none: this one."""
    compare: Annotated[ComparisonSettings, tyro.conf.arg(name="")] = field(default_factory=ComparisonSettings)


def run(command: Command) -> None:
    """Evaluate what is not stored yet, then report."""
    settings = read_settings(command.run, TrainSettings)
    folder = RunFolder(command.run)
    run = make_parts(settings)
    with working_in(folder), executor_of(command.workers, folder.path) as executor:
        evaluate_in(folder, run, command.compare, executor=executor)
        print(write_report(folder))


def evaluate_in(
    folder: RunFolder,
    training: TrainSettings | RunParts,
    settings: ComparisonSettings,
    *,
    executor: Executor = LOCAL,
) -> None:
    """Run the comparison in an open run folder with a progress bar; `executor` runs the rollouts."""
    evaluate_lines(folder, training, settings, trained_lines(folder, training, settings), executor=executor)


def trained_lines(
    folder: RunFolder, training: TrainSettings | RunParts, settings: ComparisonSettings
) -> dict[str, TrainedPolicy]:
    """The trained controllers of a comparison by their lines: the run's own, then those of the runs beside it.

    Raises:
        UserError: a run that was not trained to its end, or two beside it that share a name.
    """
    if LEARNED not in settings.policies:
        if settings.beside:
            raise UserError(f"beside: the controllers of other runs stand beside {LEARNED}, which is not among them")
        return {}
    run = as_parts(training)
    found = {own_line(run.settings.objective): TrainedPolicy(learned_policy(run, trained_params(folder, run)))}
    for path in settings.beside:
        other = make_parts(read_settings(path, TrainSettings))
        line = own_line(other.settings.objective)
        name = line if line not in found else f"{line}@{path.name}"
        if name in found:
            raise UserError(f"beside: expected folders of different names, got {path.name} twice")
        policy = learned_policy(other, trained_params(RunFolder(path), other))
        found[name] = TrainedPolicy(policy, train_tasks(other))
    return found


def evaluate_lines(
    folder: RunFolder,
    training: TrainSettings | RunParts,
    settings: ComparisonSettings,
    trained: Mapping[str, TrainedPolicy],
    *,
    budget: Budget | None = None,
    quiet: bool = False,
    executor: Executor = LOCAL,
) -> None:
    """Run every line in an open run folder with a progress bar, and write submission files where answers are withheld.

    Arguments and errors are those of `run_comparison`.
    """
    training = as_parts(training)
    tasks = held_out_tasks(training, settings)
    per_policy = len(tasks) * settings.evaluation.num_seeds
    num_lines = len(settings.policies) + max(0, len(trained) - 1)
    num_lines += len(settings.reading) * sum(map(reads, settings.policies))
    with rollout_bar("evaluating", per_policy * num_lines, quiet=quiet) as count:

        def on_rollout(name: str, rollout: Rollout) -> None:
            count(rollout, name)

        finished = run_comparison(folder, training, settings, trained, on_rollout, budget=budget, executor=executor)
    for path in write_submissions(folder.path, tasks, finished):
        if quiet:
            continue
        print(f"for the leaderboard: {path}")
