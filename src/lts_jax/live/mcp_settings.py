"""Which MCP servers teams may use (modelcontextprotocol.io), over stdio, and what one of them may take.

A server is a program of somebody else's that runs with the user's rights; what is limited here is what reaches us.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from lts_jax.errors import UserError, show

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class McpLimits:
    """What a server may take, and how much of what it says is passed on. All ours."""

    start_seconds: float = 20.0
    """Until a server has started and listed its tools."""
    call_seconds: float = 60.0
    """Until a call has ended, with the start of the server where it is not running; then the server is ended."""
    max_result_bytes: int = 1_000_000
    """What a server may send after it was asked something, before it is asked again. With more, it is ended."""
    max_result_characters: int = 20_000
    """Of a result; the rest is cut off."""
    max_description_characters: int = 300
    """Of what a server says about one of its tools, or about an argument; the rest is cut off."""
    max_tools: int = 64
    """Of one server; with more, some must be named by `mcp_allow`."""
    max_starts: int = 3
    """How often a server is started for one team; after as many failures it stays ended."""

    def __post_init__(self) -> None:
        for name in ("start_seconds", "call_seconds"):
            if not getattr(self, name) > 0:
                raise UserError(f"tools.mcp_limits.{name}: expected more than 0, got {getattr(self, name):g}")
        for name in ("max_result_characters", "max_description_characters", "max_tools", "max_starts"):
            if getattr(self, name) < 1:
                raise UserError(f"tools.mcp_limits.{name}: expected at least 1, got {getattr(self, name)}")
        if self.max_result_bytes < 10_000:
            raise UserError(f"tools.mcp_limits.max_result_bytes: expected at least 10000, got {self.max_result_bytes}")


@dataclass(frozen=True, slots=True)
class McpServer:
    """A server by the name that its tools bear, and the command that starts it."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class McpChoice:
    """Servers, which of their tools are taken, which variables of the environment they are given, and limits."""

    servers: tuple[McpServer, ...]
    allow: tuple[str, ...]
    environment: tuple[str, ...]
    limits: McpLimits


def mcp_choice(
    named: Sequence[str], allow: Sequence[str], environment: Sequence[str], limits: McpLimits
) -> McpChoice | None:
    """The servers that texts name, as `weather=python server.py`; None where there is none.

    Raises:
        UserError: no name or no command, one name twice, or tools or variables without a server.
    """
    for setting, given in (("mcp_allow", allow), ("mcp_environment", environment)):
        if given and not named:
            raise UserError(f"tools.{setting}: expected nothing where tools.mcp names no server, got {show(given[0])}")
    servers = tuple(map(_server, named))
    names = [server.name for server in servers]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise UserError(f"tools.mcp: expected servers of different names, got {twice} twice")
    return McpChoice(servers, tuple(allow), tuple(environment), limits) if servers else None


def _server(text: str) -> McpServer:
    name, _, command = text.partition("=")
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise UserError(f"tools.mcp: {show(command)} cannot be read as a command ({error})") from None
    if not _NAME.fullmatch(name) or len(name) > 32 or not words:
        raise UserError(
            "tools.mcp: expected NAME=COMMAND with at most 32 letters, digits and single _ or - in the name, as "
            f"weather=python server.py, got {show(text)}"
        )
    return McpServer(name, words)
