"""Fetching one URL that a model or a page chose: resolve, check, pin, and check again at each hop.

The host is resolved once a hop; every address that it has must be allowed; the connection goes to one of these
addresses and to no other, with the host in Host and in TLS. A name that changes its address between check and use
(DNS rebinding) gains nothing, and neither does a redirect. No proxy of the environment is used, and no cookie outlives
the redirects of one fetch. A server that is too busy is waited for, as long as it asks, where the deadline allows it.
"""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import urlencode

from lts_jax.live.tools.addresses import (
    MAX_URL_CHARACTERS,
    Refused,
    Target,
    check_address,
    join,
    read_address,
    read_networks,
    read_url,
)
from lts_jax.live.tools.content_headers import read_charset, read_content_type, read_file_name
from lts_jax.live.tools.hop_cookies import HopCookies
from lts_jax.live.tools.http_exchange import BadExchange, Exchange, connect, exchange
from lts_jax.llm.openai_problem import retry_after_seconds

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) -> its addresses as text. May raise OSError."""

_MAX_LOOKUPS = 32  # at once
_MAX_ADDRESSES = 4  # of a host that are tried
_USER = re.compile(r"//[^/]*@")
_REDIRECTS = {301, 302, 303, 307, 308}
_BUSY = {429, 503}
_MAX_WAITS = 2
_WAIT_SECONDS = 1.0  # for a busy server that does not say how long
_LEFT_SECONDS = 1.0  # of the deadline that a wait leaves for the reply


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """Limits of one fetch, over all of its redirects. All values are ours."""

    deadline_seconds: float = 30.0
    connect_seconds: float = 8.0  # for each address of a host
    max_bytes: int = 20 * 2**20  # of a body, packed or unpacked
    max_redirects: int = 5
    ports: tuple[int, ...] = (80, 443, 8080, 8443)  # empty: any
    allowed_networks: tuple[str, ...] = ()  # not public, but asked all the same; for example 127.0.0.0/8
    user_agent: str = "Mozilla/5.0 (compatible; lts-jax/0.1)"
    certificates: str = ""  # path of a PEM file with authorities to trust; empty: the system's

    def __post_init__(self) -> None:
        positive = (self.deadline_seconds, self.connect_seconds, self.max_bytes)
        if min(positive) <= 0 or self.max_redirects < 0:
            raise ValueError("fetch limits: expected seconds and bytes above 0 and redirects from 0")
        if not self.user_agent.isascii() or not self.user_agent.isprintable():
            raise ValueError(f"user_agent: expected printable ASCII, got {self.user_agent!r}")
        read_networks(self.allowed_networks)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page or file that arrived whole, with where it came from."""

    url: str  # after redirects
    content_type: str  # lower case, without parameters; empty if the server told none
    charset: str  # as the server told it, lower case
    body: bytes
    sha256: str  # of `body`, hexadecimal
    seconds: float
    hops: tuple[str, ...]  # every URL that was asked, in order
    address: str  # that answered last
    status: int = 200
    file_name: str = ""  # as the server told it, without a path; empty if it told none


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """Why nothing arrived. `reason` is one line that may be shown to a model."""

    reason: str
    kind: Literal["refused", "name", "connection", "timeout", "reply", "redirect", "status"]
    url: str  # that was asked last
    seconds: float
    status: int = 0
    body: bytes = b""  # of a reply that is no success, the part of it that was kept


async def fetch(
    url: str,
    settings: FetchSettings | None = None,
    *,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    resolve: Resolve | None = None,
) -> Fetched | FetchFailure:
    """GET a URL, or POST `form` to it. Never raises but for cancellation.

    `headers` go to the first hop's origin only. `resolve` stands in for the system's resolver.
    """
    settings = settings or FetchSettings()
    fetching = _Fetching(settings, resolve or system_resolve, time.monotonic(), url)
    try:
        async with asyncio.timeout(settings.deadline_seconds):
            return await fetching.follow(form, dict(headers or {}))
    except TimeoutError:
        return fetching.failure("timeout", f"no whole reply within {settings.deadline_seconds:g} seconds")
    except Refused as refused:
        return fetching.failure("refused", str(refused))
    except BadExchange as bad:
        return fetching.failure("reply", str(bad))
    except socket.gaierror as error:
        return fetching.failure("name", f"the host is not known: {error.strerror}")
    except ssl.SSLError as error:
        return fetching.failure("connection", f"TLS: {getattr(error, 'verify_message', '') or error.reason or error}")
    except (OSError, UnicodeError, ValueError) as error:
        return fetching.failure("connection", f"{type(error).__name__} {error}")


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host by the system's resolver, each once. Raises OSError."""
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_resolvers(), look_up)
    return tuple(dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found))


@lru_cache(maxsize=1)
def _resolvers() -> ThreadPoolExecutor:
    """Threads of their own: lookups cannot be cancelled, and a few slow ones must not hold up what else has threads."""
    return ThreadPoolExecutor(_MAX_LOOKUPS, thread_name_prefix="resolve")


async def allowed_addresses(target: Target, settings: FetchSettings, resolve: Resolve) -> tuple[str, ...]:
    """The addresses of a target's host, all of which may be asked; at most four.

    Raises:
        Refused: one of them may not be asked, so none is: a public one beside it is how rebinding begins.
        OSError: the name has no address.
    """
    try:
        found = [read_address(target.host)]
    except Refused:
        found = [read_address(each) for each in await resolve(target.host, target.port)]
    if not found:
        raise OSError(f"no address for {target.host}")
    networks = read_networks(settings.allowed_networks)
    for address in found:
        check_address(address, networks)
    return tuple(str(address) for address in found[:_MAX_ADDRESSES])


class _Fetching:
    """The state of one fetch."""

    def __init__(self, settings: FetchSettings, resolve: Resolve, started: float, url: str) -> None:
        self._settings = settings
        self._resolve = resolve
        self._started = started
        self._url = url
        self._hops: list[str] = []
        self._address = ""
        self._cookies = HopCookies()

    def failure(self, kind: str, reason: str, status: int = 0, body: bytes = b"") -> FetchFailure:
        line = " ".join(reason.split())[:300]
        seconds = time.monotonic() - self._started
        url = _USER.sub("//", self._url[:MAX_URL_CHARACTERS])
        return FetchFailure(line, kind, url, seconds, status, body)  # type: ignore[arg-type]

    async def follow(self, form: Mapping[str, str] | None, headers: dict[str, str]) -> Fetched | FetchFailure:
        first = read_url(self._url, self._settings.ports)
        target, asked = first, set()
        while True:
            self._url = target.url
            self._hops.append(target.url)
            cookie = self._cookies.header(target.url)
            asked.add((target.url, cookie))
            sent = {**(headers if target.origin == first.origin else {}), **({"Cookie": cookie} if cookie else {})}
            reply = await self._ask_patiently(target, form, sent)
            self._cookies.take(target.url, reply.headers.get("set-cookie", ""))
            location = reply.headers.get("location")
            if reply.status not in _REDIRECTS or location is None:
                return self._result(reply)
            if len(self._hops) > self._settings.max_redirects:
                told = f"more than {self._settings.max_redirects} redirects, the next one to {location[:200]}"
                return self.failure("redirect", told)
            following = read_url(join(target.url, _as_utf8(location)), self._settings.ports)
            if form is None and (following.url, self._cookies.header(following.url)) in asked:
                return self.failure("redirect", f"the redirects go round in a circle: {following.url}")
            if reply.status in {301, 302, 303}:
                form = None
            if form is not None and following.origin != first.origin:
                return self.failure("redirect", f"a form is not sent on to another place: {following.url}")
            target = following

    async def _ask_patiently(self, target: Target, form: Mapping[str, str] | None, headers: dict[str, str]) -> Exchange:
        """As `_ask`; of a busy server again, but for a form that it may have taken."""
        for _ in range(_MAX_WAITS):
            reply = await self._ask(target, form, headers)
            seconds = retry_after_seconds(reply.headers) or _WAIT_SECONDS
            left = self._settings.deadline_seconds - (time.monotonic() - self._started) - _LEFT_SECONDS
            if reply.status not in _BUSY or (form is not None and reply.status != 429) or seconds > left:
                return reply
            await asyncio.sleep(seconds)
        return await self._ask(target, form, headers)

    async def _ask(self, target: Target, form: Mapping[str, str] | None, headers: dict[str, str]) -> Exchange:
        tls = tls_context(self._settings.certificates) if target.scheme == "https" else None
        sent = {"User-Agent": self._settings.user_agent, "Accept": "text/html, */*;q=0.5", "Accept-Language": "en"}
        body = b""
        if form is not None:
            body = urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = await self._connect(target, tls)
        method = "GET" if form is None else "POST"
        limit = self._settings.max_bytes
        return await exchange(connection, target, method=method, headers=sent | headers, body=body, max_bytes=limit)

    async def _connect(self, target: Target, tls: ssl.SSLContext | None) -> Any:
        problem: OSError | None = None
        for address in await allowed_addresses(target, self._settings, self._resolve):
            try:
                connection = await connect(target, address, tls=tls, seconds=self._settings.connect_seconds)
            except TimeoutError:
                problem = OSError(f"no connection to {target.authority} at {address} in time")
            except OSError as error:
                problem = error
            else:
                self._address = address
                return connection
        raise problem or OSError(f"no address for {target.host}")

    def _result(self, reply: Exchange) -> Fetched | FetchFailure:
        if not 200 <= reply.status < 300:
            seconds = retry_after_seconds(reply.headers) if reply.status in _BUSY else 0.0
            asks = f" (it asks to come back in {min(seconds, 1e9):.0f} seconds)" if seconds >= 1.0 else ""
            return self.failure("status", status_line(reply.status) + asks, reply.status, reply.body)
        told = reply.headers.get("content-type", "")
        return Fetched(
            self._url,
            read_content_type(told),
            read_charset(told),
            reply.body,
            sha256(reply.body).hexdigest(),
            time.monotonic() - self._started,
            tuple(self._hops),
            self._address,
            reply.status,
            read_file_name(reply.headers.get("content-disposition", "")),
        )


@lru_cache(maxsize=8)
def tls_context(certificates: str = "") -> ssl.SSLContext:
    """How TLS is checked: the system's authorities, or those of a PEM file. Raises OSError if it cannot be read."""
    return ssl.create_default_context(cafile=certificates or None)


def status_line(status: int) -> str:
    """A status with its name, "404 Not Found"."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} (the server's own)"


def _as_utf8(location: str) -> str:
    """A Location header, read as Latin-1, with the letters that browsers read in it."""
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return location
