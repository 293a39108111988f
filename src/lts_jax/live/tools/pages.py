"""Visiting web pages as one team does: a current page, read in windows, searched, left by its links and forms.

Numbers stand for the page's links and forms, so that a small request is enough: `visit_url` takes an address, the
number of a link of the current page, or "back"; `form` and `fields` send a form of it.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from lts_jax.live.tools.charsets import decode_text
from lts_jax.live.tools.converter import Converter
from lts_jax.live.tools.fetch import Fetched, FetchFailure
from lts_jax.live.tools.file_kinds import is_text, kind_of, looks_like_html
from lts_jax.live.tools.page_text import FEW_CHARACTERS, PageText, find_lines, windows
from lts_jax.records import ToolResult

Load = Callable[[str, Mapping[str, str] | None], Awaitable[Fetched | FetchFailure]]
"""(address, form to post or None) -> what arrived."""

ReadFile = Callable[[bytes, str], Awaitable[str]]
"""(content, name with a suffix that tells its kind) -> its text. Raises ValueError with one line."""

_HTML_TYPES = {"text/html", "application/xhtml+xml"}
_OFTEN_WRONG = {"text/plain", "text/xml", "application/xml"}  # of web pages
_TEXT_TYPES = {"application/json", "application/xml", "application/javascript", "application/x-yaml"}
_OFFICE = "application/vnd.openxmlformats-officedocument"
_SUFFIXES = {
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    f"{_OFFICE}.wordprocessingml.document": ".docx",
    f"{_OFFICE}.spreadsheetml.sheet": ".xlsx",
    f"{_OFFICE}.presentationml.presentation": ".pptx",
    **{f"image/{kind}": f".{kind}" for kind in ("png", "jpeg", "gif", "webp", "bmp", "tiff")},
}
_HTML_SUFFIXES = {".html", ".htm", ".xhtml"}
_NUM_SNIFFED = 8_192  # first bytes that tell a web page
_REFUSALS = {403, 406, 429, 503}  # what sites answer a client that is no browser
_LINK_NUMBER = re.compile(r"\[?(?:link|l)?\s*+(\d{1,4})\]?", re.I)
_SHOWN_LINK = re.compile(r"\[L(\d{1,4})\]")
_BARE_ADDRESS = re.compile(r"[\w.-]+\.[a-z]{2,}(?:[:/?#].*)?", re.I)
_MAX_HEADING_URL = 500  # the whole of it is the result's source
_MAX_SHOWN_URL = 110


@dataclass(frozen=True, slots=True)
class PageSettings:
    """What a team sees of a page. All values are ours."""

    text_characters: int = 500_000  # of a page's text that are kept
    window_characters: int = 3_000  # with heading and addresses below what a worker shows by default
    max_history: int = 20  # pages that "back" goes back over
    max_links_shown: int = 6  # addresses below a window; every link can be followed by its number

    def __post_init__(self) -> None:
        if self.window_characters < 200 or min(self.max_history, self.max_links_shown, self.text_characters) < 0:
            raise ValueError("page settings: expected windows of 200 characters or more, and counts from 0")


class PageTools:
    """The page tools of one team. Nothing raises: what goes wrong is a result with `failed` set."""

    def __init__(
        self,
        load: Load,
        converter: Converter,
        settings: PageSettings | None = None,
        *,
        render: Load | None = None,
        read_file: ReadFile | None = None,
    ) -> None:
        """No page yet. `load` brings what is at an address, `render` the same after its scripts."""
        self._load = load
        self._render = render
        self._read_file = read_file or _no_file
        self._converter = converter
        self._settings = settings or PageSettings()
        self._history: list[PageText] = []
        self._lock = asyncio.Lock()

    async def visit_url(self, url: Any = "", page: Any = 1, *, form: Any = None, fields: Any = None) -> ToolResult:
        """Viewport `page` (from 1) of the page at `url`, after redirects; without `url`, of the current page."""
        async with self._lock:
            try:
                found = await self._open(url, form, fields)
                return found if isinstance(found, ToolResult) else self._show(found, page)
            except ValueError as error:
                return _failure(str(error), "visit_url", self._current_url())

    async def find_on_page(self, url: Any = "", text: Any = "") -> ToolResult:
        """The lines of the whole page that hold `text`, with the numbers of their viewports."""
        async with self._lock:
            try:
                found = await self._open(url, None, None)
            except ValueError as error:
                return _failure(str(error), "find_on_page", self._current_url())
        if isinstance(found, ToolResult):
            return replace(found, tool="find_on_page")
        lines = find_lines(found.text, str(text), self._settings.window_characters)
        if not lines:
            return _failure(f"No match for {str(text)!r} on <{found.url}>", "find_on_page", found.url)
        return ToolResult("\n".join([_heading(found), "", *lines]), tool="find_on_page", source=found.url)

    async def _open(self, url: Any, form: Any, fields: Any) -> PageText | ToolResult:
        asked = "" if url is None else str(url).strip().strip("<>").strip()
        if form is not None or fields:
            return await self._send(asked, form, fields)
        if asked.lower() == "back":
            if len(self._history) < 2:
                raise ValueError("there is no page to go back to")
            self._history.pop()
            return self._history[-1]
        if not asked and not self._history:
            raise ValueError("url is missing, and no page was visited yet")
        number = _LINK_NUMBER.fullmatch(asked)
        if number is not None:
            asked = self._link(int(number[1]))
        elif "://" not in asked and _BARE_ADDRESS.fullmatch(asked):
            asked = f"https://{asked}"
        current = self._current_url()
        if not asked or asked.partition("#")[0].rstrip("/") == current.rstrip("/"):
            return self._history[-1]
        return await self._load_page(asked, None)

    async def _send(self, url: str, form: Any, fields: Any) -> PageText | ToolResult:
        """Fill a form of the page at `url`, or of the current page, and send it."""
        if url:
            page = await self._open(url, None, None)
            if isinstance(page, ToolResult):
                return page
        if not self._history:
            raise ValueError("no page was visited yet, so there is no form to send")
        forms = self._history[-1].forms
        number = str(form if form is not None else 1).lower().removeprefix("form").strip()
        if not number.isdigit() or not 1 <= int(number) <= len(forms):
            raise ValueError(f"form must be the number of a form of this page, which has {len(forms)}; got {form!r}")
        if fields is not None and not isinstance(fields, Mapping):
            raise ValueError("fields must be an object of field names and values")
        chosen = forms[int(number) - 1]
        values = chosen.fill(fields or {})
        if chosen.method == "post":
            return await self._load_page(chosen.action, values)
        return await self._load_page(f"{chosen.action.partition('?')[0]}?{urlencode(values)}", None)

    async def _load_page(self, url: str, form: Mapping[str, str] | None) -> PageText | ToolResult:
        arrived = await self._load(url, form)
        page = await self._read(arrived)
        if form is None and self._render is not None and _needs_a_browser(arrived, page):
            after = await self._read(await self._render(url, None))
            page = after if isinstance(after, PageText) else page
        if isinstance(page, PageText):
            self._history = [*self._history, page][-self._settings.max_history - 1 :]
        return page

    async def _read(self, arrived: Fetched | FetchFailure) -> PageText | ToolResult:
        if isinstance(arrived, FetchFailure):
            return _failure(f"{arrived.reason}\n<{arrived.url[:_MAX_HEADING_URL]}>", "visit_url", arrived.url)
        read = await self._text_of(arrived)
        if isinstance(read, str):
            return _failure(f"{read}\n<{arrived.url[:_MAX_HEADING_URL]}>", "visit_url", arrived.url)
        return replace(read, sha256=arrived.sha256, num_bytes=len(arrived.body))

    async def _text_of(self, arrived: Fetched) -> PageText | str:
        """What arrived as text, or one line that says why there is none."""
        body, suffix = arrived.body, kind_of(arrived.body, "")
        if not suffix and _is_page(arrived):
            return await self._converter.convert(body, url=arrived.url, charset=arrived.charset)
        if not suffix and _is_plain_text(arrived):
            text = decode_text(body[: 4 * self._settings.text_characters], arrived.charset)
        else:
            try:
                text = await self._read_file(body, f"document{suffix or _named_suffix(arrived)}")
            except ValueError as error:
                return f"the file cannot be read: {error}"
        return PageText(arrived.url, "", text[: self._settings.text_characters], content_type=arrived.content_type)

    def _show(self, found: PageText, page: Any) -> ToolResult:
        portions = windows(found.text, self._settings.window_characters)
        number = int(page) if re.fullmatch(r"[0-9]{1,6}", str(page)) else 0
        if not 1 <= number <= len(portions):
            raise ValueError(f"There is no viewport {page}; there are {len(portions)}")
        window = portions[number - 1]
        foot = f"\n[viewport {number} of {len(portions)}]" if len(portions) > 1 else ""
        text = f"{_heading(found)}\n\n{window}{foot}{self._addresses(found, window)}"
        return ToolResult(text, tool="visit_url", source=found.url)

    def _addresses(self, found: PageText, window: str) -> str:
        """The addresses of the first links of a window, and how to follow one."""
        numbers = list(dict.fromkeys(int(each) for each in _SHOWN_LINK.findall(window)))
        known = [each for each in numbers if 1 <= each <= len(found.links)]
        lines = [f"L{each} <{found.links[each - 1][:_MAX_SHOWN_URL]}>" for each in known]
        if lines:
            lines = ["Links (such as L1; each serves as url):", *lines[: self._settings.max_links_shown]]
        if found.forms and "[form " in window:
            lines.append('(A form is sent with {"form": number, "fields": {...}} as arguments of visit_url.)')
        return "\n\n" + "\n".join(lines) if lines else ""

    def _link(self, number: int) -> str:
        links = self._history[-1].links if self._history else ()
        if not 1 <= number <= len(links):
            raise ValueError(f"the current page has {len(links)} links, there is no link {number}")
        return links[number - 1]

    def _current_url(self) -> str:
        return self._history[-1].url if self._history else ""


def _needs_a_browser(arrived: Fetched | FetchFailure, page: PageText | ToolResult) -> bool:
    """Whether a page holds scripts and hardly a word without them, or is kept from clients that are no browsers."""
    if isinstance(arrived, FetchFailure):
        return arrived.kind in {"reply", "redirect"} or arrived.status in _REFUSALS
    if isinstance(page, ToolResult):
        return False
    return len(page.text.strip()) < FEW_CHARACTERS and b"<script" in arrived.body.lower()


async def _no_file(content: bytes, name: str) -> str:
    raise ValueError("there is no reader for files")


def _heading(found: PageText) -> str:
    kind = "" if found.content_type in {"", "text/html"} else f" | {found.content_type[:80]}"
    url = found.url[:_MAX_HEADING_URL]
    return f"{found.title or url}\n<{url}>{kind}"


def _failure(text: str, tool: str, source: str) -> ToolResult:
    return ToolResult(text, failed=True, tool=tool, source=source)


def _is_page(arrived: Fetched) -> bool:
    """Whether what arrived is a web page: told to be one, or else opening as one."""
    kind = arrived.content_type
    if kind in _HTML_TYPES:
        return b"<" in arrived.body or not is_text(arrived.body)  # a list of lines is none, whatever it is called
    is_told = _is_text_type(kind)
    if not is_text(arrived.body) or (is_told and kind not in _OFTEN_WRONG):
        return False
    start, is_named = decode_text(arrived.body[:_NUM_SNIFFED], arrived.charset), kind in _SUFFIXES
    if looks_like_html(start, is_part=not is_told and not is_named):
        return True
    return not is_told and _named_suffix(arrived) in _HTML_SUFFIXES


def _is_plain_text(arrived: Fetched) -> bool:
    """Whether what arrived is told to be a text, and holds no bytes that no text has."""
    looks_so = is_text(arrived.body) or arrived.charset.startswith("utf-16")
    return looks_so and (_is_text_type(arrived.content_type) or arrived.content_type in _HTML_TYPES)


def _is_text_type(kind: str) -> bool:
    return kind.startswith("text/") or kind in _TEXT_TYPES or kind.endswith(("+json", "+xml"))


def _named_suffix(arrived: Fetched) -> str:
    """The suffix of a file's name: of its type, or else of the name that the server gives it, or of its address."""
    known = _SUFFIXES.get(arrived.content_type, "")
    names = (arrived.file_name, arrived.url.partition("?")[0].rpartition("/")[2])
    named = (f".{name.rpartition('.')[2].lower()}" for name in names if re.fullmatch(r".+\.[A-Za-z0-9]{1,8}", name))
    return known or next(named, "")
