"""Fetching over real loopback HTTP: addresses, redirects, rebinding, and servers that mean harm."""

import asyncio
import contextlib
import gzip
import socket
import ssl
import subprocess
import time
import zlib
from hashlib import sha256

import pytest

from lts_jax.live.tools.fetch import Fetched, FetchFailure, FetchSettings, fetch

LOOPBACK = ("127.0.0.0/8",)


class Site:
    """A loopback server that answers each path with raw bytes, or with an async function of the writer."""

    def __init__(self, answers):
        self.answers = answers
        self.requests = []
        self.port = 0

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError, EOFError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next((int(x[15:]) for x in head.split("\r\n") if x.lower().startswith("content-length:")), 0)
            body = await reader.readexactly(length)
            self.requests.append(head + body.decode("latin-1"))
            answer = self.answers[head.split(" ")[1]]
            if callable(answer):
                await answer(writer)
            else:
                writer.write(answer)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def serving(answers, **options):
    site = Site(answers)
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0, **options)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()


def reply(body=b"", *headers, status="200 OK"):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def resolver(*answers):
    """Each lookup gets the next of the answers; the last is repeated. `asked` counts them."""
    pending = list(answers)

    async def resolve(host, port):
        resolve.asked.append(host)
        return pending.pop(0) if len(pending) > 1 else pending[0]

    resolve.asked = []
    return resolve


def get(answers, path="/", *, host="127.0.0.1", resolve=None, form=None, headers=None, **settings):
    """Serve, fetch one path, and return (result, requests that arrived)."""

    async def run():
        async with serving(answers) as site:
            chosen = FetchSettings(**({"allowed_networks": LOOPBACK, "ports": ()} | settings))
            url = path.replace("PORT", str(site.port)) if "://" in path else f"http://{host}:{site.port}{path}"
            filled = {name: _with_port(answer, site.port) for name, answer in answers.items()}
            site.answers = filled
            result = await fetch(url, chosen, resolve=resolve, form=form, headers=headers)
            return result, site.requests

    return asyncio.run(run())


def _with_port(answer, port):
    if isinstance(answer, Turns):
        return Turns(*(_with_port(each, port) for each in answer.replies))
    return answer.replace(b"PORT", str(port).encode()) if isinstance(answer, bytes) else answer


def failure(result, kind, words):
    assert isinstance(result, FetchFailure), result
    assert (result.kind, words in result.reason) == (kind, True), result
    assert "\n" not in result.reason
    return True


def test_a_page_arrives_with_its_origin():
    body = "<p>Größe</p>".encode()
    result, requests = get({"/a?b=c": reply(body, "Content-Type: Text/HTML; Charset='UTF-8'")}, "/a?b=c#part")
    assert isinstance(result, Fetched)
    assert (result.body, result.content_type, result.charset, result.status) == (body, "text/html", "utf-8", 200)
    assert result.sha256 == sha256(body).hexdigest()
    assert result.url.endswith("/a?b=c") and result.hops == (result.url,) and result.address == "127.0.0.1"
    assert requests[0].startswith("GET /a?b=c HTTP/1.1\r\n") and "\r\nConnection: close\r\n" in requests[0]


def test_this_machine_is_refused_unless_allowed():
    for host in ("127.0.0.1", "localhost"):
        result, requests = get({"/": reply(b"secret")}, host=host, allowed_networks=())
        assert failure(result, "refused", "is not a public address (loopback)") and requests == []
    result, requests = get({"/": reply(b"secret")}, allowed_networks=("10.0.0.0/8",))
    assert failure(result, "refused", "loopback") and requests == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "017700000001", "0x7f.1"])
def test_other_spellings_of_this_machine_are_refused_even_where_it_is_allowed(host):
    result, requests = get({"/": reply(b"secret")}, host=host)
    assert failure(result, "refused", "expected an address as four plain decimals") and requests == []


def test_mapped_addresses_are_judged_by_what_they_carry():
    result, requests = get({"/": reply(b"secret")}, host="[::ffff:127.0.0.1]", allowed_networks=())
    assert failure(result, "refused", "carries an IPv4 address: 127.0.0.1") and requests == []
    named = resolver(["::ffff:10.0.0.1"])
    result, requests = get({"/": reply(b"secret")}, host="mapped.example", resolve=named)
    assert failure(result, "refused", "10.0.0.1 is not a public address (private)") and requests == []


def test_ports_and_user_names_are_refused():
    result, requests = get({"/": reply(b"secret")}, ports=(80, 443))
    assert failure(result, "refused", "is not allowed, only 80, 443") and requests == []
    result, requests = get({"/": reply(b"secret")}, "http://me:hunter2@127.0.0.1:PORT/")
    assert failure(result, "refused", "user name") and requests == [] and "hunter2" not in f"{result}"


def test_a_name_is_asked_at_the_address_that_was_checked():
    # The second answer of the resolver would be forbidden: nobody asks for it.
    rebinding = resolver(["127.0.0.1"], ["127.6.6.6"])
    result, requests = get(
        {"/": reply(b"page")}, host="name.example", resolve=rebinding, allowed_networks=("127.0.0.1/32",)
    )
    assert isinstance(result, Fetched) and result.address == "127.0.0.1"
    assert rebinding.asked == ["name.example"] and "\r\nHost: name.example:" in requests[0].replace(
        "\nHost", "\r\nHost"
    )


def test_each_hop_is_resolved_and_checked_again():
    rebinding = resolver(["127.0.0.1"], ["169.254.169.254"])
    answers = {"/": reply(b"", "Location: /next", status="302 Found"), "/next": reply(b"secret")}
    result, requests = get(answers, host="name.example", resolve=rebinding)
    assert failure(result, "refused", "169.254.169.254 is not a public address (link-local)")
    assert len(requests) == 1 and rebinding.asked == ["name.example"] * 2 and result.url.endswith("/next")


def test_one_forbidden_address_forbids_the_name():
    result, requests = get({"/": reply(b"secret")}, host="two.example", resolve=resolver(["127.0.0.1", "10.0.0.1"]))
    assert failure(result, "refused", "10.0.0.1") and requests == []


def test_the_next_address_is_tried_where_one_does_not_answer():
    result, _ = get({"/": reply(b"page")}, host="two.example", resolve=resolver(["127.9.9.9", "127.0.0.1"]))
    assert isinstance(result, Fetched) and result.address == "127.0.0.1"
    result, _ = get({"/": reply(b"page")}, host="none.example", resolve=resolver([]))
    assert failure(result, "connection", "no address for none.example")


def test_an_unknown_name_is_a_failure_by_name():
    async def unknown(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    result, _ = get({}, host="nowhere.example", resolve=unknown)
    assert failure(result, "name", "the host is not known")


@pytest.mark.parametrize(
    "location",
    [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:PORT/next",
        "http://[::ffff:10.0.0.1]/",
        "http://2130706433:PORT/next",
        "//0x7f000001:PORT/next",
        "http://x@127.0.0.1:PORT/next",
        "file:///etc/passwd",
        "gopher://127.0.0.1:PORT/next",
        "http://127.0.0.1:PORT\\@x/next",
    ],
)
def test_a_redirect_is_judged_like_a_first_address(location):
    answers = {"/": reply(b"", f"Location: {location}", status="302 Found"), "/next": reply(b"secret")}
    result, requests = get(answers)
    assert isinstance(result, FetchFailure) and result.kind == "refused" and len(requests) == 1


def test_redirects_are_followed_by_hand():
    answers = {
        "/": reply(b"", "Location: http://127.0.0.2:PORT/b c?x=1#y", status="301 Moved Permanently"),
        "/b%20c?x=1": reply(b"", "Location: d/\xe4", status="307 Temporary Redirect"),
        "/d/%E4": reply(b"end"),
        "/d/%C3%A4": reply(b"end"),
    }
    result, requests = get(answers)
    # The server listens at 127.0.0.1 only, so the second hop is refused by the operating system, not by the rule.
    assert isinstance(result, FetchFailure) and result.kind == "connection" and len(requests) == 1
    answers["/"] = answers["/"].replace(b"http://127.0.0.2:PORT", b"")
    result, requests = get(answers, headers={"X-Word": "once"})
    assert isinstance(result, Fetched) and result.body == b"end"
    assert [hop.partition("PORT")[2] or hop.rpartition(":")[2].partition("/")[2] for hop in result.hops] == [
        "",
        "b%20c?x=1",
        "d/%C3%A4",
    ]
    assert all("X-Word: once" in request for request in requests)


def test_headers_stay_with_the_first_origin():
    answers = {"/": reply(b"", "Location: http://other.example:PORT/b", status="302 Found"), "/b": reply(b"end")}
    result, requests = get(answers, resolve=resolver(["127.0.0.1"]), headers={"X-Word": "secret"})
    assert isinstance(result, Fetched) and "secret" in requests[0] and "secret" not in requests[1]


def test_redirects_end():
    circle = {
        "/": reply(b"", "Location: /a", status="302 Found"),
        "/a": reply(b"", "Location: /", status="302 Found"),
    }
    result, requests = get(circle)
    assert failure(result, "redirect", "circle") and len(requests) == 2
    chain = {f"/{i}": reply(b"", f"Location: /{i + 1}", status="302 Found") for i in range(9)}
    result, requests = get(chain, "/0", max_redirects=3)
    assert failure(result, "redirect", "more than 3 redirects, the next one to /4") and len(requests) == 4
    result, _ = get({"/": reply(b"here", status="302 Found")})
    assert failure(result, "status", "302 Found") and result.status == 302


class Turns:
    """Answers a path with one reply after the other; the last is repeated."""

    def __init__(self, *replies):
        self.replies = list(replies)

    async def __call__(self, writer):
        writer.write(self.replies.pop(0) if len(self.replies) > 1 else self.replies[0])
        await writer.drain()


def test_cookies_last_as_long_as_the_redirects_of_one_fetch():
    asks = reply(b"", "Set-Cookie: ok=1; Path=/", "Set-Cookie: seen=a b", "Location: /p", status="302 Found")
    answers = {"/p": Turns(asks, reply(b"the page"))}
    result, requests = get(answers, "/p")
    assert isinstance(result, Fetched) and result.body == b"the page"
    assert "Cookie:" not in requests[0] and "\r\nCookie: ok=1; seen=a b\r\n" in requests[1]
    again, requests = get(answers, "/p")
    assert isinstance(again, Fetched) and "Cookie:" not in requests[0]
    result, requests = get({"/p": asks}, "/p")  # as often as the cookie is new, and no more
    assert failure(result, "redirect", "circle") and len(requests) == 2


def test_a_cookie_goes_back_to_those_that_may_have_it():
    consent = "http://consent.a.example:PORT/"
    answers = {
        "/": Turns(reply(b"", f"Location: {consent}c", status="302 Found"), reply(b"the page")),
        "/c": reply(
            b"", "Set-Cookie: ok=1; Domain=a.example; Path=/", "Set-Cookie: own=2", "Set-Cookie: x=3; Domain=b.example",
            "Location: http://www.a.example:PORT/", status="302 Found",
        ),
    }  # fmt: skip
    result, requests = get(answers, host="www.a.example", resolve=resolver(["127.0.0.1"]))
    assert isinstance(result, Fetched) and result.body == b"the page"
    assert [request.partition("\r\nCookie: ")[2].partition("\r")[0] for request in requests] == ["", "", "ok=1"]


@pytest.mark.parametrize("status", ["429 Slow", "503 Busy"])
def test_a_busy_server_is_asked_again_when_it_says(status):
    busy = reply(b"slow", "Retry-After: 0.01", status=status)
    result, requests = get({"/": Turns(busy, busy, reply(b"the page"))})
    assert isinstance(result, Fetched) and result.body == b"the page" and len(requests) == 3
    result, requests = get({"/": busy})
    assert failure(result, "status", status[:3]) and len(requests) == 3 and result.body == b"slow"


def test_a_wait_that_the_deadline_does_not_allow_is_told_at_once():
    result, requests = get({"/": reply(b"", "Retry-After: 3600", status="429 Slow")})
    assert failure(result, "status", "429 Too Many Requests (it asks to come back in 3600 seconds)")
    assert len(requests) == 1
    busy = reply(b"", "Retry-After: 0.01", status="503 Busy")
    result, requests = get({"/": busy}, form={"n": "1"})  # it may have taken the form
    assert failure(result, "status", "503 Service Unavailable") and len(requests) == 1


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("Content-Type: text/html, text/html; charset=utf-8", ("text/html", "utf-8", "")),
        ("Content-Type: text/html; charset=UTF-8, text/html", ("text/html", "utf-8", "")),
        ("Content-Type: , Text/Plain;charset='koi8-r'", ("text/plain", "koi8-r", "")),
        ("Content-Type: html", ("", "", "")),
        ("Content-Type : text/html charset=utf-8", ("text/html", "utf-8", "")),
        ('Content-Disposition: attachment; filename="../a/report.pdf"', ("", "", "report.pdf")),
        ("Content-Disposition: inline; filename=data.xlsx", ("", "", "data.xlsx")),
        ("Content-Disposition: attachment; filename*=UTF-8''r%C3%A9sum%C3%A9.pdf", ("", "", "résumé.pdf")),
        ("Content-Disposition: attachment; filename*=no-charset''%FF.pdf", ("", "", "ÿ.pdf")),
        ("Content-Disposition: attachment", ("", "", "")),
    ],
)
def test_what_a_reply_is_called_and_told_to_be(header, found):
    result, _ = get({"/": reply(b"x", header)})
    assert (result.content_type, result.charset, result.file_name) == found


def test_a_form_is_posted_and_becomes_a_get_where_the_server_says_so():
    answers = {"/form": reply(b"", "Location: /done", status="303 See Other"), "/done": reply(b"thanks")}
    result, requests = get(answers, "/form", form={"name": "ä b", "n": "1"})
    assert isinstance(result, Fetched) and result.body == b"thanks"
    assert requests[0].startswith("POST /form ") and requests[0].endswith("\r\n\r\nname=%C3%A4+b&n=1")
    assert requests[1].startswith("GET /done ")
    kept = {"/form": reply(b"", "Location: /done", status="307 Temporary Redirect"), "/done": reply(b"thanks")}
    result, requests = get(kept, "/form", form={"n": "1"})
    assert requests[1].startswith("POST /done ") and requests[1].endswith("n=1")
    away = {"/form": reply(b"", "Location: http://b.example:PORT/", status="307 Temporary Redirect")}
    result, requests = get(away, "/form", form={"n": "1"}, resolve=resolver(["127.0.0.1"]))
    assert failure(result, "redirect", "a form is not sent on") and len(requests) == 1


def test_errors_are_failures_with_their_status():
    result, _ = get({"/": reply(b"nothing", status="404 Whatever")})
    assert failure(result, "status", "404 Not Found") and result.status == 404
    result, _ = get({"/": reply(b"", status="799 Odd")})
    assert failure(result, "status", "799") and result.status == 799


BIG = 2_000_000


async def _endless(writer):
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def _endless_chunks(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        await writer.drain()


async def _endless_headers(writer):
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Filler: " + b"y" * 1000 + b"\r\n")
        await writer.drain()


async def _endless_interim(writer):
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await writer.drain()


BOMB = gzip.compress(bytes(50_000_000), 9, mtime=0)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (_endless, f"larger than {BIG} bytes"),
        (_endless_chunks, f"larger than {BIG} bytes"),
        (_endless_headers, "no readable HTTP reply"),
        (_endless_interim, "more than 65536 bytes of headers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\nx", f"larger than {BIG} bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999999\r\n\r\nx", "no readable HTTP reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "no readable HTTP reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", "no readable HTTP reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", "no readable HTTP reply"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no readable HTTP reply"),
        (b"HTTP/1.1 200 OK\r\n Content-Length: 5\r\n\r\nhello", "no readable HTTP reply"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "no readable HTTP reply"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no readable HTTP reply"),
        (b"", "no readable HTTP reply"),
        (reply(BOMB, "Content-Encoding: gzip"), f"larger than {BIG} bytes when unpacked"),
        (reply(zlib.compress(bytes(50_000_000)), "Content-Encoding: deflate"), "when unpacked"),
        (reply(b"no gzip", "Content-Encoding: gzip"), "no readable HTTP reply"),
        (reply(gzip.compress(b"hello", mtime=0)[:-4], "Content-Encoding: gzip"), "ends too early"),
        (reply(b"x", "Content-Encoding: br"), "content-encoding 'br' was not asked for"),
        (reply(b"x", "Content-Encoding: gzip, gzip"), "was not asked for"),
    ],
    ids=lambda value: (
        value.decode("latin-1")[:30].split("\r")[0]
        if isinstance(value, bytes)
        else getattr(value, "__name__", str(value))[:40]
    ),
)
def test_replies_that_mean_harm_are_failures_within_the_limits(answer, words):
    started = time.monotonic()
    result, _ = get({"/": answer}, max_bytes=BIG, deadline_seconds=200.0)
    assert failure(result, "reply", words)
    assert time.monotonic() - started < 100


@pytest.mark.parametrize(
    ("packing", "packed"),
    [
        ("gzip", gzip.compress(b"hel", mtime=0) + gzip.compress(b"lo", mtime=0)),
        ("gzip", gzip.compress(b"hello", mtime=0) + bytes(20)),
        ("x-gzip", gzip.compress(b"hello", mtime=0)),
        ("deflate", zlib.compress(b"hello")),
        ("deflate", zlib.compress(b"hello")[2:-4]),
        ("identity", b"hello"),
        ("GZIP", gzip.compress(b"hello", mtime=0)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_packed_replies_are_unpacked(packing, packed):
    result, _ = get({"/": reply(packed, f"Content-Encoding: {packing}")})
    assert isinstance(result, Fetched) and result.body == b"hello"


@pytest.mark.parametrize(
    "header",
    [
        "X Bad Header: 1",
        "X-Blank : 1",
        "Transfer-Encoding: identity",
        "Content-Encoding: UTF-8",
        "Content-Type: text/plain",
    ],
)
def test_headers_that_the_web_gets_wrong_do_no_harm(header):
    result, _ = get({"/": reply(b"hello", "Content-Type: text/html", header)})
    assert isinstance(result, Fetched) and (result.body, result.content_type) == (b"hello", "text/html")


def test_an_error_is_told_by_its_status_however_long_its_page():
    result, _ = get({"/": reply(b"x" * 100_000, status="404 No")}, max_bytes=1000)
    assert failure(result, "status", "404 Not Found")


def test_a_header_cannot_end_its_line():
    result, requests = get({"/": reply(b"hello")}, headers={"X-Key": "a\r\nX-Other: b"})
    assert failure(result, "connection", "control character") and requests == []


def test_a_reply_of_exactly_the_limit_arrives():
    result, _ = get({"/": reply(b"x" * 1000)}, max_bytes=1000)
    assert isinstance(result, Fetched)
    result, _ = get({"/": reply(b"x" * 1001)}, max_bytes=1000)
    assert failure(result, "reply", "larger than 1000 bytes")
    result, _ = get({"/": reply(gzip.compress(bytes(1000), mtime=0), "Content-Encoding: gzip")}, max_bytes=1000)
    assert isinstance(result, Fetched)
    result, _ = get({"/": reply(gzip.compress(bytes(1001), mtime=0), "Content-Encoding: gzip")}, max_bytes=1000)
    assert failure(result, "reply", "when unpacked")


async def _hang(writer):
    await asyncio.sleep(300)


async def _drip(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _drip_redirects(writer):
    await asyncio.sleep(0.5)
    writer.write(reply(b"", "Location: /again?" + str(time.monotonic_ns()), status="302 Found"))


@pytest.mark.parametrize("answer", [_hang, _drip])
def test_the_deadline_is_of_the_whole_fetch(answer):
    started = time.monotonic()
    result, _ = get({"/": answer}, deadline_seconds=0.3)
    assert failure(result, "timeout", "no whole reply within 0.3 seconds")
    assert 0.25 < time.monotonic() - started < 60


def test_the_deadline_counts_over_redirects():
    class Everything(dict):
        def __missing__(self, path):
            return _drip_redirects

        def items(self):
            return [("/", _drip_redirects)]

    async def run():
        async with serving(Everything()) as site:
            settings = FetchSettings(deadline_seconds=1.4, allowed_networks=LOOPBACK, ports=(), max_redirects=100)
            return await fetch(f"http://127.0.0.1:{site.port}/", settings), len(site.requests)

    result, num_requests = asyncio.run(run())
    assert failure(result, "timeout", "1.4 seconds") and 1 <= num_requests <= 3


def test_a_slow_resolver_is_held_to_the_deadline():
    async def slow(host, port):
        await asyncio.sleep(300)

    result, _ = get({}, host="slow.example", resolve=slow, deadline_seconds=0.2)
    assert failure(result, "timeout", "0.2 seconds")


def test_cancelling_passes_through():
    async def run():
        async with serving({"/": _hang}) as site:
            settings = FetchSettings(allowed_networks=LOOPBACK, ports=())
            task = asyncio.create_task(fetch(f"http://127.0.0.1:{site.port}/", settings))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())


def test_a_closed_port_is_a_failure():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    result = asyncio.run(fetch(f"http://127.0.0.1:{port}/", FetchSettings(allowed_networks=LOOPBACK, ports=())))
    assert failure(result, "connection", "")


def test_settings_say_what_they_expect():
    for wrong in ({"deadline_seconds": 0}, {"max_bytes": 0}, {"max_redirects": -1}, {"user_agent": "a\r\nb"}):
        with pytest.raises(ValueError, match="expected"):
            FetchSettings(**wrong)
    with pytest.raises(ValueError, match="expected networks"):
        FetchSettings(allowed_networks=("localhost",))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate for name.example that signs itself."""
    folder = tmp_path_factory.mktemp("certificate")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-keyout", "key.pem", "-out", "own.pem", "-subj", "/CN=name.example"]
    command += ["-addext", "subjectAltName=DNS:name.example"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the openssl program")
    return folder


@pytest.mark.parametrize(
    ("host", "trusted", "words"),
    [("name.example", True, None), ("other.example", True, "Hostname mismatch"), ("name.example", False, "self")],
)
def test_the_pinned_address_must_prove_that_it_is_the_host(certificate, host, trusted, words):
    names = []

    async def run():
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate / "own.pem", certificate / "key.pem")
        tls.sni_callback = lambda socket, name, context: names.append(name)
        async with serving({"/": reply(b"page")}, ssl=tls) as site:
            file = str(certificate / "own.pem") if trusted else ""
            settings = FetchSettings(allowed_networks=LOOPBACK, ports=(), certificates=file)
            return await fetch(f"https://{host}:{site.port}/", settings, resolve=resolver(["127.0.0.1"]))

    result = asyncio.run(run())
    assert names == [host]
    assert isinstance(result, Fetched) if words is None else failure(result, "connection", words)
