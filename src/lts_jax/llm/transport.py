"""One HTTP POST to a model endpoint: a bounded reply, or a typed problem. Redirects are not followed.

Two ways over the wire do the same. The direct one speaks HTTP/1.1 itself, at a small part of the CPU time of the
`openai` package, and never takes what came unasked for a reply. `httpx2`, which comes with that package, is for proxies
and for clients of the caller's. Deadlines are the caller's: both end at once when cancelled.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

from lts_jax.llm.chat import FailureKind
from lts_jax.llm.http_response import BadResponse, IsWhole, ResponseReader, unpack
from lts_jax.llm.proxy_and_certificates import has_proxy

_IDLE_SECONDS = 4.0  # servers close an idle connection after five seconds or more; a call on a closed one is lost
# On a connection that is used again, httpx2 takes a reply that nobody asked for as that to the next request.
_NO_REUSE = {"Connection": "close"}


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A response that arrived. The body of an error may be cut. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an attempt failed."""

    text: str
    may_retry: bool
    kind: FailureKind = FailureKind.CONNECTION
    status: int = 0
    retry_after_seconds: float = 0.0


class Transport(Protocol):
    """A way to POST to one endpoint. Belongs to the event loop it was made in."""

    async def post(self, headers: dict[str, str], body: bytes, is_whole: IsWhole | None = None) -> HttpReply | Problem:
        """Send a body and read the reply. Raises nothing but CancelledError."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def make_transport(url: str, *, is_local: bool, http_client: Any = None) -> Transport:
    """The transport for an endpoint, to be made inside the event loop that will use it.

    `http_client` is an `httpx2.AsyncClient` to use instead. A proxy of the environment is not for this machine.
    """
    if http_client is None and (is_local or not has_proxy(url)):
        return DirectTransport(url)
    return Httpx2Transport(url, is_local=is_local, http_client=http_client)


class DirectTransport:
    """POST over connections of its own, one call at a time on each; it opens as many as are needed at once."""

    def __init__(self, url: str) -> None:
        """Nothing is sent yet. `url` has been checked: http or https, with a host."""
        parts = urlsplit(url)
        is_https = parts.scheme == "https"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if is_https else 80)
        self._ssl = _ssl_context() if is_https else None
        self._request_line = f"POST {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        self._idle: list[_Line] = []  # the one used last comes last

    async def post(self, headers: dict[str, str], body: bytes, is_whole: IsWhole | None = None) -> HttpReply | Problem:
        """Send a body and read the reply. Raises nothing but CancelledError."""
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        sent = f"{self._request_line}{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        line = None
        try:
            line = self._take_idle() or await self._connect()
            reader = await line.ask(sent, is_whole)
        except (OSError, BadResponse, UnicodeError) as error:
            return _connection_problem(error)
        finally:
            if line is not None:
                self._put_back(line)
        return _reply(reader.status, reader.headers, bytes(reader.body), is_cut=reader.is_cut, limit=reader.limit)

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _take_idle(self) -> "_Line | None":
        oldest = asyncio.get_running_loop().time() - _IDLE_SECONDS
        while self._idle:
            line = self._idle.pop()
            if line.is_idle and line.idle_since >= oldest:
                return line
            line.close()
        return None

    def _put_back(self, line: "_Line") -> None:
        if line.is_idle:
            self._idle.append(line)
        else:
            line.close()

    async def _connect(self) -> "_Line":
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(
            lambda: _Line(loop), self._host, self._port, ssl=self._ssl, happy_eyeballs_delay=0.25
        )
        return line


class _Line(asyncio.Protocol):
    """One connection. Idle between calls; whatever arrives then ends it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._reader: ResponseReader | None = None
        self._answered: asyncio.Future[ResponseReader] | None = None
        self.is_idle = False
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    async def ask(self, request: bytes, is_whole: IsWhole | None) -> ResponseReader:
        """Send a request and wait for the response. A wait that is cancelled leaves a line that is not idle."""
        assert self._transport is not None
        self.is_idle = False
        self._reader = ResponseReader(is_whole)
        self._answered = self._loop.create_future()
        self._transport.write(request)
        return await self._answered

    def data_received(self, data: bytes) -> None:
        if self._reader is None or self._answered is None or self._answered.done():
            self.close()
            return
        try:
            self._reader.feed(data)
        except BadResponse as bad:
            self._end(bad)
            return
        if self._reader.is_done:
            self.is_idle, self.idle_since = self._reader.may_reuse, self._loop.time()
            self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_idle = False
        if self._reader is None or self._answered is None or self._answered.done():
            return
        try:
            if error is not None:
                raise error
            self._reader.feed_end()
        except (BadResponse, OSError) as problem:
            self._end(problem)
        else:
            self._end(None)

    def close(self) -> None:
        """End the connection at once."""
        self.is_idle = False
        if self._transport is not None:
            self._transport.abort()

    def _end(self, problem: Exception | None) -> None:
        answered, reader = self._answered, self._reader
        self._answered = self._reader = None
        if answered is None or reader is None or answered.done():
            return
        if problem is None:
            answered.set_result(reader)
        else:
            answered.set_exception(problem)


class Httpx2Transport:
    """POST through `httpx2`."""

    def __init__(self, url: str, *, is_local: bool, http_client: Any = None) -> None:
        """Nothing is sent yet. `http_client` is closed with the transport."""
        import httpx2

        self._url = url
        self._client = http_client or httpx2.AsyncClient(
            limits=httpx2.Limits(max_connections=None),
            verify=_ssl_context(),
            timeout=None,  # deadlines are the caller's
            trust_env=not is_local,
        )
        self._errors = (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError, ValueError, EOFError)

    async def post(self, headers: dict[str, str], body: bytes, is_whole: IsWhole | None = None) -> HttpReply | Problem:
        """Send a body and read the reply. Raises nothing but CancelledError."""
        response = None
        try:
            request = self._client.build_request("POST", self._url, content=body, headers=headers | _NO_REUSE)
            response = await self._client.send(request, stream=True, follow_redirects=False)
            return await _read(response, is_whole)
        except self._errors as error:
            return _connection_problem(error)
        finally:
            if response is not None:
                await response.aclose()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def _read(response: Any, is_whole: IsWhole | None) -> HttpReply | Problem:
    """The body of an `httpx2.Response` up to its limit."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    counting = ResponseReader()
    counting.status = response.status_code
    pieces = response.aiter_raw()
    if response.is_stream_consumed:  # a transport without a network may read, and unpack, by itself
        headers.pop("content-encoding", None)
        pieces = response.aiter_bytes()
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > counting.limit or (is_whole is not None and is_whole(body)):
            break
    is_cut = len(body) > counting.limit
    return _reply(response.status_code, headers, bytes(body), is_cut=is_cut, limit=counting.limit)


def _reply(status: int, headers: Mapping[str, str], body: bytes, *, is_cut: bool, limit: int) -> HttpReply | Problem:
    """What arrived, unpacked up to the limit if it came packed unasked."""
    is_success = 200 <= status < 300
    if not is_cut:
        try:
            body = unpack(body, headers.get("content-encoding", ""), limit)
        except BadResponse as error:
            return Problem(str(error), may_retry=not is_success, kind=FailureKind.UNREADABLE)
    if is_success and (is_cut or len(body) > limit):
        return Problem(f"the reply is larger than {limit} bytes", may_retry=False, kind=FailureKind.TOO_LARGE)
    return HttpReply(status, headers, body[:limit])


def _connection_problem(error: Exception) -> Problem:
    return Problem(f"connection: {type(error).__name__} {error}".rstrip(), may_retry=True)


@lru_cache(maxsize=1)
def _ssl_context() -> Any:
    """The system's trust store, as the openai package uses it. Loading it takes a hundredth of a second or more."""
    import httpx2

    return httpx2.create_ssl_context()
