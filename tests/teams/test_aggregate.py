"""From K answers to one, and from a reply to its answer."""

import asyncio

import pytest

from lts_jax import prompts
from lts_jax.llm.chat import ModelFailure
from lts_jax.records import Answer, Message, StopReason
from lts_jax.teams.aggregate import aggregate_answers, extract_answer, majority_vote, thread_excerpts


def answers(*texts, seconds=None):
    given = zip(texts, seconds or range(len(texts)), strict=True)
    return [Answer(team, text, float(at), StopReason.SATISFIED) for team, (text, at) in enumerate(given)]


def aggregated(kit, model, given):
    excerpts = [f"excerpt {answer.team}" for answer in given]
    return asyncio.run(aggregate_answers(kit.task, given, excerpts, kit.Bench(model).ask))


def test_the_aggregator_sees_every_team(kit):
    model = kit.ScriptedModel(aggregate=["Team 1 read the page.\nFINAL ANSWER: 12.50"])
    given = [Answer(0, "13", 9.0, StopReason.ROUND_LIMIT), Answer(1, "", 7.0, StopReason.CRASHED)]
    assert aggregated(kit, model, given) == "12.50"
    ((purpose, (message,)),) = model.requests
    assert (purpose, message.role) == ("aggregate", "user")
    assert "## Team 0 (ended: round_limit)\nAnswer: 13\nTranscript:\nexcerpt 0" in message.content
    assert "## Team 1 (ended: crashed)\nAnswer: (no answer)\nTranscript:\nexcerpt 1" in message.content


def test_a_single_team_needs_no_call(kit):
    model = kit.ScriptedModel(aggregate=["FINAL ANSWER: wrong"])
    assert aggregated(kit, model, answers("12.50")) == "12.50"
    assert model.requests == []


@pytest.mark.parametrize("reply", [ModelFailure("timeout"), "", "FINAL ANSWER:"])
def test_a_failed_aggregator_leaves_the_majority(kit, reply):
    model = kit.ScriptedModel(aggregate=[reply])
    assert aggregated(kit, model, answers("13", "12.50", "12.50")) == "12.50"
    assert aggregated(kit, model, answers("", "")) == ""


def test_majority_vote():
    assert majority_vote(answers("Oak Park", "elm park", "ELM  Park.", seconds=(1, 3, 2))) == "ELM  Park."
    assert majority_vote(answers("a", "b", "", "", seconds=(5, 4, 1, 2))) == "b"
    assert majority_vote(answers("", "")) == ""


def message(name, text):
    return Message("user", text, name)


def test_excerpts_take_the_newest_messages_in_turn():
    ledger = prompts.task_ledger("q", (), "f", "p")
    first = [ledger, message("A", "one"), message("B", "two"), message("C", "three")]
    second = [ledger, message("D", "four")]
    # "C: three" 9 and "D: four" 8, then "B: two" 7 with their line ends; "A: one" would need 7 more
    assert thread_excerpts([first, second], max_characters=24) == ["B: two\nC: three", "D: four"]
    assert thread_excerpts([first, second], max_characters=31) == ["A: one\nB: two\nC: three", "D: four"]
    assert thread_excerpts([first, second], max_characters=8) == ["", ""]
    assert thread_excerpts([[message("A", "abcdef")], []], max_message_characters=3) == ["A: abc [cut]", ""]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("FINAL ANSWER: 42", "42"),
        ("Thinking.\nFINAL ANSWER: 41\nNo, wait.\nFINAL ANSWER: 42", "42"),
        ("**FINAL ANSWER:** Oak Park", "Oak Park"),
        ("**FINAL ANSWER: Oak Park**", "Oak Park"),
        ("FINAL ANSWER: **Oak Park**", "Oak Park"),
        ("### Final answer: `12.50`", "12.50"),
        ('FINAL ANSWER:\n```json\n{"a": 1}\n{"a": 2}\n```', '{"a": 1}\n{"a": 2}'),
        ("FINAL ANSWER: a\nb\nc", "a\nb\nc"),
        ("FINAL ANSWER:\n- Oak Park\n- Elm Park", "Oak Park\nElm Park"),
        ("FINAL ANSWER: -5", "-5"),
        ("FINAL ANSWER: 2*3*4", "2*3*4"),
        ("FINAL ANSWER: 42\nFINAL ANSWER: ", "42"),
        ("FINAL ANSWER: 42\n\nFINAL ANSWER: ...", "42"),
        ("The price is\n\n**12.50**\n", "12.50"),
        ("unable to determine", "unable to determine"),
        ("12.50\nFINAL ANSWER:", "12.50"),
        ("", ""),
        (" \n** **\n", ""),
    ],
)
def test_extract_answer(text, answer):
    assert extract_answer(text) == answer
