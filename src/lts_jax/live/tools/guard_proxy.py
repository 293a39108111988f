"""A forward proxy on loopback that applies the rule of `fetch` to every connection of a browser.

A browser resolves names, follows redirects and opens connections by itself. Behind this proxy it cannot: each request
or tunnel names its host here, where it is resolved, checked and pinned. Bytes are counted, and cut off at a limit.
"""

import asyncio
import contextlib

from lts_jax.live.tools.addresses import Refused, Target, read_url
from lts_jax.live.tools.fetch import FetchSettings, Resolve, allowed_addresses, system_resolve
from lts_jax.live.tools.http_exchange import connect

_MAX_HEAD_BYTES = 64 * 2**10
_HEAD_SECONDS = 30.0
_PIECE_BYTES = 64 * 2**10
_MAX_CONNECTIONS = 256  # at once
_MAX_REFUSALS = 100  # kept
_OWN_HEADERS = {"host", "connection", "proxy-connection", "proxy-authorization", "keep-alive", "upgrade", "te"}


class GuardProxy:
    """A proxy for one page load. Use it as an async context manager."""

    def __init__(self, settings: FetchSettings, resolve: Resolve | None = None) -> None:
        """Not listening yet."""
        self._settings = settings
        self._resolve = resolve or system_resolve
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.refusals: list[str] = []
        self.num_bytes = 0  # that arrived from servers

    @property
    def url(self) -> str:
        """What the browser takes as its proxy."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def is_over_limit(self) -> bool:
        """Whether the page wanted more bytes than one load may have."""
        return self.num_bytes > self._settings.max_bytes

    async def __aenter__(self) -> "GuardProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_MAX_HEAD_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= _MAX_CONNECTIONS or self.is_over_limit:
            writer.transport.abort()
            return
        self._connections.add(task)
        with contextlib.suppress(OSError, EOFError, ValueError, asyncio.CancelledError):
            await self._pass_on(reader, writer)
        self._connections.discard(task)
        writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                target, is_tunnel = read_proxy_line(head.partition("\r\n")[0], self._settings.ports)
                far_reader, far_writer = await self._connect(target)
        except Refused as refused:
            self.refusals = [*self.refusals, str(refused)][:_MAX_REFUSALS]
            await _answer(writer, "403 Forbidden", str(refused))
            return
        except asyncio.LimitOverrunError:
            await _answer(writer, "431 Request Header Fields Too Large", "")
            return
        except OSError as error:
            await _answer(writer, "502 Bad Gateway", f"{type(error).__name__} {error}")
            return
        try:
            if is_tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                far_writer.write(direct_head(head, target).encode("latin-1"))
            await self._pipe_both(reader, writer, far_reader, far_writer)
        finally:
            far_writer.transport.abort()

    async def _connect(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        problem: OSError | None = None
        for address in await allowed_addresses(target, self._settings, self._resolve):
            try:
                return await connect(target, address, tls=None, seconds=self._settings.connect_seconds)
            except OSError as error:
                problem = error
        raise problem or OSError(f"no address for {target.host}")

    async def _pipe_both(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        sending = asyncio.create_task(_pipe(reader, far_writer))
        try:
            while data := await far_reader.read(_PIECE_BYTES):
                self.num_bytes += len(data)
                if self.is_over_limit:
                    return
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


def read_proxy_line(line: str, ports: tuple[int, ...]) -> tuple[Target, bool]:
    """Where the first line of a request to a proxy leads, and whether it asks for a tunnel.

    Raises:
        Refused: no such line, or a target that must not be asked.
    """
    parts = line.split(" ")
    if len(parts) != 3 or parts[2] not in {"HTTP/1.0", "HTTP/1.1"}:
        raise Refused(f"no request to a proxy: {line[:80]!r}")
    if parts[0] != "CONNECT":
        if not parts[1].lower().startswith("http://"):
            raise Refused(f"no request to a proxy: {line[:80]!r}")
        return read_url(parts[1], ports), False
    if any(each in parts[1] for each in "/?#"):
        raise Refused(f"no host and port: {parts[1][:80]!r}")
    return read_url(f"https://{parts[1]}/", ports), True


def direct_head(head: str, target: Target) -> str:
    """The head of a request to a proxy as one to the server itself, on a connection for this request alone."""
    method = head.partition(" ")[0]
    lines = [each for each in head[:-4].split("\r\n")[1:] if each.partition(":")[0].strip().lower() not in _OWN_HEADERS]
    first = [f"{method} {target.path} HTTP/1.1", f"Host: {target.authority}", "Connection: close"]
    return "\r\n".join([*first, *lines]) + "\r\n\r\n"


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_PIECE_BYTES):
        writer.write(data)
        await writer.drain()


async def _answer(writer: asyncio.StreamWriter, status: str, text: str) -> None:
    body = text.encode(errors="replace")
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode("latin-1") + body)
    await writer.drain()
