"""The process of an MCP server over stdio: messages in, messages out, within a cap; it never outlives us.

Not the transport of the `mcp` package, which reads a line of any length. A line that is no message is passed over, as
some servers print there what belongs into a log; of those there may be few.
"""

import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
from asyncio import get_running_loop, sleep
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from lts_jax.live.tools.child import kill_family, until_gone

_CHUNK = 1 << 16
_GRACE_SECONDS = 0.5  # between the end of a server's input and its own end
_ASK_SECONDS = 0.005
_MAX_MESSAGES = 1_000  # after one request: notifications, and its reply
_MAX_OTHER_LINES = 200
_TAIL_BYTES = 2_000
_ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")
_LAUNCH = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: the kernel ends it with us, however we end
    if os.getppid() != int(sys.argv[1]):
        os._exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def environment_of(names: Sequence[str]) -> dict[str, str]:
    """What a server sees of our environment: what every program needs, and what is named."""
    return {name: os.environ[name] for name in (*_ENVIRONMENT, *names) if name in os.environ}


class ServerProcess:
    """A running server.

    `problem` says why it was ended, if it was by us; `has_closed`, that it says no more; `tail` is the end of its
    standard error.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], max_bytes: int) -> None:
        """Start it, in the running event loop.

        Raises:
            OSError: the command is not there.
        """
        import anyio

        if shutil.which(command[0], path=environment.get("PATH")) is None:
            raise FileNotFoundError(f"there is no command {command[0]}")
        self.problem, self.has_closed = "", False
        self.tail = b""
        self._max_bytes, self._left, self._messages_left = max_bytes, max_bytes, _MAX_MESSAGES
        self._other_lines_left = _MAX_OTHER_LINES
        self._line, self._unsent = bytearray(), bytearray()
        self._loop = get_running_loop()
        self._sender, self.messages = anyio.create_memory_object_stream[Any](math.inf)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=dict(environment),
            start_new_session=True,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._in, self._out, self._err = self._process.stdin, self._process.stdout, self._process.stderr
        for pipe in (self._in, self._out, self._err):
            os.set_blocking(pipe.fileno(), False)
        self._loop.add_reader(self._out.fileno(), self._read)
        self._loop.add_reader(self._err.fileno(), self._read_errors)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Give it a line, as soon as it reads; what it may send begins anew."""
        self._left, self._messages_left = self._max_bytes, _MAX_MESSAGES
        self._unsent += line
        self._write()

    def _write(self) -> None:
        if self._in.closed:
            return
        try:
            del self._unsent[: os.write(self._in.fileno(), self._unsent[:_CHUNK])]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()  # it reads no more; that it has ended is seen by its output
        if self._unsent:
            self._loop.add_writer(self._in.fileno(), self._write)
        else:
            self._loop.remove_writer(self._in.fileno())

    def _read(self) -> None:
        chunk = _next(self._out.fileno())
        if chunk is None:
            return
        self._left -= len(chunk)
        if chunk == b"" or self._left < 0:
            self._over("" if chunk == b"" else f"it sent more than {self._max_bytes:,} bytes")
            return
        self._line += chunk
        if b"\n" not in chunk:
            return
        *lines, rest = bytes(self._line).split(b"\n")
        self._line = bytearray(rest)
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        import anyio
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        try:
            message = SessionMessage(jsonrpc_message_adapter.validate_json(_mended(line), by_name=False))
        except (ValueError, RecursionError):
            self._other_lines_left -= 1
            if self._other_lines_left < 0:
                self._over(f"it sent more than {_MAX_OTHER_LINES} lines that are no messages")
            return
        self._messages_left -= 1
        if self._messages_left < 0:
            self._over(f"it sent more than {_MAX_MESSAGES:,} messages")
            return
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._sender.send_nowait(message)

    def _read_errors(self) -> None:
        chunk = _next(self._err.fileno())
        if chunk == b"":
            self._loop.remove_reader(self._err.fileno())
        elif chunk:
            self.tail = (self.tail + chunk)[-_TAIL_BYTES:]

    def _over(self, problem: str) -> None:
        """Nothing is read any more, and whoever waits for a message learns it."""
        self.problem, self.has_closed = self.problem or problem, True
        self._loop.remove_reader(self._out.fileno())
        self._sender.close()

    async def stop(self, *, at_once: bool = False) -> None:
        """End it: by the end of its input, and with all that it has started by force, soon after or `at_once`."""
        try:
            if not self._in.closed:
                self._loop.remove_writer(self._in.fileno())
                self._in.close()
            ends = self._loop.time() + (0.0 if at_once or self.problem else _GRACE_SECONDS)
            while not self._has_ended() and self._loop.time() < ends:
                await sleep(_ASK_SECONDS)
        finally:
            family = kill_family(self._process.pid)
            self._process.wait()
            self._read_errors()
            self._over("")
            for pipe in (self._out, self._err):
                self._loop.remove_reader(pipe.fileno())
                pipe.close()
            self.messages.close()
        await until_gone(family[1:])

    def _has_ended(self) -> bool:
        """Not by asking for its status: its number stays its own until that is taken, and what it started is found."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


class _Sending:
    """What the `mcp` package writes to."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def send(self, item: Any) -> None:
        message = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        self._process.send(message.encode(errors="replace") + b"\n")

    async def aclose(self) -> None:
        return None

    async def __aenter__(self) -> "_Sending":
        return self

    async def __aexit__(self, *raised: object) -> None:
        return None


@asynccontextmanager
async def transport_of(process: ServerProcess) -> AsyncIterator[tuple[Any, Any]]:
    """The streams of a process, as the `mcp` package takes them."""
    yield process.messages, _Sending(process)


def _mended(line: bytes) -> bytes:
    """A line without halves of surrogate pairs, which some servers cut emoji into, and which the package refuses."""
    if b"\\ud" not in line and b"\\uD" not in line:
        return line
    return json.dumps(json.loads(line), ensure_ascii=False).encode(errors="replace")


def _next(descriptor: int) -> bytes | None:
    """What can be read now: nothing at the end, None where more may come."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None
    except OSError:
        return b""
