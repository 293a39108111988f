"""One HTTP/1.1 request over a connection to a given address, with a bounded reply.

The address is given apart from the host: whoever checked it knows that it is the one that is asked.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from lts_jax.live.tools.addresses import Refused, Target, read_address
from lts_jax.llm.http_response import BadResponse, ResponseReader, unpack

_READ_BYTES = 64 * 2**10


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class BadExchange(ValueError):
    """A reply that cannot be read or is over a limit, in one line."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A reply. Header names are lower case; of headers that come twice, the first. `body` is unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def connect(target: Target, address: str, *, tls: ssl.SSLContext | None, seconds: float) -> Connection:
    """A connection to `target` at `address`, encrypted for the target's host if `tls` is given.

    Raises:
        Refused: the connection leads to another address.
        OSError: no connection in that time, or a certificate that is not the host's.
    """
    host = target.host if tls is not None else None
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(address, target.port, ssl=tls, server_hostname=host)
    reached = str(writer.get_extra_info("peername")[0]).partition("%")[0]
    if read_address(reached) != read_address(address):
        writer.transport.abort()
        raise Refused(f"the connection leads to {reached}, not to {address}")
    return reader, writer


async def exchange(
    connection: Connection,
    target: Target,
    *,
    method: str = "GET",
    headers: Mapping[str, str],
    body: bytes = b"",
    max_bytes: int,
) -> Exchange:
    """Ask over a new connection, as `connect` gives it, and close it. Redirects are replies like others.

    `max_bytes` bound the body of a success, packed and unpacked; of another reply a part of it is enough.

    Raises:
        BadExchange: no HTTP, or over a limit.
        OSError: the connection broke.
        ValueError: a header that would end its line.
    """
    reader, writer = connection
    sent = {"Host": target.authority, **headers, "Accept-Encoding": "gzip, deflate", "Connection": "close"}
    if method != "GET":
        sent["Content-Length"] = str(len(body))
    lines = [f"{method} {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    if not all(line.isprintable() for line in lines):
        raise ValueError("a header or address holds a control character")
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return await _read(reader, max_bytes)
    except BadResponse as error:
        raise BadExchange(f"no readable HTTP reply: {error}"[:200]) from None
    finally:
        writer.transport.abort()  # a polite end of TLS could be made to last


async def _read(reader: asyncio.StreamReader, max_bytes: int) -> Exchange:
    response = ResponseReader(max_bytes=max_bytes)
    while not response.is_done:
        data = await reader.read(_READ_BYTES)
        if data:
            response.feed(data)
        else:
            response.feed_end()
    body = bytes(response.body)
    if not response.is_cut:
        body = unpack(body, response.headers.get("content-encoding", ""), response.limit)
    if response.is_success and (response.is_cut or len(body) > max_bytes):
        raise BadExchange(f"the reply is larger than {max_bytes} bytes{'' if response.is_cut else ' when unpacked'}")
    return Exchange(response.status, response.headers, body[: response.limit])
