"""`lts benchmark`: GAIA or AssistantBench with live tools: M1-Parallel against ways to share, priced before it runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Annotated

import tyro

from lts_jax.bridge.learned import LearnedPolicy
from lts_jax.commands.confirm import confirm
from lts_jax.commands.evaluate import evaluate_lines
from lts_jax.commands.report import write_report
from lts_jax.commands.workers import executor_of
from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import EvaluationSettings
from lts_jax.live.benchmarks import BenchmarkSettings
from lts_jax.live.task_tools import ToolChoice, search_settings
from lts_jax.llm.budget import Budget
from lts_jax.llm.chat import BudgetExhausted
from lts_jax.records import Task
from lts_jax.rollouts.executor import LOCAL, Executor, OnFailure
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.storage import read_json, write_document
from lts_jax.systems.comparison import (
    LEARNED,
    MATCHED,
    REFERENCE,
    ComparisonSettings,
    TrainedPolicy,
    held_out_tasks,
    own_line,
    train_tasks,
)
from lts_jax.systems.estimate import estimate, estimate_text
from lts_jax.systems.lts import learned_policy, trained_params
from lts_jax.systems.run_folder import RunFolder, open_run, read_settings, working_in
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.task_source import TaskSettings, refuse_leak
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import ModelSettings

CALLS = "calls"  # folder of recorded calls in the run folder


@dataclass(frozen=True, slots=True)
class Command:
    """Run a public benchmark on any OpenAI-compatible model with live tools, and compare ways to share.

    Says first what it will cost, and asks. Interrupted, the same command goes on and repeats no finished call. Prints
    score, runtime, tokens and dollars, paired with M1-Parallel; of a test split it writes the leaderboard's file.
    """

    run: Path = Path("runs/benchmark")
    """Run folder. One that exists is gone on with, if it was made with the same settings."""
    benchmark: BenchmarkSettings = field(default_factory=BenchmarkSettings)
    policies: tuple[str, ...] = (REFERENCE, "all", "judge")
    """Lines of the comparison, such as magentic_one, m1_parallel (the reference), all, similarity, judge, lts."""
    controller: Path | None = None
    """Run folder of a trained controller; adds the line lts. It must not have been trained on these tasks."""
    search: str = ""
    """Address of a SearXNG's search, which is asked once first, or brave (with its key in BRAVE_API_KEY)."""
    num_seeds: int = 1
    """Rollouts of each task and line."""
    num_in_flight: int = 8
    """Rollouts that run side by side, on each machine."""
    workers: str = ""
    """Who runs rollouts: so many processes of this machine, or the Ray cluster at ray://HOST:PORT; none: this one."""
    on_failure: OnFailure = "requeue"
    """Of a worker that is lost: its rollouts are run again (requeue), given up (drop), or end the run (stop)."""
    seed: int = 1000
    """Of every random number."""
    yes: bool = False
    """Do not ask before spending."""
    model: ModelSettings = field(default_factory=ModelSettings)
    rollout: RolloutSettings = field(default_factory=RolloutSettings)
    tools: ToolChoice = field(default_factory=lambda: ToolChoice("live"))
    encoder: str = "hashing"
    """Of the lines that need vectors; with --controller the controller's own."""
    rules: Annotated[ComparisonSettings, tyro.conf.Suppress] = field(default_factory=ComparisonSettings)


def run(command: Command) -> None:
    """Estimate, ask, run what is not stored yet, report."""
    training, settings = settings_of(command)
    tasks = held_out_tasks(training, settings)
    make_parts(training).check_world()
    trained_on = _training_tasks(command)
    refuse_leak(trained_on, tasks)
    expected = estimate(training, settings, _existing(command.run))
    answers = "scored here" if any(task.answer is not None for task in tasks) else "answers withheld: a submission file"
    told = f"{len(tasks)} tasks of {command.benchmark.name}, {command.benchmark.split} split ({answers})"
    confirm(
        f"{told}, model {training.model.name}.\n{estimate_text(expected)}",
        yes=command.yes or training.model.is_simulated or not any(line.num_left for line in expected.lines),
    )
    folder = open_run(command.run, training)
    with working_in(folder), executor_of(command.workers, folder.path) as executor:
        paid = replace(training, model=record_in(folder, training.model))
        policy = _learned_policy(command, paid, folder)
        print(run_lines(folder, paid, settings, policy, trained_on, executor=executor))


def run_lines(
    folder: RunFolder,
    training: TrainSettings,
    settings: ComparisonSettings,
    policy: LearnedPolicy | None,
    trained_on: Sequence[Task],
    *,
    executor: Executor = LOCAL,
) -> str:
    """Run every line in an open run folder; returns the report. `executor` runs the rollouts.

    Raises:
        UserError: the budget is used up; what is finished by then has been reported.
    """
    budget = Budget(training.model.budget)
    try:
        line = own_line(training.objective)
        trained = {} if policy is None else {line: TrainedPolicy(policy, trained_on)}
        evaluate_lines(folder, training, settings, trained, budget=budget, executor=executor)
    except UserError:
        if _is_used_up(budget) and any((folder.evaluation / REFERENCE).glob("*.parquet")):
            print(write_report(folder))
        raise
    return write_report(folder)


def settings_of(command: Command) -> tuple[TrainSettings, ComparisonSettings]:
    """The command's settings as those of a run and of its comparison.

    Raises:
        UserError: lines that cannot be compared here.
    """
    own = TrainSettings() if command.controller is None else read_settings(command.controller, TrainSettings)
    policies = (*command.policies, *((LEARNED,) if command.controller else ()))
    if LEARNED in policies and command.controller is None:
        raise UserError(f"policies: {LEARNED!r} needs --controller, the run folder of a trained controller")
    if set(MATCHED) & set(policies):
        raise UserError(f"policies: {MATCHED[0]!r} and {MATCHED[1]!r} are for `lts evaluate`")
    tools = command.tools
    if tools.is_live:
        tools = replace(tools, live=replace(tools.live, search=search_settings(command.search, tools.live.search)))
    training = replace(
        own,
        tasks=TaskSettings("benchmark", test=command.benchmark),
        tools=tools,
        model=command.model,
        rollout=command.rollout,
        encoder=command.encoder if command.controller is None else own.encoder,
        collect=replace(own.collect, num_in_flight=command.num_in_flight),
    )
    evaluation = EvaluationSettings(
        num_tasks=1,
        num_seeds=command.num_seeds,
        seed=command.seed,
        num_in_flight=command.num_in_flight,
        on_failure=command.on_failure,
    )
    return training, replace(command.rules, policies=tuple(dict.fromkeys(policies)), evaluation=evaluation)


def record_in(folder: RunFolder, model: ModelSettings) -> ModelSettings:
    """The model with its finished calls kept in the run folder, unless it is simulated or they are kept elsewhere."""
    if model.is_simulated or model.record_folder is not None:
        return model
    return replace(model, record_folder=str(folder.path / CALLS))


def _existing(path: Path) -> RunFolder | None:
    return RunFolder(path) if path.exists() else None


def _training_tasks(command: Command) -> tuple[Task, ...]:
    return () if command.controller is None else train_tasks(read_settings(command.controller, TrainSettings))


def _learned_policy(command: Command, training: TrainSettings, folder: RunFolder) -> LearnedPolicy | None:
    """The controller, which must be the one that the run was begun with."""
    if command.controller is None:
        return None
    import jax
    import numpy as np

    params = trained_params(RunFolder(command.controller), read_settings(command.controller, TrainSettings))
    digest = blake2b(digest_size=16)
    for leaf in jax.tree.leaves(params):
        digest.update(np.asarray(leaf).tobytes())
    path, found = folder.path / "controller.json", {"digest": digest.hexdigest()}
    if not path.exists():
        write_document(path, {"run": str(command.controller)} | found)
    elif read_json(path, dict).get("digest") != found["digest"]:
        raise UserError(f"{folder.path}: begun with another controller; choose another run folder")
    return learned_policy(training, params)


def _is_used_up(budget: Budget) -> bool:
    try:
        budget.check()
    except BudgetExhausted:
        return True
    return False
