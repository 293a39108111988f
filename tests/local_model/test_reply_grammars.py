"""What a reply must look like follows from the request: every request of teams, and texts that only look like one."""

import json
import re

import pytest

from lts_jax import prompts
from lts_jax.llm.reply_grammars import reply_grammar
from lts_jax.records import Message, OwnTool
from lts_jax.teams.ledger import Ledger, parse_ledger
from lts_jax.teams.workers import parse_tool_call
from lts_jax.wording import LEDGER_FIELDS

ASKED = Message("user", "Which pond?")


def test_a_ledger_of_the_grammar_is_a_ledger():
    grammar = reply_grammar([ASKED, prompts.ledger_request()], json_reply=True)
    assert list(grammar["properties"]) == list(LEDGER_FIELDS) == grammar["required"]
    speaker = grammar["properties"]["next_speaker"]["properties"]["answer"]
    assert speaker["enum"] == list(prompts.AGENTS)
    made = {name: {"reason": "so", "answer": False} for name in LEDGER_FIELDS[:3]}
    made |= {
        "next_speaker": {"reason": "", "answer": "Coder"},
        "instruction_or_question": {"reason": "", "answer": "Go"},
    }
    assert isinstance(parse_ledger(json.dumps(made)), Ledger)


def test_a_retry_still_knows_the_agents_also_those_of_a_user():
    tools = (OwnTool("depth", ("pond",), "depth(pond: str)", "Depth of a pond."),)
    messages = [prompts.ledger_request(tools), Message("assistant", "no"), prompts.ledger_retry("it is no JSON")]
    speaker = reply_grammar(messages, json_reply=True)["properties"]["next_speaker"]["properties"]["answer"]
    assert speaker["enum"] == [*prompts.AGENTS, prompts.TOOL_USER]


@pytest.mark.parametrize("agent", prompts.TOOLS)
def test_a_tool_call_of_the_grammar_is_a_tool_call(agent):
    grammar = reply_grammar([ASKED, prompts.act_request(agent)], json_reply=True)
    calls = {one["properties"]["tool"]["const"]: one["properties"]["arguments"] for one in grammar["anyOf"]}
    assert list(calls) == list(prompts.TOOLS[agent])
    for tool, arguments in calls.items():
        assert tuple(arguments["properties"]) == prompts.TOOLS[agent][tool]
        assert "page" not in arguments["required"]
        given = dict.fromkeys(arguments["required"], "x")
        assert parse_tool_call(json.dumps({"tool": tool, "arguments": given}), prompts.TOOLS[agent]) == (tool, given)


def test_a_selection_is_of_the_entries_that_are_shown():
    lines = [prompts.key_line(3, "the depth"), prompts.key_line(12, "the name [5] of it", 2)]
    grammar = reply_grammar([prompts.select_request("Which?", lines)], json_reply=False)
    for text, fits in (
        ("SELECTED_KEYS = []", True), ("SELECTED_KEYS = [12]", True), ("SELECTED_KEYS = [3, 12]", True),
        ("SELECTED_KEYS = [5]", False), ("SELECTED_KEYS = [1]", False), ("SELECTED_KEYS = [3, ]", False),
    ):  # fmt: skip
        assert bool(re.fullmatch(grammar, text)) is fits


def test_other_requests():
    judge = prompts.judge_request("Which?", [], "Look", "looked", "nothing")
    assert reply_grammar([judge], json_reply=False) == "YES|NO"
    assert reply_grammar([prompts.facts_request("Which?", ())], json_reply=False) is None
    assert reply_grammar([ASKED], json_reply=False) is None
    assert reply_grammar([ASKED], json_reply=True) == {"type": "object"}
    odd = Message("user", "Next action.\nReply with one tool call. Tools: {broken")
    assert reply_grammar([odd], json_reply=True) == {"type": "object"}


def test_messages_that_became_one_are_read_too():
    merged = Message("user", f"Keys of the shared memory\n\n{prompts.ledger_request().content}")
    assert "next_speaker" in reply_grammar([merged], json_reply=True)["properties"]
