"""The offline world as a website on this machine, for tools and browsers that speak HTTP.

The page `https://HOST/PATH` of the world stands at `/HOST/PATH`. There are also a search endpoint that answers like
SearXNG (`/search?q=...&format=json`), the files (`/files/NAME`), a form that is posted (`/lookup`), and every page once
more as one that needs scripts (`/scripted/HOST/PATH`).
"""

import json
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from lts_jax.tasks.almanac.html_page import href, page_body, page_document
from lts_jax.tasks.almanac.records import Almanac, Page
from lts_jax.tasks.almanac.search import rank, search_index

RESULTS_PER_PAGE = 10
MAX_CONNECTIONS = 128
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_MAX_FORM_BYTES = 64 * 2**10
_MAX_LISTED = 200  # links on one listing page
_SCRIPT = """<main id="content">This page needs scripts.</main><script>
fetch("/content" + location.pathname.slice("/scripted".length)).then(reply => reply.json()).then(found => {
  document.title = found.title; document.getElementById("content").innerHTML = found.html; });
</script>"""


@dataclass(frozen=True, slots=True)
class SiteReply:
    """What the site answers; `location` is set where it sends on."""

    status: int
    content_type: str
    body: bytes
    location: str = ""


def respond(
    almanac: Almanac, base_url: str, target: str, form: Mapping[str, str] | None = None, *, method: str = "GET"
) -> SiteReply:
    """The answer to a request for `target` (path and query); `form` is what was posted. `base_url` has no last slash.

    Search results hold absolute addresses below `base_url`; links on pages are relative to the site.
    """
    parts = urlsplit(target)
    path = unquote(parts.path)
    if path == "/lookup":
        return _lookup(almanac, form) if method == "POST" else _html("Lookup", _LOOKUP)
    if method != "GET":
        return _error(405, "Method Not Allowed", "Only /lookup takes a posted form.")
    if path == "/":
        return _home(almanac)
    if path == "/search":
        return _search(almanac, base_url, {name: values[0] for name, values in parse_qs(parts.query).items()})
    if path == "/files/":
        return _html("Files", _listing([(f"/files/{quote(name)}", name) for name in sorted(almanac.files)]))
    if path.startswith("/files/"):
        return _file(almanac, path.removeprefix("/files/"))
    return _page(almanac, path)


class _Server(ThreadingHTTPServer):
    """At most so many connections at once, and no word about a client that leaves."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            with suppress(OSError):
                request.sendall(_BUSY)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), (OSError, EOFError)):
            super().handle_error(request, client_address)


class WorldSite:
    """The website of a world, served by threads of this process. Use it as a context manager."""

    def __init__(self, almanac: Almanac, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Take the address; port 0 takes a free one. Raises OSError if it is in use or not this machine's."""
        self._server = _Server((host, port), _handler(almanac))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def base_url(self) -> str:
        """Where the site begins, without a last slash."""
        return f"http://{self._server.server_address[0]!s}:{self.port}"

    def url_of(self, url: str) -> str:
        """Where the page with this address of the world stands on the site."""
        return self.base_url + href(url)

    def __enter__(self) -> "WorldSite":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Answer requests in this thread until interrupted."""
        try:
            self._server.serve_forever()
        finally:
            self._server.server_close()


def _handler(almanac: Almanac) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "0")
            is_known = length.isascii() and length.isdigit() and len(length) < 10
            num_bytes = int(length) if is_known else _MAX_FORM_BYTES + 1
            if num_bytes > _MAX_FORM_BYTES or "Transfer-Encoding" in self.headers:
                self.close_connection = True
                self._answer({})
                return
            posted = self.rfile.read(num_bytes).decode("utf-8", "replace")
            try:
                fields = parse_qs(posted, keep_blank_values=True, max_num_fields=1_000)
            except ValueError:
                fields = {}
            self._answer({name: values[0] for name, values in fields.items()})

        def _answer(self, form: Mapping[str, str] | None) -> None:
            host = self.headers.get("Host", "127.0.0.1")
            reply = respond(almanac, f"http://{host}", self.path, form, method=self.command)
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            if reply.location:
                self.send_header("Location", reply.location)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


_LOOKUP = (
    '<form method="post" action="/lookup"><label>Exact title of a page <input name="title" type="text"></label>'
    '<button type="submit">Look up</button></form>'
)
_SEARCH = (
    '<form method="get" action="/search"><input name="q" type="search" placeholder="Words to search for">'
    '<button type="submit">Search</button></form>'
)


def _home(almanac: Almanac) -> SiteReply:
    hosts = sorted({urlsplit(url).hostname or "" for url in almanac.pages})
    links = [("/files/", "Files"), ("/lookup", "Lookup by title"), *((f"/{host}/", host) for host in hosts)]
    return _html("The offline world", _SEARCH + _LOOKUP + _listing(links))


def _search(almanac: Almanac, base_url: str, query: Mapping[str, str]) -> SiteReply:
    words, number = query.get("q", ""), query.get("pageno", "1")
    if not words.strip():
        return _error(400, "Bad Request", "The parameter q is missing.")
    page = int(number) if number.isdigit() and 1 <= int(number[:4]) <= 50 else 1
    index = search_index(almanac)
    places = rank(index, words, num_results=page * RESULTS_PER_PAGE)[(page - 1) * RESULTS_PER_PAGE :]
    found = [_result(base_url, index.results[place]) for place in places]
    if query.get("format") == "json":
        empty: dict[str, list[str]] = {
            name: [] for name in ("answers", "corrections", "infoboxes", "suggestions", "unresponsive_engines")
        }
        body = json.dumps({"query": words, "number_of_results": 0, "results": found, **empty})
        return SiteReply(200, "application/json", body.encode())
    items = [f'<li><a href="{escape(each["url"])}">{escape(each["title"])}</a> {escape(each["content"])}</li>'
             for each in found]  # fmt: skip
    return _html(f"Search results for: {words}", _SEARCH + f"<ol>{''.join(items)}</ol>")


def _result(base_url: str, printed: str) -> dict[str, str]:
    title, address, snippet = (line.strip() for line in printed.split("\n"))
    url = base_url + href(address.strip("<>"))
    return {"url": url, "title": title, "content": snippet, "engine": "almanac", "category": "general"}


def _lookup(almanac: Almanac, form: Mapping[str, str] | None) -> SiteReply:
    title = (form or {}).get("title", "").strip().lower()
    found = _by_title(almanac).get(title)
    if found is None:
        return _error(404, "Not Found", f"No page has the title {title!r}.")
    return SiteReply(303, "text/html; charset=utf-8", b"", location=href(found.url))


@lru_cache(maxsize=4)
def _by_title(almanac: Almanac) -> dict[str, Page]:
    return {page.title.lower(): page for page in reversed(list(almanac.pages.values()))}


def _file(almanac: Almanac, name: str) -> SiteReply:
    text = almanac.files.get(name)
    if text is None:
        return _error(404, "Not Found", f"There is no file {name!r}.")
    kind = {"csv": "text/csv", "json": "application/json"}.get(name.rpartition(".")[2], "text/plain")
    return SiteReply(200, f"{kind}; charset=utf-8", text.encode())


def _page(almanac: Almanac, path: str) -> SiteReply:
    kind, rest = next(((p, path[len(p) :]) for p in ("/scripted", "/content") if path.startswith(p + "/")), ("", path))
    page = almanac.pages.get("https:/" + rest.rstrip("/"))
    if page is None:
        below = [
            (href(each.url), each.title) for url, each in almanac.pages.items() if url.startswith(f"https:/{path}")
        ]
        host = path.strip("/")
        if host and "/" not in host and below:
            return _html(host, _listing(below))
        return _error(404, "Not Found", f"There is no page at {path}")
    if page.refusal:
        reason, _, rest = page.refusal.partition("\n")
        return _error(504 if reason.startswith("Timeout") else 403, reason, rest or reason)
    if kind == "/scripted":
        return SiteReply(200, "text/html; charset=utf-8", page_document("Loading", _SCRIPT).encode())
    if kind == "/content":
        body = json.dumps({"title": page.title, "html": page_body(page)})
        return SiteReply(200, "application/json", body.encode())
    return SiteReply(200, "text/html; charset=utf-8", page_document(page.title, page_body(page)).encode())


def _listing(links: list[tuple[str, str]]) -> str:
    items = (f'<li><a href="{escape(address)}">{escape(text)}</a></li>' for address, text in links[:_MAX_LISTED])
    return f"<ul>{''.join(items)}</ul>"


def _html(title: str, body: str) -> SiteReply:
    document = page_document(title, f"<h1>{escape(title)}</h1>\n{body}")
    return SiteReply(200, "text/html; charset=utf-8", document.encode())


def _error(status: int, title: str, text: str) -> SiteReply:
    document = page_document(title, f"<h1>{escape(title)}</h1><p>{escape(text)}</p>")
    return SiteReply(status, "text/html; charset=utf-8", document.encode())
