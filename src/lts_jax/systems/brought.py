"""What a caller of the front door brings along, told apart by what it is, as the parts of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from lts_jax.credit.contract import CreditFn
from lts_jax.errors import UserError, show
from lts_jax.live.task_tools import ToolChoice
from lts_jax.models.networks import Network
from lts_jax.records import Task
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.run_parts import Brought, RunParts, make_parts
from lts_jax.systems.task_source import TaskSettings
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import ModelSettings
from lts_jax.tasks.own import make_tasks, split_tasks
from lts_jax.teams.own_team import own_team, takes_task_and_ports

if TYPE_CHECKING:
    import optax


class Keywords(TypedDict, total=False):
    """What every call of the front door takes; `lts_jax.train` says what each may be. None is as if not given."""

    credit: str | CreditFn | None
    network: Network | None
    encoder: Any
    optimizer: "optax.GradientTransformation | None"
    model: Any
    tasks: Any
    scorer: str
    tools: Any
    teams: Any


KEYWORDS = tuple(Keywords.__annotations__)


def bring(settings: TrainSettings, *, fits_tasks: bool = False, **brought: Unpack[Keywords]) -> RunParts:
    """The parts of a run: those of `settings`, and in their place what is brought.

    Args:
        settings: of all that is not brought.
        fits_tasks: whether the number of tasks is that of the tasks that are brought.
        brought: any of `KEYWORDS`; `lts_jax.train` says what each may be.

    Raises:
        UserError: one line: another keyword, or something that is none of what its keyword takes.
    """
    unknown = [name for name in brought if name not in KEYWORDS]
    if unknown:
        raise UserError(f"{unknown[0]}: expected one of {', '.join(KEYWORDS)}")
    given: dict[str, Any] = {name: value for name, value in brought.items() if value is not None}
    objects: dict[str, Any] = {name: given[name] for name in ("optimizer",) if name in given}
    for name, field in (("credit", "credit"), ("network", "controller"), ("encoder", "encoder")):
        if isinstance(given.get(name), str):
            settings = replace(settings, **{field: given[name]})
        elif name in given:
            objects[name] = given[name]
    settings, run_team = _teams(settings, given.get("teams"))
    settings, objects["model"] = _model(settings, given.get("model"))
    settings, objects["tools"] = _tools(settings, given.get("tools"))
    settings, objects["tasks"] = _tasks(settings, given.get("tasks"), given.get("scorer", "assistantbench"))
    if fits_tasks and "tasks" in given:
        settings = _fit(settings, make_parts(settings, Brought(tasks=objects["tasks"])))
    return make_parts(settings, Brought(run_team=run_team, **objects))


def _teams(settings: TrainSettings, teams: Any) -> tuple[TrainSettings, Any]:
    if callable(teams) and takes_task_and_ports(teams):
        return settings, own_team(teams, deadline_seconds=settings.rollout.engine_seconds)
    if teams is None or callable(teams):
        return settings, teams
    if isinstance(teams, str) and ":" in teams:
        return replace(settings, rollout=replace(settings.rollout, engine=teams)), None
    if isinstance(teams, RolloutSettings):
        return replace(settings, rollout=teams), None
    if isinstance(teams, int) and not isinstance(teams, bool):
        return replace(settings, rollout=replace(settings.rollout, num_teams=teams)), None
    raise UserError(f"teams: expected their number, RolloutSettings, a function or its text, got {show(teams)}")


def _model(settings: TrainSettings, model: Any) -> tuple[TrainSettings, Any]:
    if isinstance(model, ModelSettings):
        return replace(settings, model=model), None
    if isinstance(model, str):
        return replace(settings, model=replace(settings.model, name=model)), None
    return settings, model


def _tools(settings: TrainSettings, tools: Any) -> tuple[TrainSettings, Any]:
    """Folders and files go to the settings, as the command line would have them; functions and kits stay objects."""
    if tools is None or isinstance(tools, ToolChoice):
        return (settings if tools is None else replace(settings, tools=tools)), None
    if isinstance(tools, (str, Path)):
        tools = [tools]
    if callable(tools) or not isinstance(tools, Sequence):
        return settings, tools
    places = [str(one) for one in tools if isinstance(one, (str, Path))]
    folders = [place for place in places if Path(place).is_dir()]
    files = tuple(place for place in places if place not in folders)
    if len(folders) > 1:
        raise UserError(f"tools: expected at most one folder, got {', '.join(folders)}")
    missing = [place for place in files if ".py" not in place]
    if missing:
        raise UserError(f"tools: {missing[0]}: no such folder, and no FILE.py or FILE.py:FUNCTION")
    choice = replace(settings.tools, folder=folders[0] if folders else settings.tools.folder)
    choice = replace(choice, functions=(*choice.functions, *files))
    functions = [one for one in tools if not isinstance(one, (str, Path))]
    return replace(settings, tools=choice), functions or None


def _tasks(settings: TrainSettings, tasks: Any, scorer: str) -> tuple[TrainSettings, tuple[Task, ...] | None]:
    if tasks is None or isinstance(tasks, TaskSettings):
        return (settings if tasks is None else replace(settings, tasks=tasks)), None
    if isinstance(tasks, (str, Path)):
        return replace(settings, tasks=replace(settings.tasks, file=str(tasks), scorer=scorer)), None
    if not isinstance(tasks, Sequence) or not all(isinstance(one, (Task, Mapping)) for one in tasks):
        raise UserError(f"tasks: expected a file, Task records or dicts with question and answer, got {show(tasks)}")
    if all(isinstance(one, Task) for one in tasks):
        return settings, tuple(tasks)
    rows = [(f"tasks[{place}]", row) for place, row in enumerate(tasks) if isinstance(row, Mapping)]
    made = make_tasks(rows, scorer=scorer, where="tasks")
    sides = split_tasks(made, settings.tasks.fractions, settings.tasks.split_seed)
    return settings, tuple(task for side in sides.values() for task in side)


def _fit(settings: TrainSettings, parts: RunParts) -> TrainSettings:
    """As many tasks as there are to train on, and as many in an update as divide them, three at most."""
    num_tasks = len(parts.tasks("train"))
    per_update = max(size for size in (1, 2, 3) if num_tasks % size == 0)
    return replace(settings, num_tasks=num_tasks, tasks_per_update=per_update)
