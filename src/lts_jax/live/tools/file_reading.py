"""Documents as text: plain text is decoded here, all else is read by a sandboxed child with a deadline."""

import asyncio
import tempfile
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from lts_jax.live.tools.charsets import decode_text
from lts_jax.live.tools.sandbox import UNSANDBOXED, SandboxSettings, run_program

READ_BY_CHILD = frozenset(
    (".pdf", ".docx", ".xlsx", ".pptx", ".html", ".htm", ".zip", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")
) | {".tif", ".tiff"}
_NUM_LOOKED_AT = 8_192  # first bytes that tell a text from other files
_MAX_CONTROL_FRACTION = 0.02


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
    """The text of a file's content; `name` tells its kind.

    Raises:
        ValueError: it cannot be read; one line says why.
    """
    suffix = Path(name).suffix.lower()
    if suffix in (".html", ".htm"):
        content = decode_text(content).encode(errors="replace")
    if suffix in READ_BY_CHILD:
        return await _read_by_child(content, suffix, settings, sandbox)
    if not is_text(content):
        raise ValueError(f"no reader for files of kind {suffix or 'without suffix'}; a Python program can open it")
    return decode_text(content)[: settings.text_characters]


def is_text(content: bytes) -> bool:
    """Whether bytes look like text of some charset: next to no control characters, or a mark of UTF-16 in front."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    start = content[:_NUM_LOOKED_AT]
    num_controls = sum(byte < 32 and byte not in b"\t\n\f\r\x1b" for byte in start)
    return 0 not in start and num_controls <= _MAX_CONTROL_FRACTION * len(start)


async def _read_by_child(content: bytes, suffix: str, settings: ReadingSettings, sandbox: SandboxSettings) -> str:
    """In the sandbox; where there is none in limits only, for the program is ours and only the document is not."""
    limits = replace(
        sandbox,
        seconds=settings.seconds,
        cpu_seconds=max(1, round(settings.seconds)),
        memory_bytes=settings.memory_bytes,
        output_bytes=4 * settings.text_characters + 16,
    )
    code = f"{_source()}\n\nstart('document', {suffix!r}, {settings.text_characters}, {settings.unpacked_bytes})\n"
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
    return (Path(__file__).parent / "file_reading_inside.py").read_text(encoding="utf-8")
