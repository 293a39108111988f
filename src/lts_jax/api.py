"""The front door: one call each, with the same keywords, for what the command line does.

`credit`, `network`, `encoder`, `optimizer`, `model`, `tasks`, `tools` and `teams` mean the same in every call. What is
not given is the default of `settings`; what is given may be an object, a function, or the text of a part.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from lts_jax.adapters.tracking.trackers import make_tracker
from lts_jax.bridge.learned import LearnedPolicy
from lts_jax.commands.evaluate import evaluate_lines, trained_lines
from lts_jax.commands.report import stored_evaluation, write_report
from lts_jax.commands.train import train_in
from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import EvaluationSettings
from lts_jax.records import Coordinates, Rollout, Task
from lts_jax.rollouts.collect import run_to_end
from lts_jax.rollouts.rollout import run_rollout
from lts_jax.storage import read_json_lines
from lts_jax.systems.brought import Keywords, bring
from lts_jax.systems.comparison import (
    LEARNED,
    POLICIES,
    ComparisonSettings,
    line_name,
    make_arm,
    make_policy,
)
from lts_jax.systems.lts import learned_policy, trained_params
from lts_jax.systems.run_folder import RunFolder, open_run, read_settings, working_in
from lts_jax.systems.run_parts import RunParts
from lts_jax.systems.train_settings import TrainSettings

if TYPE_CHECKING:
    import pandas

    from lts_jax.adapters.tracking.tracker import Tracker
    from lts_jax.reports.side_by_side import SideBySide


@dataclass(frozen=True)
class Run:
    """A run folder: what was trained in it and what was measured."""

    folder: RunFolder
    parts: RunParts

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.folder.path

    @property
    def settings(self) -> TrainSettings:
        """What it was made with."""
        return self.parts.settings

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One record per update; `lts_jax.learning.metrics` says what each number means."""
        return read_json_lines(self.folder.metrics)

    @property
    def params(self) -> Any:
        """The trained parameters. Raises UserError where the training has not come to its end."""
        return trained_params(self.folder, self.parts)

    def policy(self, *, greedy: bool = True) -> LearnedPolicy:
        """The trained controller as an admission policy."""
        return learned_policy(self.parts, self.params, greedy=greedy)

    def evaluation(self) -> dict[str, list[Rollout]]:
        """The held-out rollouts of each line of the comparison."""
        return stored_evaluation(self.folder)

    def tables(self) -> "dict[str, pandas.DataFrame]":
        """All that lies in the folder as flat data frames; see `lts_jax.tables`."""
        from lts_jax.evaluation.tables import tables

        return tables(self.path)


def train(
    run: Path | str,
    *,
    settings: TrainSettings | None = None,
    progress: bool | Callable[[int, dict[str, float | None]], None] = True,
    track: "Sequence[str | Tracker]" = (),
    **brought: Unpack[Keywords],
) -> Run:
    """Train an admission controller in the folder `run`; the same call goes on after an interruption.

    Args:
        run: the run folder; made if absent.
        settings: of everything that is not brought along.
        progress: show a bar; or a function of (iteration, metrics) to be called after each update.
        track: trackers that follow: csv, tensorboard, wandb(project=mine), trackio, mlflow, or a `Tracker`.
        brought: any of
            credit: a scheme: text, or function of a `Trajectory`;
            network: text, `PolicyNetwork`, `flax.nnx.Module` or its class;
            encoder: text, or an object with `dim`, `name`, `encode`;
            optimizer: any `optax.GradientTransformation`;
            model: a model's name at an OpenAI-compatible endpoint, a `ChatModel`, or an `openai.AsyncOpenAI` client;
            tasks: a file, or `Task` records, or dicts with question and answer;
            tools: a folder of documents, functions, a list of both, or a `ToolKit`;
            teams: their number, `RolloutSettings`, or `async def team(task, ports)`, or its text `mine.py:team`.

    Returns:
        the run.

    Raises:
        UserError: one line: what is wrong, before anything is written.
    """
    parts = bring(settings or TrainSettings(), fits_tasks=settings is None, **brought)
    parts.check()
    trackers = [make_tracker(one) for one in track]
    folder = open_run(Path(run), parts.settings)
    told = progress if callable(progress) else None
    with working_in(folder):
        train_in(folder, parts, quiet=not progress, trackers=trackers, on_iteration=told)
    return Run(folder, parts)


def load(run: Path | str, **brought: Unpack[Keywords]) -> Run:
    """A run that lies in a folder. What was brought along to train it must be brought again; see `train`."""
    folder = RunFolder(Path(run))
    return Run(folder, bring(read_settings(folder.path, TrainSettings), **brought))


def evaluate(
    run: Path | str | Run,
    *,
    policies: Sequence[str] = POLICIES,
    num_tasks: int = 60,
    num_seeds: int = 3,
    beside: Sequence[Path | str] = (),
    progress: bool = True,
    **brought: Unpack[Keywords],
) -> dict[str, list[Rollout]]:
    """Compare a trained controller with rules on held-out tasks, and write the report into its folder.

    Args:
        run: a folder, or what `train` gave.
        policies: lines of the comparison: rules as `similarity(threshold=0.6)` or `mine.py:short`, and lts (the run's
            own controller, whatever its objective), magentic_one, m1_parallel, random_matched, similarity_matched.
        num_tasks: of the offline world; of other sources all that are held out.
        num_seeds: rollouts of each task.
        beside: run folders whose trained controllers are compared too.
        progress: show a bar.
        brought: as in `train`.

    Returns:
        rollouts by line.
    """
    found = run if isinstance(run, Run) else load(run, **brought)
    compared = ComparisonSettings(
        policies=tuple(policies),
        beside=tuple(map(Path, beside)),
        evaluation=EvaluationSettings(num_tasks=num_tasks, num_seeds=num_seeds),
    )
    found.parts.check_world()
    trained = trained_lines(found.folder, found.parts, compared)
    with working_in(found.folder):
        evaluate_lines(found.folder, found.parts, compared, trained, quiet=not progress)
        write_report(found.folder)
    return found.evaluation()


def rollout(
    task: Task | str | None = None,
    *,
    policy: Any = "all",
    run: Path | str | Run | None = None,
    settings: TrainSettings | None = None,
    number: int = 0,
    **brought: Unpack[Keywords],
) -> Rollout:
    """One task under one policy, nothing stored.

    Args:
        task: a task, the id of one, or a question; the first held-out one if not given.
        policy: a rule as text, a function of a request, an `AdmissionPolicy`, or "lts" with `run`.
        run: a trained run, for its controller and settings.
        settings: where no run is given.
        number: another number, other random draws.
        brought: as in `train`.

    Raises:
        UserError: one line: a question that the model or the tools cannot know, what `train` refuses.
    """
    if run is not None:
        found = run if isinstance(run, Run) else load(run, **brought)
        parts = found.parts
    else:
        parts = bring(settings or TrainSettings(), **brought)
    if policy == LEARNED and run is None:
        raise UserError("policy: lts needs run=, a trained run")
    chosen = _policy(policy, parts, found if policy == LEARNED else None)
    asked = _task(task, parts)
    replace(parts, brought=replace(parts.brought, tasks=(asked,))).check_world()
    arm = make_arm(policy if isinstance(policy, str) else "own", parts, chosen)
    coordinates = Coordinates(parts.settings.seed, 0, asked.task_id, number)
    return _run(run_rollout(asked, coordinates, arm.parts, arm.rollout), arm.parts.tool_kit)


def simulate(**keywords: Any) -> Any:
    """Train and measure inside one compiled program, on an environment of arrays; see `lts_jax.lab.simulate`."""
    from lts_jax.lab.simulate import simulate

    return simulate(**keywords)


def sweep(
    run: Path | str,
    over: Mapping[str, Sequence[Any] | str],
    *,
    seeds: int = 20,
    side: str = "simulator",
    set: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> "pandas.DataFrame":
    """Train and measure at every combination of the values in `over`; resumable, stored in the folder `run`.

    Args:
        run: the sweep's folder.
        over: values by field, as `{"credit": ["usage_aware", "mine.py:paid"], "learning.sparsity_weight": "0:0.5:11"}`.
        seeds: of every point.
        side: "simulator", or "text" for teams that write text.
        set: values of other fields, for all points.
        progress: show a bar.

    Returns:
        one row per point and seed.
    """
    import pandas

    from lts_jax.commands.sweep import Command, run_command

    axes = tuple(f"{name}={_axis(values)}" for name, values in over.items())
    fixed = tuple(f"{name}={value}" for name, value in (set or {}).items())
    command = Command(run=Path(run), over=axes, set=fixed, seeds=seeds, side=side)  # type: ignore[arg-type]
    folder = run_command(command, quiet=not progress)
    assert folder is not None  # only a question for the fields has none
    return pandas.read_parquet(folder.results)


def report(run: Path | str | Run) -> str:
    """Write report.html and report.json of a run or a sweep again; returns the table as text."""
    from lts_jax.reports.sweep_folder import is_sweep, write_sweep_report

    path = run.path if isinstance(run, Run) else Path(run)
    return write_sweep_report(path) if is_sweep(path) else write_report(RunFolder(path))


def compare(
    runs: Sequence[Path | str | Run], *, line: str | None = None, out: Path | str | None = None
) -> "SideBySide":
    """Two or more runs side by side; the first is what the others are compared with.

    Args:
        runs: run folders, or what `train` gave.
        line: of each evaluation; by default each run's own trained controller.
        out: a folder for compare.html and compare.json.

    Returns:
        the settings that differ, learning curves, and a report with a row for each run.
    """
    from lts_jax.commands.compare import compare_runs, write_comparison

    found = compare_runs([run.path if isinstance(run, Run) else Path(run) for run in runs], line=line)
    if out is not None:
        write_comparison(found, Path(out))
    return found


def _axis(values: Sequence[Any] | str) -> str:
    return values if isinstance(values, str) else ",".join(map(str, values))


def _policy(policy: Any, parts: RunParts, run: Run | None) -> Any:
    if run is not None:
        return run.policy()
    if isinstance(policy, str):
        return make_policy(line_name(policy), parts, ComparisonSettings())
    from lts_jax.admission.rules import make_rule

    return make_rule(policy, parts.encoder)


def _task(task: Task | str | None, parts: RunParts) -> Task:
    if isinstance(task, Task):
        return task
    tasks = parts.tasks("test", 1 if task is None else None)
    if task is None:
        return tasks[0]
    return next((one for one in tasks if task in (one.task_id, one.question)), Task("asked", task, None, "test"))


def _run(coroutine: Any, tool_kit: Any) -> Any:
    """The result of a coroutine, in a notebook's running loop too; the tools are closed after it."""

    async def whole() -> Any:
        try:
            return await coroutine
        finally:
            if tool_kit is not None:
                await tool_kit.aclose()

    return run_to_end(whole())
