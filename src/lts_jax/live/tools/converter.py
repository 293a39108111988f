"""HTML to text in processes of their own: a page that hangs or bursts costs its deadline and no more.

`markitdown` does the conversion. Its import takes a second and a bad page can take minutes, so a few processes stay and
are killed when one is over its time; the next page gets a new one. They know no key and write no file.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from lts_jax.live.tools.page_text import Form, PageText
from lts_jax.plain import from_plain

_MAX_REPLY_BYTES = 64 * 2**20
_START_SECONDS = 120.0  # it imports much; a busy machine takes long
MISSING = "pages cannot be read: markitdown is not installed; pip install 'lts-jax[web]' brings it"


@dataclass(frozen=True, slots=True)
class ConverterSettings:
    """Limits of a conversion. All values are ours."""

    seconds: float = 15.0  # for one document
    max_bytes: int = 10 * 2**20  # of a document
    max_characters: int = 500_000  # of text that is kept
    memory_bytes: int = 4 * 2**30  # address space of a process, libraries included
    num_processes: int = 2

    def __post_init__(self) -> None:
        if min(self.seconds, self.max_bytes, self.max_characters, self.num_processes) <= 0:
            raise ValueError("converter limits: expected numbers above 0")
        if self.memory_bytes < 2**30:
            raise ValueError(f"memory_bytes: expected 1 GiB or more, got {self.memory_bytes}")


class Converter:
    """A few converting processes, started when first needed. They belong to the event loop that asks."""

    def __init__(self, settings: ConverterSettings | None = None) -> None:
        """Nothing is started yet."""
        self._settings = settings or ConverterSettings()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places = asyncio.Semaphore(self._settings.num_processes)
        self._idle: list[asyncio.subprocess.Process] = []

    async def convert(self, body: bytes, *, url: str, charset: str = "") -> PageText | str:
        """The page found at `url` as text, or one line that says why there is none. Never raises but to cancel."""
        if find_spec("markitdown") is None:
            return MISSING
        if len(body) > self._settings.max_bytes:
            return f"the document is larger than {self._settings.max_bytes} bytes"
        asked: dict[str, Any] = {"url": url, "charset": charset, "num_bytes": len(body)}
        asked["max_characters"] = self._settings.max_characters
        async with self._place():
            answer = await self._answer(asked, body)
        if "problem" in answer:
            return str(answer["problem"])
        forms = tuple(from_plain(Form, each) for each in answer["forms"])
        return PageText(url, answer["title"], answer["text"], tuple(answer["links"]), forms, "text/html")

    async def aclose(self) -> None:
        """End the processes."""
        while self._idle:
            await _kill(self._idle.pop())

    def _place(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # the processes of another loop cannot be talked to from this one
            self._loop, self._places = loop, asyncio.Semaphore(self._settings.num_processes)
            for process in self._idle:
                with contextlib.suppress(OSError):
                    os.kill(process.pid, signal.SIGKILL)
            self._idle = []
        return self._places

    async def _answer(self, asked: dict[str, Any], body: bytes) -> dict[str, Any]:
        process = None
        try:
            process = self._idle.pop() if self._idle else await _start(self._settings)
            async with asyncio.timeout(self._settings.seconds):
                answer = await _exchange(process, asked, body)
            self._idle.append(process)
            process = None
        except TimeoutError:
            return {"problem": f"the document took more than {self._settings.seconds:g} seconds to read"}
        except (OSError, EOFError, ValueError):
            return {"problem": "the document cannot be read: it ended the process that read it"}
        finally:
            if process is not None:
                await _kill(process)
        return answer


async def _start(settings: ConverterSettings) -> asyncio.subprocess.Process:
    code = f"from lts_jax.live.tools.convert_inside import main; main({settings.memory_bytes})"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", code,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": os.defpath, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        cwd="/", start_new_session=True, limit=_MAX_REPLY_BYTES,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_START_SECONDS):
            await _exchange(process, {"url": "", "charset": "", "num_bytes": 0, "max_characters": 1})
    except BaseException:
        await _kill(process)
        raise
    return process


async def _exchange(process: asyncio.subprocess.Process, asked: dict[str, Any], body: bytes = b"") -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(asked).encode() + b"\n" + body)
    await process.stdin.drain()
    num_bytes = json.loads(await process.stdout.readuntil(b"\n"))["num_bytes"]
    if num_bytes > _MAX_REPLY_BYTES:
        raise ValueError(f"a reply of {num_bytes} bytes")
    answer: dict[str, Any] = json.loads(await process.stdout.readexactly(num_bytes))
    return answer


async def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
