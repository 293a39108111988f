"""The browser's only way out: every line of it judged like a first address, over real sockets."""

import asyncio
import contextlib

import pytest

from lts_jax.live.tools.addresses import Refused
from lts_jax.live.tools.fetch import FetchSettings
from lts_jax.live.tools.guard_proxy import GuardProxy, direct_head, read_proxy_line


@pytest.mark.parametrize(
    "line",
    [
        "",
        "GET / HTTP/1.1",
        "GET https://a.example/ HTTP/1.1",
        "GET ftp://a.example/ HTTP/1.1",
        "GET http://a.example/ HTTP/2",
        "GET http://a.example/ b HTTP/1.1",
        "GET http://me@a.example/ HTTP/1.1",
        "CONNECT a.example:443/x HTTP/1.1",
        "CONNECT a.example:22 HTTP/1.1",
        "CONNECT user@a.example:443 HTTP/1.1",
        "CONNECT 2130706433:443 HTTP/1.1",
        "CONNECT 0x7f.1:443 HTTP/1.1",
        "CONNECT :443 HTTP/1.1",
    ],
)
def test_lines_that_are_refused(line):
    with pytest.raises(Refused):
        read_proxy_line(line, (80, 443))


def test_lines_that_are_read():
    target, is_tunnel = read_proxy_line("CONNECT A.example:443 HTTP/1.1", (80, 443))
    assert (target.host, target.port, is_tunnel) == ("a.example", 443, True)
    target, is_tunnel = read_proxy_line("POST http://a.example:80/b?c HTTP/1.1", (80, 443))
    assert (target.authority, target.path, is_tunnel) == ("a.example", "/b?c", False)
    head = "POST http://a.example/b HTTP/1.1\r\nHost: evil\r\nProxy-Connection: x\r\nConnection: x\r\nA: b\r\n\r\n"
    assert direct_head(head, target) == "POST /b?c HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nA: b\r\n\r\n"


def through_proxy(request, *, reply=b"HTTP/1.1 200 OK\r\n\r\nhello", resolve=None, **changed):
    """Send bytes through a proxy to a server behind it; what came back, what the server got, the proxy."""
    received = []

    async def serve(reader, writer):
        received.append(await reader.read(65_536))
        writer.write(reply)
        writer.close()

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = str(server.sockets[0].getsockname()[1]).encode()
        settings = FetchSettings(**({"allowed_networks": ("127.0.0.1/32",), "ports": ()} | changed))
        async with server, GuardProxy(settings, resolve) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
            writer.write(request.replace(b"PORT", port))
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                async with asyncio.timeout(200):
                    while piece := await reader.read(65_536):
                        answer += piece
                        if answer.endswith(b"established\r\n\r\n"):
                            writer.write(b"through the tunnel")
            writer.close()
            return answer, received, proxy

    return asyncio.run(run())


def test_plain_requests_and_tunnels_pass():
    answer, received, proxy = through_proxy(b"GET http://127.0.0.1:PORT/a HTTP/1.1\r\nHost: other\r\n\r\n")
    assert answer.endswith(b"hello") and proxy.refusals == [] and proxy.num_bytes == 24
    assert received[0].startswith(b"GET /a HTTP/1.1\r\nHost: 127.0.0.1:")
    answer, received, _ = through_proxy(b"CONNECT 127.0.0.1:PORT HTTP/1.1\r\n\r\n")
    assert b"200 Connection established" in answer and received == [b"through the tunnel"]


@pytest.mark.parametrize("line", [b"GET http://%s:PORT/ HTTP/1.1\r\n\r\n", b"CONNECT %s:PORT HTTP/1.1\r\n\r\n"])
@pytest.mark.parametrize("host", [b"127.0.0.2", b"10.0.0.1", b"[::1]", b"[::ffff:127.0.0.2]", b"2130706433", b"127.1"])
def test_forbidden_targets_are_refused(line, host):
    answer, received, proxy = through_proxy(line % host)
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n") and received == [] and len(proxy.refusals) == 1


def test_a_name_that_changes_its_address_gains_nothing():
    answers = [["127.0.0.1"], ["127.0.0.2"]]

    async def resolve(host, port):
        return answers.pop(0)

    answer, received, _ = through_proxy(b"GET http://name.example:PORT/ HTTP/1.1\r\n\r\n", resolve=resolve)
    assert answer.endswith(b"hello") and len(received) == 1 and answers == [["127.0.0.2"]]
    answer, received, _ = through_proxy(b"CONNECT name.example:PORT HTTP/1.1\r\n\r\n", resolve=resolve)
    assert answer.startswith(b"HTTP/1.1 403") and received == []


def test_bytes_and_heads_are_bounded():
    answer, _, proxy = through_proxy(
        b"GET http://127.0.0.1:PORT/ HTTP/1.1\r\n\r\n", reply=b"x" * 1_000_000, max_bytes=100_000
    )
    assert proxy.is_over_limit and len(answer) <= 100_000
    answer, received, _ = through_proxy(b"GET http://127.0.0.1:PORT/ HTTP/1.1\r\nA: " + b"x" * 200_000)
    assert received == [] and (answer == b"" or answer.startswith(b"HTTP/1.1 431"))
