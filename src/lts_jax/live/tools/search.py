"""Web search through an HTTP endpoint that answers in JSON: SearXNG as it stands, others by their fields' names."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from lts_jax.live.tools.charsets import decode_text
from lts_jax.live.tools.fetch import FetchFailure, FetchSettings, fetch
from lts_jax.records import ToolResult

_ANYWHERE = ("0.0.0.0/0", "::/0")  # the user chose the endpoint; it may well be on this machine
_MAX_QUERY_CHARACTERS = 400
_MAX_REPLY_BYTES = 4 * 2**20


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

    def __post_init__(self) -> None:
        if self.endpoint and urlsplit(self.endpoint).scheme not in {"http", "https"}:
            raise ValueError(f"search endpoint: expected an http or https URL, got {self.endpoint!r}")
        if self.num_results < 1 or self.snippet_characters < 0 or self.seconds <= 0:
            raise ValueError("search: expected one result or more, snippets from 0 characters and seconds above 0")
        if bool(self.key_header) != bool(self.key_variable):
            raise ValueError("search: key_header and key_variable belong together")
        if any("=" not in each for each in self.parameters):
            raise ValueError(f"search parameters: expected name=value, got {self.parameters!r}")


async def web_search(query: Any, settings: SearchSettings) -> ToolResult:
    """The first results: number, title, `<url>` and a snippet each. Never raises but for cancellation."""
    asked = " ".join(str(query).split())[:_MAX_QUERY_CHARACTERS]
    if not asked:
        return _failure("query is missing")
    given = {settings.query_parameter: asked} | dict(each.split("=", 1) for each in settings.parameters)
    joint = "&" if "?" in settings.endpoint else "?"
    limits = FetchSettings(
        deadline_seconds=settings.seconds,
        max_bytes=_MAX_REPLY_BYTES,
        max_redirects=0,
        ports=(),
        allowed_networks=_ANYWHERE,
    )
    headers = {"Accept": "application/json"}
    if settings.key_header:
        secret = os.environ.get(settings.key_variable, "")
        if not secret:
            return _failure(f"the search endpoint wants a key, and the variable {settings.key_variable} holds none")
        headers[settings.key_header] = secret
    found = await fetch(f"{settings.endpoint}{joint}{urlencode(given)}", limits, headers=headers)
    if isinstance(found, FetchFailure):
        return _failure(f"the search endpoint does not answer: {found.reason}")
    try:
        results = read_results(json.loads(decode_text(found.body, found.charset)), settings)
    except (ValueError, RecursionError):
        return _failure("the search endpoint's answer is no JSON with results")
    if not results:
        return _failure(f"No results found for: {asked}")
    lines = [f"Search results for: {asked}", *(f"{number}. {each}" for number, each in enumerate(results, 1))]
    return ToolResult("\n".join(lines), tool="web_search", seconds=found.seconds)


def read_results(answer: Any, settings: SearchSettings) -> list[str]:
    """The results of an answer as text, each address once, at most `num_results`.

    Raises:
        ValueError: no list of results where the settings say it is.
    """
    for name in settings.results_field.split("."):
        answer = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(answer, Sequence) or isinstance(answer, str):
        raise ValueError(f"no list at {settings.results_field}")
    shown: dict[str, str] = {}
    for each in answer:
        url = _line(each, settings.url_field, 2_000).replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")
        if not url.startswith(("http://", "https://")) or url in shown:
            continue
        title = _line(each, settings.title_field, 200) or url
        snippet = _line(each, settings.snippet_field, settings.snippet_characters)
        shown[url] = f"{title}\n   <{url}>" + (f"\n   {snippet}" if snippet else "")
        if len(shown) >= settings.num_results:
            break
    return list(shown.values())


def _line(each: Any, name: str, max_characters: int) -> str:
    value = each.get(name) if isinstance(each, dict) else None
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return text if len(text) <= max_characters else text[: max(0, max_characters - 3)] + "..."


def _failure(text: str) -> ToolResult:
    return ToolResult(text, failed=True, tool="web_search")
