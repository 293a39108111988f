"""The server: a call through HTTP equals the call in process; what it refuses, and how; many callers at once."""

import asyncio
import json
from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lts_jax.llm import serving as server_module
from lts_jax.llm.chat import BudgetExhausted, Completion, ModelFailure
from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings
from lts_jax.llm.serving import MAX_BODY_BYTES, serve_chat, serve_forever
from lts_jax.records import Message

ASKED = (Message("user", "Plan.\nGo."),)


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


class Mirror:
    """A model whose reply holds all that it was asked, and whose counts follow from it."""

    name = "mirror"

    def __init__(self):
        self.asked = []

    async def complete(self, messages, *, seed, json_reply=False):
        self.asked.append((tuple(messages), seed, json_reply))
        text = repr((seed, json_reply)) + "".join(message.content for message in messages)
        digest = blake2b(text.encode(), digest_size=4).digest()
        return Completion(text, digest[0], digest[1] + 256 * digest[2], self.name)


def client(server, **changes):
    """A client of a running server, named otherwise than the model, to see whose name is recorded."""
    return OpenAIChatModel(OpenAIChatSettings("tiny", server.base_url, **changes))


def serving(model, use):
    """Result of `use(server)` while the model is served."""

    async def main():
        async with await serve_chat(model) as server:
            return await use(server)

    return asyncio.run(main())


names = st.from_regex(r"[A-Za-z0-9_-]{0,64}", fullmatch=True)
roles = st.sampled_from(["system", "user", "assistant"])
awkward = [
    "",
    "\n",
    "\r",
    "\r\n\r\n",
    "\x00\x01\x1b\x7f\x85\u2028",
    "\U0001f9d1\u200d\U0001f52c e\u0301 \ufeff",
    "data: [DONE]\n\n",
    '\\"}',
    "x" * 20_000,
]
contents = st.one_of(st.text(max_size=200), st.sampled_from(awkward))
calls = st.tuples(
    st.lists(st.builds(Message, roles, contents, names), min_size=1, max_size=5),
    st.integers(0, 2**31 - 1),
    st.booleans(),
)


def test_a_call_through_http_is_the_call_in_process():
    with asyncio.Runner() as runner:
        served, direct = Mirror(), Mirror()
        server = runner.run(serve_chat(served))
        model = client(server)

        @settings(max_examples=60, deadline=None)
        @given(calls)
        def check(call):
            messages, seed, json_reply = call
            got = runner.run(model.complete(messages, seed=seed, json_reply=json_reply))
            expected = runner.run(direct.complete(messages, seed=seed, json_reply=json_reply))
            assert got == Completion(
                expected.reply, expected.prompt_tokens, expected.completion_tokens, "mirror", 1, got.seconds
            )
            assert served.asked[-1] == direct.asked[-1]

        check()
        assert len(served.asked) == len(direct.asked) > 30
        runner.run(model.close())
        runner.run(server.close())


class Gate:
    """A model that answers nobody before 64 calls have come."""

    name = "gate"

    def __init__(self):
        self.waiting = 0
        self.open = asyncio.Event()

    async def complete(self, messages, *, seed, json_reply=False):
        self.waiting += 1
        if self.waiting == 64:
            self.open.set()
        await self.open.wait()
        return Completion(str(seed), 1, 1)


def test_sixty_four_calls_at_once():
    async def main():
        async with await serve_chat(Gate()) as server:
            model = client(server, call_deadline_seconds=300.0, attempt_deadline_seconds=300.0)
            return await asyncio.gather(*(model.complete(ASKED, seed=seed) for seed in range(64)))

    completions = asyncio.run(main())
    assert [completion.reply for completion in completions] == [str(seed) for seed in range(64)]
    assert {completion.model for completion in completions} == {"gate"}
    assert {completion.attempts for completion in completions} == {1}


def test_one_client_serves_one_event_loop_after_another():
    model = None
    port = 0

    async def main():
        nonlocal model, port
        async with await serve_chat(Mirror(), port=port) as server:
            port = server.port
            model = model or client(server, max_in_flight=1)
            return await asyncio.gather(*(model.complete(ASKED, seed=seed) for seed in (1, 2, 3)))

    for _ in range(2):
        assert [completion.attempts for completion in asyncio.run(main())] == [1, 1, 1]


class Failing:
    """A model that raises."""

    name = "failing"

    def __init__(self, error):
        self.error = error
        self.num_calls = 0

    async def complete(self, messages, *, seed, json_reply=False):
        self.num_calls += 1
        raise self.error


@pytest.mark.parametrize(
    "error, text",
    [
        (ModelFailure("no such page"), "HTTP 500: no such page"),
        (BudgetExhausted("10 of 10 tokens are used"), "HTTP 429: 10 of 10 tokens are used"),
        (KeyError("secret"), "HTTP 500: internal error: KeyError"),
    ],
    ids=lambda found: type(found).__name__,
)
def test_a_failure_of_the_model_is_told_once_and_the_server_goes_on(error, text):
    failing = Failing(error)

    async def use(server):
        for num_calls in (1, 2):
            with pytest.raises(ModelFailure) as caught:
                await client(server).complete(ASKED, seed=1)
            assert str(caught.value).endswith(text)
            assert failing.num_calls == num_calls

    serving(failing, use)


async def exchange(server, *requests):
    """Send raw requests on one connection; (status, headers, body) of each response, and whether it was closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    responses = []
    for request in requests:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("Content-Length", 0)))
        responses.append((int(head[0].split()[1]), headers, body))
    is_closed = responses[-1][1].get("Connection") == "close"
    if is_closed:
        assert await asyncio.wait_for(reader.read(), 100.0) == b""
    writer.close()
    return responses, is_closed


def post(body, path="/v1/chat/completions", extra=""):
    """A raw POST request."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{extra}Content-Length: {len(content)}\r\n\r\n".encode() + content


def get(path, version="1.1", extra=""):
    """A raw GET request."""
    return f"GET {path} HTTP/{version}\r\nHost: x\r\n{extra}\r\n".encode()


def one(model, request):
    """Status, headers and body of one request, and whether the connection was closed."""
    responses, is_closed = serving(model, lambda server: exchange(server, request))
    return (*responses[0], is_closed)


def test_models_health_and_keep_alive_on_one_connection():
    asked = {"model": "any", "messages": [{"role": "user", "content": "a"}], "tools": [], "user": "ignored"}
    requests = (get("/health"), get("/v1/models?limit=3"), post(asked), post(b"{"), get("/v1/models/"))
    responses, is_closed = serving(Mirror(), lambda server: exchange(server, *requests))
    assert [status for status, _, _ in responses] == [200, 200, 200, 400, 200]
    assert not is_closed
    assert json.loads(responses[0][2]) == {"status": "ok"}
    assert json.loads(responses[1][2])["data"][0]["id"] == "mirror"
    reply = json.loads(responses[2][2])
    assert reply["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "(0, False)a", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert reply["object"] == "chat.completion"
    assert reply["id"].startswith("chatcmpl-")
    assert reply["model"] == "mirror"
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_text_parts_developer_role_and_odd_seeds_are_understood():
    asked = {
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": None, "name": "Coder"},
        ],
        "seed": -1,
        "response_format": {"type": "json_schema", "json_schema": {}},
    }
    model = Mirror()
    assert one(model, post(asked))[0] == 200
    assert model.asked == [((Message("system", "ab"), Message("assistant", "", "Coder")), 2**31 - 1, True)]


USER = [{"role": "user", "content": "a"}]
REFUSED = {
    "not JSON": (b"{", "not JSON"),
    "not UTF-8": (b'{"messages": "\xff"}', "not JSON"),
    "deep": (b"[" * 100_000, "not JSON"),
    "a list": ([], "JSON object"),
    "no messages": ({}, "messages"),
    "messages of text": ({"messages": "hi"}, "messages"),
    "empty messages": ({"messages": []}, "messages"),
    "message of text": ({"messages": ["hi"]}, "messages[0].role"),
    "role": ({"messages": [*USER, {"role": "tool", "content": "a"}]}, "messages[1].role"),
    "role of numbers": ({"messages": [{"role": [1], "content": "a"}]}, "messages[0].role"),
    "no content": ({"messages": [{"role": "user"}]}, "messages[0].content"),
    "image": ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
    "name": ({"messages": [{"role": "user", "content": "a", "name": 5}]}, "messages[0].name"),
    "seed": ({"messages": USER, "seed": "7"}, "seed"),
    "true seed": ({"messages": USER, "seed": True}, "seed"),
    "n": ({"messages": USER, "n": 2}, "n: expected 1"),
    "n of lists": ({"messages": USER, "n": []}, "n: expected 1"),
    "format": ({"messages": USER, "response_format": {"type": ["xml"]}}, "response_format"),
    "format of text": ({"messages": USER, "response_format": "json"}, "response_format"),
}


@pytest.mark.parametrize("body, text", REFUSED.values(), ids=REFUSED.keys())
def test_a_request_that_cannot_be_served_is_a_400_that_says_why(body, text):
    model = Mirror()
    status, headers, content, is_closed = one(model, post(body))
    error = json.loads(content)["error"]
    assert (status, headers["Content-Type"], is_closed) == (400, "application/json", False)
    assert error["type"] == "invalid_request_error"
    assert text in error["message"]
    assert not model.asked


@pytest.mark.parametrize(
    "request_bytes, expected",
    [
        (get("/"), (404, False)),
        (get("/v1/completions"), (404, False)),
        (post({}, "/v1/embeddings"), (404, False)),
        (get("/v1/chat/completions"), (405, False)),
        (post({}, "/health"), (405, False)),
        (get("/health", "1.0"), (200, True)),
        (get("/health", "1.0", "Connection: keep-alive\r\n"), (200, False)),
        (get("/health", "1.1", "Connection: close\r\n"), (200, True)),
        (get("/health", "1.1", "X-Long: " + "x" * 100_000 + "\r\n"), (431, True)),
        (get("/health", "3.0"), (400, True)),
        (get("health"), (400, True)),
        (b"hello\r\n\r\n", (400, True)),
        (get("/health", "1.1", "no colon\r\n"), (400, True)),
        (get("/health", "1.1", "Content-Length: -1\r\n"), (400, True)),
        (get("/health", "1.1", "Content-Length: 1\r\nContent-Length: 2\r\n"), (400, True)),
        (get("/health", "1.1", "Transfer-Encoding: chunked\r\n"), (411, True)),
        (get("/health", "1.1", f"Content-Length: {MAX_BODY_BYTES + 1}\r\n"), (413, True)),
        (get("/health", "1.1", f"Content-Length: {'9' * 5000}\r\n"), (413, True)),
    ],
)
def test_http_itself(request_bytes, expected):
    status, _, _, is_closed = one(Mirror(), request_bytes)
    assert (status, is_closed) == expected


def test_a_body_that_is_too_large_is_refused_while_it_is_still_being_sent():
    async def use(server):
        with pytest.raises(ModelFailure, match=r"HTTP 413: the request is larger than 8388608 bytes$"):
            await client(server).complete([Message("user", "x" * (MAX_BODY_BYTES + 1))], seed=1)
        return await client(server).complete(ASKED, seed=1)

    assert serving(Mirror(), use).attempts == 1


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it():
    async def use(server):
        request = post({"messages": USER}, extra="Expect: 100-continue\r\n")
        head, _, body = request.partition(b"\r\n\r\n")
        responses, _ = await exchange(server, head + b"\r\n\r\n", body)
        return [status for status, _, _ in responses]

    assert serving(Mirror(), use) == [100, 200]


def test_a_stream_gives_the_reply_in_pieces_and_the_usage_when_asked():
    import openai

    content = "lone \n newline, \U0001f600 and data: " * 10

    async def use(server):
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as caller:
            plain = [
                chunk async for chunk in await caller.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": content}], seed=3, stream=True
                )
            ]  # fmt: skip
            counted = [
                chunk async for chunk in await caller.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": content}], seed=3, stream=True,
                    stream_options={"include_usage": True},
                )
            ]  # fmt: skip
        return plain, counted

    plain, counted = serving(Mirror(), use)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in plain)
    assert text == "(3, False)" + content
    assert len(plain) > 4
    assert [chunk.choices[0].finish_reason for chunk in plain] == [None] * (len(plain) - 1) + ["stop"]
    expected = asyncio.run(Mirror().complete([Message("user", content)], seed=3))
    assert len(counted) == len(plain) + 1
    assert counted[-1].choices == []
    assert counted[-1].usage.prompt_tokens == expected.prompt_tokens
    assert counted[-1].usage.completion_tokens == expected.completion_tokens


def test_serving_forever_ends_when_cancelled_and_frees_the_port():
    async def main():
        ready = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(serve_forever(Mirror(), on_ready=ready.set_result))
        server = await ready
        port = server.port
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await client(server).complete(ASKED, seed=1)).model == "mirror"
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await asyncio.wait_for(idle_reader.read(), 100.0) == b""
        idle_writer.close()
        async with await serve_chat(Mirror(), port=port) as again:
            assert again.base_url == f"http://127.0.0.1:{port}/v1"

    asyncio.run(main())


def test_more_connections_than_the_most_are_refused_and_the_others_go_on(monkeypatch):
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 2)

    async def use(server):
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        for _, writer in held:
            writer.write(get("/health")[:-2])
            await writer.drain()
        while len(server._connections) < 2:
            await asyncio.sleep(0)
        reader, _ = await asyncio.open_connection("127.0.0.1", server.port)
        assert (await reader.read()).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        held[0][1].write(b"\r\n")
        assert (await held[0][0].readuntil(b"\r\n")) == b"HTTP/1.1 200 OK\r\n"
        held[0][1].close()
        while len(server._connections) > 1:
            await asyncio.sleep(0)
        assert (await exchange(server, get("/health")))[0][0][0] == 200
        held[1][1].close()

    serving(Mirror(), use)


def test_bodies_that_wait_are_held_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(server_module, "MAX_HELD_BYTES", 5_000)

    async def use(server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post(b"x" * 4_000)[:-1_000])
        await writer.drain()
        while server._held_bytes == 0:
            await asyncio.sleep(0)
        [(status, _, body)], is_closed = await exchange(server, post(b"y" * 2_000))
        assert (status, is_closed) == (503, True) and b"waiting already" in body
        writer.write(b"x" * 1_000)
        assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 400 Bad Request\r\n"
        writer.close()
        while server._held_bytes:
            await asyncio.sleep(0)
        assert (await exchange(server, post(b"y" * 2_000)))[0][0][0] == 400

    serving(Mirror(), use)
