"""Ledgers as models write them: what is let pass, what is refused and why, and what happens then."""

import ast
import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lts_jax.llm.chat import ModelFailure
from lts_jax.prompts import AGENTS, ledger_retry
from lts_jax.records import StopReason
from lts_jax.teams.ledger import Ledger, LedgerProblem, parse_ledger
from lts_jax.teams.settings import TeamSettings
from lts_jax.teams.team import run_team
from lts_jax.teams.tolerant_json import JsonSearch, find_objects, plain_text
from lts_jax.wording import LEDGER_FIELDS

GO = Ledger(False, False, True, "Coder", "Add the two prices.")
BARE = {
    "is_request_satisfied": False,
    "is_in_loop": False,
    "is_progress_being_made": True,
    "next_speaker": "Coder",
    "instruction_or_question": "Add the two prices.",
}
FULL = {name: {"reason": "it's so", "answer": value} for name, value in BARE.items()}
TEXT = json.dumps(FULL)
DONE = json.dumps(BARE | {"is_request_satisfied": True})

LET_PASS = {
    "strict": TEXT,
    "bare values": json.dumps(BARE),
    "prose around": f"Let me think {{carefully}}.\n{TEXT}\nThat is all.",
    "fence": f"```json\n{TEXT}\n```",
    "wrong fence": f"```python\n{TEXT}\n```",
    "no closing fence": f"```JSON5\n{TEXT}",
    "two equal blocks": f"```json\n{TEXT}\n```\nor\n```json\n{json.dumps(BARE)}\n```",
    "another block first": f'{{"thought": "hm"}}\n{TEXT}',
    "Python literals": repr(FULL),
    "wrapped": json.dumps({"ledger": FULL}),
    "in a list": json.dumps([FULL]),
    "trailing commas": TEXT.replace("}", ",}"),
    "unquoted names": TEXT.replace('"reason"', "reason").replace('"answer"', "answer"),
    "flags as text": json.dumps(BARE | {"is_request_satisfied": "false"} | dict.fromkeys(LEDGER_FIELDS[1:2], "No")),
    "flags in capitals": TEXT.replace("false", '"FALSE"').replace("true", '"True"'),
    "raw line break in a string": TEXT.replace("it's so", "it's\nso"),
    "control characters": TEXT.replace("it's so", "it's\x00\x07so").replace("Add", "\x1bAdd"),
    "speaker in other spelling": TEXT.replace('"Coder"', '" coder_"'),
    "bad escape": TEXT.replace("it's so", r"it\'s \d so"),
    "long prose first": "word " * 2_000 + TEXT,
}  # fmt: skip

REFUSED = {
    "empty": ("", "empty", "the reply was empty"),
    "blank": (" \n\t", "empty", "the reply was empty"),
    "prose": ("All good, go on.", "no_json", "there is no JSON object in it"),
    "list": ("[1, 2]", "no_json", "there is no JSON object in it"),
    "refusal": ("I’m sorry, but I can't help with that.", "refusal", "it refuses instead"),
    "truncated": (TEXT[:-20], "truncated", "the JSON object breaks off before its closing brace"),
    "truncated early": (
        '```json\n{"is_request_satisfied": {"reason": "we ha',
        "truncated",
        "the JSON object breaks off",
    ),
    "broken": ("{is: not; json}", "not_json", "what follows the brace is not JSON"),
    "other object": ('{"status": "fine"}', "missing_field", "the JSON object has none of the keys is_request"),
    "missing key": (
        json.dumps({name: value for name, value in FULL.items() if name != "next_speaker"}),
        "missing_field",
        "these keys, or their answers, are missing: next_speaker",
    ),
    "missing answer": (
        json.dumps(FULL | {"is_in_loop": {"reason": "no"}}),
        "missing_field",
        "these keys, or their answers, are missing: is_in_loop",
    ),
    "unknown speaker": (
        json.dumps(BARE | {"next_speaker": "Planner"}),
        "unknown_speaker",
        "next_speaker must be one of WebSurfer, FileSurfer, Coder, ComputerTerminal, not 'Planner'",
    ),
    "speaker is null": (json.dumps(BARE | {"next_speaker": None}), "wrong_type", "the answer of next_speaker must be"),
    "flag is a number": (
        json.dumps(BARE | {"is_request_satisfied": 1}),
        "wrong_type",
        "the answer of is_request_satisfied must be true or false, not 1",
    ),
    "flag is other text": (
        json.dumps(BARE | {"is_request_satisfied": "almost"}),
        "wrong_type",
        "the answer of is_request_satisfied must be true or false, not 'almost'",
    ),
    "instruction is a list": (
        json.dumps(BARE | {"instruction_or_question": ["Add"]}),
        "wrong_type",
        "the answer of instruction_or_question must be text, not ['Add']",
    ),
    "instruction is empty": (
        json.dumps(BARE | {"instruction_or_question": " \x00"}),
        "empty_instruction",
        "instruction_or_question is empty",
    ),
    "two blocks that disagree": (
        f"```json\n{TEXT}\n```\n```json\n{DONE}\n```",
        "contradicting_blocks",
        "it holds several JSON objects that contradict each other",
    ),
    "ten thousand characters": (
        json.dumps(BARE | {"instruction_or_question": "a" * 10_000}),
        "too_long",
        "instruction_or_question has 10000 characters; at most 4000 are read",
    ),
    "thirty thousand characters": ("word " * 6_000, "too_long", "the reply has 30000 characters and no usable"),
    "an endless number": ('{"is_in_loop": ' + "9" * 6_000 + "}", "missing_field", "these keys, or their answers"),
    "a deep nest": ('{"a":' * 3_000, "not_json", "what follows the brace is not JSON"),
}


@pytest.mark.parametrize("kind", LET_PASS)
def test_let_pass(kind):
    assert parse_ledger(LET_PASS[kind]) == GO


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_with_one_line(kind):
    text, expected_kind, said = REFUSED[kind]
    problem = parse_ledger(text)
    assert isinstance(problem, LedgerProblem)
    assert (problem.kind, problem.text[: len(said)]) == (expected_kind, said)
    assert len(problem.text.splitlines()) == 1
    assert len(problem.text) < 300


def test_a_satisfied_ledger_needs_no_order():
    done = BARE | {"is_request_satisfied": {"reason": "all found", "answer": "Yes."}, "next_speaker": None}
    assert parse_ledger(json.dumps(done | {"instruction_or_question": ""})) == Ledger(True, False, True, "", "")


def test_false_as_text_is_not_satisfied():
    assert parse_ledger(json.dumps(BARE | {"is_request_satisfied": "False"})).is_request_satisfied is False


@pytest.mark.parametrize("kind", REFUSED)
def test_a_malformed_reply_is_asked_again_with_the_problem(kit, kind):
    model = kit.ScriptedModel(ledger=[REFUSED[kind][0], kit.ledger_text(), DONE])
    bench = kit.Bench(model)
    result = asyncio.run(run_team(kit.task, 0, bench.ports(), TeamSettings()))
    assert (result.answer.stop_reason, result.answer.text) == (StopReason.SATISFIED, "12.50")
    assert (len(bench.steps), result.answer.num_stalls) == (1, 0)
    first, again, _ = model.seen("ledger")
    assert again[:-2] == first
    assert again[-2] == (plain_text(REFUSED[kind][0][:500]) if REFUSED[kind][0].strip() else "(empty reply)")
    assert again[-1] == ledger_retry(parse_ledger(REFUSED[kind][0]).text).content


def test_when_the_attempts_are_used_up_the_rule_decides(kit):
    bad = "no idea"
    model = kit.ScriptedModel(ledger=[bad, bad, kit.ledger_text("Coder", "Add."), bad, ModelFailure("timeout"), DONE])
    bench = kit.Bench(model)
    answer = asyncio.run(run_team(kit.task, 0, bench.ports(), TeamSettings(max_ledger_attempts=2))).answer
    assert [(step.agent, step.instruction) for step in bench.steps] == [
        ("WebSurfer", kit.task.question),  # nobody has spoken yet
        ("Coder", "Add."),
        ("Coder", "Add."),  # the same order again
    ]
    assert (answer.stop_reason, answer.num_stalls) == (StopReason.SATISFIED, 2)
    assert len(model.seen("ledger")) == 6


def test_a_model_that_never_writes_a_ledger_still_ends_with_an_answer(kit):
    bench = kit.Bench(kit.ScriptedModel(ledger=["I cannot do that."]))
    answer = asyncio.run(run_team(kit.task, 0, bench.ports(), TeamSettings())).answer
    # (3 steps and a re-plan) three times, 3 steps, and no re-plan left
    assert (answer.stop_reason, answer.text, answer.num_steps) == (StopReason.REPLAN_LIMIT, "12.50", 12)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_no_text_raises(text):
    assert isinstance(parse_ledger(text), Ledger | LedgerProblem)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*LET_PASS.values(), DONE]), st.data())
def test_no_damage_raises_or_makes_an_impossible_order(text, data):
    at = data.draw(st.integers(0, len(text)))
    until = data.draw(st.integers(at, min(len(text), at + 40)))
    dirt = data.draw(st.text(alphabet="{}[]\",:\\'\x00\ud800 truefalsenull", max_size=8))
    found = parse_ledger(text[:at] + dirt + text[until:])
    if isinstance(found, Ledger) and not found.is_request_satisfied:
        assert found.next_speaker in AGENTS
        assert found.instruction.strip()
        found.instruction.encode()


WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(LEDGER_FIELDS), JSON, min_size=1))
def test_the_lenient_reader_agrees_with_two_strict_ones(found):
    """Behind prose, where the strict reader cannot help, JSON and Python spelling give what `json` and `ast` give."""
    assert find_objects("Well. " + json.dumps(found)) == JsonSearch((found,))
    assert find_objects("Well. " + repr(found)) == JsonSearch((ast.literal_eval(repr(found)),))


@pytest.mark.parametrize(
    "text", ["{" * 20_000, '{"a":[' * 4_000, '{"a":1,' * 3_000, '{"' + "\\" * 19_000, "{'" * 9_000]
)
def test_hostile_texts_are_read_in_bounded_time(text):
    assert find_objects(text).objects == ()
