"""The ledger in five bare values: asked for, held to by a grammar, read, and answered by the simulated model."""

import asyncio
import json
import re

import pytest

from lts_jax import prompts
from lts_jax.errors import UserError
from lts_jax.llm.reply_grammars import reply_grammar
from lts_jax.records import Coordinates, Message
from lts_jax.rollouts.rollout import run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.comparison import ComparisonSettings, make_arm, make_policy
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import almanac_tasks
from lts_jax.teams.ledger import Ledger, parse_ledger
from lts_jax.teams.settings import TeamSettings
from lts_jax.wording import LEDGER_FIELDS, SHORT_FIELDS

TASK = almanac_tasks(0, "test", 1)[0]


def rollout_of(form):
    settings = RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=8, ledger_form=form))
    run = make_parts(TrainSettings(rollout=settings))
    arm = make_arm("all", run, make_policy("all", run, ComparisonSettings()))
    return asyncio.run(run_rollout(TASK, Coordinates(0, 0, TASK.task_id, 0), arm.parts, arm.rollout))


def test_both_forms_ask_for_the_same_five_answers_and_the_short_one_shows_one_that_can_be_read():
    full, short = (prompts.ledger_request(form=form).content for form in ("full", "short"))
    for name in LEDGER_FIELDS:
        assert name in full and name in short
    assert sorted(SHORT_FIELDS) == sorted(LEDGER_FIELDS) and '"reason"' not in short
    example = re.search(r"\{.*\}", short)[0]
    assert parse_ledger(example) == Ledger(False, False, True, "WebSurfer", "Find ...")
    assert list(json.loads(example)) == list(SHORT_FIELDS)


def test_the_grammar_is_that_of_the_form_that_was_asked_for_also_after_a_retry():
    full, short = (prompts.ledger_request(form=form) for form in ("full", "short"))
    assert list(reply_grammar([short], json_reply=True)["properties"]) == list(SHORT_FIELDS)
    again = [short, Message("assistant", "?"), prompts.ledger_retry("no JSON")]
    values = reply_grammar(again, json_reply=True)["properties"]
    assert values["is_in_loop"] == {"type": "boolean"} and values["next_speaker"]["enum"] == list(prompts.AGENTS)
    assert set(reply_grammar([full], json_reply=True)["properties"]["is_in_loop"]["properties"]) == {"reason", "answer"}


def test_simulated_teams_come_to_the_same_answers_with_fewer_tokens():
    full, short = rollout_of("full"), rollout_of("short")
    assert [one.text for one in short.answers] == [one.text for one in full.answers]
    assert [(one.instruction, one.output) for one in short.steps if one.step == 0] == [
        (one.instruction, one.output) for one in full.steps if one.step == 0
    ]
    ledgers = [[call for call in one.calls if call.purpose == "ledger"] for one in (full, short)]
    tokens = [sum(call.completion_tokens for call in calls) / len(calls) for calls in ledgers]
    assert tokens[1] < 0.5 * tokens[0]
    read = [parse_ledger(call.reply) for call in ledgers[1]]
    assert sum(isinstance(one, Ledger) for one in read) >= len(read) - 2  # malformed ones are asked for again


def test_another_form_is_refused():
    with pytest.raises((UserError, ValueError), match="ledger_form"):
        TeamSettings(ledger_form="long")
