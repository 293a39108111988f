"""The fault endpoint: a server on this machine that serves every kind of fault by name, and records every call.

The first part of the path names the kind: http://127.0.0.1:PORT/drip/v1 drips. `any` draws a kind for each call from
the endpoint's seed and the call's number. GET /served answers with the record of all calls.
"""

import asyncio
import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from urllib.request import urlopen

from faults.lines import KEEP_ALIVE, LINES, response
from faults.replies import BODIES, STREAMS, good_body
from lts_jax.seeds import uniform

KINDS: tuple[str, ...] = (*BODIES, *STREAMS, *LINES, "redirect_to_other_port")
"""Every kind by name; `ok` is the well-behaved one."""


@dataclass(frozen=True, slots=True)
class ServedCall:
    """One call that reached the endpoint. Seconds are of the system's monotonic clock."""

    number: int
    kind: str
    body: str
    seconds: float  # when the whole request had been read
    authorization: str


class FaultEndpoint:
    """The server, inside an event loop of the caller's. `fault_endpoint` runs one in a process of its own."""

    def __init__(self, *, seed: int = 0, kinds: tuple[str, ...] = KINDS, delay_seconds: float = 0.0) -> None:
        """`kinds` are those that `any` draws from; `delay_seconds` pass before each answer.

        Raises:
            ValueError: an unknown kind.
        """
        unknown = sorted(set(kinds) - set(KINDS))
        if unknown or not kinds:
            raise ValueError(f"kinds: expected some of {', '.join(KINDS)}, got {unknown}")
        self._seed = seed
        self._kinds = kinds
        self._delay_seconds = delay_seconds
        self.served: list[ServedCall] = []
        self.num_redirected = 0  # requests that followed a redirect to the other port
        self._servers: list[asyncio.Server] = []
        self._ports = (0, 0)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._ports[0]

    async def start(self) -> None:
        """Listen on two free ports of 127.0.0.1; to the second, no client should ever come."""
        first = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096)
        second = await asyncio.start_server(self._serve_redirected, "127.0.0.1", 0)
        self._servers = [first, second]
        self._ports = (first.sockets[0].getsockname()[1], second.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._serve_request(reader, writer):
                pass
        except (OSError, EOFError):
            pass  # the client went away
        finally:
            writer.close()

    async def _serve_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; whether the connection goes on."""
        target, headers, body = await _read_request(reader)
        kind = target.split("/")[1]
        if kind == "served":
            writer.write(response(self._report()))
            await writer.drain()
            return False
        number = len(self.served)
        if kind == "any":
            kind = self._kinds[int(uniform("fault", self._seed, number) * len(self._kinds))]
        said = body.decode("utf-8", "replace")
        self.served.append(ServedCall(number, kind, said, time.monotonic(), headers.get("authorization", "")))
        if self._delay_seconds:
            await asyncio.sleep(self._delay_seconds)
        return await self._answer(kind, _parse(body), writer)

    async def _answer(self, kind: str, asked: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        if kind in LINES:
            await LINES[kind](writer, good_body(asked))
            return kind in KEEP_ALIVE
        if kind == "redirect_to_other_port":
            location = f"Location: http://127.0.0.1:{self._ports[1]}/v1/chat/completions\r\n"
            writer.write(response(b"", "307 Temporary Redirect", location))
        elif kind in BODIES or kind in STREAMS:
            make = BODIES.get(kind) or (STREAMS[kind] if asked.get("stream") else good_body)
            body = make(asked)
            content_type = "text/event-stream" if body.startswith((b"data:", b"event:", b":")) else "application/json"
            writer.write(response(body, kind=content_type))
        else:
            writer.write(response(b"no such kind of fault", "404 Not Found"))
        await writer.drain()
        return True

    async def _serve_redirected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_redirected += 1
        writer.close()

    def _report(self) -> bytes:
        calls = [asdict(call) for call in self.served]
        return json.dumps({"served": calls, "num_redirected": self.num_redirected}).encode()


@dataclass(frozen=True, slots=True)
class RunningEndpoint:
    """A fault endpoint in another process."""

    port: int

    def base_url(self, kind: str = "any") -> str:
        """What a client takes as its base URL."""
        return f"http://127.0.0.1:{self.port}/{kind}/v1"

    def served(self) -> list[ServedCall]:
        """Every call that reached it so far, in order."""
        return [ServedCall(**call) for call in self._report()["served"]]

    def num_redirected(self) -> int:
        """Connections that followed its redirect to another port."""
        return int(self._report()["num_redirected"])

    def _report(self) -> dict[str, Any]:
        with urlopen(f"http://127.0.0.1:{self.port}/served", timeout=30.0) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def fault_endpoint(
    *, seed: int = 0, kinds: tuple[str, ...] = KINDS, delay_seconds: float = 0.0
) -> Iterator[RunningEndpoint]:
    """Run a fault endpoint in a process of its own, so that what it sends costs the caller's loop nothing."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, seed, kinds, delay_seconds), daemon=True)
    process.start()
    try:
        if not ours.poll(60.0):
            raise RuntimeError("the fault endpoint did not start within 60 seconds")
        yield RunningEndpoint(ours.recv())
    finally:
        process.terminate()
        process.join()


def _run(pipe: Any, seed: int, kinds: tuple[str, ...], delay_seconds: float) -> None:
    async def serve() -> None:
        endpoint = FaultEndpoint(seed=seed, kinds=kinds, delay_seconds=delay_seconds)
        await endpoint.start()
        pipe.send(endpoint.port)
        await asyncio.get_running_loop().create_future()

    asyncio.run(serve())


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    """Target, headers (lower case) and body of a request."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return first.split(" ")[1], headers, body


def _parse(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
