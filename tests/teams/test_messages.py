"""Every message of a team offered to the shared memory, and not its workers' steps alone."""

import asyncio

import pytest

from lts_jax import prompts
from lts_jax.records import Step
from lts_jax.teams.settings import TeamSettings
from lts_jax.teams.team import run_team


def run(kit, bench, **settings):
    return asyncio.run(run_team(kit.task, 2, bench.ports(), TeamSettings(stored="messages", **settings)))


def test_plan_instruction_reply_and_answer_are_offered_in_the_order_in_which_they_are_said(kit):
    replies = [kit.ledger_text(asked="Search for the pool."), kit.ledger_text(satisfied=True)]
    bench = kit.Bench(kit.ScriptedModel(ledger=replies, answer=["So: FINAL ANSWER: 12.50"]))
    answer = run(kit, bench).answer
    plan = prompts.task_ledger(kit.task.question, ("prices.csv",), "Facts 0.", "Plan 0.").content
    page = "A report.\n\nHarrow Lane Pool: adult day ticket 12.50"
    asked = kit.task.question
    assert bench.steps == [
        Step(2, 0, "Orchestrator", asked, "", plan),
        Step(2, 1, "Orchestrator", asked, "", "WebSurfer: Search for the pool."),
        Step(2, 2, "WebSurfer", "Search for the pool.", 'web_search {"query": "pool"}', page),
        Step(2, 3, "Orchestrator", asked, "", "So: FINAL ANSWER: 12.50"),
    ]
    assert (answer.text, answer.num_steps) == ("12.50", 1)  # what its workers did, as without messages


def test_a_new_plan_is_offered_too_and_a_team_stays_within_its_most_steps(kit):
    stalls = kit.ScriptedModel(ledger=[kit.ledger_text(progress=False)])
    bench = kit.Bench(stalls)
    answer = run(kit, bench, max_rounds=6, max_stalls=1).answer
    # a stalled step and a re-plan, three times over: of 6 rounds 3 are steps; 1 + 3 plans, 3 instructions, an answer
    assert [step.agent for step in bench.steps].count("Orchestrator") == 8
    assert (answer.num_steps, answer.num_replans, len(bench.steps)) == (3, 3, 11)
    assert [step.step for step in bench.steps] == list(range(11))
    assert TeamSettings(max_rounds=6, stored="messages").most_steps == 16  # 7 rounds of 2, plan, answer
    assert TeamSettings(max_rounds=6).most_steps == 7


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="stored: expected one of steps, messages, got 'all'"):
        TeamSettings(stored="all")
