"""A reply that its limit of tokens cut is asked again or marked; a key given twice decides nothing; dress comes off."""

import asyncio
import json

import pytest

from lts_jax.admission.policy import AdmissionRequest
from lts_jax.admission.rules import RULES
from lts_jax.memory.summarize import SummarySettings, rule_summary, summarize_step
from lts_jax.records import Answer, Coordinates, ModelCall, Step, StopReason, Task
from lts_jax.teams.aggregate import aggregate_answers, extract_answer
from lts_jax.teams.ledger import Ledger, LedgerProblem, parse_ledger
from lts_jax.teams.workers import parse_tool_call
from lts_jax.wording import LEDGER_FIELDS

WHOLE = json.dumps(dict(zip(LEDGER_FIELDS, (False, False, True, "WebSurfer", "Count the herons."), strict=True)))
READ = Ledger(False, False, True, "WebSurfer", "Count the herons.")
STEP = Step(0, 0, "WebSurfer", "Count.", "", "7 herons")


def asking(*replies, is_cut=True):
    """A model that gives these replies in turn; and what it was asked for."""
    asked = []

    async def ask(purpose, messages):
        asked.append(purpose)
        return ModelCall(purpose, replies[min(len(asked), len(replies)) - 1], 1, 1, is_cut=is_cut)

    return ask, asked


def test_a_cut_ledger_counts_only_if_nothing_can_be_missing():
    assert parse_ledger(WHOLE, is_cut=True) == READ
    assert parse_ledger(f"```json\n{WHOLE}\n```", is_cut=True) == READ
    for reply in (f"{WHOLE} But on second thought,", f"I think {WHOLE}", WHOLE[:-1]):
        problem = parse_ledger(reply, is_cut=True)
        assert problem == LedgerProblem("truncated", "the reply was cut at its limit of tokens; it must be shorter")


@pytest.mark.parametrize("quote", ['"', "'"], ids=["strict", "lenient"])
def test_a_key_given_twice_decides_nothing(quote):
    after = WHOLE[WHOLE.index('"is_in') :]
    twice = '{"is_request_satisfied": false, "is_request_satisfied": true, ' + after
    found = parse_ledger(twice.replace('"', quote))
    assert found.kind == "contradicting_keys" and "is_request_satisfied more than once" in found.text
    same = '{"is_request_satisfied": false, "is_request_satisfied": false, ' + after
    assert parse_ledger(same.replace('"', quote)) == READ
    inner = WHOLE.replace("false", '{"answer": false, "answer": true}', 1)
    assert parse_ledger(inner.replace('"', quote)).kind == "contradicting_keys"


def test_a_ledger_in_other_dress_is_read():
    assert parse_ledger(json.dumps(WHOLE)) == READ
    assert parse_ledger(json.dumps({"role": "assistant", "content": WHOLE})) == READ
    assert parse_ledger(WHOLE.replace(", ", ", // so far\n", 1)) == READ


TOOLS = {"web_search": ("query",)}
CALLED = ("web_search", {"query": "herons"})


def test_a_call_in_the_apis_own_dress_is_read_and_a_double_one_is_not():
    arguments = json.dumps({"query": "herons"})
    api = {"tool_calls": [{"type": "function", "function": {"name": "web_search", "arguments": arguments}}]}
    parallel = {"tool_uses": [{"recipient_name": "functions.web_search", "parameters": {"query": "herons"}}]}
    assert parse_tool_call(json.dumps(api), TOOLS) == parse_tool_call(json.dumps(parallel), TOOLS) == CALLED
    twice = '{"tool": "web_search", "arguments": {"query": "a", "query": "b"}}'
    assert parse_tool_call(twice, TOOLS) == "the reply gives 'query' more than once, with values that differ"


@pytest.mark.parametrize(
    "text, answer",
    [
        (r"So it is $\boxed{1893}$.", "1893"),
        (r"FINAL ANSWER: \boxed{1893}", "1893"),
        (r"FINAL ANSWER: $\boxed{\text{Mill pond}}$", "Mill pond"),
        (r"\boxed{7}, no: \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"FINAL ANSWER: \(1893\)", "1893"),
        (r"FINAL ANSWER: \boxed{12\%}", "12%"),
        (r"FINAL ANSWER: C:\new\ponds", r"C:\new\ponds"),
        ("FINAL ANSWER: $5", "$5"),
    ],
)
def test_a_box_is_no_part_of_an_answer(text, answer):
    assert extract_answer(text) == answer


def test_a_cut_answer_of_the_aggregator_is_asked_again_and_then_voted():
    answers = [Answer(team, text, 1.0, StopReason.SATISFIED) for team, text in enumerate(("5", "5", "6"))]
    ask, asked = asking("FINAL ANSWER: 1", "FINAL ANSWER: 2")
    assert asyncio.run(aggregate_answers(Task("t", "?", None), answers, ["", "", ""], ask)) == "5"
    assert asked == ["aggregate", "aggregate"]


def test_a_cut_summary_counts_if_it_has_all_its_words():
    settings = SummarySettings(max_words=4)
    said = asyncio.run(summarize_step("?", STEP, asking("Found seven herons there on")[0], settings))
    assert said == "Found seven herons there"
    cut = asyncio.run(summarize_step("?", STEP, asking("Found seven")[0], settings))
    assert cut == rule_summary(STEP, 4)


@pytest.mark.parametrize("is_cut, action", [(False, 1), (True, 0)])
def test_a_cut_verdict_rejects(is_cut, action):
    request = AdmissionRequest("?", (), STEP, Coordinates(0, 0, "t", 0), 1.0)
    assert asyncio.run(RULES["judge"]().decide(request, asking("YES", is_cut=is_cut)[0])).action == action
