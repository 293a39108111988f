"""Which tools teams work with: those of the offline world, or live ones with each task's own files."""

from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from lts_jax.errors import UserError
from lts_jax.live.attachments import stage_attachments
from lts_jax.live.tools.kit import LiveTools, ToolSettings
from lts_jax.live.tools.search import SearchSettings
from lts_jax.records import Task
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
    ),
}
"""Search services by name. A SearXNG of one's own needs its address alone."""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """The tools of every team."""

    kind: Literal["offline", "live"] = "offline"
    live: ToolSettings = field(default_factory=ToolSettings)  # of the live ones
    allow_no_search: bool = False  # live tools whose searches find the offline world's pages, on a benchmark too

    def __post_init__(self) -> None:
        if self.kind not in ("offline", "live"):
            raise UserError(f"tools.kind: expected offline or live, got {self.kind!r}")

    @property
    def is_live(self) -> bool:
        """Whether tools take the time that they take."""
        return self.kind == "live"


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
    """See that teams on a benchmark would search the web.

    Raises:
        UserError: no endpoint, or no key for the one there is.
    """
    search = tools.live.search
    if not tools.is_live or tools.allow_no_search:
        return
    if not search.endpoint:
        raise UserError(
            "tools.live.search.endpoint: live tools on a benchmark need a search endpoint, such as a SearXNG's "
            "http://127.0.0.1:8080/search"
        )
    import os

    if search.key_variable and not os.environ.get(search.key_variable):
        raise UserError(f"set the environment variable {search.key_variable}: it holds the key of {search.endpoint}")


class TaskTools:
    """`ToolKit` of live tools: each team's file tools see the attachments of its task alone."""

    def __init__(self, settings: ToolSettings, staged: Path | None = None) -> None:
        """Nothing is started or copied yet. `staged` is where attachments are laid out, by default in the cache."""
        self._settings = settings
        self._staged = (staged or STAGED).expanduser()
        self._tools: LiveTools | None = None
        self._roots: dict[str, Path] = {}

    def open(self, task: Task, team: int) -> UseTool:
        """The tools of one more team at work on a task.

        Raises:
            UserError: an attachment is missing.
        """
        if self._tools is None:
            self._tools = LiveTools(self._settings)
        return self._tools.open(self.root(task))

    def root(self, task: Task) -> Path:
        """The folder with the attachments of a task, and nothing else."""
        if task.task_id not in self._roots:
            place = "\n".join((task.task_id, *task.attachment_paths))
            folder = self._staged / blake2b(place.encode(), digest_size=8).hexdigest()
            self._roots[task.task_id] = stage_attachments(task, folder)
        return self._roots[task.task_id]

    async def aclose(self) -> None:
        """End the processes behind the tools; a team opened later starts them anew."""
        tools, self._tools = self._tools, None
        if tools is not None:
            await tools.aclose()
