"""A folder of one's own documents as what teams search and read, by the tools and agents that they have anyway.

A document's address is `folder/` and its name. `web_search` ranks viewports of the documents by BM25 and lists each
document once, with the viewport that fits best; `visit_url`, `find_on_page` and `open_file` read it like a page or a
file; `list_files` names it. Everything lies in memory, so that every call is instant and the same for all teams.
"""

import difflib
import inspect
import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from lts_jax.live.folder_reading import Document, read_folder
from lts_jax.live.tools.page_text import find_lines, windows
from lts_jax.records import ToolResult
from lts_jax.tasks.word_search import WordIndex, best, index_words
from lts_jax.teams.ports import UseTool

PREFIX = "folder/"
NUM_RESULTS = 6
SNIPPET_CHARACTERS = 240
WINDOW_CHARACTERS = 3_000  # of a viewport; with its heading it fits in what a worker shows
NUM_LISTED = 200
_TITLE_WEIGHT = 2
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """Documents by address with their viewports, and the index of these."""

    documents: Mapping[str, Document]
    viewports: Mapping[str, tuple[str, ...]]
    places: tuple[tuple[str, int], ...]  # (address, number from 0) of each viewport of the index
    index: WordIndex


@lru_cache(maxsize=4)
def open_library(folder: str) -> Library:
    """The documents below a folder, read and indexed once a process.

    Raises:
        UserError: what `read_folder` raises.
    """
    return make_library(read_folder(folder))


def make_library(documents: Sequence[Document]) -> Library:
    """An index of documents."""
    by_address = {address_of(document.name): document for document in documents}
    viewports = {address: tuple(windows(one.text, WINDOW_CHARACTERS)) for address, one in by_address.items()}
    places = tuple((address, number) for address, shown in viewports.items() for number in range(len(shown)))
    words = (
        _words(f"{by_address[address].title} {address}") * _TITLE_WEIGHT + _words(viewports[address][number])
        for address, number in places
    )
    return Library(by_address, viewports, places, index_words(words))


def address_of(name: str) -> str:
    """A document's address: without white space or angle brackets, which would end it inside a text."""
    return PREFIX + re.sub(r"[%<>\s]", lambda found: f"%{ord(found[0]):02X}", name)


@dataclass(slots=True)
class FolderTools:
    """One team's tools over a folder, in front of its other tools. Nothing raises but for cancellation."""

    library: Library
    others: UseTool
    visits_web: bool = False
    """Whether addresses outside the folder go to the other tools."""
    searches_web: bool = False
    """Whether searches go to the other tools too."""
    current: str = field(default="", init=False)
    """The document looked at, which a call without an address means."""

    def use_tool(self, tool: str, arguments: Mapping[str, Any]) -> ToolResult | Awaitable[ToolResult]:
        """What the folder holds, or what the other tools return."""
        asked = _text(arguments.get("url"))
        if tool == "web_search":
            return self._search(_text(arguments.get("query")), arguments)
        if tool in {"visit_url", "find_on_page"}:
            address = self._address(asked) if asked else self.current
            if not address and self.visits_web and not asked.startswith(PREFIX):
                self.current = ""
                return self.others(tool, arguments)
            find = _text(arguments.get("text")) if tool == "find_on_page" else None
            return replace(self._read(address, asked, arguments.get("page"), find), tool=tool)
        if tool == "open_file":
            return self._open_file(_text(arguments.get("name")), arguments)
        if tool == "list_files":
            return self._list(_text(arguments.get("pattern")), arguments)
        return self.others(tool, arguments)

    def _search(self, query: str, arguments: Mapping[str, Any]) -> ToolResult | Awaitable[ToolResult]:
        lines = search(self.library, query)
        found = "\n".join([f"Search results for: {query}", *lines]) if lines else f"No results found for: {query}"
        here = ToolResult(found, failed=not lines, tool="web_search")
        return self._join(here, "web_search", arguments) if self.searches_web else here

    async def _join(self, here: ToolResult, tool: str, arguments: Mapping[str, Any]) -> ToolResult:
        """What the folder holds, followed by what the other tools return."""
        returned = self.others(tool, arguments)
        other = await returned if inspect.isawaitable(returned) else returned
        if here.failed or other.failed:
            return other if here.failed and not other.failed else here
        return ToolResult(f"{here.text}\n{other.text}", tool=tool)

    def _read(self, address: str, asked: str, page: Any, find: str | None) -> ToolResult:
        """A viewport of a document, or with `find` the lines of it that hold a text."""
        if not address:
            return ToolResult(f"404 Not Found\n{self._missing(asked)}", failed=True)
        self.current = address
        shown = self.library.viewports[address]
        heading = f"{self.library.documents[address].title}\n<{address}>\n"
        if find is not None:
            lines = find_lines(self.library.documents[address].text, find, WINDOW_CHARACTERS)
            if not lines:
                return ToolResult(f"No match for {find!r} on <{address}>", failed=True, source=address)
            return ToolResult("\n".join([heading, *lines]), source=address)
        words = _text(page) or "1"
        number = int(words) if re.fullmatch(r"[0-9]{1,6}", words) else 0
        if not 1 <= number <= len(shown):
            return ToolResult(f"There is no viewport {words[:20]}; there are {len(shown)}", failed=True, source=address)
        foot = f"\n[viewport {number} of {len(shown)}]" if len(shown) > 1 else ""
        return ToolResult(f"{heading}\n{shown[number - 1]}{foot}", source=address)

    def _open_file(self, name: str, arguments: Mapping[str, Any]) -> ToolResult | Awaitable[ToolResult]:
        address = self._address(name)
        if address:
            find = _text(arguments.get("find")) or None
            return replace(self._read(address, name, arguments.get("page"), find), tool="open_file")
        return self._open_other(name, arguments)

    async def _open_other(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        returned = self.others("open_file", arguments)
        other = await returned if inspect.isawaitable(returned) else returned
        return replace(other, text=f"{other.text}\n{self._missing(name)}") if other.failed else other

    def _list(self, pattern: str, arguments: Mapping[str, Any]) -> Awaitable[ToolResult]:
        wanted = pattern.lower()
        names = [
            f"{address} ({len(one.text):,} characters)"
            for address, one in self.library.documents.items()
            if not wanted or wanted in address.lower() or fnmatchcase(address.lower(), wanted)
        ]
        more = [f"[{len(names) - NUM_LISTED} more; give a pattern]"] if len(names) > NUM_LISTED else []
        here = ToolResult("\n".join(names[:NUM_LISTED] + more) or f"No file matches {pattern[:200]!r}.", not names)
        return self._join(replace(here, tool="list_files"), "list_files", arguments)

    def _address(self, asked: str) -> str:
        """The address that a text means: as it is, percent-encoded or not, with or without the prefix; or ""."""
        bare = asked.strip("<>").strip().removeprefix("./")
        spelled = [each.removeprefix(PREFIX) for each in (bare, bare.partition("#")[0])]
        tried = (address for name in spelled for address in (PREFIX + name, address_of(name)))
        return next((each for each in tried if each in self.library.documents), "")

    def _missing(self, asked: str) -> str:
        near = difflib.get_close_matches(asked, list(self.library.documents)[:2_000], n=3, cutoff=0.75)
        return f"There is no document at {asked[:200]}" + (f"; near it: {', '.join(near)}" if near else "")


def search(library: Library, query: str) -> list[str]:
    """The documents that fit a query best, each with its best viewport: number, title, address and a snippet."""
    words = _words(query)
    results: dict[str, str] = {}
    for place in best(library.index, words, 20 * NUM_RESULTS):
        address, number = library.places[place]
        if address in results or len(results) == NUM_RESULTS:
            continue
        shown = library.viewports[address]
        where = f"(viewport {number + 1} of {len(shown)}) " if len(shown) > 1 else ""
        title = library.documents[address].title
        snippet = _snippet(shown[number], set(words))
        results[address] = f"{len(results) + 1}. {title}\n   <{address}>\n   {where}{snippet}"
    return list(results.values())


def _snippet(text: str, words: set[str]) -> str:
    """The line that holds most of the words, from a little before the first of them."""
    line = max(text.split("\n"), key=lambda each: len(words.intersection(_words(each))))
    line = " ".join(line.split())
    first = next((found.start() for found in _WORD.finditer(line) if found[0].casefold() in words), 0)
    start = max(0, min(first - SNIPPET_CHARACTERS // 4, len(line) - SNIPPET_CHARACTERS))
    cut = line[start : start + SNIPPET_CHARACTERS]
    return f"{'...' if start else ''}{cut}{'...' if start + SNIPPET_CHARACTERS < len(line) else ''}"


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _text(given: Any) -> str:
    """An argument as a model gave it: anything, as text."""
    return "" if given is None else str(given).strip()
