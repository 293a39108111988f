"""Broken and hostile endpoints over real sockets: each call ends in time, in one `ModelFailure`, with little read."""

import asyncio
import gzip
import time
import tracemalloc

import pytest

from lts_jax.llm.chat import ModelFailure
from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings
from lts_jax.records import Message

ASKED = (Message("user", "Plan.\nGo."),)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


async def call(behaviour, **changes):
    """One call of an endpoint that reads the request and then does as it likes with (reader, writer)."""

    async def serve(reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            await behaviour(writer)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = {"call_deadline_seconds": 60.0, "max_retries": 0} | changes
    model = OpenAIChatModel(OpenAIChatSettings("tiny", f"http://127.0.0.1:{port}/v1", **settings))
    started = time.perf_counter()
    try:
        return await model.complete(ASKED, seed=1)
    finally:
        elapsed = time.perf_counter() - started
        await model.close()
        server.close()
        assert elapsed < settings["call_deadline_seconds"] + 20.0  # a read of its own may take 240 seconds


def failure(behaviour, **changes):
    with pytest.raises(ModelFailure) as caught:
        asyncio.run(call(behaviour, **changes))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    return str(caught.value)


def saying(content):
    """Send these bytes and hang up."""

    async def behaviour(writer):
        writer.write(content)
        await writer.drain()

    return behaviour


SAID = {
    "nothing": b"",
    "garbage": b"\x00\xff\x13\x37 not http at all\r\n\r\n",
    "half a status line": b"HTTP/1.1 20",
    "half the headers": OK,
    "half the body": OK + b'Content-Length: 500\r\n\r\n{"choices"',
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "bad length": OK + b"Content-Length: many\r\n\r\n{}",
    "bad chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
    "cut chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{}",
    "bad gzip": OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
    "bad gzip in an error": b"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
    "unknown charset": b"HTTP/1.1 400 No\r\nContent-Type: text/html; charset=klingon\r\nContent-Length: 1\r\n\r\n\xff",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "status 999": b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
    "redirect": b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/v1\r\nContent-Length: 0\r\n\r\n",
    "redirect to nowhere": b"HTTP/1.1 302 Go\r\nLocation: :::\r\nContent-Length: 0\r\n\r\n",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"X-Pad: yes\r\n" * 100_000,
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
}


@pytest.mark.parametrize("content", SAID.values(), ids=SAID.keys())
def test_whatever_is_said_is_a_failure(content):
    failure(saying(content))


async def drip(writer):
    """Headers at once, then a byte now and then, so that no single read is ever late."""
    writer.write(OK + b"Content-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def drip_error(writer):
    """The same in the body of an error."""
    writer.write(b"HTTP/1.1 400 No\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def drip_informational(writer):
    """Interim responses without end."""
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def silent(writer):
    """Nothing at all."""
    await asyncio.sleep(300.0)


@pytest.mark.parametrize("behaviour", [drip, drip_error, drip_informational, silent], ids=lambda found: found.__name__)
def test_a_deadline_is_a_deadline(behaviour):
    text = failure(behaviour, call_deadline_seconds=0.15)
    assert text.endswith("the call took more than 0.15 seconds")


async def flood(writer):
    """A success whose body has no end."""
    writer.write(OK + b"\r\n")
    while True:
        writer.write(b" " * 2**16)
        await writer.drain()


async def flood_error(writer):
    """An error whose body has no end."""
    writer.write(b"HTTP/1.1 400 No\r\n\r\n")
    while True:
        writer.write(b"a" * 2**16)
        await writer.drain()


async def bomb(writer):
    """100 MB of spaces, compressed to 100 kB."""
    packed = gzip.compress(b" " * 100_000_000, 9)
    writer.write(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)
    await writer.drain()


@pytest.mark.parametrize(
    "behaviour, expected",
    [(flood, "larger than 8388608 bytes"), (flood_error, "HTTP 400: aaa"), (bomb, "larger than 8388608 bytes")],
    ids=["flood", "flood_error", "bomb"],
)
def test_a_body_is_read_up_to_a_limit(behaviour, expected):
    tracemalloc.start()
    assert expected in failure(behaviour, call_deadline_seconds=200.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 180_000_000  # a piece of a compressed body may unfold to 64 MB before it is counted


def test_nobody_listening():
    async def refused():
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        settings = OpenAIChatSettings("tiny", f"http://127.0.0.1:{port}/v1", max_retries=1, first_backoff_seconds=0.01)
        await OpenAIChatModel(settings).complete(ASKED, seed=1)

    with pytest.raises(ModelFailure, match=r"connection: \w*Connect\w*Error .*\(attempts: 2\)$"):
        asyncio.run(refused())
