"""The offline world over real loopback HTTP: the pages that the tools show, search, files, a form."""

import json
import re
import socket
import struct
import urllib.error
import urllib.request
from html import unescape
from urllib.parse import urlencode

import pytest

from lts_jax.commands.world import Command, run
from lts_jax.errors import UserError
from lts_jax.tasks.almanac import AlmanacTools, build_almanac
from lts_jax.tasks.almanac.html_page import page_body
from lts_jax.tasks.almanac.records import Page
from lts_jax.tasks.almanac.website import MAX_CONNECTIONS, WorldSite

ALMANAC = build_almanac(0)
PAGE = next(page for page in ALMANAC.pages.values() if "See also" in page.text and not page.refusal)


@pytest.fixture(scope="module")
def site():
    with WorldSite(ALMANAC) as running:
        yield running


def ask(site, path, form=None):
    """Status, final address and text."""
    data = None if form is None else urlencode(form).encode()
    url = path if path.startswith("http") else site.base_url + path
    try:
        with urllib.request.urlopen(url, data, timeout=200) as reply:
            return reply.status, reply.url, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.url, error.read().decode()


def words(html):
    return re.findall(r"\w+", unescape(re.sub("<[^>]+>", " ", html)))


def test_a_page_in_html():
    text = "A <b>\n<https://a.example/b> | updated 2025-01-02 | page 1 of 2\n\nOne & two.\nField: 3\n\n"
    text += (
        "| x | y |\n| 1 | 2 |\n* Note.\n\nSee also: C <https://c.example/d>\nNext page: <https://a.example/b/page-2>"
    )
    assert page_body(Page("https://a.example/b", "A <b>", text, "2025-01-02")) == (
        "<h1>A &lt;b&gt;</h1>\n<p>updated 2025-01-02 | page 1 of 2</p>\n<p>One &amp; two.</p>\n<p>Field: 3</p>\n"
        "<table><thead><tr><th>x</th><th>y</th></tr></thead>\n<tbody><tr><td>1</td><td>2</td></tr>\n</tbody></table>\n"
        '<p>* Note.</p>\n<p>See also: <a href="/c.example/d">C</a></p>\n'
        '<p><a href="/a.example/b/page-2">Next page</a></p>'
    )


def test_every_page_keeps_its_words():
    for page in list(ALMANAC.pages.values())[::50]:
        lost = set(words(re.sub("<https[^>]+>", "", page.text))) - set(words(page_body(page)))
        assert not lost, page.url


def test_pages_and_their_links_are_served(site):
    status, _, html = ask(site, site.url_of(PAGE.url))
    assert status == 200 and f"<title>{PAGE.title}</title>" in html
    links = re.findall(r'href="(/[^"]+)"', html)
    assert links
    for link in links:
        assert ask(site, link)[0] in {200, 403, 504}


def test_refusals_have_their_status(site):
    refusing = {page.refusal.split("\n")[0]: page for page in ALMANAC.pages.values() if page.refusal}
    statuses = {reason[:4]: ask(site, site.url_of(page.url))[0] for reason, page in refusing.items()}
    assert statuses == {"403 ": 403, "Plea": 403, "Time": 504}
    assert ask(site, "/nowhere.example/x")[0] == 404


def test_search_finds_what_the_tool_finds(site):
    query = PAGE.title
    told = json.loads(ask(site, "/search?" + urlencode({"q": query, "format": "json"}))[2])
    assert told["query"] == query and len(told["results"]) == 10
    shown = re.findall(r"<(https://\S+)>", AlmanacTools(ALMANAC).web_search(query).text)
    assert [each["url"] for each in told["results"][:6]] == [site.url_of(url) for url in shown]
    second = json.loads(ask(site, "/search?" + urlencode({"q": query, "format": "json", "pageno": 2}))[2])
    assert not {each["url"] for each in told["results"]} & {each["url"] for each in second["results"]}
    assert ask(site, "/search?format=json")[0] == 400


def test_files_forms_and_listings(site):
    name, text = next(iter(ALMANAC.files.items()))
    assert ask(site, f"/files/{name}") == (200, f"{site.base_url}/files/{name}", text)
    assert f'href="/files/{name}"' in ask(site, "/files/")[2]
    assert ask(site, "/files/..%2f..%2fetc%2fpasswd")[0] == 404
    status, url, _ = ask(site, "/lookup", {"title": PAGE.title.upper()})
    assert (status, url) == (200, site.url_of(PAGE.url))
    assert ask(site, "/lookup", {"title": "nothing"})[0] == 404
    assert ask(site, "/search", {"q": "x"})[0] == 405
    host = PAGE.url.split("/")[2]
    assert f'href="/{host}/"' in ask(site, "/")[2] and PAGE.title in unescape(ask(site, f"/{host}/")[2])


def test_the_scripted_page_holds_its_text_elsewhere(site):
    path = site.url_of(PAGE.url).removeprefix(site.base_url)
    assert PAGE.title not in ask(site, f"/scripted{path}")[2]
    assert json.loads(ask(site, f"/content{path}")[2]) == {"title": PAGE.title, "html": page_body(PAGE)}


def test_a_port_that_cannot_be_taken_is_one_line(site):
    with pytest.raises(UserError, match="expected a port from 0 to 65535, got -1"):
        Command(serve=-1)
    with pytest.raises(UserError, match=f"port {site.port} cannot be taken: Address already in use"):
        run(Command(serve=site.port))


def test_a_client_that_leaves_is_no_word_and_too_many_are_told_so(capfd, monkeypatch):
    with WorldSite(ALMANAC) as own:
        held = []
        for _ in range(MAX_CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", own.port), timeout=200)
            connection.sendall(b"GET / HTTP/1.1\r\n")
            held.append(connection)
        with socket.create_connection(("127.0.0.1", own.port), timeout=200) as refused:
            assert refused.recv(100).startswith(b"HTTP/1.1 503 Service Unavailable")
        for connection in held:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, as a kill does
            connection.close()
        while own._server._free._value < MAX_CONNECTIONS:
            pass
        assert ask(own, "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_form_that_is_too_long_or_of_many_fields_is_an_answer(site):
    many = "&".join(f"a{number}=1" for number in range(5_000)).encode()
    head = b"POST /lookup HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
    for length, body in (("9" * 5_000, b""), ("-1", b""), ("\u0661", b""), (str(len(many)), many)):
        with socket.create_connection(("127.0.0.1", site.port), timeout=200) as connection:
            connection.sendall(head + length.encode() + b"\r\n\r\n" + body)
            assert connection.recv(20).startswith((b"HTTP/1.1 404", b"HTTP/1.1 200", b"HTTP/1.1 400"))
