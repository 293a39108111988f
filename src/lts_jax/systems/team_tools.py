"""The tools of a run's teams: made from settings and from functions, and whether they fit the questions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lts_jax.errors import UserError
from lts_jax.live.functions import FunctionTool, load_tools, make_tools
from lts_jax.live.task_tools import TaskTools, ToolChoice, check_search
from lts_jax.records import OwnTool
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
    functions: Sequence[Callable[..., Any] | FunctionTool] = (),
    *,
    is_foreign: bool,
    world_seed: int,
) -> TeamTools:
    """The tools that the settings name, and `functions` of the user's own; the offline world's for its own tasks.

    Raises:
        UserError: a folder that cannot be read, a function that cannot be a tool, or an MCP server that is not ready.
    """
    own = make_tools((*load_tools(choice.functions), *functions))
    world = almanac_tools(world_seed)
    if not (own or choice.folder or choice.is_live or choice.mcp or is_foreign):
        return TeamTools(world)
    kit = TaskTools(choice, own, None if is_foreign else world)
    return TeamTools(world, kit, (*(tool.told for tool in own), *kit.mcp_told))


def check_questions(
    foreign: str,
    tools: ToolChoice,
    *,
    is_simulated: bool,
    has_functions: bool = False,
    has_drawer: bool = False,
    has_engine: bool = False,
) -> None:
    """See that the model and the tools can know what the tasks ask for. Nothing is read, made or asked.

    Args:
        foreign: what brought tasks that are not of the offline world, as `tasks.file qa.jsonl`; empty for its own.
        tools: of the teams.
        is_simulated: whether the model is the simulated one of this process.
        has_functions: whether functions of the user's own were given beside those that `tools` names.
        has_engine: whether teams are the user's own, who call tools by themselves, whatever the model knows.
        has_drawer: whether teams keep a memory of their own, of what a task tells before its question.

    Raises:
        UserError: foreign questions or tools for the simulated model, foreign questions over the offline world's tools,
            or live tools on foreign questions without anything to search.
    """
    has_functions = has_functions or bool(tools.functions)
    named = {"tools.folder": tools.folder, "tools.functions": has_functions, "tools.mcp": tools.mcp}
    own_tools = next((name for name, given in named.items() if given), "")
    if is_simulated and (foreign or (own_tools and not has_engine)):
        knows = f"{foreign}: the simulated model knows" if foreign else f"{own_tools}: the simulated model uses"
        raise UserError(f"{knows} the offline world alone; name a model with --model.name")
    if foreign and not (tools.is_live or own_tools or has_drawer):
        raise UserError(
            f"{foreign}: the offline world's tools know nothing of these questions; give --tools.folder, "
            "--tools.functions, --tools.mcp or --tools.kind live, or --rollout.drawer for tasks that tell what they ask"
        )
    if foreign:
        check_search(tools)
