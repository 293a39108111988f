"""A team's files: list, open, page through, find. All of them lie below one folder, and none is ever written."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import sha256
from itertools import islice
from pathlib import Path

from lts_jax.live.tools.file_reading import ReadingSettings, read_document
from lts_jax.live.tools.page_text import find_lines, windows
from lts_jax.live.tools.rooted import files_below, parts_of, read_below
from lts_jax.live.tools.sandbox_settings import SandboxSettings
from lts_jax.records import ToolResult

_NO_FILES = "There are no files."


@dataclass(frozen=True, slots=True)
class FileSettings:
    """Limits of the file tools. All are ours."""

    window_characters: int = 3_800
    """One viewport; with its heading it fits in what a worker shows."""

    file_bytes: int = 32 << 20
    """The longest file that is opened."""

    num_listed: int = 200
    """Files of a listing."""

    num_kept: int = 16
    """Texts kept for paging."""

    reading: ReadingSettings = field(default_factory=ReadingSettings)

    def __post_init__(self) -> None:
        if self.window_characters < 100:
            raise ValueError(f"window_characters: expected at least 100, got {self.window_characters}")
        if min(self.file_bytes, self.num_listed, self.num_kept) < 1:
            raise ValueError("file_bytes, num_listed, num_kept: expected at least 1")


class FileTools:
    """The file tools of one team. Nothing raises but cancellation: what goes wrong is a result with `failed` set."""

    def __init__(
        self, root: Path | None, settings: FileSettings | None = None, sandbox: SandboxSettings | None = None
    ) -> None:
        """Tools for the files below `root`; None: there are none. Documents are read inside `sandbox`."""
        self._root = root
        self._settings = settings or FileSettings()
        self._sandbox = sandbox or SandboxSettings()
        self._texts: dict[tuple[str, str], str] = {}  # (suffix, digest of the bytes) -> text, newest last

    async def list_files(self, pattern: object = "") -> ToolResult:
        """The names of all files, one per line with their sizes; with `pattern` those that match it or hold it."""
        started = time.monotonic()
        found = await self._find(_words(pattern))
        if isinstance(found, str):
            return ToolResult(found, True, "list_files", time.monotonic() - started)
        shown = [f"{_printable(name)} ({num_bytes:,} bytes)" for name, num_bytes in found[: self._settings.num_listed]]
        if len(found) > self._settings.num_listed:
            shown.append(f"[more than {self._settings.num_listed} files; give a pattern]")
        return ToolResult("\n".join(shown), False, "list_files", time.monotonic() - started)

    async def open_file(self, name: object, page: object = 1, find: object = "") -> ToolResult:
        """Viewport `page` (from 1) of a file as text, or with `find` the lines that hold it and where they stand."""
        started = time.monotonic()
        named, source = _words(name), ""
        try:
            source = "/".join(parts_of(named))
            text = await self._text(source)
            shown, failed = self._view(named, text, page, _words(find)), False
        except ValueError as error:
            shown, failed = f"{_printable(named)} was not opened: {error}", True
            if str(error).startswith("there is no"):
                shown += await self._hint()
        return ToolResult(shown, failed, "open_file", time.monotonic() - started, source)

    async def _text(self, name: str) -> str:
        if self._root is None:
            raise ValueError("there are no files")
        content = await asyncio.to_thread(read_below, self._root, name, self._settings.file_bytes)
        known = (Path(name).suffix.lower(), sha256(content).hexdigest())
        text = self._texts.pop(known, None)
        if text is None:
            text = await read_document(content, name, self._settings.reading, self._sandbox)
        self._texts[known] = text
        while len(self._texts) > self._settings.num_kept:
            del self._texts[next(iter(self._texts))]
        return text

    def _view(self, name: str, text: str, page: object, find: str) -> str:
        heading = f"File: {_printable(name)}"
        if not text.strip():
            raise ValueError("it holds no text")
        if find:
            matches = find_lines(text, find, self._settings.window_characters)
            if not matches:
                raise ValueError(f"no line of it holds {find[:200]!r}")
            return "\n".join([heading, "", *matches])
        portions = windows(text, self._settings.window_characters)
        number = _number(page)
        if not 1 <= number <= len(portions):
            raise ValueError(f"it has no viewport {_words(page)[:20]!r}, only 1 to {len(portions)}")
        foot = f"\n[viewport {number} of {len(portions)}]" if len(portions) > 1 else ""
        return f"{heading}\n\n{portions[number - 1]}{foot}"

    async def _find(self, pattern: str) -> Sequence[tuple[str, int]] | str:
        """Files that match, one more than are shown; or why there are none."""
        if self._root is None:
            return _NO_FILES
        try:
            found = await asyncio.to_thread(_matching, self._root, pattern, self._settings.num_listed + 1)
        except OSError as error:
            return f"The files cannot be listed: {error.strerror}"
        return found or (f"No file matches {pattern[:200]!r}." if pattern else _NO_FILES)

    async def _hint(self) -> str:
        found = await self._find("")
        return "" if isinstance(found, str) else f". At hand: {', '.join(_printable(name) for name, _ in found[:20])}"


def _matching(root: Path, pattern: str, num_wanted: int) -> list[tuple[str, int]]:
    wanted = pattern.lower()
    pairs = (
        (name, size)
        for name, size in files_below(root)
        if not wanted or wanted in name.lower() or fnmatchcase(name.lower(), wanted)
    )
    return list(islice(pairs, num_wanted))


def _words(given: object) -> str:
    """An argument as a model gave it: anything, as text."""
    return "" if given is None else str(given).strip()


def _number(page: object) -> int:
    words = _words(page)
    return int(words) if words.isascii() and words.isdigit() and len(words) < 10 else (0 if words else 1)


def _printable(name: str) -> str:
    """A name on one line, whatever it holds."""
    return name[:500] if name.isprintable() else ascii(name)[1:-1][:500]
