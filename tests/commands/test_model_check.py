"""`lts model check`: five questions, what they tell, and one line where an endpoint does not answer."""

import asyncio
from dataclasses import replace

import pytest

from lts_jax.cli import main
from lts_jax.commands.model import check_text
from lts_jax.llm.budget import Price
from lts_jax.llm.chat import Completion, FailureKind, ModelFailure
from lts_jax.llm.endpoint_check import EndpointCheck, check_endpoint
from lts_jax.llm.openai_settings import OpenAIChatSettings
from lts_jax.llm.request_shape import first_shape
from lts_jax.llm.serving import serve_chat
from lts_jax.llm.wire_messages import MessageForm

SETTINGS = OpenAIChatSettings("tiny", "http://127.0.0.1:9/v1")
WANTED = first_shape(SETTINGS)
ANSWER = Completion('{"herons": 7}', 40, 10, "tiny-2026", 1, 0.5)


class Counting:
    """Answers with the same JSON, and counts."""

    name = "tiny"

    def __init__(self):
        self.num_asked = 0

    async def complete(self, messages, *, seed, json_reply=False):
        self.num_asked += 1
        return Completion('{"herons": 7}', 40, 10, "tiny")


def test_five_questions_are_asked_and_answered():
    async def ask():
        model = Counting()
        server = await serve_chat(model)
        try:
            return model, await check_endpoint(replace(SETTINGS, base_url=server.base_url))
        finally:
            await server.close()

    model, found = asyncio.run(ask())
    assert model.num_asked == len(found.completions) == 5
    assert found.taken == found.wanted == WANTED
    assert found.streams is not None and found.streams.stream and found.streams.stream_usage


def check(taken=WANTED, **answers):
    everything = dict.fromkeys(("plain", "thread", "again", "stream", "limit"), ANSWER) | answers
    text = check_text("tiny", EndpointCheck(everything, WANTED, taken, replace(WANTED, stream=True)), Price(1.0, 2.0))
    return dict(line.strip().split("  ", 1) for line in text.splitlines()[1:-1]), text


def test_what_is_taken_is_told_with_its_price():
    rows, text = check(limit=replace(ANSWER, is_cut=True), plain=replace(ANSWER, thought="hm"))
    assert {name: told.strip() for name, told in rows.items()} == {
        "answers": "'{\"herons\": 7}', as tiny-2026, in 0.5 s",
        "names of speakers": "yes",
        "one role twice in a row": "yes",
        "system messages": "yes",
        "seed": "taken, the same answer twice",
        "limit of tokens": "max_completion_tokens",
        "JSON": "json_object",
        "streams": "yes",
        "thoughts": "yes, kept apart from what is said",
    }
    # 5 * 40 * $1e-6 + 5 * 10 * $2e-6 = $0.0003
    assert "5 answers: 200 tokens sent, 50 received, 2.5 s, $0.00030, $0.000060 a call" in text


def test_what_is_refused_is_told_with_what_is_sent_instead():
    taken = replace(
        WANTED, seed=False, json_modes=(), max_tokens_field="max_tokens", form=MessageForm(False, False, False)
    )
    rows, _ = check(taken, thread=replace(ANSWER, reply="seven"), stream=ModelFailure("no streams"))
    assert rows["names of speakers"].strip() == "no: the speaker goes into the text"
    assert rows["seed"].strip() == "no"
    assert rows["JSON"].strip() == "by the prompt alone, and the answer was none: 'seven'"
    assert rows["limit of tokens"].strip() == "max_tokens, and a cut reply does not say so"


def test_an_endpoint_that_does_not_answer_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef0123456789abcdef")

    async def refuse(settings):
        raise ModelFailure("tiny: HTTP 402: Insufficient Balance", kind=FailureKind.QUOTA)

    monkeypatch.setattr("lts_jax.commands.model.check_endpoint", refuse)
    for flags, told in (
        (["--model.name", "tiny"], "HTTP 402: Insufficient Balance: add credit to the account at the endpoint"),
        ([], "model.name: expected the name of a model at an endpoint (--model.base-url), got 'simulated'"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["model", "check", *flags])
        said = capsys.readouterr().err
        assert stopped.value.code == 2 and told in said and said.count("\n") == 1
