"""An endpoint that misbehaves in every way it knows: every call ends in time, in a reply or a typed failure."""

import asyncio
import gc
import sys
import time
from pathlib import Path

import httpx2
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the package faults lies beside the tests

from faults.endpoint import KINDS, FaultEndpoint, fault_endpoint

from lts_jax.llm.budget import Budget, BudgetSettings
from lts_jax.llm.chat import BudgetExhausted, Completion, FailureKind, ModelFailure
from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings
from lts_jax.records import Message

ASKED = (Message("user", "Plan.\nGo."),)
DEADLINE_SECONDS = 0.5
GRACE_SECONDS = 10.0  # a busy machine may need them; a call that forgot its deadline would take a minute or an hour
PATIENT = {"call_deadline_seconds": 300.0, "attempt_deadline_seconds": 120.0}  # of calls that no deadline is to end

REPLY = "reply to 7"
ENDS = {  # of a call that asks for no stream: the beginning of its reply, or the kind of its failure
    REPLY: "ok content_in_parts nested_content huge_content lone_surrogate control_characters byte_order_mark no_usage "
    "nan_usage negative_usage absurd_usage text_usage wrong_model duplicated_headers gzip_unasked two_replies "
    "late_second_reply "
    "hang_up_later stream_cut stream_cut_in_event stream_disordered stream_of_garbage stream_of_nothing stream_error "
    "stream_without_done stream_without_usage "
    "stream_with_comments stream_ignored",
    '{"reply_to": 7}': "tool_calls_unasked",
    '{"a": [1,': "tool_arguments_cut",
    FailureKind.DEADLINE: "drip slow_headers early_hints hang hang_in_headers hang_after_headers hang_in_body "
    "hang_after_body",
    FailureKind.CONNECTION: "reset reset_in_body close close_in_headers close_in_body garbage another_protocol "
    "length_too_long length_no_number two_lengths bad_chunk cut_chunk endless_headers",
    FailureKind.UNREADABLE: "empty_body html half_json list_body no_choices empty_choices wrong_types wrong_fields "
    "invalid_utf8 deep_nesting long_number two_documents gzip_broken unknown_encoding no_content",
    FailureKind.NO_TEXT: "null_content number_content tool_calls_unreadable tool_calls_no_list",
    FailureKind.TOO_LARGE: "big_body endless_body gzip_bomb",
    FailureKind.REDIRECT: "redirect_to_other_port redirect_loop redirect_nowhere",
    FailureKind.RATE_LIMIT: "rate_limit rate_limit_short rate_limit_year rate_limit_absurd rate_limit_nan "
    "rate_limit_past rate_limit_date",
    FailureKind.QUOTA: "quota",
    FailureKind.SERVER_ERROR: "server_error bad_gateway unavailable status_999 error_inside",
    FailureKind.NOT_FOUND: "not_found",
    FailureKind.REQUEST_REFUSED: "endless_error error_without_charset forbidden",
}
STREAM_ENDS = {  # where a call that asks for a stream ends otherwise
    REPLY: "hang_after_body length_too_long",  # the end mark says that nothing more is to come
    FailureKind.CONNECTION: "stream_cut stream_cut_in_event empty_body no_content",
    FailureKind.UNREADABLE: "stream_disordered stream_of_garbage stream_of_nothing",
    FailureKind.SERVER_ERROR: "stream_error",
}
EITHER = {"length_too_short"}  # what follows the stated length may be seen as a part of no response, or not at all


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef0123456789abcdef")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture(scope="module")
def endpoint():
    with fault_endpoint(seed=3) as running:
        yield running


def make(endpoint, kind, *, with_httpx2=False, budget=None, **changes):
    """A client of one kind of fault, quick to retry; over the transport that it chooses, or over httpx2."""
    settings = {
        "call_deadline_seconds": DEADLINE_SECONDS,
        "attempt_deadline_seconds": 0.4,
        "max_retries": 2,
        "first_backoff_seconds": 0.01,
        "max_in_flight": 1000,
    }
    return OpenAIChatModel(
        OpenAIChatSettings("tiny", endpoint.base_url(kind), **settings | changes),
        http_client=httpx2.AsyncClient(verify=False, timeout=None, trust_env=False) if with_httpx2 else None,
        budget=budget,
    )


async def timed(model, seed=7, json_reply=False):
    """What a call ended in, and after how many seconds. Anything but a completion or a failure of the model escapes."""
    started = time.perf_counter()
    try:
        outcome = await model.complete(ASKED, seed=seed, json_reply=json_reply)
    except ModelFailure as failure:
        outcome = failure
    return outcome, time.perf_counter() - started


def ends(*tables):
    """Table of how each kind ends; later ones take precedence."""
    return {kind: end for table in tables for end, kinds in table.items() for kind in kinds.split()}


@pytest.mark.parametrize("with_httpx2", [False, True], ids=["chosen", "httpx2"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_each_kind_ends_as_it_should(endpoint, stream, with_httpx2):
    expected = ends(ENDS, STREAM_ENDS) if stream else ends(ENDS)
    assert expected.keys() | EITHER == set(KINDS)

    async def main():
        slots = asyncio.Semaphore(16)

        async def one(kind):
            patience = {"call_deadline_seconds": 1.5} if expected.get(kind) is FailureKind.DEADLINE else PATIENT
            model = make(endpoint, kind, stream=stream, with_httpx2=with_httpx2, **patience)
            async with slots:
                outcome, _ = await timed(model)
            await model.close()
            return kind, outcome

        return dict(await asyncio.gather(*(one(kind) for kind in KINDS)))

    for kind, outcome in asyncio.run(main()).items():
        if kind in EITHER:
            continue
        if isinstance(expected[kind], FailureKind):
            assert isinstance(outcome, ModelFailure), (kind, outcome)
            assert outcome.kind is expected[kind], (kind, outcome)
        else:
            assert isinstance(outcome, Completion), (kind, outcome)
            assert outcome.reply.startswith(expected[kind]), (kind, outcome)


def test_a_thousand_faulty_calls(endpoint):
    """Every kind ten times, 48 at once. A call that was late beside others has to be on time alone."""
    noticed = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: noticed.append(context))
        slots = asyncio.Semaphore(48)
        models = {(kind, stream): make(endpoint, kind, stream=stream) for kind in KINDS for stream in (False, True)}

        async def one(seed):
            which = KINDS[seed % len(KINDS)], seed // len(KINDS) % 2 == 1
            async with slots:
                return which, *await timed(models[which], seed, json_reply=seed % 3 == 0)

        found = await asyncio.gather(*(one(seed) for seed in range(1000)))
        late = {which for which, _, seconds in found if seconds > DEADLINE_SECONDS + GRACE_SECONDS}
        alone = [(which, (await timed(models[which]))[1]) for which in late]
        await asyncio.gather(*(model.close() for model in models.values()))
        return found, alone

    found, alone = asyncio.run(main())
    gc.collect()
    assert {kind for (kind, _), _, _ in found} == set(KINDS)
    for which, outcome, _ in found:
        if isinstance(outcome, ModelFailure):
            assert outcome.kind is not FailureKind.OTHER, (which, outcome)
            assert "\n" not in str(outcome) and len(str(outcome)) < 400
            assert outcome.attempts <= 8  # three, and one for each part that a refusal may mean
        else:
            assert 0 <= outcome.prompt_tokens < 2**40 and 0 <= outcome.completion_tokens < 2**40
    assert all(seconds <= DEADLINE_SECONDS + GRACE_SECONDS for _, seconds in alone), alone
    assert not noticed
    assert endpoint.num_redirected() == 0


@pytest.mark.parametrize("with_httpx2", [False, True], ids=["chosen", "httpx2"])
@pytest.mark.parametrize("kind, num_calls, pause_seconds", [("two_replies", 30, 0.0), ("late_second_reply", 3, 0.5)])
def test_no_reply_is_taken_for_that_of_another_call(endpoint, kind, num_calls, pause_seconds, with_httpx2):
    """Replies to nobody that come before the next request. One that comes after it cannot be told by any client."""

    async def main():
        model = make(endpoint, kind, with_httpx2=with_httpx2, **PATIENT)
        found = []
        for seed in range(num_calls):  # one after another, on connections that the endpoint keeps open
            found.append((await timed(model, seed))[0])
            await asyncio.sleep(pause_seconds)
        await model.close()
        return found

    for seed, outcome in enumerate(asyncio.run(main())):
        assert isinstance(outcome, Completion), (seed, outcome)
        assert outcome.reply == f"reply to {seed}"


def test_a_connection_that_the_server_closed_is_not_the_end_of_a_call(endpoint):
    async def main():
        model = make(endpoint, "hang_up_later", **PATIENT)
        found = [(await timed(model, seed))[0] for seed in range(30)]
        await model.close()
        return found

    assert [getattr(outcome, "reply", outcome) for outcome in asyncio.run(main())] == [
        f"reply to {seed}" for seed in range(30)
    ]


def test_no_attempt_starts_after_the_budget_is_gone(endpoint):
    """200 calls by 8 workers against failing and good answers alike; the endpoint's own record is the referee."""
    budget = Budget(BudgetSettings(max_tokens=300))
    gone = []

    async def main():
        models = [
            make(endpoint, kind, budget=budget, max_retries=5, **PATIENT)
            for kind in ("rate_limit", "ok", "server_error", "stream_cut")
        ]
        calls = iter(range(200))

        async def work():
            for number in calls:
                outcome, _ = await timed(models[number % 4], number)
                if isinstance(outcome, Completion):
                    budget.spend(outcome.prompt_tokens, outcome.completion_tokens, 0.0, 0.0)
                if budget.tokens >= 300 and not gone:
                    gone.append(time.monotonic())
                if isinstance(outcome, BudgetExhausted):
                    return outcome
            return None

        ends = await asyncio.gather(*(work() for _ in range(8)))
        await asyncio.gather(*(model.close() for model in models))
        return ends

    before = len(endpoint.served())
    ends = asyncio.run(main())
    served = endpoint.served()[before:]
    assert all(isinstance(end, BudgetExhausted) for end in ends)
    assert 300 <= budget.tokens < 300 + 8 * 15
    assert len(served) >= 20
    assert sum(call.seconds > gone[0] for call in served) <= 8  # at most one of each worker had been sent before


def test_the_endpoint_records_what_it_was_asked_and_draws_from_its_seed():
    async def kinds(seed):
        endpoint = FaultEndpoint(seed=seed, kinds=("ok", "null_content", "list_body"))
        await endpoint.start()
        model = make(RunningHere(endpoint.port), "any", max_retries=0)
        for number in range(40):
            await timed(model, number)
        await model.close()
        await endpoint.close()
        return endpoint.served

    first, again, other = (asyncio.run(kinds(seed)) for seed in (1, 1, 2))
    assert [call.kind for call in first] == [call.kind for call in again]
    assert [call.kind for call in first] != [call.kind for call in other]
    assert {call.kind for call in first} == {"ok", "null_content", "list_body"}
    assert [call.number for call in first] == list(range(40))
    assert '"seed":39' in first[39].body
    with pytest.raises(ValueError, match=r"^kinds: expected some of ok, .* got \['nonsense'\]$"):
        FaultEndpoint(kinds=("ok", "nonsense"))


class RunningHere:
    """An endpoint in this process."""

    def __init__(self, port):
        self.port = port

    def base_url(self, kind):
        return f"http://127.0.0.1:{self.port}/{kind}/v1"
