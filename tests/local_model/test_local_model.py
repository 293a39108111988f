"""The model in this process behind its two doors: as a `ChatModel`, and over HTTP as an OpenAI-compatible endpoint."""

import asyncio
import base64
import json
import time

import numpy as np
import pytest

from lts_jax import prompts
from lts_jax.bridge.local_model import LocalModel, LocalSettings
from lts_jax.cli import main
from lts_jax.errors import UserError
from lts_jax.llm.chat import FailureKind, ModelFailure, TunableModel, Wish
from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings
from lts_jax.llm.serving import serve_chat
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.records import Message
from lts_jax.systems.world import ModelSettings, make_model
from lts_jax.teams.ledger import Ledger, parse_ledger

pytest.importorskip("tokenizers", reason="needs the extra local")
pytest.importorskip("jinja2", reason="needs the extra local")
pytest.importorskip("llguidance", reason="needs the extra local")

ASKED = (Message("system", "Be brief."), Message("user", "Which pond?", "Orchestrator"))


@pytest.fixture(scope="module")
def model(tiny_folder):
    return LocalModel(LocalSettings(str(tiny_folder), temperature=0.0, max_completion_tokens=24, max_places=1_024))


def over_http(model, use, encoder=None):
    """Result of `use(port)` while the model is served."""

    async def run():
        async with await serve_chat(model, encoder=encoder) as server:
            return await asyncio.wait_for(use(server), 120)

    return asyncio.run(run())


async def post(server, path, **body):
    """Status, headers and body of one raw request."""
    content = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST %b HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(content)))
    writer.write(content)
    head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), head.decode().lower(), rest


def test_it_answers_as_a_chat_model(model):
    assert isinstance(model, TunableModel) and model.name == "jax:tiny"
    first, again = (asyncio.run(model.complete(ASKED, seed=3)) for _ in range(2))
    assert first.reply == again.reply and first.completion_tokens <= 24 and first.model == "jax:tiny"
    prompt = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nOrchestrator: Which pond?<|im_end|>\n"
    tokens = model.generator.chat.tokenizer.encode(f"{prompt}<|im_start|>assistant\n", add_special_tokens=False)
    assert first.prompt_tokens == len(tokens.ids)


def test_a_ledger_parses_at_once(model, monkeypatch):
    monkeypatch.setattr("lts_jax.llm.reply_grammars.MAX_REASON", 8)
    monkeypatch.setattr("lts_jax.llm.reply_grammars.MAX_INSTRUCTION", 20)
    for seed in range(4):
        wish = Wish(temperature=1.5, max_completion_tokens=600)
        call = model.complete_as([prompts.ledger_request()], seed=seed, json_reply=True, wish=wish)
        reply = asyncio.run(call)
        found = parse_ledger(reply.reply)
        assert isinstance(found, Ledger) or found.kind == "empty_instruction", found


def test_what_it_cannot_do_is_a_typed_failure_of_one_line(model, tiny_folder):
    long = [Message("user", "word " * 400)]
    with pytest.raises(
        ModelFailure, match=r"the prompt has [\d,]+ tokens, [\d,]+ more than the context of 1,024"
    ) as caught:
        asyncio.run(model.complete(long, seed=0))
    assert caught.value.kind == FailureKind.REQUEST_REFUSED
    with pytest.raises(ModelFailure, match="the JSON schema cannot be kept to"):
        asyncio.run(model.complete_as(ASKED, seed=0, wish=Wish(schema={"type": "odd"})))


def test_a_call_past_its_deadline_is_a_failure_and_frees_its_row(tiny_folder):
    hasty = LocalModel(LocalSettings(str(tiny_folder), max_places=1_024, call_deadline_seconds=0.01))
    with pytest.raises(ModelFailure, match=r"no reply within 0\.01 s") as caught:
        asyncio.run(hasty.complete_as(ASKED, seed=0, wish=Wish(max_completion_tokens=500)))
    assert caught.value.kind == FailureKind.DEADLINE
    while hasty.generator._work or hasty.generator._waiting:
        time.sleep(0.01)


def test_a_call_that_is_cancelled_frees_its_row(model):
    async def run():
        call = asyncio.ensure_future(model.complete_as(ASKED, seed=0, wish=Wish(max_completion_tokens=200)))
        await asyncio.sleep(0.02)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        return await model.complete(ASKED, seed=0)

    assert asyncio.run(run()).reply
    assert not model.generator._work


def test_through_http_it_is_the_same_model(model, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    async def use(server):
        plain = OpenAIChatModel(OpenAIChatSettings("x", server.base_url, temperature=0.0))
        streamed = OpenAIChatModel(OpenAIChatSettings("x", server.base_url, temperature=0.0, stream=True))
        return [await client.complete(ASKED, seed=3) for client in (plain, streamed)]

    direct = asyncio.run(model.complete(ASKED, seed=3))
    for found in over_http(model, use):
        assert found.reply == direct.reply and found.is_cut == direct.is_cut
        assert found.prompt_tokens > 0 and found.completion_tokens == direct.completion_tokens


def test_wishes_limits_and_what_is_refused(model):
    messages = [{"role": "user", "content": "Which pond?"}]

    async def use(server):
        ask = [
            {"max_tokens": 3},
            {"max_completion_tokens": 10**6, "stop": ["e"]},
            {"max_tokens": 0},
            {"temperature": 3},
            {"stop": [""]},
            {"top_p": "much"},
            {"messages": [{"role": "user", "content": "word " * 500}]},
            {"messages": [{"role": "user", "content": "word " * 500}], "stream": True},
        ]
        path = "/v1/chat/completions"
        return [await post(server, path, **{"messages": messages, "temperature": 0} | one) for one in ask]

    short, million, *refused = over_http(model, use)
    choice = json.loads(short[2])["choices"][0]
    assert (
        short[0] == 200
        and choice["finish_reason"] == "length"
        and json.loads(short[2])["usage"]["completion_tokens"] == 3
    )
    assert million[0] == 200 and "e" not in json.loads(million[2])["choices"][0]["message"]["content"]
    said = [json.loads(body)["error"]["message"] for _, _, body in refused]
    assert {status for status, _, _ in refused} == {400}
    assert said[0] == "max_completion_tokens: expected a whole number of at least 1, got 0"
    assert said[1].startswith("temperature: expected a number from 0 to 2") and said[2].startswith("stop: expected")
    assert said[3].startswith("top_p: expected a number") and all(
        "more than the context of 1,024" in one for one in said[4:]
    )


def test_a_stream_comes_in_pieces_and_ends_as_it_should(model):
    async def use(server):
        body = {"messages": [{"role": "user", "content": "Which pond?"}], "temperature": 0, "stream": True}
        return await post(server, "/v1/chat/completions", **body, stream_options={"include_usage": True})

    status, head, body = over_http(model, use)
    assert status == 200 and "transfer-encoding: chunked" in head and "text/event-stream" in head
    events = [line[6:] for line in body.decode().splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]" and body.endswith(b"0\r\n\r\n")
    chunks = [json.loads(event) for event in events[:-1]]
    pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]]
    whole = asyncio.run(model.complete([Message("user", "Which pond?")], seed=0))
    assert "".join(pieces) == whole.reply and sum(map(bool, pieces)) > 1
    assert chunks[-1]["usage"]["completion_tokens"] == whole.completion_tokens
    assert chunks[-2]["choices"][0]["finish_reason"] == ("length" if whole.is_cut else "stop")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_its_reply(model, stream):
    async def use(server):
        body = {
            "messages": [{"role": "user", "content": "Go on."}],
            "temperature": 0,
            "max_tokens": 200,
            "stream": stream,
        }
        content = json.dumps(body).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))
        if stream:
            await reader.readuntil(b"data: ")
        else:
            while not model.generator._work:
                await asyncio.sleep(0.001)
        writer.close()
        while model.generator._work:  # two hundred tokens take longer than this test waits
            await asyncio.sleep(0.01)
        return model.generator.totals.completion_tokens

    before = model.generator.totals.completion_tokens
    slow = model.generator.chat.text
    try:
        model.generator.chat.text = lambda tokens: (time.sleep(0.02), slow(tokens))[1]
        assert over_http(model, use) - before < 200
    finally:
        model.generator.chat.text = slow


def test_embeddings_as_numbers_and_in_base64(model):
    encoder = HashingEncoder(dim=16)

    async def use(server):
        path = "/v1/embeddings"
        return [
            await post(server, path, input=["a pond", "a heron"]),
            await post(server, path, input="a pond", encoding_format="base64"),
            await post(server, path, input=[]),
            await post(server, path, input="a pond", encoding_format="bits"),
        ]

    numbers, packed, *refused = over_http(model, use, encoder)
    expected = encoder.encode(["a pond", "a heron"])
    np.testing.assert_allclose([one["embedding"] for one in json.loads(numbers[2])["data"]], expected, rtol=1e-6)
    raw = base64.b64decode(json.loads(packed[2])["data"][0]["embedding"])
    np.testing.assert_array_equal(np.frombuffer(raw, "<f4"), expected[0])
    assert [status for status, _, _ in refused] == [400, 400]
    assert over_http(model, lambda server: post(server, "/v1/embeddings", input="a"))[0] == 404


def test_a_name_that_begins_with_jax_is_a_folder(tiny_folder, tmp_path):
    made = make_model(ModelSettings(name=f"jax:{tiny_folder}", temperature=0.0, max_completion_tokens=5))
    assert asyncio.run(made.complete(ASKED, seed=0)).completion_tokens <= 5
    with pytest.raises(UserError, match=r"model.name: nowhere: no such folder; `lts models get smollm2 --to smollm2`"):
        make_model(ModelSettings(name="jax:nowhere"))
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    with pytest.raises(UserError, match="model_type: expected 'qwen3' or 'llama', found 'mamba'"):
        make_model(ModelSettings(name=f"jax:{tmp_path}"))


def test_the_command_serves_and_refuses(tiny_folder, tmp_path, capsys):
    for words, said in (
        ([str(tmp_path / "none")], "none: no such folder; `lts models get smollm2 --to smollm2` makes one"),
        ([str(tiny_folder), "--port", "70000"], "port: expected from 0 to 65535, got 70000"),
        ([str(tiny_folder), "--temperature", "9"], "temperature: expected from 0 to 2, got 9.0"),
        ([str(tiny_folder), "--max-rows", "0"], "max_rows: expected at least 1, got 0"),
        ([str(tiny_folder), "--encoder", "nosuch"], "encoder: expected a name, or FILE.py:FUNCTION"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["serve-model", *words])
        told = capsys.readouterr().err
        assert stopped.value.code == 2 and said in told and told.count("\n") == 1
