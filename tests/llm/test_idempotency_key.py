"""Each call tells the endpoint its digest: the one that stands in the journal, the same after a restart."""

import asyncio
import json

import httpx2
import pytest

from lts_jax.llm.call_digest import call_digest
from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings, request_options
from lts_jax.llm.recorded import JOURNAL, ReplayModel
from lts_jax.records import Message

ASKED = (Message("user", "Go."),)
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Done."}, "finish_reason": "stop"}
DONE = httpx2.Response(200, json={"choices": [CHOICE], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
BUSY = httpx2.Response(503, json={"error": {"message": "busy"}})
CUT = httpx2.ReadError("cut")
SETTINGS = OpenAIChatSettings(
    "tiny", "http://127.0.0.1:1/v1", first_backoff_seconds=0.001, max_backoff_seconds=0.001, max_retries=3
)
DIGEST = call_digest(ASKED, 7, False, "tiny", request_options(SETTINGS))


def keys_of(outcomes, **asked):
    """Idempotency keys of the requests of one call that meets these outcomes."""
    seen = []

    async def answer(request):
        seen.append(request.headers["idempotency-key"])
        outcome = outcomes[len(seen) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return httpx2.Response(outcome.status_code, content=outcome.content)

    model = OpenAIChatModel(SETTINGS, http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(answer)))
    asyncio.run(model.complete(ASKED, **({"seed": 7} | asked)))
    return seen


@pytest.mark.parametrize(
    ("outcomes", "suffixes"),
    [
        ([DONE], [""]),
        ([CUT, CUT, DONE], ["", "", ""]),  # the server may have it: it is the same request
        ([BUSY, BUSY, DONE], ["", "-2", "-3"]),  # the server said no: a new request, or it may say the same again
        ([BUSY, CUT, DONE], ["", "-2", "-2"]),
    ],
)
def test_an_attempt_is_a_new_request_only_after_a_response(outcomes, suffixes):
    assert keys_of(outcomes) == [DIGEST + suffix for suffix in suffixes]


def test_other_calls_have_other_keys():
    assert keys_of([DONE], seed=8) != keys_of([DONE]) != keys_of([DONE], json_reply=True)


def test_the_key_stands_in_the_journal(tmp_path):
    async def answer(request):
        return httpx2.Response(200, content=DONE.content)

    client = OpenAIChatModel(SETTINGS, http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(answer)))
    asyncio.run(ReplayModel(tmp_path, client, options=client.options).complete(ASKED, seed=7))
    assert json.loads((tmp_path / JOURNAL).read_text())["call"] == DIGEST
