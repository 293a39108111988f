"""How a fault endpoint uses its line: whole responses with the wrong status or headers, and bytes that never add up.

Every function gets the writer of one connection and the bytes of a good response's body, and ends when it is done or
the client goes away. The connection is closed after it unless the kind is one of `KEEP_ALIVE`.
"""

import asyncio
import gzip
import json
import socket
import struct
from asyncio import StreamWriter
from collections.abc import Awaitable, Callable
from functools import lru_cache
from itertools import count

Line = Callable[[StreamWriter, bytes], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BIG_BYTES = 200_000_000
BOMB_BYTES = 50_000_000
DRIP_SECONDS = 0.005
_PIECE = b" " * 2**16
_PLANTED = b'{"choices": [{"message": {"content": "planted"}}]}'


def response(body: bytes, status: str = "200 OK", headers: str = "", kind: str = "application/json") -> bytes:
    """A whole HTTP/1.1 response."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode("latin-1") + body


def error_response(status: str, message: str, headers: str = "", code: str | None = None) -> bytes:
    """A refusal in OpenAI's format."""
    body = json.dumps({"error": {"message": message, "type": "fault", "code": code}})
    return response(body.encode(), status, headers)


def saying(*parts: bytes) -> Line:
    """Send these bytes and hang up; the first part may end a response early."""

    async def line(writer: StreamWriter, good: bytes) -> None:
        writer.write(b"".join(parts))
        await writer.drain()

    return line


def wrapping(make: Callable[[bytes], bytes]) -> Line:
    """Send what `make` makes of the good body."""

    async def line(writer: StreamWriter, good: bytes) -> None:
        writer.write(make(good))
        await writer.drain()

    return line


def hanging(make: Callable[[bytes], bytes]) -> Line:
    """Send what `make` makes of the good body, then nothing, and keep the line."""

    async def line(writer: StreamWriter, good: bytes) -> None:
        writer.write(make(good))
        await writer.drain()
        await asyncio.sleep(3600.0)

    return line


def dripping(make: Callable[[bytes], bytes]) -> Line:
    """Send the start that `make` makes, then a byte now and then, so that no single read is late."""

    async def line(writer: StreamWriter, good: bytes) -> None:
        for byte in make(good):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(DRIP_SECONDS)

    return line


def flooding(head: bytes, piece: bytes, num_bytes: int) -> Line:
    """Send a head and then this many bytes of body, as fast as they are read."""

    async def line(writer: StreamWriter, good: bytes) -> None:
        writer.write(head)
        for _ in range(num_bytes // len(piece)):
            writer.write(piece)
            await writer.drain()

    return line


def resetting(make: Callable[[bytes], bytes]) -> Line:
    """Send what `make` makes of the good body, then reset the connection."""

    async def line(writer: StreamWriter, good: bytes) -> None:
        writer.write(make(good))
        await writer.drain()
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return line


async def _early_hints(writer: StreamWriter, good: bytes) -> None:
    for _ in count():
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(DRIP_SECONDS)


async def _late_second_reply(writer: StreamWriter, good: bytes) -> None:
    writer.write(response(good))
    await writer.drain()
    await asyncio.sleep(DRIP_SECONDS)
    writer.write(response(_PLANTED))
    await writer.drain()


async def _bomb(writer: StreamWriter, good: bytes) -> None:
    packed = packed_spaces()
    writer.write(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)
    await writer.drain()


@lru_cache(maxsize=1)
def packed_spaces() -> bytes:
    """`BOMB_BYTES` spaces, compressed to a thousandth."""
    return gzip.compress(b" " * BOMB_BYTES, 9)


def _half(good: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % len(good) + good[: len(good) // 2]


def _packed(good: bytes) -> bytes:
    packed = gzip.compress(good)
    return OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed


LINES: dict[str, Line] = {
    "drip": dripping(lambda good: response(good + b" " * 10_000)),
    "slow_headers": dripping(lambda good: OK + b"X-Pad: yes\r\n" * 5000),
    "early_hints": _early_hints,
    "hang": hanging(lambda good: b""),
    "hang_in_headers": hanging(lambda good: OK),
    "hang_after_headers": hanging(lambda good: OK + b"Content-Length: 500\r\n\r\n"),
    "hang_in_body": hanging(_half),
    "hang_after_body": hanging(lambda good: OK + b"Connection: close\r\n\r\n" + good),
    "reset": resetting(lambda good: b""),
    "reset_in_body": resetting(_half),
    "close": saying(),
    "close_in_headers": saying(OK),
    "close_in_body": wrapping(_half),
    "garbage": saying(b"\x00\xff\x13\x37 not http at all\r\n\r\n"),
    "another_protocol": saying(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "length_too_long": wrapping(lambda good: OK + b"Content-Length: %d\r\n\r\n" % (len(good) + 50) + good),
    "length_too_short": wrapping(lambda good: OK + b"Content-Length: %d\r\n\r\n" % (len(good) - 9) + good),
    "length_no_number": saying(OK + b"Content-Length: many\r\n\r\n{}"),
    "two_lengths": saying(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "bad_chunk": saying(OK + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n"),
    "cut_chunk": saying(OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{}"),
    "endless_headers": flooding(b"HTTP/1.1 200 OK\r\n", b"X-Pad: yes\r\n" * 5000, 4_000_000),
    "duplicated_headers": wrapping(
        lambda good: response(good, headers="Content-Type: text/html\r\nX-A: 1\r\nX-A: 2\r\n")
    ),
    "big_body": flooding(OK + b"Content-Length: %d\r\n\r\n" % BIG_BYTES, _PIECE, BIG_BYTES),
    "endless_body": flooding(OK + b"\r\n", _PIECE, 2**40),
    "endless_error": flooding(b"HTTP/1.1 400 No\r\n\r\n", b"a" * 2**16, 2**40),
    "gzip_bomb": _bomb,
    "gzip_broken": saying(OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"),
    "gzip_unasked": wrapping(_packed),
    "unknown_encoding": saying(OK + b"Content-Encoding: zoo\r\nContent-Length: 2\r\n\r\n{}"),
    "no_content": saying(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "status_999": saying(b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n"),
    "redirect_loop": saying(response(b"", "302 Found", "Location: /v1/chat/completions\r\n")),
    "redirect_nowhere": saying(response(b"", "307 Go", "Location: :::\r\n")),
    "rate_limit": saying(error_response("429 Slow Down", "slow down")),
    "rate_limit_short": saying(error_response("429 Slow Down", "slow down", "Retry-After: 0.02\r\n")),
    "rate_limit_year": saying(error_response("429 Slow Down", "slow down", "Retry-After: 31536000\r\n")),
    "rate_limit_absurd": saying(error_response("429 Slow Down", "slow down", f"Retry-After: {'9' * 400}\r\n")),
    "rate_limit_nan": saying(error_response("429 Slow Down", "slow down", "Retry-After: nan\r\n")),
    "rate_limit_past": saying(error_response("429 Slow Down", "slow down", "Retry-After: -30\r\n")),
    "rate_limit_date": saying(
        error_response("429 Slow Down", "slow down", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n")
    ),
    "quota": saying(error_response("429 Slow Down", "no funds", code="insufficient_quota")),
    "server_error": saying(error_response("500 Internal Server Error", "oops")),
    "bad_gateway": saying(response(b"<html>\nbad gateway</html>", "502 Bad Gateway", kind="text/html")),
    "unavailable": saying(response(b"", "503 Service Unavailable")),
    "forbidden": saying(error_response("403 Forbidden", "no")),
    "not_found": saying(error_response("404 Not Found", "no such model")),
    "error_without_charset": saying(response(b"\xff\xfe", "400 Bad Request", kind="text/html; charset=klingon")),
    "two_replies": wrapping(lambda good: response(good) + response(_PLANTED)),
    "late_second_reply": _late_second_reply,
    "hang_up_later": wrapping(response),
}
"""Kinds that misuse the line, and how. `hang_up_later` promises to keep the connection, and closes it."""

KEEP_ALIVE = {"two_replies", "late_second_reply"}
"""Kinds after which the next request on the same connection is served."""
