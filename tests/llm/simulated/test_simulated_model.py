"""The simulated model as a chat model: deterministic, stateless, never at a loss."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from lts_jax import prompts
from lts_jax.llm.simulated import PERFECT, SimulatedModel, SimulatedModelSettings
from lts_jax.llm.simulated.findings import Finding, miss_sentence
from lts_jax.llm.simulated.understanding import Need
from lts_jax.records import Message

QUESTION = (
    "We are 2 adults and 3 children and want to visit Amber Owl Zoo and Red Hen Mill once each. "
    "What is the total of the current ticket prices, in dollars?"
)
ZOO, MILL = Need("ticket prices", "Amber Owl Zoo"), Need("ticket prices", "Red Hen Mill")
FOUND = {
    need: str(Finding(need, value, 1, 1, "2025-03-04", f"https://www.a.example/{need.subject[:3]}"))
    for need, value in ((ZOO, "adult $12.50; child $7.00"), (MILL, "adult $8.00; child $4.00"))
}
LEDGER = prompts.task_ledger(QUESTION, (), "facts", f"- Find {MILL}.\n- Find {ZOO}.")
DEFAULT = SimulatedModel()


def requests() -> list[list[Message]]:
    """One chat for every kind of request."""
    told = f"Open the best page not read so far to find {ZOO}."
    thread = [LEDGER, prompts.instruction("WebSurfer", told), prompts.agent_reply("WebSurfer", FOUND[ZOO])]
    first = prompts.facts_request(QUESTION, ())
    act = prompts.act_request("WebSurfer")
    section = prompts.team_section(0, "satisfied", "74.00", FOUND[ZOO])
    return [
        [first],
        [first, Message("assistant", "facts", "Orchestrator"), prompts.plan_request()],
        [*thread, prompts.ledger_request()],
        [*thread, prompts.ledger_retry("it was empty")],
        [prompts.agent_system("WebSurfer"), *thread[:2], act],
        [*thread[:2], prompts.report_request("visit_url {}", "403 Forbidden")],
        [*thread, prompts.code_request()],
        [prompts.summarize_request(QUESTION, "WebSurfer", told, FOUND[ZOO])],
        [*thread, prompts.select_request(QUESTION, [prompts.key_line(0, f"WebSurfer found {MILL}: adult")])],
        [*thread, prompts.answer_request(QUESTION)],
        [*thread, prompts.facts_update_request(QUESTION)],
        [*thread, prompts.plan_update_request()],
        prompts.aggregate_request(QUESTION, [section, section]),
        [prompts.judge_request(QUESTION, [], told, "summary", FOUND[ZOO])],
        [prompts.quality_request(QUESTION, "12", "12")],
        [prompts.extract_request(FOUND[ZOO], QUESTION)],
        [prompts.reflect_request(QUESTION, [FOUND[ZOO]], 8)],
        [prompts.recall_request(QUESTION, [FOUND[ZOO]])],
    ]


def digest() -> str:
    """Digest of the replies to every request under 40 seeds."""
    replies = [DEFAULT.reply(messages, seed) for messages in requests() for seed in range(40)]
    return hashlib.sha256(json.dumps(replies).encode()).hexdigest()


def test_the_same_chat_and_seed_get_the_same_reply_in_another_process():
    folder = os.path.dirname(__file__)
    code = f"import sys; sys.path.insert(0, {folder!r}); import test_simulated_model as t; print(t.digest())"
    other = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == digest() == digest()


def test_every_opening_is_answered_and_different_seeds_differ():
    openings = {messages[-1].content.partition("\n")[0] for messages in requests()}
    assert openings == set(prompts.OPENINGS.values())
    for messages in requests():
        assert SimulatedModel(PERFECT).reply(messages, 1)
    plans = {DEFAULT.reply(requests()[1], seed) for seed in range(20)}
    assert len(plans) == 2  # two needs in either order


def test_nothing_makes_it_raise():
    for messages in requests():
        for content in ("", "\n\n", messages[-1].content[:40], messages[-1].content + "\x00\n[[["):
            broken = replace(messages[-1], content=content)
            assert isinstance(DEFAULT.reply([*messages[:-1], broken], 3), str)
            assert isinstance(DEFAULT.reply([broken], 3), str)
    assert "team" in DEFAULT.reply([Message("user", "Hello there")], 0)
    assert DEFAULT.reply([], 0)


def test_a_completion_counts_characters_by_four():
    messages = [Message("system", "x" * 10), prompts.facts_request(QUESTION, ())]
    completion = asyncio.run(DEFAULT.complete(messages, seed=3, json_reply=True))
    assert completion.reply == DEFAULT.reply(messages, 3)
    assert completion.prompt_tokens == 2 + len(messages[1].content) // 4
    assert completion.completion_tokens == len(completion.reply) // 4
    assert (completion.model, completion.seconds) == ("simulated", 0.0)


def test_the_ledger_follows_the_plan_then_is_satisfied():
    model = SimulatedModel(PERFECT)
    ledger = json.loads(model.reply([LEDGER, prompts.ledger_request()], 0))
    assert tuple(ledger) == prompts.LEDGER_FIELDS
    assert ledger["instruction_or_question"]["answer"].endswith(f"find {MILL}.")  # the plan's first bullet
    assert ledger["next_speaker"]["answer"] == "WebSurfer"
    done = [LEDGER, *(prompts.value_message(i, "key", text) for i, text in enumerate(FOUND.values()))]
    assert json.loads(model.reply([*done, prompts.ledger_request()], 0))["is_request_satisfied"]["answer"] is True
    assert model.reply([*done, prompts.answer_request(QUESTION)], 0).endswith("FINAL ANSWER: 74.00")


def test_a_fact_sheet_keeps_findings_for_the_next_thread():
    model = SimulatedModel(PERFECT)
    reply = prompts.agent_reply("WebSurfer", f"{FOUND[ZOO]}\n\ntext")
    facts = model.reply([LEDGER, reply, prompts.facts_update_request(QUESTION)], 0)
    plan = model.reply([LEDGER, reply, prompts.plan_update_request()], 0)
    assert FOUND[ZOO] in facts
    assert str(MILL) in plan
    assert str(ZOO) not in plan
    fresh = [prompts.task_ledger(QUESTION, (), facts, plan), prompts.ledger_request()]
    assert str(MILL) in json.loads(model.reply(fresh, 0))["instruction_or_question"]["answer"]


def test_the_newest_page_wins():
    old = str(Finding(ZOO, "adult $1.00; child $1.00", 1, 1, "2021-01-01", "https://old.example/zoo"))
    thread = [LEDGER, *(prompts.agent_reply("WebSurfer", text) for text in (old, *FOUND.values(), old))]
    reply = SimulatedModel(PERFECT).reply([*thread, prompts.answer_request(QUESTION)], 0)
    assert reply.endswith("FINAL ANSWER: 74.00")


def test_an_outdated_page_is_compared_with_another_one():
    old = str(Finding(ZOO, "adult $1.00; child $1.00", 1, 1, "2021-01-01", "https://old.example/zoo"))
    thread = [LEDGER, prompts.agent_reply("WebSurfer", FOUND[MILL]), prompts.agent_reply("WebSurfer", old)]
    told = [*thread, prompts.ledger_request()]
    assert str(ZOO) in json.loads(SimulatedModel(PERFECT).reply(told, 0))["instruction_or_question"]["answer"]
    settling = SimulatedModel(replace(PERFECT, follows_stale_page=1.0))
    assert json.loads(settling.reply(told, 0))["is_request_satisfied"]["answer"] is True


def test_a_malformed_ledger_is_mended_on_retry():
    model = SimulatedModel(replace(PERFECT, malformed_ledger=1.0))
    usable = 0
    for seed in range(60):
        reply = model.reply([LEDGER, prompts.ledger_request()], seed)
        try:
            fields = json.loads(reply)
            usable += (
                fields["next_speaker"]["answer"] in prompts.AGENTS
                and isinstance(fields["instruction_or_question"]["answer"], str)
                and isinstance(fields["is_request_satisfied"]["answer"], bool)
            )
        except (ValueError, KeyError):
            pass
        json.loads(model.reply([LEDGER, prompts.ledger_retry("it was not JSON")], seed))
    assert usable == 0


def test_ledgers_have_the_measured_length():
    lengths = [len(DEFAULT.reply([LEDGER, prompts.ledger_request()], seed)) for seed in range(300)]
    assert 1000 < sum(lengths) / 300 < 1300  # Magentic-One logs: mean 1,169 characters


def test_summaries_have_fifteen_to_twenty_words_and_state_values():
    told = f"Open the best page not read so far to find {ZOO}."
    cases = {
        FOUND[ZOO]: "adult $12.50; child $7.00",
        "visit_url failed.\n\n403 Forbidden\nNo.\n<https://a.example>": "403 Forbidden",
        miss_sentence(ZOO, "https://a.example", "seen in full"): "nothing was found",
        "": "without any usable result",
    }
    for output, part in cases.items():
        summary = DEFAULT.reply([prompts.summarize_request(QUESTION, "WebSurfer", told, output)], 0)
        assert 15 <= len(summary.split()) <= 20
        assert part in summary


def test_settings_refuse_what_is_no_probability():
    with pytest.raises(ValueError, match=r"misreads: expected in \[0, 1\], got 1.5"):
        SimulatedModelSettings(misreads=1.5)
    with pytest.raises(ValueError, match="fresh_steps: expected at least 0, got -1"):
        SimulatedModelSettings(fresh_steps=-1)
