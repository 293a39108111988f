"""Web search through an HTTP endpoint that answers in JSON: SearXNG as it stands, others by their fields' names."""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from lts_jax.live.tools.charsets import decode_text
from lts_jax.live.tools.fetch import Fetched, FetchFailure, FetchSettings, fetch
from lts_jax.live.tools.search_replies import find_results, plain, show_asides, show_error, show_outage
from lts_jax.records import ToolResult

_ANYWHERE = ("0.0.0.0/0", "::/0")  # the user chose the endpoint; it may well be on this machine
_MAX_QUERY_CHARACTERS = 400
_MAX_REPLY_BYTES = 4 * 2**20
_ONLY_THE_USER = {401, 402, 403, 422}  # a key or a setting of the endpoint, which no other query mends


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Which endpoint is asked, and how its answer is read. The defaults read SearXNG."""

    endpoint: str = ""  # such as http://127.0.0.1:8080/search; empty: the offline world's search
    num_results: int = 6
    snippet_characters: int = 300
    seconds: float = 20.0
    query_parameter: str = "q"
    parameters: tuple[str, ...] = ("format=json",)  # sent with each query
    results_field: str = "results"  # of the answer; dots lead inside, as in "web.results"
    title_field: str = "title"
    url_field: str = "url"
    snippet_field: str = "content"
    key_header: str = ""  # such as "X-Subscription-Token", for endpoints that want a key
    key_variable: str = ""  # environment variable that holds the key
    seconds_apart: float = 0.0  # between the beginnings of two calls, over all teams of this process

    def __post_init__(self) -> None:
        if self.endpoint and urlsplit(self.endpoint).scheme not in {"http", "https"}:
            raise ValueError(f"search endpoint: expected an http or https URL, got {self.endpoint!r}")
        if self.num_results < 1 or self.snippet_characters < 0 or self.seconds <= 0:
            raise ValueError("search: expected one result or more, snippets from 0 characters and seconds above 0")
        if not 0 <= self.seconds_apart < float("inf"):
            raise ValueError(f"search: expected seconds_apart from 0, got {self.seconds_apart}")
        if bool(self.key_header) != bool(self.key_variable):
            raise ValueError("search: key_header and key_variable belong together")
        if any("=" not in each for each in self.parameters):
            raise ValueError(f"search parameters: expected name=value, got {self.parameters!r}")


@dataclass(slots=True)
class _Gates:
    """When each endpoint may be asked next, for all teams of this process."""

    free_at: dict[str, float] = field(default_factory=dict)  # endpoint -> seconds of the monotonic clock
    lock: threading.Lock = field(default_factory=threading.Lock)  # rollouts may run in several threads

    async def pass_through(self, endpoint: str, seconds: float) -> None:
        """Wait until the endpoint may be asked, so that calls begin at least `seconds` apart."""
        with self.lock:
            now = time.monotonic()
            begin = max(now, self.free_at.get(endpoint, now))
            self.free_at[endpoint] = begin + seconds
        await asyncio.sleep(begin - now)


_GATES = _Gates()


async def web_search(query: Any, settings: SearchSettings) -> ToolResult:
    """The first results: number, title, `<url>` and a snippet each. Never raises but for cancellation."""
    asked = " ".join(str(query).split())[:_MAX_QUERY_CHARACTERS]
    if not asked:
        return _failure("query is missing")
    headers = {"Accept": "application/json"}
    secret = os.environ.get(settings.key_variable, "") if settings.key_variable else ""
    if settings.key_variable:
        if not secret:
            return _failure(f"the search endpoint wants a key, and the variable {settings.key_variable} holds none")
        headers[settings.key_header] = secret
    found = await _ask(asked, settings, headers)
    if isinstance(found, FetchFailure):
        told = describe_refusal(found, settings)
        told = told.replace(secret, "[key]") if secret else told
        if found.status in _ONLY_THE_USER:
            tell_user(told)
        return _failure(told)
    try:
        answer = json.loads(decode_text(found.body, found.charset))
        results = read_results(answer, settings)
    except (ValueError, RecursionError):
        return _failure(_no_results_in(found.body))
    shown = [*show_asides(answer), *(f"{number}. {each}" for number, each in enumerate(results, 1))]
    outage = show_outage(answer)
    if not shown and outage:
        tell_user(f"the engines behind it do not answer: {outage}")
        return _failure(f"the search is out of order, which does not mean that there is nothing to find: {outage}")
    if not shown:
        return _failure(f"No results found for: {asked}")
    return ToolResult("\n".join([f"Search results for: {asked}", *shown]), tool="web_search", seconds=found.seconds)


async def search_problem(settings: SearchSettings) -> str:
    """Ask an endpoint once, and say in one line why no search can ever succeed there; "" where one may."""
    found = await _ask("test", settings, {"Accept": "application/json"})
    if isinstance(found, FetchFailure):
        is_lasting = found.kind in {"name", "connection", "redirect"} or found.status in {*_ONLY_THE_USER, 404}
        return describe_refusal(found, settings) if is_lasting else ""
    try:
        read_results(json.loads(decode_text(found.body, found.charset)), settings)
    except (ValueError, RecursionError):
        return _no_results_in(found.body)
    return ""


def _no_results_in(body: bytes) -> str:
    is_page = body.lstrip().startswith(b"<")
    hint = "; it is a web page: the address of a SearXNG ends in /search, and its search.formats lists json"
    return f"the search endpoint's answer is no JSON with results{hint if is_page else ''}"


async def _ask(asked: str, settings: SearchSettings, headers: Mapping[str, str]) -> Fetched | FetchFailure:
    given = {settings.query_parameter: asked} | dict(each.split("=", 1) for each in settings.parameters)
    joint = "&" if "?" in settings.endpoint else "?"
    limits = FetchSettings(
        deadline_seconds=settings.seconds,
        max_bytes=_MAX_REPLY_BYTES,
        max_redirects=0,
        ports=(),
        allowed_networks=_ANYWHERE,
    )
    await _GATES.pass_through(settings.endpoint, settings.seconds_apart)
    return await fetch(f"{settings.endpoint}{joint}{urlencode(given)}", limits, headers=headers)


def describe_refusal(found: FetchFailure, settings: SearchSettings) -> str:
    """Why an endpoint gave no results, and what its user can do about it, in one line."""
    error = show_error(found.body)
    told = f"the search endpoint does not answer: {found.reason}{f', {error}' if error else ''}"
    if settings.key_variable and found.status in _ONLY_THE_USER:
        return f"{told}; see the key in {settings.key_variable}"
    if found.status == 403 and "format=json" in settings.parameters:
        return f"{told}; a SearXNG refuses JSON until search.formats of its settings.yml lists json"
    return told


@lru_cache(maxsize=64)  # each line once a process, however many teams meet it
def tell_user(problem: str) -> None:
    """Say on standard error what only the user can mend. The run goes on."""
    print(f"lts: tools.live.search: {problem}", file=sys.stderr)


def read_results(answer: Any, settings: SearchSettings) -> list[str]:
    """The results of an answer as text, each address once, at most `num_results`.

    Raises:
        ValueError: no list of results where the settings say it is.
    """
    shown: dict[str, str] = {}
    for each in find_results(answer, settings.results_field):
        url = _line(each, settings.url_field, 2_000).replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")
        if not url.startswith(("http://", "https://")) or url in shown:
            continue
        title = plain(_line(each, settings.title_field), 200) or url
        snippet = plain(_line(each, settings.snippet_field), settings.snippet_characters)
        shown[url] = f"{title}\n   <{url}>" + (f"\n   {snippet}" if snippet else "")
        if len(shown) >= settings.num_results:
            break
    return list(shown.values())


def _line(each: Any, name: str, max_characters: int = 20_000) -> str:
    value = each.get(name) if isinstance(each, dict) else None
    return " ".join(value.split())[:max_characters] if isinstance(value, str) else ""


def _failure(text: str) -> ToolResult:
    return ToolResult(text, failed=True, tool="web_search")
