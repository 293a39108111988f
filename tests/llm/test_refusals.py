"""What is left out or written otherwise after a refusal: in which order, learnt once, and without losing a text."""

import asyncio
import json

import httpx2
import pytest

from lts_jax.llm.chat import FailureKind, ModelFailure
from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings
from lts_jax.llm.openai_settings import OpenAIChatSettings as Settings
from lts_jax.llm.request_shape import PARTS, first_shape, request_body, without_refused
from lts_jax.llm.wire_messages import MessageForm, wire_messages
from lts_jax.records import Message

THREAD = (
    Message("system", "You are Coder."),
    Message("user", "Ledger", "Orchestrator"),
    Message("assistant", "Coder: go", "Orchestrator"),
    Message("user", "print(1)", "Coder"),
    Message("user", "Progress check."),
)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef0123456789abcdef")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


class Picky:
    """An endpoint that answers `status` with `text` as long as a request is as `refuses` says."""

    def __init__(self, refuses, text, status=400):
        self.refuses, self.text, self.status, self.bodies = refuses, text, status, []

    async def __call__(self, request):
        body = json.loads(request.content)
        self.bodies.append(body)
        if self.refuses(body):
            return httpx2.Response(self.status, json={"error": {"message": self.text}})
        message = {"role": "assistant", "content": "{}"}
        return httpx2.Response(200, json={"choices": [{"message": message, "finish_reason": "stop"}]})


def make(picky, **changes):
    settings = {
        "first_backoff_seconds": 0.001,
        "max_retries": 3,
        "max_completion_tokens": 50,
        "stream": False,
    } | changes
    http_client = httpx2.AsyncClient(transport=httpx2.MockTransport(picky))
    return OpenAIChatModel(OpenAIChatSettings("tiny", "https://models.test/v1", **settings), http_client=http_client)


def ask(model, json_reply=True):
    return asyncio.run(model.complete(THREAD, seed=7, json_reply=json_reply))


def roles(body):
    return [message["role"] for message in body["messages"]]


def has_name(body):
    return any("name" in message for message in body["messages"])


def repeats(body):
    return any(one == other for one, other in zip(roles(body), roles(body)[1:], strict=False))


REFUSALS = {  # what is refused, in whose words, with which status, and how many attempts the first call takes
    "name, Mistral": (has_name, "body.messages.1.user.name: Extra inputs are not permitted", 422, 2),
    "name, xAI": (has_name, 'Only messages of role "user" can have a name.', 400, 2),
    "name, without a word": (has_name, "Bad Request", 400, 2),
    "neighbours": (repeats, "Conversation roles must alternate user/assistant/user/assistant/...", 400, 2),
    "successive": (repeats, "deepseek-reasoner does not support successive user or assistant messages", 400, 2),
    "system": (lambda body: "system" in roles(body), "System role not supported", 400, 2),
    "system and neighbours": (
        lambda body: "system" in roles(body) or repeats(body),
        "Conversation roles must alternate user/assistant/user/assistant/...",
        400,
        3,
    ),
    "seed": (lambda body: "seed" in body, "Unknown field: seed", 422, 2),
    "limit": (lambda body: "max_completion_tokens" in body, "max_completion_tokens: Extra inputs", 422, 2),
    "JSON": (lambda body: "response_format" in body, "response_format is not supported", 400, 2),
    "JSON, no such route": (
        lambda body: "response_format" in body,
        "No endpoints found that support response_format",
        404,
        2,
    ),
    "JSON, without a word": (lambda body: "response_format" in body, "no", 400, 7),  # after all else was tried
}


@pytest.mark.parametrize("refuses, text, status, attempts", REFUSALS.values(), ids=REFUSALS.keys())
def test_what_is_refused_is_left_out_once_and_no_text_is_lost(refuses, text, status, attempts):
    picky = Picky(refuses, text, status)
    model = make(picky)
    assert ask(model).attempts == attempts
    assert ask(model).attempts == 1  # learnt
    for message in THREAD:
        assert message.content in "\n".join(one["content"] for one in picky.bodies[-1]["messages"])


def test_a_part_that_works_is_not_given_up_for_a_refusal_that_does_not_name_it():
    picky = Picky(lambda body: len(picky.bodies) > 1, "no")
    model = make(picky)
    ask(model)
    with pytest.raises(ModelFailure):
        ask(model)
    assert len(picky.bodies) == 2


@pytest.mark.parametrize(
    "text", ["maximum context length is 8192 tokens", "Your input was flagged", "deployment is paused"]
)
def test_a_refusal_of_what_is_asked_is_met_with_nothing_else(text):
    picky = Picky(lambda body: True, text)
    with pytest.raises(ModelFailure, match=text):
        ask(make(picky))
    assert len(picky.bodies) == 1


def test_server_errors_that_only_json_meets_end_without_it_and_are_learnt_the_second_time():
    picky = Picky(lambda body: "response_format" in body, "grammar backend failed", 500)
    model = make(picky)
    assert [ask(model).attempts for _ in range(3)] == [3, 3, 1]


def test_an_outage_does_not_take_the_json_mode_away():
    picky = Picky(lambda body: len(picky.bodies) <= 2, "overloaded", 503)
    model = make(picky)
    assert ask(model).attempts == 3
    ask(model)
    assert "response_format" in picky.bodies[-1]


def test_the_order_of_what_goes():
    assert list(PARTS) == [
        "name", "neighbours", "system", "seed", "stream_options", "max_completion_tokens", "stream", "json_mode",
    ]  # fmt: skip
    settings = Settings("tiny", "http://localhost:1/v1", max_completion_tokens=5, stream=True)
    shape, gone = first_shape(settings), []
    while shape is not None:
        body = request_body(settings, shape, THREAD, 7, True)
        gone.append(tuple(name for name, part in PARTS.items() if part.is_in(body)))
        shape = without_refused(shape, "no", body)
    assert [len(parts) for parts in gone] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert gone[-1] == ("stream",)


def test_a_speaker_goes_into_the_text():
    assert wire_messages(THREAD[1:4], MessageForm(names=False)) == [
        {"role": "user", "content": "Orchestrator: Ledger"},
        {"role": "assistant", "content": "Orchestrator: Coder: go"},
        {"role": "user", "content": "Coder: print(1)"},
    ]


def test_neighbours_become_one_message_that_says_who_speaks():
    assert wire_messages(THREAD[3:], MessageForm(neighbours=False)) == [
        {"role": "user", "content": "Coder: print(1)\n\nProgress check."}
    ]
    same = [Message("user", "a", "Coder"), Message("user", "b", "Coder")]
    assert wire_messages(same, MessageForm(neighbours=False)) == [
        {"role": "user", "content": "a\n\nb", "name": "Coder"}
    ]


def test_a_system_message_goes_into_the_first_user_message():
    assert wire_messages(THREAD[:2], MessageForm(system=False)) == [
        {"role": "user", "content": "You are Coder.\n\nLedger", "name": "Orchestrator"}
    ]
    alone = [Message("system", "a"), Message("assistant", "b"), Message("system", "c")]
    assert wire_messages(alone, MessageForm(system=False)) == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]


KINDS = {
    (402, "Insufficient Balance"): FailureKind.QUOTA,
    (400, "Your credit balance is too low to access the API"): FailureKind.QUOTA,
    (403, "Insufficient account balance"): FailureKind.QUOTA,
    (400, "API key not valid. Please pass a valid API key."): FailureKind.KEY_REFUSED,
    (403, "Invalid credentials"): FailureKind.KEY_REFUSED,
    (401, "no"): FailureKind.KEY_REFUSED,
    (403, "Your input was flagged by moderation. No credits were charged."): FailureKind.HELD_BACK,
    (403, "Country not supported"): FailureKind.REQUEST_REFUSED,
    (400, "deployment is paused"): FailureKind.REQUEST_REFUSED,
    (429, "You exceeded your current quota, please check your plan. Please retry in 34s."): FailureKind.RATE_LIMIT,
    (429, "You exceeded your current quota, please check your plan and billing details."): FailureKind.QUOTA,
    (500, "API key store is down"): FailureKind.SERVER_ERROR,
}


@pytest.mark.parametrize("status, text", KINDS, ids=str)
def test_what_an_endpoint_says_is_what_failed(status, text):
    with pytest.raises(ModelFailure) as caught:
        ask(make(Picky(lambda body: True, text, status), max_retries=0))
    assert caught.value.kind is KINDS[status, text]
    if caught.value.kind is not FailureKind.KEY_REFUSED:
        assert text in str(caught.value)
