"""One team, driven by a script: the whole path, every branch of the state machine, every way to end."""

import asyncio

import pytest

from lts_jax import prompts
from lts_jax.llm.chat import ModelFailure
from lts_jax.records import Message, Step, StopReason, ToolResult
from lts_jax.teams.settings import TeamSettings
from lts_jax.teams.team import run_team


def run(kit, bench, **settings):
    return asyncio.run(run_team(kit.task, 2, bench.ports(), TeamSettings(**settings)))


def stalled(kit):
    return kit.ledger_text(progress=False)


def test_a_right_answer_comes_through_the_whole_path(kit):
    code = "```python\nprint(2 * 6.25)\n```"
    model = kit.ScriptedModel(
        ledger=[
            kit.ledger_text(asked="Search for the pool."),
            kit.ledger_text("Coder", "Compute it."),
            kit.ledger_text("ComputerTerminal", "Run it."),
            kit.ledger_text(satisfied=True),
        ],
        report=["The adult day ticket is 6.25 each way."],
        code=[code],
        answer=["From the thread.\n**FINAL ANSWER:** 12.50"],
    )
    bench = kit.Bench(model, tools={"run_python": ToolResult("12.5")})
    result = run(kit, bench)
    answer = result.answer
    assert (answer.team, answer.text, answer.stop_reason, answer.num_steps) == (2, "12.50", StopReason.SATISFIED, 3)
    assert (answer.num_replans, answer.num_stalls, answer.detail) == (0, 0, "")
    page = "The adult day ticket is 6.25 each way.\n\nHarrow Lane Pool: adult day ticket 12.50"
    assert bench.steps == [
        Step(2, 0, "WebSurfer", "Search for the pool.", 'web_search {"query": "pool"}', page),
        Step(2, 1, "Coder", "Compute it.", "", code),
        Step(2, 2, "ComputerTerminal", "Run it.", "print(2 * 6.25)", "12.5"),
    ]
    assert bench.tool_calls == [("web_search", {"query": "pool"}), ("run_python", {"code": "print(2 * 6.25)"})]
    assert model.purposes() == [
        *("facts", "plan", "ledger", "act", "report", "ledger", "code", "ledger", "ledger", "answer")
    ]
    task_ledger = prompts.task_ledger(kit.task.question, ("prices.csv",), "Facts 0.", "Plan 0.")
    assert result.thread == (
        task_ledger,
        Message("assistant", "WebSurfer: Search for the pool.", "Orchestrator"),
        Message("user", page, "WebSurfer"),
        Message("assistant", "Coder: Compute it.", "Orchestrator"),
        Message("user", code, "Coder"),
        Message("assistant", "ComputerTerminal: Run it.", "Orchestrator"),
        Message("user", "12.5", "ComputerTerminal"),
    )
    assert model.seen("answer") == [
        [*(each.content for each in result.thread), prompts.answer_request(kit.task.question).content]
    ]


@pytest.mark.parametrize(("semantics", "num_steps"), [("agent_framework", 2), ("autogen", 3)])
def test_round_limit_and_the_extra_round_of_autogen(kit, semantics, num_steps):
    bench = kit.Bench(kit.ScriptedModel(ledger=[kit.ledger_text()]))
    answer = run(kit, bench, max_rounds=2, stall_semantics=semantics).answer
    assert (answer.stop_reason, answer.num_steps, answer.text) == (StopReason.ROUND_LIMIT, num_steps, "12.50")


def test_agent_framework_replans_above_the_limit_and_resets_the_counter(kit):
    model = kit.ScriptedModel(ledger=[stalled(kit)])
    answer = run(kit, kit.Bench(model), max_stalls=3, max_replans=1).answer
    # three stalled steps, the fourth stall re-plans; three more; the next one finds no re-plan left
    assert (answer.num_steps, answer.num_replans, answer.num_stalls) == (6, 1, 8)
    assert (answer.stop_reason, answer.text) == (StopReason.REPLAN_LIMIT, "12.50")
    assert [each for each in model.purposes() if each not in {"act", "report"}] == [
        *("facts", "plan", "ledger", "ledger", "ledger", "ledger", "facts_update", "plan_update"),
        *("ledger", "ledger", "ledger", "ledger", "answer"),
    ]


def test_autogen_replans_at_the_limit_and_never_resets_the_counter(kit):
    answer = run(
        kit,
        kit.Bench(kit.ScriptedModel(ledger=[stalled(kit)])),
        max_stalls=3,
        max_replans=None,
        max_rounds=5,
        stall_semantics="autogen",
    ).answer
    # steps in rounds 1 and 2; rounds 3, 4, 5 and 6 each re-plan at once
    assert (answer.num_steps, answer.num_replans, answer.num_stalls) == (2, 4, 6)
    assert answer.stop_reason == StopReason.ROUND_LIMIT


def test_progress_takes_one_stall_back(kit):
    good, bad, loop = kit.ledger_text(), stalled(kit), kit.ledger_text(loop=True)
    ledgers = [bad, good, good, loop, good, bad, bad, kit.ledger_text(satisfied=True)]
    answer = run(kit, kit.Bench(kit.ScriptedModel(ledger=ledgers)), max_stalls=1).answer
    # the counter runs 1 0 0 1 0 1 2: the seventh ledger re-plans
    assert (answer.num_steps, answer.num_replans, answer.num_stalls) == (6, 1, 4)


def test_a_replan_reads_the_old_thread_before_it_is_cleared(kit):
    model = kit.ScriptedModel(
        ledger=[stalled(kit), stalled(kit), kit.ledger_text(satisfied=True)], report=["The ticket is 12.50."]
    )
    bench = kit.Bench(model, values={0: [(4, "k", "a value")]})
    result = run(kit, bench, max_stalls=1)
    (facts_request,) = model.seen("facts_update")
    assert any("The ticket is 12.50." in content for content in facts_request)
    (plan_request,) = model.seen("plan_update")
    assert plan_request[: len(facts_request) + 1] == [*facts_request, "Facts 1."]
    last = model.seen("ledger")[-1]
    assert len(last) == 2
    assert "Facts:\nFacts 1.\n\nPlan:\nPlan 1." in last[0]
    assert bench.num_forgets == 1
    assert any("The ticket is 12.50." in message.content for message in result.thread)


def test_a_failed_replan_keeps_the_old_facts_and_plan(kit):
    model = kit.ScriptedModel(
        ledger=[stalled(kit), stalled(kit), kit.ledger_text(satisfied=True)],
        facts_update=[ModelFailure("timeout")],
        plan_update=["  "],
    )
    run(kit, kit.Bench(model), max_stalls=1)
    assert "Facts:\nFacts 0.\n\nPlan:\n" in model.seen("ledger")[-1][0]


def test_failed_first_calls_give_empty_facts_and_plan(kit):
    model = kit.ScriptedModel(
        facts=[ModelFailure("down")], plan=[ModelFailure("down")], ledger=[kit.ledger_text(satisfied=True)]
    )
    result = run(kit, kit.Bench(model))
    assert result.answer.text == "12.50"
    assert result.thread[0].content.endswith("Facts:\n\n\nPlan:\n")


def test_values_are_pulled_before_each_ledger_and_stay(kit):
    model = kit.ScriptedModel(ledger=[kit.ledger_text(), kit.ledger_text(), kit.ledger_text(satisfied=True)])
    bench = kit.Bench(model, values={0: [(7, "pool price", "It is 12.50.")], 1: [(8, "hours", "9 to 5")]})
    run(kit, bench)
    assert [(step, asked) for step, asked, _ in bench.selections] == [
        (0, kit.task.question),
        (1, "Search for the pool."),
        (2, "Search for the pool."),
    ]
    first, second, third = model.seen("ledger")
    pulled = prompts.value_message(7, "pool price", "It is 12.50.").content
    assert first[1] == pulled
    assert (second[1], second[4]) == (pulled, prompts.value_message(8, "hours", "9 to 5").content)
    assert third[1] == pulled
    assert bench.num_forgets == 0


def test_values_that_do_not_persist_last_one_step(kit):
    model = kit.ScriptedModel(ledger=[kit.ledger_text(), kit.ledger_text(satisfied=True)])
    bench = kit.Bench(model, values={0: [(7, "pool price", "It is 12.50.")]})
    result = run(kit, bench, persist_values=False)
    pulled = prompts.value_message(7, "pool price", "It is 12.50.")
    (acting,) = model.seen("act")
    assert pulled.content in acting
    assert pulled.content not in model.seen("ledger")[1]
    assert bench.num_forgets == 1
    assert pulled in result.thread


def test_keys_are_listed_when_the_port_gives_them(kit):
    model = kit.ScriptedModel(ledger=[kit.ledger_text(satisfied=True)])
    run(kit, kit.Bench(model, keys=("[0] pool price",)))
    for purpose in ("plan", "ledger"):
        assert model.seen(purpose)[0][-2] == "Keys of the shared memory (data):\n[0] pool price"


@pytest.mark.parametrize("purpose", ["facts", "plan", "ledger", "act", "report", "answer"])
def test_a_used_up_budget_ends_the_team(kit, purpose):
    script = {"ledger": [kit.ledger_text(), kit.ledger_text(satisfied=True)], purpose: [ModelFailure("budget: usd")]}
    answer = run(kit, kit.Bench(kit.ScriptedModel(**script))).answer
    assert (answer.stop_reason, answer.text, answer.detail) == (StopReason.BUDGET, "", "budget: usd")


@pytest.mark.parametrize("port", ["use_tool", "finish_step", "select_values"])
def test_a_programming_error_becomes_the_stop_reason(kit, port):
    bench = kit.Bench(kit.ScriptedModel(ledger=[kit.ledger_text()]), breaks={port: KeyError("no\nsuch")})
    answer = run(kit, bench).answer
    assert (answer.stop_reason, answer.text) == (StopReason.CRASHED, "")
    assert answer.detail.startswith(r"KeyError: 'no\nsuch' (conftest.py:")


def test_a_cancellation_that_nobody_asked_for_is_a_crash(kit):
    bench = kit.Bench(kit.ScriptedModel(ledger=[kit.ledger_text()]), breaks={"use_tool": asyncio.CancelledError()})
    assert run(kit, bench).answer.stop_reason == StopReason.CRASHED


def test_a_failed_final_call_is_a_model_error(kit):
    model = kit.ScriptedModel(ledger=[kit.ledger_text(satisfied=True)], answer=[ModelFailure("timeout")])
    answer = run(kit, kit.Bench(model)).answer
    assert (answer.stop_reason, answer.text, answer.detail) == (StopReason.MODEL_ERROR, "", "timeout")


@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5, 3.5, 4.5])
def test_cancelling_stops_at_the_next_await(kit, seconds):
    """Calls begin at 0, 1, 2, ...; whatever is waited for, no further call is made and no step finished."""
    bench = kit.Bench(kit.ScriptedModel(ledger=[kit.ledger_text()]), call_seconds=1.0)

    async def cancel():
        working = bench.clock.spawn(run_team(kit.task, 0, bench.ports(), TeamSettings()))
        timer = bench.clock.spawn(bench.clock.sleep(seconds))
        await bench.clock.join([timer])
        working.cancel()
        await bench.clock.join([working])
        assert working.cancelled()

    asyncio.run(cancel())
    assert len(bench.model.requests) == int(seconds)
    assert bench.clock.now() == seconds
    assert bench.steps == []


@pytest.mark.parametrize("port", ["use_tool", "select_values", "finish_step"])
def test_a_team_stops_even_if_its_cancellation_is_swallowed(kit, port):
    failing = (
        {"web_search": ToolResult("refused", failed=True)} if port == "use_tool" else {}
    )  # then no report is asked
    bench = kit.Bench(kit.ScriptedModel(ledger=[kit.ledger_text()]), tools=failing)
    original = getattr(bench, port)

    async def swallow(*arguments):
        asyncio.current_task().cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return await original(*arguments)

    setattr(bench, port, swallow)
    with pytest.raises(asyncio.CancelledError):
        run(kit, bench)
    assert len(bench.steps) == (1 if port == "finish_step" else 0)
    expected = ["facts", "plan"] if port == "select_values" else ["facts", "plan", "ledger", "act"]
    assert bench.model.purposes() == expected + (["report"] if port == "finish_step" else [])


def test_steps_carry_the_clock(kit):
    model = kit.ScriptedModel(ledger=[kit.ledger_text(), kit.ledger_text(satisfied=True)])
    bench = kit.Bench(model, call_seconds=2.0)

    async def timed():
        working = bench.clock.spawn(run_team(kit.task, 0, bench.ports(), TeamSettings()))
        await bench.clock.join([working])
        return working.result()

    answer = asyncio.run(timed()).answer
    (step,) = bench.steps
    assert (step.started_seconds, step.finished_seconds, answer.seconds) == (6.0, 10.0, 14.0)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("max_rounds", 0, "max_rounds: expected a whole number of at least 1, got 0"),
        ("max_stalls", True, "max_stalls: expected a whole number of at least 1, got True"),
        ("max_replans", -1, "max_replans: expected a whole number of at least 0, got -1"),
        ("stall_semantics", "ag2", "stall_semantics: expected one of agent_framework, autogen, got 'ag2'"),
    ],
)
def test_wrong_settings_say_what_was_expected(field, value, said):
    with pytest.raises(ValueError) as error:
        TeamSettings(**{field: value})
    assert str(error.value) == said
