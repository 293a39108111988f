"""Rollouts of verifiers, logs of inspect and spans of OpenTelemetry, each by hand and told apart by its shape."""

import json
import math

import pytest

from lts_jax.cli import main
from lts_jax.errors import UserError
from lts_jax.logs.importers import detect_format, import_recorded, recorded_rollout
from lts_jax.rollouts.store import read_rollouts

CALL = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q": "heron-4"}'}}
CHAT = [
    {"role": "assistant", "content": "Looking.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "heron-4 is Mill pond"},
    {"role": "assistant", "content": "Mill pond"},
]
QUESTION = [{"role": "system", "content": "Answer."}, {"role": "user", "content": "Which pond has the code heron-4?"}]


def verifiers(tmp_path):
    lines = [
        {"example_id": 7, "prompt": QUESTION, "completion": CHAT, "answer": "Mill pond", "reward": 1.0},
        {"example_id": 7, "prompt": QUESTION, "completion": CHAT[2:], "answer": "Mill pond", "reward": 0.0},
    ]
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def inspect(tmp_path):
    call = {"id": "c1", "function": "search", "arguments": {"q": "heron-4"}, "type": "function"}
    messages = [*QUESTION, CHAT[0] | {"tool_calls": [call]}, *CHAT[1:]]
    samples = [
        {"id": 7, "epoch": epoch, "input": QUESTION[1]["content"], "target": "Mill pond", "messages": some,
         "scores": {"match": {"value": grade}}}
        for epoch, some, grade in ((1, messages, "C"), (2, [*QUESTION, CHAT[2]], "I"))
    ]  # fmt: skip
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"version": 2, "status": "success", "eval": {"task": "ponds"}, "samples": samples}))
    return path


def attribute(name, value):
    return {"key": name, "value": {"stringValue": value if isinstance(value, str) else json.dumps(value)}}


def spans(trace, with_tool):
    def span(number, operation, seconds, *attributes, parent="0"):
        start = 1_000_000_000 * (100 + seconds)
        return {
            "traceId": trace, "spanId": str(number), "parentSpanId": parent if number else "",
            "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 2_000_000_000),
            "attributes": [attribute("gen_ai.operation.name", operation), *attributes],
        }  # fmt: skip

    asked = attribute("gen_ai.input.messages", [{"role": "user", "parts": [
        {"type": "text", "content": "Which pond has the code heron-4?"}]}])  # fmt: skip
    calls = [{"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "search", "arguments": {}}]}]
    says = [{"role": "assistant", "parts": [{"type": "text", "content": "Mill pond"}], "finish_reason": "stop"}]
    tool = [
        span(1, "chat", 1, asked, attribute("gen_ai.output.messages", calls)),
        span(
            2, "execute_tool", 3, attribute("gen_ai.tool.name", "search"),
            attribute("gen_ai.tool.call.arguments", '{"q": "heron-4"}'),
            attribute("gen_ai.tool.call.result", "heron-4 is Mill pond"),
        ),
    ]  # fmt: skip
    agent = span(0, "invoke_agent", 0, attribute("gen_ai.agent.name", "Finder"))
    last = span(3, "chat", 6, asked, attribute("gen_ai.output.messages", says))
    return [agent, *(tool if with_tool else []), last]


def otel(tmp_path):
    found = [*spans("t2", False), *spans("t1", True)]
    path = tmp_path / "spans.json"
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": found}]}]}))
    return path


@pytest.mark.parametrize("make", [verifiers, inspect, otel])
def test_a_task_with_two_runs_by_hand(make, tmp_path):
    path = make(tmp_path)
    assert detect_format(path) == make.__name__
    [task] = import_recorded(path).tasks
    first, second = sorted(task.runs, key=lambda run: -len(run.steps))
    assert task.task.question == "Which pond has the code heron-4?"
    assert [item.step.action for item in first.steps] == ['search({"q":"heron-4"})', ""]
    assert [item.step.output for item in first.steps] == ["heron-4 is Mill pond", "Mill pond"]
    assert [item.step.output for item in second.steps] == ["Mill pond"]
    assert first.answer.text == second.answer.text == "Mill pond" and not any(item.step.failed for item in first.steps)
    if make is otel:
        assert math.isnan(first.outcome.score) and first.steps[0].step.agent == "Finder"
        assert (first.steps[0].step.started_seconds, first.steps[0].step.finished_seconds) == (3.0, 5.0)
        assert first.answer.seconds == 8.0
    else:
        assert (first.outcome.score, second.outcome.score) == (1.0, 0.0) and task.task.answer == "Mill pond"
        assert recorded_rollout(task).reward_agg == 0.5


def test_the_command_stores_them(tmp_path, capsys):
    main(["import", "otel", str(otel(tmp_path)), "--out", str(tmp_path / "out.parquet")])
    [rollout] = read_rollouts(tmp_path / "out.parquet")
    assert rollout.num_teams == 2 and len(rollout.steps) == 3 and "Finder 3" in capsys.readouterr().out


def test_one_span_a_line_is_read_too(tmp_path):
    line = {
        "name": "execute_tool search", "context": {"trace_id": "0x1", "span_id": "0x2"}, "parent_id": None,
        "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:03Z",
        "status": {"status_code": "ERROR"},
        "attributes": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search",
                       "gen_ai.tool.call.result": "refused"},
    }  # fmt: skip
    path = tmp_path / "spans.jsonl"
    path.write_text(json.dumps(line) + "\n" + json.dumps(line) + "\n")
    [task] = import_recorded(path).tasks
    step = task.runs[0].steps[0].step
    assert (step.action, step.output, step.failed, step.finished_seconds) == ("search({})", "refused", True, 3.0)


def test_what_is_none_of_them_is_one_line(tmp_path):
    for name, value, said in (
        ("a.jsonl", [{"prompt": "q", "completion": 3}], "run 0: expected every message to be an object"),
        ("b.json", {"eval": {}, "samples": []}, 'an object with "eval" and "samples", and samples in it'),
        ("c.json", {"eval": {}, "samples": [{"id": 1}]}, "sample 1: expected an object with a list of messages"),
        ("d.json", {"resourceSpans": [{"scopeSpans": [{"spans": [
            {"traceId": "t", "attributes": [attribute("openinference.span.kind", "LLM")]}]}]}]},
         "spans of OpenTelemetry's GenAI convention (gen_ai.operation.name), as OTLP JSON or a span a line; these"),
    ):  # fmt: skip
        path = tmp_path / name
        path.write_text(json.dumps(value))
        with pytest.raises(UserError) as refused:
            import_recorded(path)
        assert said in str(refused.value) and "\n" not in str(refused.value)
