"""The one reader of HTTP responses, without a socket: what it passes over, what it refuses, and how it unpacks."""

import gzip
import zlib

import pytest

from lts_jax.llm.http_response import BadResponse, ResponseReader, unpack


def read(data, **options):
    reader = ResponseReader(**options)
    for byte in data:  # no line may depend on how the bytes arrive
        reader.feed(bytes([byte]))
    return reader


def test_a_line_that_is_no_header_is_passed_over_and_ends_the_connection():
    clean = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert (clean.is_done, clean.may_reuse, bytes(clean.body)) == (True, True, b"ok")
    odd = read(b"HTTP/1.1 200 OK\r\nX Odd: 1\r\nContent-Length: 2\r\n\r\nok")
    assert (odd.is_done, odd.may_reuse, bytes(odd.body)) == (True, False, b"ok")
    early = read(b"HTTP/1.1 103 Hints\r\nX Odd: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert (early.is_done, early.may_reuse) == (True, False)


@pytest.mark.parametrize("line", [b"Content-Length : 2", b"content-length\t: 2"])
def test_a_blank_before_the_colon_is_passed_over_and_ends_the_connection(line):
    odd = read(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\nok")
    assert (odd.is_done, odd.may_reuse, bytes(odd.body)) == (True, False, b"ok")


@pytest.mark.parametrize("line", [b" Content-Length: 2", b" Transfer-Encoding: chunked", b"Content-Length 2"])
def test_a_line_that_could_say_where_the_body_ends_is_refused(line):
    with pytest.raises(BadResponse, match="expected a header"):
        read(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\nok")


def test_of_headers_that_come_twice_the_first_counts_and_lists_add_up():
    twice = b"A: 1\r\nA: 2\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Encoding: gzip\r\n"
    reader = read(b"HTTP/1.1 200 OK\r\n" + twice + b"Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n")
    assert reader.headers["a"] == "1" and reader.headers["content-encoding"] == "gzip, gzip"
    assert reader.is_done and not reader.may_reuse
    cookies = read(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1, 2\r\nSet-Cookie: b=3\r\nContent-Length: 0\r\n\r\n")
    assert cookies.headers["set-cookie"] == "a=1, 2\nb=3"


def test_the_limit_is_the_callers():
    whole = read(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", max_bytes=3)
    assert whole.is_done and not whole.is_cut
    long = read(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", max_bytes=3)
    assert long.is_done and long.is_cut  # before a byte of it is read
    error = read(b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nabcd", max_bytes=3)
    assert error.is_cut and error.body.startswith(b"abc")


def test_unpacking_stops_one_byte_after_the_limit():
    packed = gzip.compress(b"abcdef", mtime=0)
    assert unpack(packed, "GZIP", 6) == b"abcdef"
    assert unpack(packed, "gzip", 5) == b"abcdef"  # the caller sees that it is longer
    assert unpack(packed * 1000, "gzip", 10) == b"abcdefabcde"
    assert unpack(zlib.compress(b"abcdef")[2:-4], "deflate", 9) == b"abcdef"
    assert unpack(b"", "gzip", 9) == b""
    for none in ("utf-8", "UTF8", "none", "Identity", "ISO-8859-1", "windows-1252", "binary", " utf-8 , identity"):
        assert unpack(b"text", none, 9) == b"text"
    assert unpack(packed, "identity, gzip", 6) == unpack(packed, "gzip,utf-8", 6) == b"abcdef"
    for data, encoding in (
        (packed[:-3], "gzip"),
        (b"text", "gzip"),
        (packed, "br"),
        (packed, "zlib"),
        (packed, "gzip, gzip"),
    ):
        with pytest.raises(BadResponse):
            unpack(data, encoding, 9)
