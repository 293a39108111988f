"""One MCP server at work: started, asked for its tools, called, and ended. Needs the extra `mcp`."""

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Any

from lts_jax.errors import UserError, describe
from lts_jax.live.mcp_listing import McpTool, digest_of
from lts_jax.live.mcp_process import ServerProcess, environment_of, transport_of
from lts_jax.live.mcp_settings import McpChoice, McpServer
from lts_jax.redact import environment_secrets, redact_text

_MAX_PAGES = 20  # of a listing


class ServerFailed(Exception):
    """A server has ended, or never was ready; one line."""


def need_mcp() -> None:
    """Refuse to go on without the package.

    Raises:
        UserError: the extra `mcp` is missing.
    """
    try:
        import mcp
        import mcp.client.client
    except ImportError:
        raise UserError("MCP needs the extra mcp: pip install 'lts-jax[mcp]'") from None
    if not hasattr(mcp, "Client"):
        raise UserError("MCP needs the package mcp from 2.0: pip install 'lts-jax[mcp]'")


class McpSession:
    """A running server. All of it belongs to the event loop in which it was started."""

    def __init__(self, server: McpServer, choice: McpChoice) -> None:
        """Nothing is started yet."""
        self._server, self._choice = server, choice
        self._over, self._at_once = asyncio.Event(), False
        self._client: Any = None
        self._process: ServerProcess | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether it answers no more."""
        return self._keeping is None or self._keeping.done() or self._over.is_set()

    async def start(self) -> None:
        """Start the server and agree on a version.

        Raises:
            ServerFailed: it was not ready in time, or ended.
        """
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._keeping = asyncio.create_task(self._keep(ready))
        try:
            async with asyncio.timeout(self._choice.limits.start_seconds):
                self._client = await asyncio.shield(ready)
        except TimeoutError:
            await self.stop(at_once=True)
            problem = f"it was not ready after {self._choice.limits.start_seconds:g} seconds"
            raise ServerFailed(self._told(problem)) from None
        except Exception as error:
            await self.stop()
            raise ServerFailed(self._told(describe(_first(error)))) from None
        except BaseException:
            await self.stop()
            raise

    async def _keep(self, ready: asyncio.Future[Any]) -> None:
        """The one task in which the connection is entered and left."""
        from mcp import Client

        limits = self._choice.limits
        try:
            self._process = ServerProcess(
                self._server.command, environment_of(self._choice.environment), limits.max_result_bytes
            )
            async with Client(transport_of(self._process), cache=None) as client:
                if not ready.done():
                    ready.set_result(client)
                await self._over.wait()
        except Exception as error:
            if not ready.done():
                ready.set_exception(error)
        finally:
            self._over.set()
            if not ready.done():
                ready.cancel()
            if self._process is not None:
                await self._process.stop(at_once=self._at_once)

    async def stop(self, *, at_once: bool = False) -> None:
        """End the server, and with it all that it has started; `at_once` where it is not expected to listen."""
        self._at_once = self._at_once or at_once
        self._over.set()
        if self._keeping is None:
            return
        is_ready = self._client is not None
        if not is_ready:
            self._keeping.cancel()
        await asyncio.wait([self._keeping])
        if not self._keeping.cancelled():
            self._keeping.exception()

    async def list_tools(self) -> list[Any]:
        """What it lists now, as objects of the `mcp` package.

        Raises:
            ServerFailed: it has ended, or its list has no end.
            Exception: what the `mcp` package raises for an error or an answer that is none.
        """
        from mcp_types import ListToolsRequest, ListToolsResult, PaginatedRequestParams

        tools: list[Any] = []
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            request = ListToolsRequest(params=PaginatedRequestParams(cursor=cursor) if cursor else None)
            page = await self._ask(request, ListToolsResult)
            tools += page.tools
            cursor = page.next_cursor
            if not cursor:
                return tools
        raise ServerFailed(self._told(f"its list of tools has more than {_MAX_PAGES} pages"))

    async def call(self, tool: McpTool, given: Mapping[str, Any]) -> tuple[str, bool]:
        """Text of a tool's result, and whether the server calls it an error.

        The tool is looked for in the list as it is now: one that has changed since it was first listed is not called.

        Raises:
            ServerFailed, Exception: as `list_tools`.
        """
        from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult

        now = [each for each in await self.list_tools() if each.name == tool.name]
        if not now:
            return f"the server {tool.server} lists no such tool any more, so it is not called", True
        if len(now) > 1 or digest_of(now[0]) != tool.digest:
            return f"the server {tool.server} has redefined it since it was listed, so it is not called", True
        request = CallToolRequest(params=CallToolRequestParams(name=tool.name, arguments=dict(given)))
        result = await self._ask(request, CallToolResult)
        return _text_of(result), bool(result.is_error)

    async def _ask(self, request: Any, kind: Any) -> Any:
        """An answer of the kind. Not by the client's own methods, which run a server's schemas over its results."""
        if self.is_over:
            raise ServerFailed(self._told("it has ended"))
        try:
            return await self._client.session.send_request(request, kind)
        except Exception:
            if self._process is not None and self._process.has_closed:
                self._over.set()
                raise ServerFailed(self._told(self._process.problem or "it has ended")) from None
            raise

    def _told(self, problem: str) -> str:
        """One line, with the last that the server said on its standard error."""
        tail = b"" if self._process is None else self._process.tail
        lines = redact_text(tail.decode(errors="replace"), environment_secrets(os.environ)).strip().splitlines()
        said = f"; it said: {' '.join(lines[-1].split())[:200]}" if lines else ""
        return f"{self._server.name}: {problem}{said}"


def _text_of(result: Any) -> str:
    """All texts of a result; what is no text is named, structured content stands in where there is no other."""
    parts = []
    for block in result.content or ():
        text = getattr(block, "text", None)
        if text is None:
            text = getattr(getattr(block, "resource", None), "text", None)
        parts.append(text if isinstance(text, str) else f"[{block.type} left out]")
    if not parts and result.structured_content is not None:
        parts.append(json.dumps(result.structured_content, ensure_ascii=False, default=str))
    return "\n".join(parts)


def _first(error: BaseException) -> BaseException:
    """The first of what a task group has gathered."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
