"""Documents as text: plain text is decoded here, all else is read by a sandboxed child with a deadline."""

import asyncio
import tempfile
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from lts_jax.live.tools.charsets import decode_text
from lts_jax.live.tools.file_kinds import is_text, kind_of
from lts_jax.live.tools.sandbox import UNSANDBOXED, SandboxSettings, run_program

READ_BY_CHILD = frozenset(
    (".pdf", ".docx", ".xlsx", ".xlsm", ".pptx", ".html", ".htm", ".zip", ".png", ".jpg", ".jpeg", ".gif", ".webp")
) | {".bmp", ".tif", ".tiff"}


@dataclass(frozen=True, slots=True)
class ReadingSettings:
    """Limits of reading one document. All are ours."""

    seconds: float = 60.0
    memory_bytes: int = 2 << 30
    text_characters: int = 2_000_000
    """What is kept of a document's text."""

    unpacked_bytes: int = 256 << 20
    """Documents that are archives (docx, xlsx, pptx) may unpack to so much."""

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.text_characters < 1 or self.unpacked_bytes < 1:
            raise ValueError("seconds, text_characters, unpacked_bytes: expected numbers above 0")
        if self.memory_bytes < 256 << 20:
            raise ValueError(f"memory_bytes: expected at least {256 << 20}, got {self.memory_bytes}")


async def read_document(content: bytes, name: str, settings: ReadingSettings, sandbox: SandboxSettings) -> str:
    """The text of a file's content; its first bytes tell its kind, and `name` where they do not.

    Raises:
        ValueError: it cannot be read; one line says why.
    """
    suffix = kind_of(content, name)
    if suffix == ".locked":
        raise ValueError("it wants a password")
    if suffix in (".html", ".htm"):
        content = decode_text(content).encode(errors="replace")
    if suffix in READ_BY_CHILD:
        return await _read_by_child(content, suffix, settings, sandbox)
    if not is_text(content):
        raise ValueError(f"no reader for files of kind {suffix or 'without suffix'}; a Python program can open it")
    return decode_text(content)[: settings.text_characters]


async def _read_by_child(content: bytes, suffix: str, settings: ReadingSettings, sandbox: SandboxSettings) -> str:
    """In the sandbox; where there is none in limits only, for the program is ours and only the document is not."""
    limits = replace(
        sandbox,
        seconds=settings.seconds,
        cpu_seconds=max(1, round(settings.seconds)),
        memory_bytes=settings.memory_bytes,
        output_bytes=4 * settings.text_characters + 16,
    )
    bounds = f"{settings.text_characters}, {settings.unpacked_bytes}"
    code = f"{_source()}\n\nstart('document', {suffix!r}, {bounds}, read_workbook)\n"
    with tempfile.TemporaryDirectory(prefix="document-", ignore_cleanup_errors=True) as folder:
        await asyncio.to_thread((Path(folder) / "document").write_bytes, content)
        ran = await run_program(code, limits, Path(folder))
        if not ran.engine:
            ran = await run_program(code, replace(limits, run_unsandboxed=UNSANDBOXED), Path(folder))
    verdict, _, text = ran.output.partition("\n")
    if verdict == "ok" and not ran.problem:
        return text
    raise ValueError(text if verdict == "failed" and text else ran.problem or "it broke the program that reads it")


@lru_cache(maxsize=1)
def _source() -> str:
    names = ("spreadsheet_inside.py", "file_reading_inside.py")
    return "\n\n".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in names)
