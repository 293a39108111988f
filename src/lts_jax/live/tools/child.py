"""One child process with an end: a deadline, a cap on what it prints, and a watch over all the processes it starts."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Stopped = Literal["", "time", "output", "memory", "processes"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CHUNK = 1 << 16
_WATCH_SECONDS = 0.05
_ASK_SECONDS = 0.01
_DYING_SECONDS = 10.0  # on a busy machine; else it takes a moment
_LOOK_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What a child and all its descendants may take together."""

    seconds: float
    output_bytes: int
    memory_bytes: int
    num_processes: int


@dataclass(frozen=True, slots=True)
class Finished:
    """How a child ended. `status` is negative for a signal; `stopped` names the limit at which we ended it."""

    status: int
    output: bytes
    stopped: Stopped


async def run_child(
    command: Sequence[str],
    given: bytes,
    limits: ChildLimits,
    *,
    environment: Mapping[str, str],
    folder: str = "/",
    descriptors: Sequence[int] = (),
) -> Finished:
    """Run a command with `given` on its standard input; output and errors come back as one stream.

    The child leads a session of its own. However this ends, also by cancellation, all of it is killed first; a stray
    process that holds the output is not waited for.

    Raises:
        OSError: the command cannot be started.
    """
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        env=dict(environment),
        cwd=folder,
        start_new_session=True,
        pass_fds=tuple(descriptors),
    )
    child = _Child(process, given, limits, asyncio.get_running_loop())
    watching = asyncio.create_task(_watch(process.pid, limits))
    waiting: list[asyncio.Future[Stopped]] = [child.over, watching]
    try:
        child.start()
        await asyncio.wait(waiting, timeout=limits.seconds, return_when=asyncio.FIRST_COMPLETED)
        stopped: Stopped = next((each.result() for each in waiting if each.done()), "time")
    finally:
        watching.cancel()
        family = kill_family(process.pid)
        child.close()
        await until_gone(family[1:])
    full = len(child.output) > limits.output_bytes
    return Finished(
        process.returncode, bytes(child.output[: limits.output_bytes]), stopped or ("output" if full else "")
    )


class _Child:
    """The three ends that we hold of a child: what it reads, what it prints, and whether it lives.

    Not asyncio's own subprocess, which reports the end of a child only when all that hold its output have ended too.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], given: bytes, limits: ChildLimits, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.output = bytearray()
        self.over: asyncio.Future[Stopped] = loop.create_future()
        self._process, self._limits, self._loop = process, limits, loop
        self._given = memoryview(given)
        assert process.stdin is not None and process.stdout is not None
        self._input, self._output = process.stdin, process.stdout
        self._alive = -1

    def start(self) -> None:
        for pipe in (self._input, self._output):
            os.set_blocking(pipe.fileno(), False)
        self._loop.add_writer(self._input.fileno(), self._feed)
        self._loop.add_reader(self._output.fileno(), self._read)
        try:
            self._alive = os.pidfd_open(self._process.pid)  # a process that we have not waited for keeps its number
            self._loop.add_reader(self._alive, self._end, "")
        except (AttributeError, OSError):  # not Linux, or an old one
            self._ask_again()

    def _ask_again(self) -> None:
        if self._process.poll() is not None:
            self._end("")
        elif not self.over.done():
            self._loop.call_later(_ASK_SECONDS, self._ask_again)

    def close(self) -> None:
        """Take what was printed before the end, give the pipes back, and collect the status of the killed child."""
        self._end("")
        self._close_input()
        self._loop.remove_reader(self._output.fileno())
        while len(self.output) <= self._limits.output_bytes and (chunk := self._next()):
            self.output += chunk
        self._output.close()
        if self._alive >= 0:
            self._loop.remove_reader(self._alive)
            os.close(self._alive)
        self._process.wait()

    def _end(self, stopped: Stopped) -> None:
        if not self.over.done():
            self.over.set_result(stopped)

    def _feed(self) -> None:
        try:
            self._given = self._given[os.write(self._input.fileno(), self._given[:_CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:
            self._given = self._given[:0]
        if not self._given:
            self._close_input()

    def _close_input(self) -> None:
        if not self._input.closed:
            self._loop.remove_writer(self._input.fileno())
            self._input.close()

    def _read(self) -> None:
        chunk = self._next()
        self.output += chunk or b""
        if chunk == b"":
            self._loop.remove_reader(self._output.fileno())
        elif len(self.output) > self._limits.output_bytes:
            self._end("output")

    def _next(self) -> bytes | None:
        """What can be read now: nothing at the end, None when there may be more later."""
        try:
            return os.read(self._output.fileno(), _CHUNK)
        except BlockingIOError:
            return None


async def _watch(leader: int, limits: ChildLimits) -> Stopped:
    """Look at all descendants every 50 ms: limits of the kernel hold for one process each, these for all together."""
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        family = descendants(leader)
        if len(family) > limits.num_processes:
            return "processes"
        if sum(map(_own_bytes, family)) > limits.memory_bytes and _proportional_bytes(family) > limits.memory_bytes:
            return "memory"


def descendants(leader: int) -> list[int]:
    """A process and all that descend from it, by /proc. A process that goes while we look is left out."""
    family, queue = [], [leader]
    while queue:
        process = queue.pop()
        family.append(process)
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{process}/task"):
                queue += map(int, _text(f"/proc/{process}/task/{thread}/children").split())
    return family


def _own_bytes(process: int) -> int:
    """Resident bytes that are not of files: counts pages shared after a fork for each process anew."""
    fields = _text(f"/proc/{process}/statm").split()
    return (int(fields[1]) - int(fields[2])) * _PAGE if len(fields) > 2 else 0


def _proportional_bytes(family: Sequence[int]) -> int:
    """Resident bytes with shared pages divided among their owners; slower, so asked only when the quick sum is high."""
    total = 0
    for process in family:
        lines = _text(f"/proc/{process}/smaps_rollup").splitlines()
        shares = [int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")]
        total += shares[0] if shares else _own_bytes(process)
    return total


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def kill_family(leader: int) -> list[int]:
    """Kill the group, and descendants that left it; returns the leader and all descendants that it had."""
    family = descendants(leader)
    with contextlib.suppress(OSError):
        os.killpg(leader, signal.SIGKILL)
    for process in family[1:]:
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)
    return family


async def until_gone(processes: Sequence[int], *, but_first: bool = False) -> None:
    """Wait until killed processes and all that descend from them are dead, which takes a moment; at most ten seconds.

    Args:
        processes: of a tree that nobody joins any more.
        but_first: these themselves may still be ending; the kernel keeps the first process of a namespace for
            milliseconds while it dissolves it.
    """
    ends = asyncio.get_running_loop().time() + _DYING_SECONDS
    while asyncio.get_running_loop().time() < ends:
        families = [descendants(process)[but_first:] for process in processes]
        if not any(_is_alive(process) for family in families for process in family):
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _is_alive(process: int) -> bool:
    after_name = _text(f"/proc/{process}/stat").rpartition(") ")[2]
    return after_name[:1] not in ("", "Z", "X")
