"""Storing beside collecting: a thread that writes what it is given, so that nobody who collects waits for a disk.

A file is there whole or not at all, and durable before anything that it replaces is taken away. What a kill finds not
yet written is lost as a rollout in flight is: its finished calls are recorded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from lts_jax.storage import write_together

MOST_WAITING = 64  # files; whoever brings one more waits
MOST_TOGETHER = 16  # files that are written before their folders are synced, once for all


@dataclass(frozen=True, slots=True)
class Writing:
    """One file that is to be written. `content` is called in the thread; `then`, once the file is durable."""

    path: Path
    content: Callable[[], bytes]
    replaces: tuple[Path, ...] = ()  # files that need not be written any more, if they are not yet
    then: Callable[[], None] = lambda: None


class Writer:
    """Writes files in the order in which they are given."""

    def __init__(self) -> None:
        self._waiting: Queue[Writing | None] = Queue(MOST_WAITING)
        self._thread: Thread | None = None
        self._failure: BaseException | None = None

    def put(self, writing: Writing) -> None:
        """Have a file written. Raises what writing an earlier one has raised; nothing more is written then."""
        if self._failure is not None:
            raise self._failure
        if self._thread is None:
            self._thread = Thread(target=self._write, name="storing rollouts", daemon=True)
            self._thread.start()
        self._waiting.put(writing)

    def close(self) -> None:
        """Wait until all is written. Raises what writing has raised."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _write(self) -> None:
        has_more = True
        while has_more:
            taken = [self._waiting.get()]
            while len(taken) < MOST_TOGETHER and taken[-1] is not None:
                try:
                    taken.append(self._waiting.get_nowait())
                except Empty:
                    break
            has_more = taken[-1] is not None
            if self._failure is not None:
                continue  # so that nobody waits for room
            try:
                _write([one for one in taken if one is not None])
            except BaseException as error:
                self._failure = error


def _write(writings: list[Writing]) -> None:
    replaced = {path for one in writings for path in one.replaces}
    write_together([(one.path, one.content()) for one in writings if one.path not in replaced])
    for one in writings:
        one.then()
