"""Reading one HTTP/1.1 response out of the bytes of a connection. Strict, bounded, and without a socket.

Of RFC 9112 it knows what a reply to a GET or POST needs: interim responses, Content-Length, chunks, a body that ends
with the connection, and a packed body. Whatever is ambiguous about where a body ends is refused, because a body read
wrongly becomes the next call's reply. A line that is no header is passed over, a blank before a colon too, as browsers
do; either ends the connection.
"""

import re
import zlib
from collections.abc import Callable

MAX_REPLY_BYTES = 8 * 2**20
MAX_ERROR_BYTES = 64 * 2**10  # of the body of an error; the rest is left unread
_MAX_HEAD_BYTES = 64 * 2**10  # of all headers, interim responses and trailers included
_MAX_CHUNK_LINE_BYTES = 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: [^\r\n]*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++)([ \t]*+):[ \t]*+([^\r\n\0]*)")
_FRAMING = re.compile(rb"\s*(?:content-length|transfer-encoding)\b", re.IGNORECASE)
_LISTS = {"connection": ", ", "content-encoding": ", ", "set-cookie": "\n"}  # joined so; of all else the first counts
_UNPACKED = {"", "identity", "none", "binary", "7bit", "8bit"}  # but the first two these are none; the web has them all
_PACKED = {"gzip", "x-gzip", "deflate"}
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]*)?")

IsWhole = Callable[[bytearray], bool]
"""Whether a body that is still being read says by itself that it is at its end."""


class BadResponse(ValueError):
    """Bytes that are no HTTP/1.1 response, or an end before the response's."""


class ResponseReader:
    """One response. Give it bytes until `is_done`; then `status`, `headers` (lower case) and `body` hold it.

    `is_cut` says that the body is longer than its limit (`max_bytes` in a success, else at most `MAX_ERROR_BYTES`) and
    holds a part. `may_reuse` says that the connection can take another request.
    """

    __slots__ = ("_head_bytes", "_is_whole", "_left", "_max_bytes", "_pending", "_step", "body", "headers", "is_cut",
                 "is_done", "may_reuse", "status")  # fmt: skip

    def __init__(self, is_whole: IsWhole | None = None, max_bytes: int = MAX_REPLY_BYTES) -> None:
        """Before the first byte."""
        self._max_bytes = max_bytes
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
        return self._max_bytes if self.is_success else min(self._max_bytes, MAX_ERROR_BYTES)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

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
            self.headers, is_clean = _headers(lines)
            self.may_reuse = self.may_reuse and is_clean
        if status >= 200:
            self.status = status
            self._begin_body(is_1_1=matched[1] == b"1")
        return True

    def _begin_body(self, is_1_1: bool) -> None:
        """Find out how the body ends."""
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        if coding is not None and coding.lower() == "identity":  # that is none
            coding = None
        self.may_reuse = self.may_reuse and is_1_1 and "close" not in self.headers.get("connection", "").lower()
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
            self.is_cut = self.is_done = self.is_success and self._left > self.limit
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


def _headers(lines: list[bytes]) -> tuple[dict[str, str], bool]:
    """Headers by lower-case name, and whether every line was a clean one. Of one that comes twice the first counts.

    Raises:
        BadResponse: lengths or codings that come twice and differ, or a line that could be meant as one.
    """
    headers: dict[str, str] = {}
    is_clean = True
    for line in lines:
        matched = _HEADER.fullmatch(line.rstrip(b" \t"))
        if matched is None:
            if _FRAMING.match(line):
                raise BadResponse(f"expected a header, got {line[:40]!r}")
            is_clean = False
            continue
        is_clean = is_clean and not matched[2]
        name, value = matched[1].decode().lower(), matched[3].decode("latin-1")
        known = headers.setdefault(name, value)
        if name in _LISTS and known is not value:
            headers[name] = f"{known}{_LISTS[name]}{value}"
        elif name in {"content-length", "transfer-encoding"} and known != value:
            raise BadResponse(f"{name} comes twice: {known[:40]!r} and {value[:40]!r}")
    return headers, is_clean


def _is_none(encoding: str) -> bool:
    """Whether a coding changes no byte: none, or the name of a charset, which some servers put in its place."""
    if encoding in _UNPACKED:
        return True
    try:
        return encoding not in _PACKED and "a".encode(encoding) == b"a"
    except (LookupError, ValueError):
        return False


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """A body without its Content-Encoding; of one that is longer than `limit` the first `limit + 1` bytes.

    Raises:
        BadResponse: an encoding that was not asked for, or bytes that are not packed so or end too early.
    """
    encodings = [each for part in encoding.lower().split(",") if not _is_none(each := part.strip())]
    if not encodings or not body:
        return body[: limit + 1]
    if len(encodings) > 1 or encodings[0] not in _PACKED:
        raise BadResponse(f"content-encoding {encoding[:40]!r} was not asked for")
    encoding = encodings[0]
    bare = encoding == "deflate" and body[0] & 0x0F != 8  # some servers send it without its head
    unpacked = bytearray()
    try:
        while True:
            inflate = zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32)
            unpacked += inflate.decompress(body, limit + 1 - len(unpacked))
            if len(unpacked) > limit:
                return bytes(unpacked)
            if not inflate.eof:
                raise BadResponse("the packed reply ends too early")
            body = inflate.unused_data  # gzip members may follow each other; what else follows is padding
            if not body.startswith(b"\x1f\x8b"):
                return bytes(unpacked)
    except zlib.error as error:
        raise BadResponse(f"the reply cannot be unpacked: {error}") from None
