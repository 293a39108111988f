"""Journals of workers that do not see the run folder: their lines go to a keeper beside the driver, which writes them.

A worker looks for a mark that the driver has left in the folder. Who finds it writes there; who does not sends each
line, and uses a reply only once the keeper has answered that the line is durable. The driver then finds every journal
where it would have been.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from lts_jax.errors import UserError, describe
from lts_jax.llm.journal import Journal, open_journal, settle
from lts_jax.llm.recorded import LineWriter
from lts_jax.storage import line_of, write_text


class Keeper(Protocol):
    """Writes lines for others. It travels: whoever gets it can send."""

    async def append(self, journal: str, lines: tuple[bytes, ...]) -> str:
        """Make the lines of a journal durable, in order; says what was wrong, or nothing.

        Raises:
            UserError: the keeper is gone.
        """
        ...


class LineKeeper:
    """A `Keeper` in the process that sees the folder."""

    def __init__(self, folder: str) -> None:
        """`folder` takes the journals; nothing is written before the first line."""
        self._folder = Path(folder)
        self._journals: dict[str, Journal] = {}

    async def append(self, journal: str, lines: tuple[bytes, ...]) -> str:
        """See `Keeper`."""
        try:
            if journal not in self._journals:
                self._journals[journal] = open_journal(self._folder / journal)
            await asyncio.gather(*(self._journals[journal].append_line(line) for line in lines))
        except UserError as error:
            return str(error)
        except OSError as error:
            return f"{self._folder}: cannot be written ({error.strerror or error})"
        return ""


class FarJournal:
    """A journal whose lines a keeper writes: one message at a time, with all lines that wait.

    Every call is made on the event loop of the first one.
    """

    def __init__(self, keeper: Keeper, name: str) -> None:
        """`name` is that of the file."""
        self._keeper, self._name = keeper, name
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def append(self, record: Mapping[str, Any]) -> None:
        """Append one record; returns once the keeper has made it durable.

        Raises:
            UserError: the keeper cannot write it, or is gone.
        """
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((line_of(record), written))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_waiting())
        await written

    async def flush(self) -> None:
        """Return once the keeper has answered for all lines."""
        while self._sending is not None and not self._sending.done():
            await asyncio.wait([self._sending])

    async def _send_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                failure = await self._keeper.append(self._name, tuple(line for line, _ in batch))
            except Exception as error:  # whatever it is, nobody may wait for ever
                failure = str(error) if isinstance(error, UserError) else describe(error)
            settle([written for _, written in batch], failure)


def leave_mark(folder: Path) -> Path:
    """Leave a file in a folder by which a worker knows that it sees the same one."""
    mark = folder / f".seen-{uuid4().hex}"
    write_text(mark, "")
    return mark


def journal_writer(folder: str, name: str, mark: str, keeper: Keeper | None) -> LineWriter:
    """What takes a worker's lines: the file itself where the folder is the driver's, or else the keeper.

    Raises:
        UserError: another process writes to this journal.
    """
    if keeper is None or (mark and (Path(folder) / mark).exists()):
        return open_journal(Path(folder) / name)
    return FarJournal(keeper, name)
