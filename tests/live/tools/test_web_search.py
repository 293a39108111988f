"""Searching over loopback HTTP: what endpoints answer, an outage that is no lack of results, keys, and rates."""

import asyncio
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from lts_jax.errors import UserError
from lts_jax.live.task_tools import SEARCH_SERVICES, TaskTools, ToolChoice, try_search
from lts_jax.live.tools import search
from lts_jax.live.tools.kit import ToolSettings
from lts_jax.live.tools.sandbox_settings import UNSANDBOXED, SandboxSettings
from lts_jax.live.tools.search import SearchSettings, read_results, web_search
from lts_jax.live.tools.search_replies import plain


def ask(endpoint="", query="pool", **changed):
    return asyncio.run(web_search(query, SearchSettings(**({"endpoint": endpoint} | changed))))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"results": []}, "No results found for: pool"),
        ({"found": []}, "no JSON with results"),
        ({"results": "many"}, "no JSON with results"),
        ([1], "no JSON with results"),
        (None, "no JSON with results"),
        ({"results": [1, {}, {"url": 3}, {"url": "javascript:x"}, {"url": "file:///x"}]}, "No results"),
    ],
)
def test_odd_answers_of_a_search_endpoint(answer, words):
    with json_server(answer) as endpoint:
        result = ask(endpoint)
    assert result.failed and words in result.text and "\n" not in result.text


def test_other_endpoints_by_their_fields_and_with_a_key(monkeypatch):
    monkeypatch.setenv("KEY_OF_SEARCH", "hunter2")
    answer = {"web": {"results": [{"url": "http://a.example/ b", "title": "A\n1. fake", "description": "x" * 50}]}}
    with json_server(answer) as endpoint:
        result = ask(
            endpoint, " cheap\n pool ", query_parameter="query", parameters=("count=3",), results_field="web.results",
            snippet_field="description", snippet_characters=10, key_header="X-Key", key_variable="KEY_OF_SEARCH",
        )  # fmt: skip
        assert json_server.asked == ["/s?query=cheap+pool&count=3"] and json_server.keys == ["hunter2"]
    assert result.text.split("\n")[1:] == ["1. A 1. fake", "   <http://a.example/%20b>", "   xxxxxxx..."]


def test_a_key_that_is_missing_is_said(monkeypatch):
    monkeypatch.delenv("KEY_OF_SEARCH", raising=False)
    result = ask("http://127.0.0.1:9/", key_header="X-Key", key_variable="KEY_OF_SEARCH")
    assert result.failed and "the variable KEY_OF_SEARCH holds none" in result.text


def test_settings_of_search_say_what_they_expect():
    for wrong in ({"endpoint": "ftp://x"}, {"num_results": 0}, {"key_header": "X"}, {"parameters": ("json",)}):
        with pytest.raises(ValueError, match=r"expected|belong"):
            SearchSettings(**wrong)
    assert read_results({"results": [{"url": "http://a"}] * 2}, SearchSettings()) == ["http://a\n   <http://a>"]


def test_engines_that_do_not_answer_are_an_outage_and_no_lack_of_results(capsys):
    search.tell_user.cache_clear()
    down = {"results": [], "unresponsive_engines": [["google", "CAPTCHA"], ["bing", "timeout"], "qwant"]}
    with json_server(down) as endpoint:
        results = [ask(endpoint), ask(endpoint)]
    for result in results:
        assert result.failed and "No results found" not in result.text
        assert result.text.endswith(": google (CAPTCHA), bing (timeout), qwant")
    assert capsys.readouterr().err == (
        "lts: tools.live.search: the engines behind it do not answer: google (CAPTCHA), bing (timeout), qwant\n"
    )
    found = down | {"results": [{"url": "http://a.example", "title": "A"}]}
    with json_server(found) as endpoint:
        assert ask(endpoint).text == "Search results for: pool\n1. A\n   <http://a.example>"


def test_answers_and_boxes_are_shown_before_results():
    answers = ["seven pools", {"answer": "8 pools", "url": "https://b.example"}, {"other": 1}, 3]
    box = {"infobox": "Pool", "content": "A small lake.", "attributes": [{"label": "Depth", "value": "2 m"}, {}]}
    with json_server({"results": [], "answers": answers, "infoboxes": [box, {}]}) as endpoint:
        result = ask(endpoint)
    assert not result.failed and result.text.split("\n") == [
        "Search results for: pool",
        "Answer: seven pools",
        "Answer: 8 pools <https://b.example>",
        "Box: Pool: A small lake. Depth: 2 m",
    ]


def test_marks_around_what_was_asked_for_go_and_code_stays():
    assert plain("<strong>Seven</strong> pools &amp; <EM class='x'>more</EM><br/>", 99) == "Seven pools & more"
    assert plain("use &lt;b&gt; or vector<int> if a < b and c > d", 99) == "use <b> or vector<int> if a < b and c > d"
    assert plain("a  long\nline", 8) == "a lon..."


def test_a_reply_without_its_part_for_the_web_found_nothing():
    nested = {"results_field": "web.results"}
    for answer in ({"type": "search", "mixed": {}}, {"web": None}, {"web": {}}, {"web": {"results": None}}):
        with json_server(answer) as endpoint:
            assert ask(endpoint, **nested).text == "No results found for: pool"
    with json_server({"web": 3}) as endpoint:
        assert "no JSON with results" in ask(endpoint, **nested).text


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (
            422,
            {"error": {"code": "TOKEN_INVALID", "detail": "No such token."}},
            "TOKEN_INVALID: No such token.; see the",
        ),
        (401, {"error": "bad key BSA-secret-1"}, "401 Unauthorized, bad key [key]; see the key in BRAVE_API_KEY"),
        (404, {"error": {"code": 7}}, "the search endpoint does not answer: 404 Not Found"),
        (400, b"<html>", "the search endpoint does not answer: 400 Bad Request"),
    ],
)
def test_an_error_is_told_in_its_own_words(status, answer, words, monkeypatch, capsys):
    search.tell_user.cache_clear()
    monkeypatch.setenv("BRAVE_API_KEY", "BSA-secret-1")
    with json_server(answer, status) as endpoint:
        result = ask(endpoint, key_header="X-Subscription-Token", key_variable="BRAVE_API_KEY")
    assert result.failed and words in result.text and "secret" not in result.text
    assert ("BRAVE_API_KEY" in capsys.readouterr().err) == (status in (401, 422))


def test_calls_of_all_teams_keep_a_distance(monkeypatch):
    gates, waits = search._Gates(), []

    async def sleep(seconds):
        waits.append(seconds)

    monkeypatch.setattr(search.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(search.asyncio, "sleep", sleep)
    for endpoint in ("a", "a", "b", "a"):
        asyncio.run(gates.pass_through(endpoint, 1.5))
    assert waits == [0.0, 1.5, 0.0, 3.0]
    assert SEARCH_SERVICES["brave"].seconds_apart == 1.0 and SearchSettings().seconds_apart == 0.0


def test_a_search_that_will_never_answer_is_told_before_the_run(tmp_path):
    walls = SandboxSettings(run_unsandboxed=UNSANDBOXED)
    try_search.cache_clear()

    def begin(endpoint):
        chosen = ToolSettings(sandbox=walls, search=SearchSettings(endpoint=endpoint))
        return TaskTools(ToolChoice("live", chosen), staged=tmp_path)

    with json_server(b"<h1>Forbidden</h1>", 403) as endpoint, pytest.raises(UserError, match=r"search\.formats of its"):
        begin(endpoint)
    with json_server(b"<title>SearXNG</title>") as endpoint, pytest.raises(UserError, match="ends in /search"):
        begin(endpoint)
    with pytest.raises(UserError, match=r"^tools\.live\.search\.endpoint: .* does not answer"):
        begin(endpoint)  # it is closed now
    for status in (200, 500):
        with json_server({"results": []}, status) as endpoint:
            begin(endpoint)


class json_server:
    """A loopback endpoint that answers everything with one status and JSON value; bytes are sent as they are."""

    asked: list
    keys: list

    def __init__(self, answer, status=200):
        json_server.asked, json_server.keys = [], []
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                json_server.asked.append(self.path)
                json_server.keys.append(self.headers.get("X-Key"))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self):
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_address[1]}/s"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
