"""Reading one HTTP/1.1 response out of the bytes of a connection. Strict, bounded, and without a socket.

Of RFC 9112 it knows what a reply to a POST needs: interim responses, Content-Length, chunks, a body that ends with the
connection. Whatever is ambiguous there is refused, because a body read wrongly becomes the next call's reply.
"""

import re
from collections.abc import Callable

MAX_REPLY_BYTES = 8 * 2**20
MAX_ERROR_BYTES = 64 * 2**10  # of the body of an error; the rest is left unread
_MAX_HEAD_BYTES = 64 * 2**10  # of all headers, interim responses and trailers included
_MAX_CHUNK_LINE_BYTES = 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: [^\r\n]*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]*)?")

IsWhole = Callable[[bytearray], bool]
"""Whether a body that is still being read says by itself that it is at its end."""


class BadResponse(ValueError):
    """Bytes that are no HTTP/1.1 response, or an end before the response's."""


class ResponseReader:
    """One response. Give it bytes until `is_done`; then `status`, `headers` (lower case) and `body` hold it.

    `is_cut` says that the body is longer than its limit (`MAX_REPLY_BYTES` in a success, else `MAX_ERROR_BYTES`) and
    holds a part. `may_reuse` says that the connection can take another request.
    """

    __slots__ = ("_head_bytes", "_is_whole", "_left", "_pending", "_step", "body", "headers", "is_cut", "is_done",
                 "may_reuse", "status")  # fmt: skip

    def __init__(self, is_whole: IsWhole | None = None) -> None:
        """Before the first byte."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.is_done = self.is_cut = False
        self.may_reuse = True
        self._is_whole = is_whole
        self._pending = bytearray()
        self._head_bytes = 0
        self._left = 0  # bytes of a body or chunk that are still to come
        self._step: Callable[[], bool] = self._read_head

    @property
    def limit(self) -> int:
        """Bytes of body that are kept."""
        return MAX_REPLY_BYTES if 200 <= self.status < 300 else MAX_ERROR_BYTES

    def feed(self, data: bytes) -> None:
        """Take bytes that arrived.

        Raises:
            BadResponse: they cannot be part of a response.
        """
        self._pending += data
        while not self.is_done and self._step():
            pass
        if self.is_done:
            self.may_reuse = self.may_reuse and not self._pending and not self.is_cut
        elif self._is_whole is not None and self.body and self._is_whole(self.body):
            self.is_done, self.may_reuse = True, False

    def feed_end(self) -> None:
        """Take the end of the connection.

        Raises:
            BadResponse: it is not the end of the response.
        """
        self.may_reuse = False
        if self._step == self._read_rest:
            self.is_done = True
        elif not self.is_done:
            read = f"{len(self.body)} bytes of the body" if self.status >= 200 else "the end of the headers"
            raise BadResponse(f"the server closed the connection after {read}")

    def _read_head(self) -> bool:
        pending = self._pending
        if not pending.startswith(b"HTTP/1."[: len(pending)]):
            raise BadResponse(f"expected HTTP/1.1, got {bytes(pending[:40])!r}")
        end = pending.find(b"\r\n\r\n")
        if (end if end >= 0 else len(pending)) + self._head_bytes > _MAX_HEAD_BYTES:
            raise BadResponse(f"more than {_MAX_HEAD_BYTES} bytes of headers")
        if end < 0:
            return False
        first, *lines = bytes(pending[:end]).split(b"\r\n")
        del pending[: end + 4]
        self._head_bytes += end + 4
        matched = _STATUS_LINE.fullmatch(first)
        if matched is None:
            raise BadResponse(f"expected a status line, got {first[:40]!r}")
        status = int(matched[2])
        if status == 101:
            raise BadResponse("the server switches to another protocol")
        if status > 101 or status == 100:
            self.headers = _headers(lines)
        if status >= 200:
            self.status = status
            self._begin_body(is_1_1=matched[1] == b"1")
        return True

    def _begin_body(self, is_1_1: bool) -> None:
        """Find out how the body ends."""
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        self.may_reuse = is_1_1 and "close" not in self.headers.get("connection", "").lower()
        if coding is not None and (coding.lower() != "chunked" or length is not None or not is_1_1):
            raise BadResponse(f"transfer-encoding {coding[:40]!r}, content-length {length}: expected one, or chunked")
        if self.status in {204, 304}:
            self.is_done = True
        elif coding is not None:
            self._step = self._read_chunk_line
        elif length is not None:
            if not (length.isascii() and length.isdigit() and len(length) <= 18):
                raise BadResponse(f"content-length: expected a number, got {length[:40]!r}")
            self._left = int(length)
            self._step = self._read_fixed
            self.is_cut = self.is_done = self._left > self.limit and self.limit == MAX_REPLY_BYTES
        else:
            self._step = self._read_rest

    def _read_fixed(self) -> bool:
        self._take(self._left)
        self.is_done = self.is_done or self._left == 0
        return False

    def _read_rest(self) -> bool:
        self._take(len(self._pending))  # the end of the connection ends it
        return False

    def _read_chunk_line(self) -> bool:
        line = self._take_line(_MAX_CHUNK_LINE_BYTES)
        if line is None:
            return False
        matched = _CHUNK_LINE.fullmatch(line)
        if matched is None:
            raise BadResponse(f"expected the size of a chunk, got {line[:40]!r}")
        self._left = int(matched[1], 16)
        self._step = self._read_chunk if self._left else self._read_trailer
        return True

    def _read_chunk(self) -> bool:
        self._take(self._left)
        if self._left or len(self._pending) < 2:
            return False
        if self._pending[:2] != b"\r\n":
            raise BadResponse(f"expected the end of a chunk, got {bytes(self._pending[:40])!r}")
        del self._pending[:2]
        self._step = self._read_chunk_line
        return True

    def _read_trailer(self) -> bool:
        line = self._take_line(_MAX_HEAD_BYTES - self._head_bytes)
        if line is None:
            return False
        self._head_bytes += len(line) + 2
        self.is_done = not line
        return True

    def _take(self, num_bytes: int) -> None:
        """Move bytes to the body, as many as have come; past its limit the response is cut there."""
        taken = self._pending[:num_bytes]
        del self._pending[:num_bytes]
        self._left -= len(taken)
        self.body += taken
        if len(self.body) > self.limit:
            self.is_cut = self.is_done = True

    def _take_line(self, max_bytes: int) -> bytes | None:
        end = self._pending.find(b"\r\n")
        if (end if end >= 0 else len(self._pending)) > max_bytes:
            raise BadResponse(f"a line of more than {max_bytes} bytes between chunks")
        if end < 0:
            return None
        line = bytes(self._pending[:end])
        del self._pending[: end + 2]
        return line


def _headers(lines: list[bytes]) -> dict[str, str]:
    """Headers by lower-case name. Of one that comes twice the values are joined, as the standard says.

    Raises:
        BadResponse: a line that is no header, or lengths or codings that come twice and differ.
    """
    headers: dict[str, str] = {}
    for line in lines:
        matched = _HEADER.fullmatch(line)
        if matched is None:
            raise BadResponse(f"expected a header, got {line[:40]!r}")
        name, value = matched[1].decode().lower(), matched[2].decode("latin-1")
        known = headers.get(name)
        if known is None or (name == "content-length" and known == value):
            headers[name] = value
        elif name in {"content-length", "transfer-encoding"}:
            raise BadResponse(f"{name} comes twice: {known[:40]!r} and {value[:40]!r}")
        else:
            headers[name] = f"{known}, {value}"
    return headers
