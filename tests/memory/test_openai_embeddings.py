"""The embeddings endpoint behind a stub transport: what is sent, what comes back, what is refused."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.llm.chat import ModelFailure
from lts_jax.memory.encoder_parts import openai
from lts_jax.memory.openai_embeddings import OpenAIEncoder, RequestSettings

httpx = pytest.importorskip("httpx2")


class _Endpoint:
    """Answers [length of the text, 1], in reverse order; keeps the requests."""

    def __init__(self, width: int = 2, drop: int = 0, status: int = 200, number: float | None = 1.0) -> None:
        self.width, self.drop, self.status, self.number = width, drop, status, number
        self.requests: list[tuple[str, dict[str, object]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        self.requests.append((request.url.path, body))
        if self.status != 200:
            return httpx.Response(self.status, json={"error": {"message": "not\ntoday"}})
        rows = [
            {"object": "embedding", "index": place, "embedding": [float(len(text))] + [self.number] * (self.width - 1)}
            for place, text in enumerate(body["input"])
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        reply = {"object": "list", "data": rows[::-1][self.drop :], "model": body["model"], "usage": usage}
        return httpx.Response(200, json=reply)


def _encoder(endpoint: _Endpoint, **settings: int) -> OpenAIEncoder:
    client = httpx.Client(transport=httpx.MockTransport(endpoint))
    requests = RequestSettings(max_retries=0, **settings)
    return OpenAIEncoder("small", 2, "http://127.0.0.1:1/v1", "none", requests=requests, http_client=client)


def test_texts_go_in_batches_and_vectors_come_back_in_order() -> None:
    endpoint = _Endpoint()
    vectors = _encoder(endpoint, batch_size=2).encode(["abc", "", "a", "abcd" * 10, " \n"])
    expected = np.array([[3, 1], [0, 0], [1, 1], [40, 1], [0, 0]], np.float32)
    expected[[0, 2, 3]] /= np.linalg.norm(expected[[0, 2, 3]], axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected, rtol=1e-6)
    assert vectors.dtype == np.float32
    assert [body["input"] for _, body in endpoint.requests] == [["abc", "a"], ["abcd" * 10]]
    assert {path for path, _ in endpoint.requests} == {"/v1/embeddings"}
    assert {body["model"] for _, body in endpoint.requests} == {"small"}


def test_blank_texts_alone_send_nothing_and_long_ones_are_cut() -> None:
    endpoint = _Endpoint()
    encoder = _encoder(endpoint, max_characters=4)
    assert encoder.encode(["", " "]).tolist() == [[0, 0], [0, 0]]
    assert encoder.encode([]).shape == (0, 2)
    assert not endpoint.requests
    encoder.encode(["abcdefgh"])
    assert endpoint.requests[0][1]["input"] == ["abcd"]


def _packed(*numbers: float) -> str:
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


@pytest.mark.parametrize(
    "items",
    [
        [{"embedding": [3.0, 4.0]}, {"embedding": [1.0, 0.0]}],
        [{"embedding": [3.0, 4.0], "index": None}, {"embedding": [1.0, 0.0], "index": None}],
        [{"embedding": [3.0, 4.0], "index": 0}, {"embedding": [1.0, 0.0], "index": 0}],
        [{"embedding": [[1, 0]], "index": 1}, {"embedding": [[[3, 4]]], "index": 0}],
        [{"embedding": _packed(3.0, 4.0), "index": 0}, {"embedding": _packed(1.0, 0.0), "index": 1}],
    ],
    ids=["no index", "index null", "one index", "nested", "base64"],
)
def test_vectors_in_other_forms_are_read(items: list[dict[str, object]]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"object": "list", "data": items, "model": "small"})

    np.testing.assert_allclose(_encoder(answer).encode(["a", "b"]), [[0.6, 0.8], [1.0, 0.0]], rtol=1e-6)


@pytest.mark.parametrize("embedding", ["no base64!", {"a": 1}, [[1.0], [2.0]], ["1", "2"], None, []])
def test_what_is_no_vector_is_one_line(embedding: object) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": [{"index": 0, "embedding": embedding}], "model": "small"})

    with pytest.raises(ModelFailure, match="embeddings of small: got what is no vector of numbers"):
        _encoder(answer).encode(["a"])


def test_the_size_of_a_batch_is_a_setting_of_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    encoder = openai(model="small", width=2, base_url="http://127.0.0.1:1/v1", batch_size=10)
    assert encoder._batch_size == 10
    with pytest.raises(UserError, match=r"openai\(batch_size\): expected at least 1, got 0"):
        openai(batch_size=0)


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [
        (_Endpoint(width=3), r"expected width 2, got \{3\}: set dim"),
        (_Endpoint(drop=1), "sent 2 texts, got 1 vectors"),
        (_Endpoint(status=400), "embeddings of small: .*not today"),
        (_Endpoint(status=500), "embeddings of small: "),
        (_Endpoint(number=None), "not finite"),
    ],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")  # of numpy; sockets of other tests may be collected here
def test_other_answers_are_failures_of_one_line(endpoint: _Endpoint, problem: str) -> None:
    with pytest.raises(ModelFailure, match=problem) as caught:
        _encoder(endpoint).encode(["a", "b"])
    assert "\n" not in str(caught.value)


def test_no_redirect_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = []

    class Redirect(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with HTTPServer(("127.0.0.1", 0), Redirect) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        encoder = OpenAIEncoder(
            "small", 2, f"http://127.0.0.1:{server.server_port}/v1", "none", requests=RequestSettings(max_retries=0)
        )
        with pytest.raises(ModelFailure, match="307"):
            encoder.encode(["a"])
        server.shutdown()
    assert paths == ["/v1/embeddings"]


def test_settings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="expected at least 1"):
        OpenAIEncoder("small", 0, api_key="none")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="embeddings endpoint: ") as caught:
        OpenAIEncoder("small", 2)
    assert "\n" not in str(caught.value)


def test_names_tell_endpoints_apart() -> None:
    one = OpenAIEncoder("small", 2, "http://127.0.0.1:1/v1", "a").name
    assert one == OpenAIEncoder("small", 2, "http://127.0.0.1:1/v1", "b").name
    assert one != OpenAIEncoder("small", 2, "http://127.0.0.1:2/v1", "a").name
    assert one.startswith("openai-small-2-")
