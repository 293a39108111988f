"""Tools of MCP servers as team tools: listed once a process, each team with servers of its own, which end with it.

A server may keep what it was told: shared by several teams it would be a memory beside the one under study. So every
team of every rollout has its own, started at its first call. Whatever a server does is a result: one that dies,
floods, hangs or answers rubbish gives a failed one, and is started anew for the next call, a few times.
"""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from lts_jax.errors import UserError, describe
from lts_jax.live.mcp_listing import McpTool, check_arguments, read_tools
from lts_jax.live.mcp_session import McpSession, ServerFailed, need_mcp
from lts_jax.live.mcp_settings import McpChoice, McpServer
from lts_jax.records import ToolResult
from lts_jax.teams.ports import UseTool, is_cancelled


@lru_cache(maxsize=8)  # what teams are told is fixed here, however many updates make tools anew
def listed_tools(choice: McpChoice) -> tuple[McpTool, ...]:
    """The tools that the servers list, those that are allowed; each server is started, asked and ended again.

    Raises:
        UserError: one line: no package `mcp`, a server that is not ready in time, a name that cannot be shown.
    """
    need_mcp()
    with ThreadPoolExecutor(max_workers=1) as threads:  # a notebook's thread runs an event loop already
        return threads.submit(asyncio.run, _list_all(choice)).result()


async def _list_all(choice: McpChoice) -> tuple[McpTool, ...]:
    listed = {server.name: await _list_one(server, choice) for server in choice.servers}
    return read_tools(listed, choice.allow, choice.limits)


async def _list_one(server: McpServer, choice: McpChoice) -> Sequence[Any]:
    session = McpSession(server, choice)
    try:
        await session.start()
        async with asyncio.timeout(choice.limits.start_seconds):
            return await session.list_tools()
    except TimeoutError:
        seconds = choice.limits.start_seconds
        raise UserError(f"tools.mcp: {server.name}: it had not listed its tools after {seconds:g} seconds") from None
    except ServerFailed as error:
        raise UserError(f"tools.mcp: {error}") from None
    except Exception as error:
        raise UserError(f"tools.mcp: {server.name}: its list of tools is none ({describe(error)})") from None
    finally:
        await session.stop()


class McpTeamTools:
    """`UseTool` of one team: tools of servers by the names that teams were told, and the rest left to others."""

    def __init__(self, choice: McpChoice, tools: Sequence[McpTool], others: UseTool) -> None:
        """Nothing is started yet."""
        self._choice, self._others = choice, others
        self._tools = {tool.told.name: tool for tool in tools}
        self._servers = {server.name: server for server in choice.servers}
        self._sessions: dict[str, McpSession] = {}
        self._num_starts = dict.fromkeys(self._servers, 0)
        self._starting = {name: asyncio.Lock() for name in self._servers}

    def __call__(self, name: str, arguments: Mapping[str, Any]) -> ToolResult | Awaitable[ToolResult]:
        """What the tool of this name returned."""
        tool = self._tools.get(name)
        return self._others(name, arguments) if tool is None else self._call(tool, arguments)

    async def aclose(self) -> None:
        """End this team's servers."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.stop()

    async def _call(self, tool: McpTool, arguments: Mapping[str, Any]) -> ToolResult:
        """Never raises but for cancellation."""
        started = time.monotonic()
        text, failed = await self._text(tool, arguments)
        text = f"{tool.told.name}: {' '.join(text.split())}"[:500] if failed else text
        return ToolResult(_clean(text), failed, tool.told.name, time.monotonic() - started)

    async def _text(self, tool: McpTool, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        limits = self._choice.limits
        try:
            given = check_arguments(tool, arguments)
        except ValueError as error:
            return str(error), True
        try:
            async with asyncio.timeout(limits.call_seconds):
                session = await self._session(tool.server)
                text, failed = await session.call(tool, given)
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            return "it was cancelled from inside", True
        except TimeoutError:
            await self._end(tool.server)
            return f"it took more than {limits.call_seconds:g} seconds", True
        except ServerFailed as error:
            await self._end(tool.server)
            return str(error), True
        except Exception as error:  # an error of the protocol's, or an answer that is none
            return describe(error), True
        most = limits.max_result_characters
        return text if len(text) <= most else f"{text[:most]}\n[cut]", failed

    async def _session(self, name: str) -> McpSession:
        async with self._starting[name]:
            session = self._sessions.get(name)
            if session is not None and not session.is_over:
                return session
            await self._end(name)
            if self._num_starts[name] >= self._choice.limits.max_starts:
                raise ServerFailed(f"{name}: it has failed {self._num_starts[name]} times and is not started again")
            self._num_starts[name] += 1
            session = self._sessions[name] = McpSession(self._servers[name], self._choice)
            await session.start()
            return session

    async def _end(self, name: str) -> None:
        session = self._sessions.pop(name, None)
        if session is not None:
            await session.stop(at_once=True)


def _clean(text: str) -> str:
    """A text that every file and endpoint takes: no halves of surrogate pairs."""
    return text.encode(errors="replace").decode()
