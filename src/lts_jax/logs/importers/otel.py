"""Spans of OpenTelemetry's GenAI convention (semantic conventions 1.37 and later), as OTLP JSON or a span a line.

A trace is a run. A span `execute_tool` is a step: its tool, arguments and result; a span `chat` whose reply calls no
tool is a step too, or the answer, which is the last. Whose step it is says the nearest span `invoke_agent` above.
Traces whose first request is the same are trials of one task. Texts are in spans only where their capture was on.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.logs.importers.files import EXPECTED, OTEL, json_text, looks_failed, message_text, read_logs
from lts_jax.logs.importers.log_values import Log
from lts_jax.logs.importers.recorded import ImportedRuns, RecordedRun, RecordedStep, RecordedTask
from lts_jax.logs.importers.tool_calls import canonical_call
from lts_jax.records import Answer, Outcome, Step, StopReason, Task

OPERATION = "gen_ai.operation.name"
Span = dict[str, Any]


def import_otel(path: Path | str, *, skip_bad: bool = False) -> ImportedRuns:
    """Read exported spans, or all such files below a folder.

    Raises:
        UserError: the file, and what was expected of it; spans of another convention are named as such.
    """
    logs, problems = read_logs(path, OTEL, _parse, skip_bad=skip_bad)
    return ImportedRuns(tuple(item for _, log in logs for item in log), tuple(problems))


def _parse(log: Log) -> tuple[RecordedTask, ...]:
    spans = [_span(one) for one in _spans(log.value)]
    if not any(OPERATION in span["attributes"] for span in spans):
        others = sorted({key.partition(".")[0] for span in spans for key in span["attributes"]})
        told = f"; these have {', '.join(others[:5])}" if others else ""
        raise UserError(f"{log.file}: expected {EXPECTED[OTEL]}{told}")
    traces: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda one: one["start"]):
        traces.setdefault(span["trace"], []).append(span)
    tasks: dict[str, list[RecordedRun]] = {}
    for trace in traces.values():
        question = _question(trace)
        runs = tasks.setdefault(question, [])
        runs.append(_run(trace, len(runs), log.notes))
    return tuple(
        RecordedTask(
            Task(f"trace-{number}", question, None, "test", OTEL, scoring="recorded"), tuple(runs), str(log.file)
        )
        for number, (question, runs) in enumerate(tasks.items())
    )


def _spans(value: Any) -> list[Any]:
    """All spans of an export, whichever its form."""
    found = []
    for each in value if isinstance(value, list) else [value]:
        scopes = [scope for part in each.get("resourceSpans") or () for scope in part.get("scopeSpans") or ()]
        found += [span for scope in scopes for span in scope.get("spans") or ()] if "resourceSpans" in each else [each]
    return found


def _span(span: Mapping[str, Any]) -> Span:
    """One span in one form: times in seconds, attributes as plain values."""
    context, status = (one if isinstance(one := span.get(name), dict) else {} for name in ("context", "status"))
    attributes = span.get("attributes") or {}
    if isinstance(attributes, list):
        attributes = {one.get("key"): _plain(one.get("value")) for one in attributes if isinstance(one, dict)}
    return {
        "trace": str(span.get("traceId") or span.get("trace_id") or context.get("trace_id") or ""),
        "id": str(span.get("spanId") or span.get("span_id") or context.get("span_id") or ""),
        "parent": str(span.get("parentSpanId") or span.get("parent_id") or ""),
        "start": _seconds(span.get("startTimeUnixNano") or span.get("start_time")),
        "end": _seconds(span.get("endTimeUnixNano") or span.get("end_time")),
        "attributes": attributes,
        "failed": status.get("code") in (2, "STATUS_CODE_ERROR") or status.get("status_code") == "ERROR",
    }


def _run(trace: list[Span], trial: int, notes: tuple[str, ...]) -> RecordedRun:
    by_id, first = {span["id"]: span for span in trace}, min(span["start"] for span in trace)
    steps: list[RecordedStep] = []
    asked = _question(trace)
    for span in trace:
        own, operation = span["attributes"], span["attributes"].get(OPERATION)
        said = _texts(own.get("gen_ai.output.messages"))
        if operation == "execute_tool":
            name = str(own.get("gen_ai.tool.name") or "")
            action = canonical_call(name, own.get("gen_ai.tool.call.arguments"))
            output = _text_of(own.get("gen_ai.tool.call.result"))
        elif operation == "chat" and said and not _calls_tools(own.get("gen_ai.output.messages")):
            name, action, output = "", "", said[-1]
        else:
            continue
        times = {"started_seconds": span["start"] - first, "finished_seconds": span["end"] - first}
        failed = span["failed"] or (bool(name) and looks_failed(output))
        step = Step(0, len(steps), _agent(span, by_id), asked, action, output, failed=failed, **times)
        steps.append(RecordedStep(step, name, 0, len(action) + (0 if name else len(output))))
    replies = [item.step.output for item in steps if not item.tool]
    seconds = max((span["end"] for span in trace), default=first) - first
    missing = () if steps else ("no step: no span of execute_tool or chat with its texts",)
    reason = StopReason.SATISFIED if steps else StopReason.CRASHED
    answer = Answer(0, replies[-1] if replies else "", seconds, reason, len(steps))
    return RecordedRun(trial, tuple(steps), answer, Outcome(math.nan, bool(replies), "recorded"), (*notes, *missing))


def _agent(span: Span, by_id: Mapping[str, Span]) -> str:
    seen: set[str] = set()
    while span["id"] not in seen:
        seen.add(span["id"])
        name = span["attributes"].get("gen_ai.agent.name")
        if name:
            return str(name)
        span = by_id.get(span["parent"], span)
    return "Agent"


def _question(trace: list[Span]) -> str:
    """The first thing that a user said in a trace."""
    for span in trace:
        for message in _messages(span["attributes"].get("gen_ai.input.messages")):
            if message.get("role") == "user" and (text := _message_text(message)):
                return text
    return ""


def _messages(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [text for one in _messages(value) if (text := _message_text(one))]


def _message_text(message: Mapping[str, Any]) -> str:
    parts = message.get("parts")
    if not isinstance(parts, list):
        return message_text(message.get("content"))
    said = [part.get("content") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    return "\n".join(str(one) for one in said if one)


def _calls_tools(value: Any) -> bool:
    parts = [part for one in _messages(value) for part in one.get("parts") or () if isinstance(part, dict)]
    return any(part.get("type") == "tool_call" for part in parts)


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json_text(value)


def _plain(value: Any) -> Any:
    """An attribute's value of OTLP JSON as a plain one."""
    if not isinstance(value, dict):
        return value
    if "arrayValue" in value:
        return [_plain(one) for one in (value["arrayValue"] or {}).get("values") or ()]
    kind, inner = next(iter(value.items()), ("", None))
    return int(inner) if kind == "intValue" and inner is not None else inner


def _seconds(value: Any) -> float:
    """A time in seconds: of nanoseconds since 1970, or of an ISO date."""
    from datetime import datetime

    try:
        return int(value) / 1e9
    except (TypeError, ValueError):
        pass
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0
