"""The tools of a run's teams, from its settings: as one rollout takes them, and as teams are told of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lts_jax.live.functions import FunctionTool, load_tools, make_tools
from lts_jax.live.task_tools import TaskTools, ToolChoice
from lts_jax.records import OwnTool
from lts_jax.systems.task_source import TaskSettings
from lts_jax.systems.world import almanac_tools
from lts_jax.teams.ports import ToolKit, UseTool


@dataclass(frozen=True, slots=True)
class TeamTools:
    """Fields of `RolloutParts` of the same names."""

    use_tool: UseTool
    tool_kit: ToolKit | None = None
    own_tools: tuple[OwnTool, ...] = ()


def team_tools(
    choice: ToolChoice,
    tasks: TaskSettings,
    world_seed: int,
    functions: Sequence[Callable[..., Any] | FunctionTool] = (),
) -> TeamTools:
    """The tools that the settings name, and `functions` that were given as objects.

    Raises:
        UserError: a folder that cannot be read, or a function that cannot be a tool.
    """
    own = make_tools((*load_tools(choice.functions), *functions))
    world = almanac_tools(world_seed)
    if not (own or choice.folder or choice.is_live or tasks.is_live):
        return TeamTools(world)
    kit = TaskTools(choice, own, None if tasks.is_live else world)
    return TeamTools(world, kit, tuple(tool.told for tool in own))
