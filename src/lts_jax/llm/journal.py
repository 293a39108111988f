"""A JSON-lines file that many calls append to at once: durable, one write and one sync for all lines that wait.

A line is on the disk before `append` returns. While one batch is written and synced, in a thread, further lines gather;
they are the next batch. So the cost of a sync is shared by the calls in flight, and the event loop never waits for a
disk. One process at a time writes to a journal; within it, all writers of one file share one `Journal`.
"""

import asyncio
import fcntl
import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from lts_jax.errors import UserError
from lts_jax.storage import AppendedLines, line_of

_GATHER_SECONDS = 0.002  # between a sync and the next, so that a fast disk is not busy with a few lines at a time
_Line = tuple[bytes, asyncio.Future[None]]


class Journal:
    """An open journal; `open_journal` makes it. It is let go when nobody holds it any more, or the process ends."""

    def __init__(self, path: Path) -> None:
        """Take the lock, and cut off what a kill left of a last line. The file itself is made at the first line.

        Raises:
            UserError: another process writes to this journal.
        """
        self.path = path
        self._lock = _lock(path)
        self._file = AppendedLines(path)
        self._guard = threading.Lock()
        self._waiting: list[_Line] = []
        self._is_writing = False
        self._failure = ""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self.num_syncs = 0

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
        if hasattr(self, "_lock"):
            os.close(self._lock)

    async def append(self, record: Mapping[str, Any]) -> None:
        """Append one record; returns once it is durable. A caller that is cancelled meanwhile takes nothing back.

        Raises:
            UserError: the file cannot be written; what was durable before stays readable, and nothing is added.
        """
        await self.append_line(line_of(record))

    async def append_line(self, line: bytes) -> None:
        """`append` for a record that is a line already, its end included."""
        written = asyncio.get_running_loop().create_future()
        with self._guard:
            self._waiting.append((line, written))
            if not self._is_writing:
                self._is_writing = True
                self._thread.submit(self._write_waiting)
        await written

    async def flush(self) -> None:
        """See `wait`; the event loop goes on."""
        await asyncio.to_thread(self.wait)

    def wait(self) -> None:
        """Return once nothing waits to be written."""
        self._thread.submit(int).result()  # its one thread does this after the batches

    def _write_waiting(self) -> None:
        """In the thread: batch after batch, until nobody waits."""
        while True:
            with self._guard:
                batch, self._waiting = self._waiting, []
                self._is_writing = bool(batch)
            if not batch:
                return
            self._failure = self._failure or self._write(b"".join(line for line, _ in batch))
            for loop in {written.get_loop() for _, written in batch}:
                theirs = [written for _, written in batch if written.get_loop() is loop]
                with suppress(RuntimeError):  # the loop was closed; nobody waits there
                    loop.call_soon_threadsafe(settle, theirs, self._failure)
            time.sleep(_GATHER_SECONDS)

    def _write(self, content: bytes) -> str:
        """Make `content` durable; says what was wrong, or nothing."""
        try:
            self._file.append(content)
        except OSError as error:
            return f"{self.path}: cannot be written ({error.strerror or error})"
        self.num_syncs += 1
        return ""


def open_journal(path: Path | str) -> Journal:
    """The journal of a file, to append to. Within a process every caller gets the same one.

    Raises:
        UserError: another process writes to this journal.
    """
    whole = Path(path).absolute()
    with _OPENING:
        journal = _OPEN.get((os.getpid(), whole))
        if journal is None:
            journal = _OPEN[os.getpid(), whole] = Journal(whole)
    return journal


def wait_for_writes(path: Path | str) -> None:
    """Let this process finish what it is writing to a journal, if anything, so that reading it finds all of it."""
    journal = _OPEN.get((os.getpid(), Path(path).absolute()))
    if journal is not None:
        journal.wait()


_OPEN: WeakValueDictionary[tuple[int, Path], Journal] = WeakValueDictionary()  # by process: a fork is another writer
_OPENING = threading.Lock()


def settle(waiting: Sequence[asyncio.Future[None]], failure: str) -> None:
    """Tell who waits that it is done, or what was wrong; one that was cancelled is left alone."""
    for written in waiting:
        if written.done():  # its caller was cancelled
            continue
        if failure:
            written.set_exception(UserError(failure))
        else:
            written.set_result(None)


def _lock(path: Path) -> int:
    """Descriptor of the lock file beside a journal, locked until it is closed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise UserError(f"{path.parent}: another process records calls in this folder; let it end first") from None
    return lock
