"""Every document below a folder as text, read once: text, Markdown, CSV, HTML, PDF, Word, Excel and PowerPoint.

Plain text and HTML need nothing. The other kinds are read by `markitdown`, of the extra `web`, in child processes with
limits. Links are not followed, hidden files are left out, and what cannot be read is skipped and counted.
"""

import asyncio
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path, PurePosixPath

from lts_jax.errors import UserError
from lts_jax.live.plain_html import plain_html
from lts_jax.live.tools.charsets import decode_text
from lts_jax.live.tools.converter import Converter, ConverterSettings
from lts_jax.live.tools.file_kinds import is_text, kind_of
from lts_jax.live.tools.file_reading import READ_BY_CHILD, ReadingSettings, read_document
from lts_jax.live.tools.rooted import files_below, read_below
from lts_jax.live.tools.sandbox_settings import SandboxSettings

MAX_FILES = 20_000
MAX_FILE_BYTES = 32 << 20
MAX_CHARACTERS = 100_000_000  # of all documents together; they are kept in memory
_WEB_KINDS = frozenset((".pdf", ".docx", ".xlsx", ".xlsm", ".pptx"))
_HTML_KINDS = frozenset((".html", ".htm"))
_NOT_TEXTS = READ_BY_CHILD - _WEB_KINDS - _HTML_KINDS  # images and archives
_MISSING = "needs pip install 'lts-jax[web]'"


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its name from the folder, with slashes, its title, and its text."""

    name: str
    title: str
    text: str


def read_folder(folder: str) -> tuple[Document, ...]:
    """The documents below a folder by name, read once a process.

    Raises:
        UserError: one line that begins with the setting: no such folder, nothing in it that can be read, more than
            `MAX_FILES` files or `MAX_CHARACTERS` of text.
    """
    return _read_folder(Path(folder).expanduser().resolve(), folder)


@lru_cache(maxsize=4)
def _read_folder(root: Path, shown: str) -> tuple[Document, ...]:
    where = f"tools.folder: {shown}"
    if not root.is_dir():
        raise UserError(f"{where}: {'is no folder' if root.exists() else 'no such folder'}")
    try:
        seen = (name for name, _ in files_below(root) if not any(part.startswith(".") for part in name.split("/")))
        names = list(islice(seen, MAX_FILES + 1))
    except OSError as error:
        raise UserError(f"{where}: cannot be listed ({error.strerror})") from None
    if len(names) > MAX_FILES:
        raise UserError(f"{where}: expected at most {MAX_FILES:,} files")
    if not names:
        raise UserError(f"{where}: holds no file")
    with ThreadPoolExecutor(max_workers=1) as threads:  # a notebook's thread runs an event loop already
        found = threads.submit(asyncio.run, _read_all(root, names)).result()
    documents = tuple(each for each in found if isinstance(each, Document))
    problems = [each for each in found if isinstance(each, str)]
    if problems:
        told = f"{len(problems)} of {len(names)} files cannot be read (the first: {problems[0]})"
        if not documents:
            raise UserError(f"{where}: {told}")
        warnings.warn(f"{where}: {told}", stacklevel=2)
    if sum(len(document.text) for document in documents) > MAX_CHARACTERS:
        raise UserError(f"{where}: expected at most {MAX_CHARACTERS:,} characters of text")
    return documents


async def _read_all(root: Path, names: list[str]) -> list[Document | str]:
    """Each file's document, or one line that says why there is none."""
    converter, places = Converter(ConverterSettings()), asyncio.Semaphore(os.cpu_count() or 1)
    num_characters = 0

    async def read(name: str) -> Document | str:
        nonlocal num_characters
        async with places:
            if num_characters > MAX_CHARACTERS:  # told by the caller; no more is read
                return f"{name}: too much text"
            try:
                document = await _read_document(root, name, converter)
            except ValueError as error:
                return f"{name}: {error}"
        num_characters += len(document.text)
        return document

    try:
        return list(await asyncio.gather(*(read(name) for name in names)))
    finally:
        await converter.aclose()


async def _read_document(root: Path, name: str, converter: Converter) -> Document:
    """One document.

    Raises:
        ValueError: it cannot be read; one line says why.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in _NOT_TEXTS:
        content = await asyncio.to_thread(read_below, root, name, MAX_FILE_BYTES)
        suffix = kind_of(content, name)
    if suffix in _NOT_TEXTS:
        raise ValueError("images and archives are not read")
    if suffix in _WEB_KINDS and find_spec("markitdown") is None:
        raise ValueError(_MISSING)
    title = PurePosixPath(name).name
    if suffix in _HTML_KINDS:
        title, text = await _html(content, converter)
    elif suffix in _WEB_KINDS or suffix == ".locked":
        text = await read_document(content, name, ReadingSettings(), SandboxSettings())
    elif is_text(content):
        text = decode_text(content)
    else:
        raise ValueError("it is of no kind that is read")
    text = text.encode(errors="replace").decode()[: ReadingSettings().text_characters]
    if not text.strip():
        raise ValueError("it holds no text")
    return Document(name, title or PurePosixPath(name).name, text)


async def _html(content: bytes, converter: Converter) -> tuple[str, str]:
    if find_spec("markitdown") is None:
        return await asyncio.to_thread(plain_html, decode_text(content))
    page = await converter.convert(content, url="http://folder.invalid/")
    if isinstance(page, str):
        raise ValueError(page)
    return page.title, page.text
