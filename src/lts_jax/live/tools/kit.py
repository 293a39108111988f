"""All live tools by name, with a state for each team: what `use_tool` is where the world is real."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lts_jax.live.tools.browser import Browser, BrowserSettings
from lts_jax.live.tools.converter import Converter, ConverterSettings
from lts_jax.live.tools.fetch import Fetched, FetchFailure, FetchSettings, fetch
from lts_jax.live.tools.file_reading import read_document
from lts_jax.live.tools.files import FileSettings, FileTools
from lts_jax.live.tools.pages import Load, PageSettings, PageTools
from lts_jax.live.tools.sandbox_settings import SandboxSettings
from lts_jax.live.tools.search import SearchSettings, web_search
from lts_jax.records import ToolResult
from lts_jax.tasks.almanac.tools import AlmanacTools
from lts_jax.tasks.almanac.world import build_almanac
from lts_jax.teams.ports import UseTool

_WEB_TOOLS = frozenset(("web_search", "visit_url", "find_on_page"))


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """Settings of all live tools."""

    search: SearchSettings = field(default_factory=SearchSettings)
    fetch: FetchSettings = field(default_factory=FetchSettings)
    browser: BrowserSettings = field(default_factory=BrowserSettings)
    pages: PageSettings = field(default_factory=PageSettings)
    converter: ConverterSettings = field(default_factory=ConverterSettings)
    files: FileSettings = field(default_factory=FileSettings)
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
    call_seconds: float = 90.0
    """One call of any tool ends by then, whatever it waits for."""
    max_web_calls: int = 300
    """Web calls of one team."""
    offline_seed: int = 0
    """Seed of the offline world, which answers searches, and visits of its own hosts, where no endpoint is set."""

    def __post_init__(self) -> None:
        if self.call_seconds <= 0 or self.max_web_calls < 0:
            raise ValueError("tools: expected call_seconds above 0 and max_web_calls from 0")


class LiveTools:
    """Real tools. What teams share (converting processes, a browser) is started when first needed."""

    def __init__(self, settings: ToolSettings | None = None) -> None:
        """Nothing is started yet."""
        self._settings = settings or ToolSettings()
        self._converter = Converter(self._settings.converter)
        self._browser = Browser(self._settings.browser, self._settings.fetch)

    def open(self, root: Path | None = None) -> UseTool:
        """The tools of one more team, with a page state of its own. `root` holds the files that it may read."""
        return _TeamTools(self._settings, self._converter, self._browser, root).use_tool

    async def aclose(self) -> None:
        """End the processes."""
        await self._browser.aclose()
        await self._converter.aclose()


class _TeamTools:
    def __init__(self, settings: ToolSettings, converter: Converter, browser: Browser, root: Path | None) -> None:
        self._settings = settings
        self._root = root
        rendered: Load | None = browser.open_tab().load if settings.browser.use != "never" else None
        load = rendered if rendered is not None and settings.browser.use == "always" else self._fetch
        self._pages = PageTools(load, converter, settings.pages, render=rendered, read_file=self._read_file)
        self._files = FileTools(root, settings.files, settings.sandbox)
        self._num_web_calls = 0

    async def use_tool(self, tool: str, arguments: Mapping[str, Any]) -> ToolResult:
        """What the tool returned. Never raises but for cancellation."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.call_seconds):
                result = await self._use(tool, arguments)
        except TimeoutError:
            result = ToolResult(f"{tool} took more than {self._settings.call_seconds:g} seconds", failed=True)
        except Exception as error:
            result = ToolResult(f"{tool}: {type(error).__name__} {error}"[:300], failed=True)
        return replace(result, tool=tool, seconds=time.monotonic() - started)

    async def _use(self, tool: str, given: Mapping[str, Any]) -> ToolResult:
        if tool in _WEB_TOOLS:
            self._num_web_calls += 1
            if self._num_web_calls > self._settings.max_web_calls:
                return ToolResult(f"this team has made its {self._settings.max_web_calls} web calls", failed=True)
            return await self._web(tool, given)
        if tool == "list_files":
            return await self._files.list_files(given.get("pattern", ""))
        if tool == "open_file":
            return await self._files.open_file(given.get("name", ""), given.get("page", 1), given.get("find", ""))
        if tool == "run_python":
            from lts_jax.live.tools.sandbox import run_python

            return await run_python(str(given.get("code", "")), self._settings.sandbox, self._root)
        return ToolResult(f"There is no tool {tool!r}", failed=True)

    async def _web(self, tool: str, given: Mapping[str, Any]) -> ToolResult:
        url = given.get("url")
        if self._is_offline(tool, url):
            return self._offline(tool, given)
        if tool == "web_search":
            return await web_search(given.get("query", ""), self._settings.search)
        if tool == "find_on_page":
            return await self._pages.find_on_page(url, given.get("text", ""))
        form, fields = given.get("form"), given.get("fields")
        return await self._pages.visit_url(url, _page_number(given), form=form, fields=fields)

    def _is_offline(self, tool: str, url: Any) -> bool:
        if self._settings.search.endpoint:
            return False
        return tool == "web_search" or _host(url).endswith(".example")

    def _offline(self, tool: str, given: Mapping[str, Any]) -> ToolResult:
        tools = AlmanacTools(build_almanac(self._settings.offline_seed))
        if tool == "web_search":
            return tools.web_search(str(given.get("query", "")))
        url = str(given["url"])
        if tool == "find_on_page":
            result = tools.find_on_page(url, str(given.get("text", "")))
        else:
            page = str(_page_number(given))
            result = tools.visit_url(url, int(page) if page.isdigit() else 0)
        return replace(result, source=url)

    async def _read_file(self, content: bytes, name: str) -> str:
        return await read_document(content, name, self._settings.files.reading, self._settings.sandbox)

    async def _fetch(self, url: str, form: Mapping[str, str] | None) -> Fetched | FetchFailure:
        return await fetch(url, self._settings.fetch, form=form)


def _page_number(given: Mapping[str, Any]) -> Any:
    page = given.get("page")
    return 1 if page is None or page == "" else page


def _host(url: Any) -> str:
    try:
        return urlsplit(str(url or "").strip().strip("<>")).hostname or ""
    except ValueError:
        return ""
