"""Programs of a team, run within walls and limits, or not at all.

The walls: no network, the system read-only, the host's other files, environment and processes out of sight, a user of
its own without rights, a list of system calls gone. Bubblewrap builds them. The limits hold without walls too.
"""

import asyncio
import contextlib
import marshal
import os
import platform
import re
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from lts_jax.live.tools.child import ChildLimits, Finished, run_child, until_gone
from lts_jax.live.tools.sandbox_bwrap import Bwrap, bwrap_arguments
from lts_jax.live.tools.sandbox_inputs import copy_inputs, inputs_of, readable_inputs
from lts_jax.live.tools.sandbox_settings import (
    UNSANDBOXED,
    WORK_FOLDER,
    SandboxSettings,
    interpreter,
    view_of,
)
from lts_jax.live.tools.seccomp import filter_program
from lts_jax.records import ToolResult

__all__ = ["UNSANDBOXED", "Ran", "SandboxSettings", "run_program", "run_python", "sandbox_problem"]

# Compiled here once: reading and compiling it anew would take the child longer than all walls together.
_BOOT = """import sys,marshal
code=marshal.loads(sys.stdin.buffer.read(int(sys.argv[1])))
inside={}
exec(code if type(code)!=str else compile(code,'sandbox_inside','exec'),inside)
inside['start'](sys.argv[2:])"""
_FIRST_USER, _NUM_USERS = 1_900_000_000, 100_000_000
_OWN_PROCESSES = 4  # bubblewrap's and process 1, beside the program's
_SIGNAL = 128


@dataclass(frozen=True, slots=True)
class Ran:
    """One run. `engine` is bwrap or none, or "" if nothing was run; then `problem` says why, else what went wrong."""

    engine: str
    output: str
    problem: str
    status: int = 0


async def run_python(code: str, settings: SandboxSettings, work_folder: Path | None = None) -> ToolResult:
    """Run a Python program and return what it printed, errors included, as one text.

    The program starts in an empty folder with the files of `work_folder` in it, read-only; what it writes is gone
    afterwards. Failed: refused, stopped at a limit, ended with an error, or printed nothing. Never raises but for
    cancellation, which kills the program.
    """
    started = time.monotonic()
    ran = await run_program(code, settings, work_folder)
    problem = ran.problem or ("" if ran.output.strip() else "The program printed nothing.")
    text = "\n".join(filter(None, (ran.output.rstrip("\n"), problem)))
    failed = bool(problem) or ran.status != 0
    return ToolResult(text, failed, "run_python", time.monotonic() - started, "")


async def run_program(code: str, settings: SandboxSettings, work_folder: Path | None = None) -> Ran:
    """Run a Python program within bubblewrap's walls; where they cannot stand, refuse."""
    try:
        given = code.encode()
    except UnicodeEncodeError as error:
        return Ran("", "", f"The code was not run: it is no valid text ({error.reason}).")
    places = _places(asyncio.get_running_loop(), settings.num_at_once or 2 * (os.cpu_count() or 1))
    try:
        async with places:
            with contextlib.ExitStack() as stack:
                ran = await _run_in(given, settings, work_folder, stack)
    except (OSError, ValueError) as error:
        ran = Ran("", "", " ".join(str(error).split())[:200])
    return ran if ran.engine else replace(ran, problem=f"The code was not run: no sandbox works here ({ran.problem}).")


@lru_cache(maxsize=4)
def sandbox_problem(settings: SandboxSettings) -> str:
    """Why no program will run with these settings, in one line, by trying one; "" if they will. Asked once."""
    with ThreadPoolExecutor(1) as pool:  # the caller may be inside an event loop
        return pool.submit(asyncio.run, run_program("print(1)", settings)).result().problem


@lru_cache(maxsize=4)
def _places(loop: asyncio.AbstractEventLoop, num_at_once: int) -> asyncio.Semaphore:
    """One for all programs of a loop: a thousand teams are not to start a thousand interpreters."""
    return asyncio.Semaphore(num_at_once)


async def _run_in(
    given: bytes, settings: SandboxSettings, work_folder: Path | None, stack: contextlib.ExitStack
) -> Ran:
    """What came of it; `engine` is "" if the program was not reached."""
    ready, say_ready = _pipe(stack)
    descriptors, told = [say_ready], -1
    folder, work, boot = "/", WORK_FOLDER, _boot(compiled=not settings.python)
    if settings.run_unsandboxed:
        folder = work = stack.enter_context(tempfile.TemporaryDirectory(prefix="program-", ignore_cleanup_errors=True))
        await asyncio.to_thread(copy_inputs, inputs_of(work_folder, settings.num_inputs), folder)
        command = _interpreter_line(settings, boot, _numbers(settings, 0, say_ready, counted=False))
    else:
        user = _FIRST_USER + secrets.randbelow(_NUM_USERS) if os.geteuid() == 0 else 0
        view = view_of(interpreter(settings), work_folder, settings.num_inputs)
        if user:
            view = replace(view, inputs=await asyncio.to_thread(readable_inputs, view.inputs, stack))
        told, tell = _pipe(stack)
        descriptors += [_filter_pipe(stack), tell]
        command = bwrap_arguments(
            Bwrap(_find_bwrap(settings.bwrap), bool(user), filter_descriptor=descriptors[1], info_descriptor=tell),
            settings,
            view,
            _interpreter_line(settings, boot, _numbers(settings, user, say_ready)),
        )
    limits = ChildLimits(
        settings.seconds, settings.output_bytes, settings.memory_bytes, settings.num_processes + _OWN_PROCESSES
    )
    ended = await run_child(
        command, boot + given, limits, environment=_environment(work), folder=folder, descriptors=descriptors
    )
    if told >= 0:  # bubblewrap ends as soon as the program does, and what the program left dies a moment later
        await until_gone([int(number) for number in re.findall(rb'"child-pid": (\d+)', _read(told))], but_first=True)
    if _read(ready) != b"ready":
        return Ran("", "", _why_not(ended))
    return _ran("none" if settings.run_unsandboxed else "bwrap", ended, settings)


def _ran(engine: str, ended: Finished, settings: SandboxSettings) -> Ran:
    """Output and what to say of the end. 128 and more is a signal's number, as walls hand it on."""
    number = -ended.status if ended.status < 0 else ended.status - _SIGNAL
    lines = {
        "time": f"[stopped: it ran longer than {settings.seconds:g} s]",
        "output": f"[stopped: it printed more than {settings.output_bytes} bytes]",
        "memory": f"[stopped: it used more than {settings.memory_bytes >> 20} MiB of memory]",
        "processes": f"[stopped: it started more than {settings.num_processes} processes]",
    }
    problem = lines.get(ended.stopped, "")
    if not problem and number == signal.SIGXCPU:
        problem = f"[stopped: it used more than {settings.cpu_seconds} s of processor time]"
    elif not problem and 0 < number < signal.NSIG:
        problem = f"[ended by signal {number}: {signal.strsignal(number) or 'unknown'}]"
    return Ran(engine, ended.output.decode(errors="replace"), problem, ended.status)


def _why_not(ended: Finished) -> str:
    said = " ".join(ended.output.decode(errors="replace").split())
    return said[-200:] or (f"stopped by its limit of {ended.stopped}" if ended.stopped else f"status {ended.status}")


def _interpreter_line(settings: SandboxSettings, boot: bytes, arguments: Sequence[str]) -> list[str]:
    # -I: no variables, no user folder; -B: nothing to write; -u: what was printed before a stop is not lost.
    return [interpreter(settings), "-I", "-B", "-u", "-X", "utf8", "-c", _BOOT, str(len(boot)), *arguments]


def _numbers(settings: SandboxSettings, user: int, ready: int, *, counted: bool = True) -> list[str]:
    """The arguments of sandbox_inside. Without walls the kernel would count all processes of our own user."""
    num_processes = settings.num_processes + _OWN_PROCESSES if counted else 1 << 20
    limits = (settings.cpu_seconds, settings.memory_bytes, settings.file_bytes, num_processes, settings.num_files)
    return [str(number) for number in (*limits, user, ready)]


def _environment(work_folder: str) -> dict[str, str]:
    """All that a program sees of an environment. One thread for number libraries: their pools count as processes."""
    temporary = "/tmp" if work_folder == WORK_FOLDER else work_folder
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    return {"PATH": "/usr/bin:/bin", "HOME": work_folder, "TMPDIR": temporary, "LANG": "C.UTF-8", **threads}


def _find_bwrap(bwrap: str) -> str:
    path = shutil.which(bwrap)
    if path is None:
        raise ValueError(f"{bwrap} is not installed; for example: apt install bubblewrap")
    return path


def _filter_pipe(stack: contextlib.ExitStack) -> int:
    """A descriptor from which bubblewrap reads the filter, which is shorter than a pipe holds."""
    end, start = os.pipe()
    stack.callback(os.close, end)
    try:
        os.write(start, _filter())
    finally:
        os.close(start)
    return end


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    """Two ends; reading does not wait."""
    end, start = os.pipe()
    stack.callback(os.close, end)
    stack.callback(os.close, start)
    os.set_blocking(end, False)
    return end, start


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4_096)
    except BlockingIOError:
        return b""


@lru_cache(maxsize=1)
def _filter() -> bytes:
    return filter_program(platform.machine())


@lru_cache(maxsize=2)
def _boot(*, compiled: bool) -> bytes:
    """What runs in the child ahead of the program: a code object, or its text for another interpreter."""
    name = "sandbox_inside"
    text = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    return marshal.dumps(compile(text, name, "exec") if compiled else text, 4)
