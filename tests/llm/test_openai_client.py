"""The client against scripted endpoints: what is sent, what is tried again, what ends a call, and that no key leaks."""

import asyncio
import json
import pickle
import subprocess
import sys
import time
from collections import Counter

import httpx2
import pytest

from lts_jax.llm.chat import Completion, FailureKind, ModelFailure
from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings
from lts_jax.llm.transport import Problem
from lts_jax.records import Message

KEY = "sk-test-0123456789abcdef0123456789abcdef"
ASKED = (Message("system", "You are Coder."), Message("user", "Plan.\nGo.", "Orchestrator"))


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def body(content="Done.", **changes):
    """A chat completion as an endpoint sends it."""
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "tiny-2026",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
    } | changes


def refusal(status, message="no", headers=None, **changes):
    """An error response in OpenAI's format."""
    return httpx2.Response(status, json={"error": {"message": message, "type": "t"} | changes}, headers=headers)


class Script:
    """A transport that gives the listed responses in turn, repeating the last, and notes requests and their times."""

    def __init__(self, *responses):
        self.responses = responses
        self.requests = []
        self.times = []

    async def __call__(self, request):
        response = self.responses[min(len(self.requests), len(self.responses) - 1)]
        self.requests.append(request)
        self.times.append(time.perf_counter())
        if isinstance(response, Exception):
            raise response
        if isinstance(response, float):
            await asyncio.sleep(response)
            response = httpx2.Response(200, json=body())
        if isinstance(response, dict):
            response = httpx2.Response(200, json=response)
        return httpx2.Response(response.status_code, content=response.content, headers=response.headers)

    def sent(self, number=0):
        return json.loads(self.requests[number].content)


def make(script, **changes):
    """A client for a scripted endpoint, with waits of milliseconds."""
    settings = {"first_backoff_seconds": 0.004, "max_backoff_seconds": 0.01, "max_retries": 3} | changes
    http_client = httpx2.AsyncClient(transport=httpx2.MockTransport(script))
    return OpenAIChatModel(OpenAIChatSettings("tiny", "https://models.test/v1", **settings), http_client=http_client)


def ask(model, messages=ASKED, seed=7, json_reply=False):
    return asyncio.run(model.complete(messages, seed=seed, json_reply=json_reply))


def failure(model, **changes):
    with pytest.raises(ModelFailure) as caught:
        ask(model, **changes)
    text = str(caught.value)
    assert "\n" not in text and KEY not in text
    return text


def test_a_call_sends_the_messages_and_returns_what_the_endpoint_counted():
    script = Script(body())
    completion = ask(make(script, temperature=0.5, max_completion_tokens=99))
    assert script.sent() == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "You are Coder."},
            {"role": "user", "content": "Plan.\nGo.", "name": "Orchestrator"},
        ],
        "seed": 7,
        "temperature": 0.5,
        "max_completion_tokens": 99,
    }
    assert str(script.requests[0].url) == "https://models.test/v1/chat/completions"
    assert script.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert completion == Completion("Done.", 12, 3, "tiny-2026", 1, completion.seconds)
    assert 0.0 < completion.seconds < 5.0


def test_a_429_is_waited_out_as_long_as_the_server_asks():
    script = Script(refusal(429, headers={"retry-after": "0.15"}), body())
    completion = ask(make(script))
    assert completion.attempts == 2
    assert script.times[1] - script.times[0] >= 0.15  # the back-off alone would be 0.004


@pytest.mark.parametrize(
    "first",
    [
        refusal(500),
        refusal(503),
        refusal(408),
        httpx2.Response(502, content=b"<html>\nbad gateway</html>"),
        httpx2.ConnectError("refused"),
        httpx2.ReadError("reset"),
        httpx2.ReadTimeout("slow"),
        httpx2.RemoteProtocolError("cut"),
    ],
    ids=lambda first: getattr(first, "status_code", type(first).__name__),
)
def test_what_may_pass_is_tried_again(first):
    script = Script(first, first, body())
    assert ask(make(script)).attempts == 3
    assert len(script.requests) == 3


@pytest.mark.parametrize("status", [400, 404, 307, 409, 418, 422])
def test_what_cannot_pass_is_not(status):
    script = Script(refusal(status, "too long", headers={"location": "https://elsewhere.test/"}), body())
    assert f"tiny at models.test: HTTP {status}: too long" == failure(make(script))
    assert len(script.requests) == 1


def test_a_refused_key_is_one_line_that_names_the_variable_and_not_the_key():
    for status in (401, 403):
        script = Script(refusal(status, f"Incorrect API key provided: {KEY}"))
        text = failure(make(script))
        assert text == f"tiny at models.test: HTTP {status}: the key in OPENAI_API_KEY was refused"
        assert len(script.requests) == 1


def test_a_used_up_quota_and_a_server_that_says_no_are_not_tried_again():
    for response in (refusal(429, code="insufficient_quota"), refusal(500, headers={"x-should-retry": "false"})):
        script = Script(response, body())
        failure(make(script))
        assert len(script.requests) == 1


def test_retries_end():
    script = Script(refusal(500, f"overloaded {KEY}"))
    text = failure(make(script, max_retries=2))
    assert text == "tiny at models.test: HTTP 500: overloaded [key] (attempts: 3)"
    assert len(script.requests) == 3


def test_a_wait_past_the_deadline_is_not_begun():
    script = Script(refusal(429, headers={"retry-after": "3600"}))
    started = time.perf_counter()
    assert "after the deadline" in failure(make(script, call_deadline_seconds=200.0))
    assert time.perf_counter() - started < 100.0
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "responses, changes, attempts, prompt_tokens",
    [
        ([refusal(404)], {}, 1, 0),
        ([refusal(503), refusal(500), refusal(404)], {}, 3, 0),
        ([refusal(500)], {"max_retries": 2}, 3, 0),
        ([refusal(500), refusal(429, headers={"retry-after": "3600"})], {"call_deadline_seconds": 200.0}, 2, 0),
        ([refusal(500), 300.0], {"call_deadline_seconds": 2.0}, 2, 0),
        ([refusal(500), body(None)], {}, 2, 12),
        ([httpx2.Response(200, content=b"<html>sign in</html>")], {}, 1, 0),
    ],
    ids=["refused", "refused at last", "retries", "wait", "deadline", "no text", "no JSON"],
)
def test_a_failure_says_what_was_tried_and_counted(responses, changes, attempts, prompt_tokens):
    script = Script(*responses)
    with pytest.raises(ModelFailure) as caught:
        ask(make(script, **changes))
    assert (caught.value.attempts, caught.value.prompt_tokens) == (attempts, prompt_tokens)
    assert len(script.requests) == attempts


def test_a_failure_travels_between_processes_with_its_counts():
    sent = ModelFailure("overloaded", attempts=4, prompt_tokens=12)
    received = pickle.loads(pickle.dumps(sent))
    assert (str(received), received.attempts, received.prompt_tokens) == ("overloaded", 4, 12)
    assert (ModelFailure("once").attempts, ModelFailure("once").prompt_tokens) == (1, 0)


def test_a_slow_attempt_is_given_up_and_tried_again():
    script = Script(300.0, body())
    assert ask(make(script, attempt_deadline_seconds=1.0)).attempts == 2


def test_the_deadline_holds_over_all_attempts():
    script = Script(300.0)
    started = time.perf_counter()
    text = failure(make(script, attempt_deadline_seconds=0.3, call_deadline_seconds=1.05, max_retries=50))
    assert time.perf_counter() - started < 20.0
    assert "1.05 seconds" in text or "after the deadline" in text
    assert 2 <= len(script.requests) <= 4


def test_back_off_doubles_with_seeded_jitter_and_keeps_its_cap():
    waits = []
    for _ in range(2):
        model = make(Script(), first_backoff_seconds=1.0, max_backoff_seconds=5.0)
        problem = Problem("HTTP 500", may_retry=True)
        waits.append([model._backoff_seconds(problem, failures, 7) for failures in (1, 2, 3, 4, 1000)])
    assert waits[0] == waits[1]
    for wait, longest in zip(waits[0], (1.0, 2.0, 4.0, 5.0, 5.0), strict=True):
        assert longest / 2 <= wait < longest
    others = {round(model._backoff_seconds(problem, 1, seed), 9) for seed in range(50)}
    assert len(others) == 50


def test_a_storm_of_failures_is_not_amplified():
    outcomes = Counter()

    async def storm(request):
        number = json.loads(request.content)["seed"]
        outcomes[number] += 1
        bad = (number * 7 + outcomes[number] * 3) % 10 < 3  # 30 of 100 attempts
        return refusal(503) if bad else httpx2.Response(200, json=body())

    async def main():
        model = make(storm, first_backoff_seconds=0.0, max_retries=6)
        return await asyncio.gather(*(model.complete(ASKED, seed=seed) for seed in range(200)))

    completions = asyncio.run(main())
    assert sum(outcomes.values()) == sum(completion.attempts for completion in completions) <= 1.5 * 200


def test_json_mode_is_asked_for_and_done_without_where_refused():
    script = Script(body("{}"))
    ask(make(script), json_reply=True)
    assert script.sent()["response_format"] == {"type": "json_object"}

    script = Script(refusal(400, "response_format is not supported"), body("{}"))
    model = make(script)
    assert ask(model, json_reply=True).attempts == 2
    assert "response_format" not in script.sent(1)
    ask(model, json_reply=True)  # what was learnt is kept
    assert "response_format" not in script.sent(2)

    script = Script(refusal(400, "too long"))  # of what was asked, and no part of it
    assert "too long" in failure(make(script), json_reply=True)
    assert len(script.requests) == 1


UNUSABLE = {
    "empty": b"",
    "html": b"<html>sign in</html>",
    "null": b"null",
    "text": b'"hello"',
    "list": b"[]",
    "no choices": b"{}",
    "choices of text": b'{"choices": "abc"}',
    "null choice": b'{"choices": [null]}',
    "no message": b'{"choices": [{"index": 0}]}',
    "null content": b'{"choices": [{"message": {"role": "assistant", "content": null}}]}',
    "number": b'{"choices": [{"message": {"content": 5}}]}',
    "no parts": b'{"choices": [{"message": {"content": []}}]}',
    "image parts": b'{"choices": [{"message": {"content": [{"type": "image"}]}}]}',
    "deep": b"[" * 100_000,
    "latin-1": b'{"choices": [{"message": {"content": "\xe9"}}]}',
    "long number": b'{"choices": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("content", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_reply_without_a_usable_choice_is_a_failure(content):
    script = Script(httpx2.Response(200, content=content))
    assert failure(make(script)).startswith("tiny at models.test: the ")
    assert len(script.requests) == 1


FAULTS_INSIDE = {
    "no choices yet": {"choices": None},
    "empty choices": {"choices": []},
    "a gateway's failure": {"error": {"message": "no capacity", "code": 502}},
    "a gateway's limit": {"error": {"message": "slow down", "code": "429"}},
    "beside the choices": body("half") | {"error": {"message": "cut"}},
    "in the choice": {"choices": [{"message": {"content": ""}, "error": {"message": "upstream"}}]},
    "as the reason": {"choices": [{"message": {"content": "ha"}, "finish_reason": "error"}]},
    "another provider's": {"base_resp": {"status_code": 1000, "status_msg": "unknown"}},
}


@pytest.mark.parametrize("inside", FAULTS_INSIDE.values(), ids=FAULTS_INSIDE.keys())
def test_a_success_with_the_servers_fault_inside_is_tried_again(inside):
    script = Script(inside, body())
    assert ask(make(script)).reply == "Done."
    assert len(script.requests) == 2


def test_a_fault_inside_that_cannot_pass_is_what_it_says():
    for inside, kind in (
        ({"error": {"message": "Insufficient credits", "code": 402}}, FailureKind.QUOTA),
        ({"error": {"message": "No auth credentials found", "code": 401}}, FailureKind.KEY_REFUSED),
        ({"error": {"message": "flagged", "code": 403}}, FailureKind.HELD_BACK),
    ):
        script = Script(inside, body())
        with pytest.raises(ModelFailure) as caught:
            ask(make(script))
        assert caught.value.kind is kind
        assert len(script.requests) == 1


def test_a_model_that_only_reasons_has_failed_and_is_told_what_helps():
    message = {"role": "assistant", "content": "", "reasoning_content": "FINAL ANSWER: 5"}
    script = Script(body(choices=[{"message": message, "finish_reason": "length"}]))
    with pytest.raises(
        ModelFailure, match=r"the model reasoned \(3 tokens\) and said nothing, finish_reason length; raise --m"
    ):
        ask(make(script))
    assert len(script.requests) == 1


def test_the_key_is_nowhere_to_be_read():
    model = make(Script(body()))
    completion = ask(model)
    settings = OpenAIChatSettings("tiny", "https://models.test/v1")
    for shown in (repr(model), repr(vars(model)), repr(settings), str(model._connection), repr(completion)):
        assert KEY not in shown
    # an endpoint that sends the key back, across the place where a long error is cut
    script = Script(httpx2.Response(200, content=b"x" * 180 + KEY.encode() + b"x" * 900))
    assert "sk-test" not in failure(make(script))
    script = Script(refusal(400, "x" * 190 + KEY))
    assert "sk-test" not in failure(make(script))


def test_no_more_calls_are_in_flight_than_allowed():
    running = peak = 0

    async def slow(request):
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.005)
        running -= 1
        return httpx2.Response(200, json=body())

    async def main():
        model = make(slow, max_in_flight=4, call_deadline_seconds=100.0)
        await asyncio.gather(*(model.complete(ASKED, seed=seed) for seed in range(24)))

    asyncio.run(main())
    assert peak == 4


def test_cancelling_a_call_frees_its_slot():
    async def main():
        model = make(Script(30.0, body()), max_in_flight=1)
        call = asyncio.create_task(model.complete(ASKED, seed=1))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return await model.complete(ASKED, seed=2)

    assert asyncio.run(main()).reply == "Done."


def test_importing_is_light():
    code = (
        "import sys, lts_jax.llm.openai_client, lts_jax.llm.recorded, lts_jax.llm.serving\n"
        "print([name for name in ('openai', 'httpx2', 'jax', 'pydantic') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
