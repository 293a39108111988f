"""What a team can do in the offline world: search, read pages and files, calculate.

Every call is a pure function of the world and its arguments. Results are kept, so that the same call returns the very
same string object: readers may remember what they parsed by content at no cost.
"""

from dataclasses import dataclass
from functools import lru_cache

from lts_jax.records import ToolResult
from lts_jax.tasks.almanac.calculate import calculate
from lts_jax.tasks.almanac.records import Almanac
from lts_jax.tasks.almanac.search import rank, search_index

VIEWPORT_CHARACTERS = 5_000
_MAX_MATCHES = 20
_NUM_KEPT = 1 << 16  # results kept of each tool


@dataclass(frozen=True, slots=True)
class AlmanacTools:
    """The tools of one world. Nothing raises: what goes wrong is a result with `failed` set."""

    almanac: Almanac

    def web_search(self, query: str) -> ToolResult:
        """The six best pages: number, title, `<url>` and a snippet each. Fails where no word of the query occurs."""
        return _web_search(self.almanac, query)

    def visit_url(self, url: str, page: int = 1) -> ToolResult:
        """Viewport `page` (from 1) of a page, about 5,000 characters. Fails for unknown and for refusing pages."""
        return _visit_url(self.almanac, url, page)

    def find_on_page(self, url: str, text: str) -> ToolResult:
        """The lines of a whole page that hold `text` in any case, each table row with its header row."""
        return _find_on_page(self.almanac, url, text)

    def open_file(self, name: str, page: int = 1) -> ToolResult:
        """Viewport `page` (from 1) of a file. Fails for unknown names."""
        return _open_file(self.almanac, name, page)

    def list_files(self) -> ToolResult:
        """The names of all files, one per line."""
        return _list_files(self.almanac)

    def run_python(self, code: str) -> ToolResult:
        """What a small arithmetic program prints, or its error; see `calculate`."""
        return _run_python(code)


@lru_cache(maxsize=_NUM_KEPT)
def _web_search(almanac: Almanac, query: str) -> ToolResult:
    index = search_index(almanac)
    found = rank(index, query)
    if not found:
        return ToolResult(f"No results found for: {query}", failed=True, tool="web_search")
    lines = [f"Search results for: {query}", *(f"{i}. {index.results[place]}" for i, place in enumerate(found, 1))]
    return ToolResult("\n".join(lines), tool="web_search")


@lru_cache(maxsize=_NUM_KEPT)
def _visit_url(almanac: Almanac, url: str, page: int) -> ToolResult:
    found = almanac.pages.get(_address(url))
    if found is None:
        return ToolResult(f"404 Not Found\nThere is no page at {url}", failed=True, tool="visit_url")
    if found.refusal:
        return ToolResult(f"{found.refusal}\n<{found.url}>", failed=True, tool="visit_url")
    heading, _, text = found.text.partition("\n\n")
    return _viewport(heading, text, page, "visit_url")


@lru_cache(maxsize=_NUM_KEPT)
def _find_on_page(almanac: Almanac, url: str, text: str) -> ToolResult:
    found = almanac.pages.get(_address(url))
    if found is None or found.refusal:
        return ToolResult(_visit_url(almanac, url, 1).text, failed=True, tool="find_on_page")
    lines = found.text.split("\n")
    matches: list[str] = []
    header = ""
    for previous, line in zip(["", *lines[2:]], lines[2:], strict=False):
        if line.startswith("|") and not previous.startswith("|"):
            header = line
        if text.lower() in line.lower() and line:
            if line.startswith("|") and header not in matches and header != line:
                matches.append(header)
            matches.append(line)
    if not matches or not text:
        return ToolResult(f"No match for {text!r} on <{found.url}>", failed=True, tool="find_on_page")
    return ToolResult("\n".join([*lines[:2], "", *matches[:_MAX_MATCHES]]), tool="find_on_page")


@lru_cache(maxsize=_NUM_KEPT)
def _open_file(almanac: Almanac, name: str, page: int) -> ToolResult:
    text = almanac.files.get(name.strip())
    if text is None:
        return ToolResult(f"FileNotFoundError: no file named {name!r}", failed=True, tool="open_file")
    return _viewport(f"File: {name.strip()}", text, page, "open_file")


@lru_cache(maxsize=4)
def _list_files(almanac: Almanac) -> ToolResult:
    return ToolResult("\n".join(sorted(almanac.files)), tool="list_files")


@lru_cache(maxsize=_NUM_KEPT)
def _run_python(code: str) -> ToolResult:
    printed, error = calculate(code)
    return ToolResult("\n".join(filter(None, (printed, error))), failed=bool(error), tool="run_python")


def _address(url: str) -> str:
    return url.strip().strip("<>").rstrip("/")


def _viewport(heading: str, text: str, page: int, tool: str) -> ToolResult:
    """Lines number `page` of `text` in portions of at most VIEWPORT_CHARACTERS, under the heading."""
    portions: list[list[str]] = [[]]
    length = 0
    for line in text.split("\n"):
        if length + len(line) + 1 > VIEWPORT_CHARACTERS and portions[-1]:
            portions.append([])
            length = 0
        portions[-1].append(line)
        length += len(line) + 1
    if not 1 <= page <= len(portions):
        return ToolResult(f"There is no viewport {page}; there are {len(portions)}", failed=True, tool=tool)
    foot = f"\n[viewport {page} of {len(portions)}]" if len(portions) > 1 else ""
    return ToolResult(heading + "\n\n" + "\n".join(portions[page - 1]) + foot, tool=tool)
