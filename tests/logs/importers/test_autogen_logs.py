"""Logs of AutoGen: results, saved states and event logs written by hand, and what becomes of each."""

import json
import math

import pytest

from lts_jax.cli import main
from lts_jax.errors import UserError
from lts_jax.logs.importers import detect_format, import_autogen, import_recorded, recorded_rollout
from lts_jax.records import StopReason
from lts_jax.rollouts.store import read_rollouts

BOSS = "MagenticOneOrchestrator"
LEDGER = "\nWe are working to address the following user request:\n\nHow deep?\n"


def said(source, content, second=None, kind="TextMessage"):
    """One message as AutoGen writes it down, `second` seconds after the first."""
    created = {} if second is None else {"created_at": f"2026-01-02T03:04:{5 + second:06.3f}Z"}
    return {"source": source, "content": content, "type": kind, "metadata": {}, "models_usage": None, **created}


CALL = {"id": "c1", "name": "visit_url", "arguments": '{"url": "https://a.example/lake"}'}
RESULT = {"call_id": "c1", "name": "visit_url", "content": "The lake is 31 m deep.", "is_error": False}
MESSAGES = [
    said("user", "How deep?", 0),
    said(BOSS, LEDGER, 2),
    said(BOSS, "Open the page.", 3),
    said("WebSurfer", [CALL], 4, "ToolCallRequestEvent"),
    said("WebSurfer", [RESULT], 6, "ToolCallExecutionEvent"),
    said("WebSurfer", "The lake is 31 m deep.", 7.5, "ToolCallSummaryMessage"),
    said(BOSS, LEDGER, 8),
    said(BOSS, "Compute it.", 9),
    said("Coder", "Traceback (most recent call last): x", 10),
    said(BOSS, "I am sure.\nFINAL ANSWER: 31", 12),
]


def write(folder, value, name="pool.json"):
    file = folder / name
    file.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return file


def test_a_result_read_by_hand(tmp_path):
    file = write(tmp_path, {"messages": MESSAGES, "stop_reason": "Max rounds reached."})
    assert detect_format(file) == "autogen"
    recorded = import_recorded(file).tasks[0]
    assert (recorded.task.task_id, recorded.task.question, recorded.task.answer) == ("pool", "How deep?", None)
    (run,) = recorded.runs
    web, coder = (item.step for item in run.steps)
    assert (web.agent, web.instruction, web.output) == ("WebSurfer", "Open the page.", "The lake is 31 m deep.")
    assert web.action == 'visit_url({"url":"https://a.example/lake"})' and run.steps[0].tool == "visit_url"
    assert (web.started_seconds, web.finished_seconds, web.failed) == (3.0, 7.5, False)
    assert (coder.instruction, coder.action, coder.failed) == ("Compute it.", "", True)
    assert run.steps[0].prompt_characters == len("How deep?" + LEDGER + "Open the page.")
    answer = run.answer
    assert (answer.text, answer.stop_reason, answer.seconds) == ("31", StopReason.ROUND_LIMIT, 12.0)
    assert (answer.num_steps, answer.num_replans) == (2, 1)
    assert math.isnan(run.outcome.score) and run.notes == ()


@pytest.mark.parametrize("stop_reason", ["It is answered.", None])
def test_a_log_that_just_stops_has_no_answer(tmp_path, stop_reason):
    cut = {"messages": MESSAGES[:8], "stop_reason": stop_reason}
    answer = import_autogen(write(tmp_path, cut)).tasks[0].runs[0].answer
    wanted = ("Compute it.", StopReason.SATISFIED) if stop_reason else ("", StopReason.CRASHED)
    assert (answer.text, answer.stop_reason) == wanted


def test_a_structured_message_is_its_json(tmp_path):
    reply = said("Counter", {"text": "many", "value": 31}, kind="StructuredMessage[Reply]")
    run = (
        import_autogen(write(tmp_path, {"messages": [said("user", "How deep?"), reply], "stop_reason": "done"}))
        .tasks[0]
        .runs[0]
    )
    assert run.steps[0].step.output == run.answer.text == '{"text": "many", "value": 31}'
    assert not run.steps[0].step.failed


def test_a_call_whose_result_is_an_error_failed(tmp_path):
    failed = [RESULT | {"is_error": True, "content": "no such page"}]
    value = [
        *MESSAGES[:4],
        said("WebSurfer", failed, 6, "ToolCallExecutionEvent"),
        said("WebSurfer", "no such page", 7),
    ]
    later = said("WebSurfer", "The lake is 31 m deep.", 8)
    run = import_autogen(write(tmp_path, [*value, MESSAGES[2], later])).tasks[0].runs[0]
    assert [item.step.failed for item in run.steps] == [True, False]


STOP = said("assistant", "TERMINATE", kind="StopMessage")


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ([said("assistant", "31"), STOP], "31"),
        ([said("assistant", "31"), said("assistant", "TERMINATE")], "31"),
        ([said("assistant", "31 TERMINATE")], "31"),
        ([said("assistant", "FINAL ANSWER: 31\n\nTERMINATE")], "31"),
        ([said(BOSS, "Say it."), said("assistant", "31"), said(BOSS, "It is 31. TERMINATE")], "It is 31."),
        (
            [
                said("assistant", "Look at 31."),
                said("assistant", "31"),
                said("assistant", "Stopped", kind="StopMessage"),
            ],
            "31",
        ),
    ],
)
def test_the_word_terminate_is_an_end_and_no_answer(tmp_path, ending, text):
    run = import_autogen(write(tmp_path, [said("user", "How deep? Say TERMINATE"), *ending])).tasks[0].runs[0]
    assert (run.answer.text, run.answer.stop_reason) == (text, StopReason.SATISFIED)
    assert all("TERMINATE" not in item.step.output for item in run.steps)
    assert import_autogen(tmp_path / "pool.json").tasks[0].task.question == "How deep? Say TERMINATE"


def test_what_stopped_a_team_may_be_a_message_of_its_own(tmp_path):
    stop = said("manager", "Maximum number of messages 3 reached", kind="StopMessage")
    value = [said("user", "How deep?"), said(BOSS, "Look."), said("assistant", "31"), stop]
    answer = import_autogen(write(tmp_path, value)).tasks[0].runs[0].answer
    assert (answer.text, answer.stop_reason, answer.detail) == ("31", StopReason.ROUND_LIMIT, stop["content"])


def old(name, content, role="user", **more):
    return {"content": content, "role": role, "name": name, **more}


def test_a_chat_history_of_autogen_0_2(tmp_path):
    called = {"tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"b": 1}'}}]}
    history = [
        old("user_proxy", "How deep?", "assistant"),
        old("helper", None, **called),
        old("user_proxy", "31 m", "tool", tool_call_id="c"),
        old("user_proxy", "", "assistant"),
        old("helper", "```python\nprint(x)\n```"),
        old("user_proxy", "exitcode: 1 (execution failed)\nCode output: x"),
        old("helper", "It is 31 m. TERMINATE"),
    ]
    for value in (history, {"chat_id": 1, "chat_history": history, "summary": "31 m", "cost": {}}):
        file = write(tmp_path, value)
        assert detect_format(file) == "autogen"
        (task,) = import_autogen(file).tasks
        steps = [item.step for item in task.runs[0].steps]
        assert task.task.question == "How deep?" and task.runs[0].answer.text == "It is 31 m."
        assert [step.agent for step in steps] == ["user_proxy", "helper", "user_proxy", "helper"]
        assert [(step.action, step.failed) for step in steps][::2] == [('look({"b":1})', False), ("", True)]
    whole = write(tmp_path, {"chat_history": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]})
    assert import_autogen(whole).tasks[0].runs[0].answer.text == "A"
    bare = write(tmp_path, [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}])
    with pytest.raises(UserError):  # a chat of anybody
        import_autogen(bare)


def test_several_results_in_one_file_are_runs_and_tasks(tmp_path):
    one, two = (
        {"messages": MESSAGES, "stop_reason": "done"},
        {"messages": [said("user", "Other?"), said("Coder", "No.")]},
    )
    tasks = import_autogen(write(tmp_path, "\n".join(map(json.dumps, (one, two, one))), "all.jsonl")).tasks
    assert [(each.task.task_id, [run.trial for run in each.runs]) for each in tasks] == [
        ("all", [0, 1]),
        ("all-1", [0]),
    ]


def test_a_step_is_kept_whatever_letters_its_line_holds_and_half_a_line_is_noted(tmp_path):
    odd = [said("user", "How deep?"), said("WebSurfer", "a\u2028b\x85c"), said("WebSurfer", "FINAL ANSWER: 31")]
    lines = [json.dumps(each, ensure_ascii=False) for each in odd]
    run = import_autogen(write(tmp_path, "\n".join(lines), "odd.jsonl")).tasks[0].runs[0]
    assert run.steps[0].step.output == "a\u2028b\x85c" and len(run.steps) == 2 and run.notes == ()
    cut = "\n".join([lines[0], lines[1][:40], lines[2]])
    run = import_autogen(write(tmp_path, cut, "cut.jsonl")).tasks[0].runs[0]
    assert len(run.steps) == 1 and run.notes == ("lines that are no whole JSON were left out: line 2",)


def test_a_team_without_an_orchestrator(tmp_path):
    value = [
        said("user", "Say it."),
        said("Writer", "It."),
        said("Critic", "Good."),
        said("Writer", "FINAL ANSWER: It"),
    ]
    run = import_autogen(write(tmp_path, value)).tasks[0].runs[0]
    assert [(item.step.agent, item.step.instruction) for item in run.steps] == [
        ("Writer", "Say it."),
        ("Critic", "It."),
        ("Writer", "Good."),
    ]
    assert run.answer.text == "It" and run.answer.seconds == 0.0


def test_a_saved_state(tmp_path):
    orchestrator = {"type": f"{BOSS}State", "task": "How deep?", "message_thread": MESSAGES[6:], "n_rounds": 3}
    state = {"type": "TeamState", "agent_states": {"Coder": {"agent_state": {}}, BOSS: orchestrator}}
    recorded = import_autogen(write(tmp_path, state)).tasks[0]
    (run,) = recorded.runs
    assert recorded.task.question == "How deep?" and run.answer.text == "31"
    assert [item.step.agent for item in run.steps] == ["Coder"] and "does not say" in run.notes[0]


def event(team, payload, stage="SEND", topic="output_topic"):
    receiver = f"{topic}_{team}/{team}" if topic else None
    return {"type": "Message", "payload": payload, "receiver": receiver, "delivery_stage": f"DeliveryStage.{stage}"}


def published(team, messages):
    """What the runtime logs of these messages: the send to the output topic, and deliveries that repeat it."""
    for message in messages:
        payload = json.dumps({"messages": [message]} if message["source"] == "user" else {"message": message})
        yield event(team, payload)
        yield event(team, payload, "DELIVER", None)
        yield event(team, json.dumps({"response": {"chat_message": message}}), topic="group_topic")


def event_log():
    one = [*published("t-1", MESSAGES), event("t-1", "Message could not be serialized")]
    two = [*published("t-2", [said("user", "How deep?", 0), *MESSAGES[1:6]])]
    two += [{"type": "MessageHandlerException", "handling_agent": "Coder_t-2/t-2", "exception": "no reply"}]
    calls = [{"type": "LLMCall", "agent_id": "Coder_t-1/t-1", "prompt_tokens": 7, "completion_tokens": 2}] * 2
    mixed = [each for pair in zip(one, two, strict=False) for each in pair]
    return [*mixed, *one[len(two) :], *calls, {"type": "ToolCall"}]


@pytest.mark.parametrize("prefix", ["", "2026-01-02 03:04:05 INFO autogen_core.events: "])
def test_an_event_log_of_two_teams_is_one_task_with_two_runs(tmp_path, prefix):
    lines = "\n".join(prefix + json.dumps(each) for each in event_log())
    (recorded,) = import_autogen(write(tmp_path, f"starting\n{lines}\n", "events.log")).tasks
    first, second = recorded.runs
    assert (first.answer.text, first.answer.stop_reason, len(first.steps)) == ("31", StopReason.SATISFIED, 2)
    assert first.notes == ("2 model calls, 14 prompt tokens, 4 completion tokens",)
    assert (second.answer.text, second.answer.stop_reason) == ("", StopReason.CRASHED)
    assert second.answer.detail == "exception: no reply" and len(second.steps) == 1 and second.trial == 1
    rollout = recorded_rollout(recorded)
    assert (rollout.num_teams, rollout.final.text, rollout.seconds, rollout.clock) == (2, "31", 12.0, "real")
    assert [(step.team, step.step) for step in rollout.steps] == [(0, 0), (0, 1), (1, 0)]


def test_files_of_one_question_are_runs_of_one_task(tmp_path):
    for name in ("b.json", "a.json"):
        write(tmp_path, {"messages": MESSAGES, "stop_reason": "done"}, name)
    write(tmp_path, [said("user", "Other?"), said("Coder", "No.")], "c.jsonl")
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, [said("user", "Other?"), said("Coder", "No.")])))
    tasks = import_autogen(tmp_path).tasks
    assert [(each.task.task_id, len(each.runs)) for each in tasks] == [("a", 2), ("c", 1)]


@pytest.mark.parametrize(
    "value", ["{}", "[]", '{"messages": []}', '{"agent_states": {}}', "nothing", '[{"type": "Message"}]']
)
def test_what_is_no_log_is_refused_in_one_line(tmp_path, value):
    with pytest.raises(UserError) as error:
        import_autogen(write(tmp_path, value))
    assert "pool.json" in str(error.value) and "\n" not in str(error.value)


def test_a_bad_log_in_a_folder_is_named_or_passed_over(tmp_path):
    write(tmp_path, {"messages": MESSAGES, "stop_reason": "done"}, "good.json")
    write(tmp_path, {"messages": [{"source": 3}]}, "bad.json")
    with pytest.raises(UserError, match=r"bad\.json"):
        import_autogen(tmp_path)
    imported = import_autogen(tmp_path, skip_bad=True)
    assert len(imported.tasks) == 1 and "bad.json" in imported.problems[0]


def test_the_command_stores_rollouts(tmp_path, capsys):
    file = write(tmp_path, {"messages": MESSAGES, "stop_reason": "done"})
    main(["import", "autogen", str(file), "--out", str(tmp_path / "out.parquet")])
    assert "pool: 1 teams (satisfied), 2 steps (WebSurfer 1, Coder 1)" in capsys.readouterr().out
    (rollout,) = read_rollouts(tmp_path / "out.parquet")
    assert rollout.final.text == "31" and rollout.task.family == "autogen"
