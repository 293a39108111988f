"""One HTTP/1.1 request over a connection to a given address, with a bounded reply. `h11` reads the wire.

The address is given apart from the host: whoever checked it knows that it is the one that is asked.
"""

import asyncio
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lts_jax.live.tools.addresses import Refused, Target, read_address

_MAX_HEAD_BYTES = 64 * 2**10  # of the status line and the headers, and again of the trailers
_MAX_INTERIM = 10  # responses such as 103 before the real one
_READ_BYTES = 64 * 2**10
_PACKINGS = ("identity", "gzip", "x-gzip", "deflate")


class BadExchange(ValueError):
    """A reply that cannot be read or is over a limit, in one line."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A reply. Header names are lower case; of headers that come twice, the first. `body` is unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def connect(
    target: Target, address: str, *, tls: ssl.SSLContext | None, seconds: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
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
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    target: Target,
    *,
    method: str = "GET",
    headers: Mapping[str, str],
    body: bytes = b"",
    max_bytes: int,
) -> Exchange:
    """Ask over a new connection and close it. Redirects are replies like others.

    `max_bytes` bound the body, packed and unpacked.

    Raises:
        BadExchange: no HTTP, or over a limit.
        OSError: the connection broke.
    """
    import h11

    wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
    sent = {"Host": target.authority, **headers, "Accept-Encoding": "gzip, deflate", "Connection": "close"}
    if method != "GET":
        sent["Content-Length"] = str(len(body))
    events = [h11.Request(method=method, target=target.path, headers=list(sent.items())), h11.EndOfMessage()]
    if body:
        events.insert(1, h11.Data(data=body))
    try:
        writer.write(b"".join(wire.send(event) or b"" for event in events))
        return await _read(reader, wire, max_bytes)
    except (h11.ProtocolError, zlib.error) as error:
        raise BadExchange(f"no readable HTTP reply: {error}"[:200]) from None
    finally:
        writer.transport.abort()  # a polite end of TLS could be made to last


async def _read(reader: asyncio.StreamReader, wire: Any, max_bytes: int) -> Exchange:
    import h11

    status, headers, num_interim, num_packed = 0, dict[str, str](), 0, 0
    unpack = Unpacker("identity", max_bytes)
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.InformationalResponse):
            num_interim += 1
            if num_interim > _MAX_INTERIM:
                raise BadExchange(f"more than {_MAX_INTERIM} interim responses {event.status_code}")
        elif isinstance(event, h11.Response):
            status, headers = event.status_code, _first_headers(event.headers)
            unpack = Unpacker(headers.get("content-encoding", ""), max_bytes)
            _check_length(headers.get("content-length", "0"), max_bytes)
        elif isinstance(event, h11.Data):
            num_packed += len(event.data)
            if num_packed > max_bytes:
                raise BadExchange(f"the reply is larger than {max_bytes} bytes")
            unpack.feed(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            return Exchange(status, headers, unpack.finish())
        else:
            raise BadExchange("the server closed the connection before a reply")


class Unpacker:
    """Unpacks a body piece by piece and stops at `max_bytes`, however small the packed form is."""

    def __init__(self, packing: str, max_bytes: int) -> None:
        """`packing` as in Content-Encoding.

        Raises:
            BadExchange: one that was not asked for, or several.
        """
        self._packing = packing.strip().lower() or "identity"
        if self._packing not in _PACKINGS:
            raise BadExchange(f"content-encoding {packing[:40]!r} was not asked for")
        self._max_bytes = max_bytes
        self._inflate = None if self._packing == "identity" else zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._is_first = True
        self._body = bytearray()

    def feed(self, data: bytes) -> None:
        """Take a piece.

        Raises:
            BadExchange: more than the limit.
            zlib.error: not packed in that way.
        """
        if self._inflate is None:
            self._body += data
        else:
            self._feed_packed(data)
        if len(self._body) > self._max_bytes:
            raise BadExchange(f"the reply is larger than {self._max_bytes} bytes when unpacked")

    def finish(self) -> bytes:
        """The whole body.

        Raises:
            BadExchange: the packed form ends too early.
        """
        if self._inflate is not None and not self._is_first and not self._inflate.eof:
            raise BadExchange("the packed reply ends too early")
        return bytes(self._body)

    def _feed_packed(self, data: bytes) -> None:
        if self._is_first and self._packing == "deflate" and data and data[0] & 0x0F != 8:
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)  # some servers send it bare
        self._is_first = self._is_first and not data
        while data and len(self._body) <= self._max_bytes:
            assert self._inflate is not None
            if self._inflate.eof:  # gzip members may follow each other; what else follows is padding
                if not data.startswith(b"\x1f\x8b"):
                    return
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
            room = self._max_bytes + 1 - len(self._body)
            self._body += self._inflate.decompress(data, room)
            data = self._inflate.unconsumed_tail or self._inflate.unused_data


def _first_headers(pairs: Any) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return headers


def _check_length(length: str, max_bytes: int) -> None:
    if length.isdigit() and int(length) > max_bytes:
        raise BadExchange(f"the reply is larger than {max_bytes} bytes")
