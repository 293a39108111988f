"""One child process with an end: a deadline, a cap on what it prints, and a watch over all the processes it starts."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Stopped = Literal["", "time", "output", "memory", "processes"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CHUNK = 1 << 16
_WATCH_SECONDS = 0.05
_DRAIN_SECONDS = 1.0


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

    The child leads a session of its own. However this ends, also by cancellation, the whole group is killed first.

    Raises:
        OSError: the command cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(environment),
        cwd=folder,
        start_new_session=True,
        pass_fds=tuple(descriptors),
    )
    output = bytearray()
    feeding = asyncio.create_task(_feed(process, given))
    reading = asyncio.create_task(_read(process, output, limits.output_bytes))
    watching = asyncio.create_task(_watch(process.pid, limits))
    waiting = asyncio.create_task(process.wait())
    stopped: Stopped = ""
    try:
        stopped = await _until_stopped(waiting, reading, watching, limits.seconds)
    finally:
        _kill_all(process.pid)
        watching.cancel()
        feeding.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(waiting, reading, return_exceptions=True), _DRAIN_SECONDS)
        reading.cancel()
        process._transport.close()  # type: ignore[attr-defined]  # a pipe that a stray process holds is not waited for
    full = len(output) > limits.output_bytes
    status = process.returncode if process.returncode is not None else -signal.SIGKILL
    return Finished(status, bytes(output[: limits.output_bytes]), stopped or ("output" if full else ""))


async def _until_stopped(
    waiting: asyncio.Task[int], reading: asyncio.Task[bool], watching: asyncio.Task[Stopped], seconds: float
) -> Stopped:
    """ "" when the child ended of itself, else the limit that was reached first."""
    ends = asyncio.get_running_loop().time() + seconds
    pending: set[asyncio.Task[int] | asyncio.Task[bool] | asyncio.Task[Stopped]] = {waiting, reading, watching}
    while True:
        left = ends - asyncio.get_running_loop().time()
        done, pending = await asyncio.wait(pending, timeout=max(left, 0.0), return_when=asyncio.FIRST_COMPLETED)
        if waiting in done:
            return ""
        if watching in done and not watching.cancelled() and watching.result():
            return watching.result()
        if reading in done and reading.result():
            return "output"
        if not done:
            return "time"


async def _feed(process: asyncio.subprocess.Process, given: bytes) -> None:
    pipe = process.stdin
    if pipe is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(given)
        await pipe.drain()
    pipe.close()


async def _read(process: asyncio.subprocess.Process, output: bytearray, max_bytes: int) -> bool:
    """Read to the end; True as soon as there is more than allowed."""
    while process.stdout is not None and (chunk := await process.stdout.read(_CHUNK)):
        output += chunk
        if len(output) > max_bytes:
            return True
    return False


async def _watch(leader: int, limits: ChildLimits) -> Stopped:
    """Look at all descendants every 50 ms: limits of the kernel hold for one process each, these for all together."""
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        family = descendants(leader)
        if len(family) > limits.num_processes:
            return "processes"
        if sum(map(_own_bytes, family)) > limits.memory_bytes and _shared_out(family) > limits.memory_bytes:
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


def _shared_out(family: Sequence[int]) -> int:
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


def _kill_all(leader: int) -> None:
    """The group, and descendants that left it."""
    family = descendants(leader)
    with contextlib.suppress(OSError):
        os.killpg(leader, signal.SIGKILL)
    for process in family[1:]:
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)
