"""One HTTP POST to a model endpoint: a bounded reply, or a typed problem. Redirects are not followed.

Two ways over the wire do the same. `aiohttp` is the faster one and is taken where it is installed; `httpx2` comes with
the `openai` package, and takes a client of the caller's. Deadlines are the caller's: both end at once when cancelled.
"""

import asyncio
import io
import os
import urllib.request
import weakref
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol
from urllib.parse import urlsplit

from lts_jax.llm.chat import FailureKind

MAX_REPLY_BYTES = 8 * 2**20
MAX_ERROR_BYTES = 64 * 2**10
_IDLE_SECONDS = 4.0  # servers close an idle connection after five seconds or more; a call on a closed one is lost
_LARGE_REQUEST_BYTES = 2**20
# On a connection that is used again, httpx2 takes a reply that nobody asked for as that to the next request.
_NO_REUSE = {"Connection": "close"}


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A response that arrived. The body of an error is cut after `MAX_ERROR_BYTES`. Header names are lower case."""

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


IsWhole = Callable[[bytearray], bool]
"""Whether a body that is still being read says by itself that it is at its end."""


class Transport(Protocol):
    """A way to POST to one endpoint. Belongs to the event loop it was made in."""

    async def post(self, headers: dict[str, str], body: bytes, is_whole: IsWhole | None = None) -> HttpReply | Problem:
        """Send a body and read the reply. Raises nothing but CancelledError."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def import_transport() -> None:
    """Import what a transport needs: a few tenths of a second that belong before the first call's deadline."""
    import_module("aiohttp" if find_spec("aiohttp") else "httpx2")


def make_transport(url: str, max_in_flight: int, *, is_local: bool, http_client: Any = None) -> Transport:
    """The transport for an endpoint, to be made inside the event loop that will use it.

    `http_client` is an `httpx2.AsyncClient` to use instead. A proxy of the environment is not for this machine.
    """
    if http_client is None and find_spec("aiohttp"):
        return AiohttpTransport(url, max_in_flight, is_local=is_local)
    return Httpx2Transport(url, max_in_flight, is_local=is_local, http_client=http_client)


class AiohttpTransport:
    """POST through `aiohttp`."""

    def __init__(self, url: str, max_in_flight: int, *, is_local: bool) -> None:
        """Nothing is sent yet."""
        import aiohttp
        import yarl

        self._url = yarl.URL(url, encoded=True)
        self._proxy = None if is_local else _environment_proxy(url)
        ssl: Any = _ssl_context() if url.startswith("https:") else True
        connector = aiohttp.TCPConnector(limit=max_in_flight, keepalive_timeout=_IDLE_SECONDS, ssl=ssl)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,
        )
        self._errors = (aiohttp.ClientError, OSError, ValueError, EOFError)
        self._finalizer = weakref.finalize(self, _drop, self._session, asyncio.get_running_loop())

    async def post(self, headers: dict[str, str], body: bytes, is_whole: IsWhole | None = None) -> HttpReply | Problem:
        """Send a body and read the reply. Raises nothing but CancelledError."""
        sent: Any = io.BytesIO(body) if len(body) > _LARGE_REQUEST_BYTES else body
        response = None
        try:
            response = await self._session.post(
                self._url, data=sent, headers=headers, allow_redirects=False, proxy=self._proxy
            )
            found = {name.lower(): value for name, value in response.headers.items()}
            return await _read(response.status, found, response.content.iter_any(), is_whole)
        except self._errors as error:
            return _connection_problem(error)
        finally:
            if response is not None:
                response.close()  # does nothing to a connection whose response was read to its end

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


class Httpx2Transport:
    """POST through `httpx2`."""

    def __init__(self, url: str, max_in_flight: int, *, is_local: bool, http_client: Any = None) -> None:
        """Nothing is sent yet. `http_client` is closed with the transport."""
        import httpx2

        self._url = url
        self._client = http_client or httpx2.AsyncClient(
            limits=httpx2.Limits(max_connections=max_in_flight, max_keepalive_connections=max_in_flight),
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
            found = {name.lower(): value for name, value in response.headers.items()}
            if response.is_stream_consumed:  # a transport without a network may read, and unpack, by itself
                found.pop("content-encoding", None)
                return await _read(response.status_code, found, response.aiter_bytes(), is_whole)
            return await _read(response.status_code, found, response.aiter_raw(), is_whole)
        except self._errors as error:
            return _connection_problem(error)
        finally:
            if response is not None:
                await response.aclose()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def _read(
    status: int, headers: Mapping[str, str], pieces: AsyncIterator[bytes], is_whole: IsWhole | None
) -> HttpReply | Problem:
    """The body up to its limit; unpacked up to the same limit if it came packed unasked."""
    is_success = 200 <= status < 300
    limit = MAX_REPLY_BYTES if is_success else MAX_ERROR_BYTES
    encoding = headers.get("content-encoding", "identity").strip().lower()
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > limit or (is_whole is not None and is_whole(body)):
            break
    try:
        whole = _unpack(bytes(body), encoding, limit + 1)
    except (zlib.error, ValueError) as error:
        return Problem(f"the reply cannot be unpacked: {error}", may_retry=not is_success, kind=FailureKind.UNREADABLE)
    if len(whole) > limit and is_success:
        return Problem(f"the reply is larger than {limit} bytes", may_retry=False, kind=FailureKind.TOO_LARGE)
    return HttpReply(status, headers, whole[:limit])


def _unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """At most `limit` bytes of what was packed.

    Raises:
        ValueError: an encoding that was not asked for and is not known.
        zlib.error: not packed in that way.
    """
    if encoding in {"identity", ""} or not body:
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise ValueError(f"content-encoding {encoding[:40]!r}")
    return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, limit)  # 32: gzip or zlib, by its header


def _connection_problem(error: Exception) -> Problem:
    return Problem(f"connection: {type(error).__name__} {error}".rstrip(), may_retry=True)


@lru_cache(maxsize=1)
def _ssl_context() -> Any:
    """The system's trust store, as the openai package uses it. Loading it takes a hundredth of a second or more."""
    import httpx2

    return httpx2.create_ssl_context()


def _environment_proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme) or os.environ.get("ALL_PROXY")
    return None if proxy is None or urllib.request.proxy_bypass(parts.netloc) else proxy


def _drop(session: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Close a session that nobody closed, without a word; its loop may be gone, and nothing can be awaited then."""
    connector = session.connector
    session.detach()
    if connector is None or connector.closed:
        return
    closing = connector.close()
    if loop.is_running():
        loop.call_soon_threadsafe(loop.create_task, closing)
        return
    with suppress(StopIteration):
        closing.send(None)
    closing.close()
