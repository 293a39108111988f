"""Which tools teams work with: the offline world's, a folder, functions, or live ones with each task's own files."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal
from weakref import WeakSet

from lts_jax.errors import UserError, show
from lts_jax.live.attachments import stage_attachments
from lts_jax.live.folder import FolderTools, open_library
from lts_jax.live.functions import FunctionTool, add_functions
from lts_jax.live.mcp_settings import McpChoice, McpLimits, mcp_choice
from lts_jax.live.mcp_tools import McpTeamTools, listed_tools
from lts_jax.live.tools.files import FileTools
from lts_jax.live.tools.kit import LiveTools, ToolSettings
from lts_jax.live.tools.sandbox import sandbox_problem
from lts_jax.live.tools.sandbox_settings import SandboxSettings
from lts_jax.live.tools.search import SearchSettings, search_problem
from lts_jax.records import OwnTool, Task, ToolResult
from lts_jax.tasks.almanac.calculate import calculate
from lts_jax.teams.ports import UseTool

STAGED = Path("~/.cache/lts_jax/attachments")
SEARCH_SERVICES = {
    "brave": SearchSettings(
        endpoint="https://api.search.brave.com/res/v1/web/search",
        parameters=(),
        results_field="web.results",
        snippet_field="description",
        key_header="X-Subscription-Token",
        key_variable="BRAVE_API_KEY",
        seconds_apart=1.0,  # its free plan's rate
    ),
}
"""Search services by name. A SearXNG of one's own needs its address alone."""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """The tools of every team."""

    kind: Literal["offline", "live"] = "offline"  # live: the web, and programs in a sandbox
    live: ToolSettings = field(default_factory=ToolSettings)  # of the live ones
    allow_no_search: bool = False  # live tools whose searches find the offline world's pages, on foreign tasks too
    folder: str = ""  # of your own documents, which teams then search and read
    functions: tuple[str, ...] = ()  # your own tools: mine.py for all public functions in it, mine.py:name for one
    mcp: tuple[str, ...] = ()  # MCP servers whose tools teams may call, as NAME=COMMAND; they run with your rights
    mcp_allow: tuple[str, ...] = ()  # which of their tools, as TOOL or NAME:TOOL; none named: all of them
    mcp_environment: tuple[str, ...] = ()  # variables of the environment that they see, beside PATH, HOME and the like
    mcp_limits: McpLimits = field(default_factory=McpLimits)  # of each server

    def __post_init__(self) -> None:
        if self.kind not in ("offline", "live"):
            raise UserError(f"tools.kind: expected offline or live, got {show(self.kind)}")
        _ = self.mcp_choice

    @property
    def is_live(self) -> bool:
        """Whether tools take the time that they take."""
        return self.kind == "live"

    @property
    def mcp_choice(self) -> McpChoice | None:
        """The MCP servers, if there are any."""
        return mcp_choice(self.mcp, self.mcp_allow, self.mcp_environment, self.mcp_limits)


def search_settings(named: str, given: SearchSettings) -> SearchSettings:
    """The search that a command's user named: an address, a name of `SEARCH_SERVICES`, or nothing for `given`.

    Raises:
        UserError: neither an address nor a known name.
    """
    if not named:
        return given
    if named in SEARCH_SERVICES:
        return SEARCH_SERVICES[named]
    if not named.startswith(("http://", "https://")):
        raise UserError(
            f"search: expected an http(s) address of a SearXNG or {', '.join(SEARCH_SERVICES)}, got {named!r}"
        )
    return replace(given, endpoint=named)


def check_search(tools: ToolChoice) -> None:
    """See that teams on foreign tasks would search something: the web, or a folder.

    Raises:
        UserError: no endpoint, or no key for the one there is.
    """
    search = tools.live.search
    if not tools.is_live or tools.allow_no_search or (tools.folder and not search.endpoint):
        return
    if not search.endpoint:
        raise UserError(
            "tools.live.search.endpoint: live tools on foreign tasks need a search endpoint, such as a SearXNG's "
            "http://127.0.0.1:8080/search"
        )
    import os

    if search.key_variable and not os.environ.get(search.key_variable):
        raise UserError(f"set the environment variable {search.key_variable}: it holds the key of {search.endpoint}")


@lru_cache(maxsize=1)  # once a process, however many updates make tools anew
def tell_missing_sandbox(settings: SandboxSettings) -> None:
    """Say on standard error that the programs of teams will not run here, if so. The run goes on without them."""
    problem = sandbox_problem(settings)
    if problem:
        print(f"lts: tools.live.sandbox: agents will work without running programs. {problem}", file=sys.stderr)


@lru_cache(maxsize=8)  # once a process, however many updates make tools anew
def try_search(settings: SearchSettings) -> None:
    """Ask a search endpoint of the user's own once, before a run spends anything on agents that search in vain.

    Raises:
        UserError: it cannot be reached, or refuses; one line says what to change.
    """
    with ThreadPoolExecutor(max_workers=1) as threads:  # a notebook's thread runs an event loop already
        problem = threads.submit(asyncio.run, search_problem(settings)).result()
    if problem:
        raise UserError(f"tools.live.search.endpoint: {settings.endpoint}: {problem}")


class TaskTools:
    """`ToolKit` of all that is not the offline world alone: each team's file tools see its task's attachments alone."""

    def __init__(
        self,
        choice: ToolChoice,
        functions: Sequence[FunctionTool] = (),
        world: UseTool | None = None,
        staged: Path | None = None,
    ) -> None:
        """Nothing is started or copied yet; a missing sandbox of live tools is told, a search without a key is tried.

        Args:
            choice: which tools; its folder is read here, its `functions` are not.
            functions: the user's own tools, in front of the others; those of MCP servers stand in front of them.
            world: the offline world's tools, where the tasks are its own and there is neither folder nor web.
            staged: where attachments are laid out, by default in the cache.

        Raises:
            UserError: a folder that cannot be read, a search that does not answer, or an MCP server that is not ready.
        """
        if choice.is_live:
            tell_missing_sandbox(choice.live.sandbox)
            if choice.live.search.endpoint and not choice.live.search.key_variable:  # with a key a call may cost
                try_search(choice.live.search)
        self._choice = choice
        self._library = open_library(choice.folder) if choice.folder else None
        self._functions = tuple(functions)
        self._world = world
        self._mcp = choice.mcp_choice
        self._mcp_tools = () if self._mcp is None else listed_tools(self._mcp)
        self._staged = (staged or STAGED).expanduser()
        self._live: LiveTools | None = None
        self._opened: WeakSet[McpTeamTools] = WeakSet()
        self._roots: dict[str, Path] = {}

    @property
    def mcp_told(self) -> tuple[OwnTool, ...]:
        """What teams are told of the tools of MCP servers."""
        return tuple(tool.told for tool in self._mcp_tools)

    def open(self, task: Task, team: int) -> UseTool:
        """The tools of one more team at work on a task.

        Raises:
            UserError: an attachment is missing.
        """
        use_tool = self._others(task)
        if self._library is not None:
            is_live = self._choice.is_live
            searches_web = is_live and bool(self._choice.live.search.endpoint)
            use_tool = FolderTools(self._library, use_tool, is_live, searches_web).use_tool
        if self._functions:
            use_tool = add_functions(self._functions, use_tool, self._choice.live.call_seconds)
        if self._mcp is None:
            return use_tool
        opened = McpTeamTools(self._mcp, self._mcp_tools, use_tool)
        self._opened.add(opened)
        return opened

    def _others(self, task: Task) -> UseTool:
        """What is neither of the folder nor the user's own."""
        if self._choice.is_live:
            self._live = self._live or LiveTools(self._choice.live)
            return self._live.open(self.root(task))
        if self._world is not None and self._library is None:
            return self._world
        settings = self._choice.live
        files = FileTools(self.root(task) if task.attachments else None, settings.files, settings.sandbox)
        return partial(_without_web, files)

    def root(self, task: Task) -> Path:
        """The folder with the attachments of a task, and nothing else."""
        if task.task_id not in self._roots:
            place = "\n".join((task.task_id, *task.attachment_paths))
            folder = self._staged / blake2b(place.encode(), digest_size=8).hexdigest()
            self._roots[task.task_id] = stage_attachments(task, folder)
        return self._roots[task.task_id]

    async def aclose(self) -> None:
        """End the processes behind the tools; a team opened later starts them anew."""
        tools, self._live = self._live, None
        if tools is not None:
            await tools.aclose()
        for opened in tuple(self._opened):  # of teams that were stopped before their end
            await opened.aclose()


async def _without_web(files: FileTools, tool: str, given: Mapping[str, Any]) -> ToolResult:
    """Tools for foreign tasks where nothing leaves this process: attachments, and the offline world's calculator."""
    if tool == "list_files":
        return await files.list_files(given.get("pattern", ""))
    if tool == "open_file":
        return await files.open_file(given.get("name", ""), given.get("page", 1), given.get("find", ""))
    if tool == "run_python":
        printed, error = calculate(str(given.get("code", "")))
        return ToolResult("\n".join(filter(None, (printed, error))), failed=bool(error), tool=tool)
    return ToolResult(f"{tool}: there is no such tool, or no web, here", failed=True, tool=tool)
