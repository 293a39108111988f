"""Logs of inspect (github.com/UKGovernmentBEIS/inspect_ai, MIT) as JSON; `inspect log convert --to json` makes it.

An object with `eval` and `samples`; a sample holds `id`, `epoch`, `input`, `target`, its `messages` and its `scores`.
Epochs of a sample are its trials. Of several scores the first counts; C, P and I are 1, 0.5 and 0.
"""

import math
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.logs.importers.files import EXPECTED, INSPECT, message_text, read_logs
from lts_jax.logs.importers.log_values import Log
from lts_jax.logs.importers.recorded import ImportedRuns, RecordedTask
from lts_jax.logs.importers.tau_bench import recorded_tasks

GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}


def import_inspect(path: Path | str, *, skip_bad: bool = False) -> ImportedRuns:
    """Read a log, or all of them below a folder.

    Raises:
        UserError: the file, and what was expected of it.
    """
    logs, problems = read_logs(path, INSPECT, _parse, skip_bad=skip_bad)
    return ImportedRuns(tuple(item for _, log in logs for item in log), tuple(problems))


def _parse(log: Log) -> tuple[RecordedTask, ...]:
    value = log.value[0] if isinstance(log.value, list) and len(log.value) == 1 else log.value
    samples = value.get("samples") if isinstance(value, dict) else None
    if not isinstance(samples, list) or not samples:
        raise UserError(f"{log.file}: expected {EXPECTED[INSPECT]}, and samples in it")
    return recorded_tasks([_run(sample, log, number) for number, sample in enumerate(samples, 1)], log, INSPECT)


def _run(sample: Any, log: Log, number: int) -> dict[str, Any]:
    if not isinstance(sample, dict) or not isinstance(sample.get("messages"), list):
        raise UserError(f"{log.file}: sample {number}: expected an object with a list of messages")
    asked, error = sample.get("input"), sample.get("error")
    if isinstance(asked, list):
        asked = next((one.get("content") for one in asked if isinstance(one, dict) and one.get("role") == "user"), "")
    return {
        "task_id": sample.get("id", number),
        "trial": sample.get("epoch"),
        "reward": _score(sample.get("scores")),
        "info": {
            "task": {"instruction": message_text(asked)},
            "error": error.get("message") if isinstance(error, dict) else error,
        },
        "traj": [_message(one) for one in sample["messages"]],
        "reference": message_text(sample.get("target")) or None,
    }


def _message(message: Any) -> Any:
    """A message with its tool calls as chat endpoints write them."""
    if not isinstance(message, dict) or not isinstance(message.get("tool_calls"), list):
        return message
    calls = [
        {"id": call.get("id"), "function": {"name": call.get("function"), "arguments": call.get("arguments")}}
        for call in message["tool_calls"]
        if isinstance(call, dict)
    ]
    return message | {"tool_calls": calls}


def _score(scores: Any) -> float | None:
    first = next(iter(scores.values()), None) if isinstance(scores, dict) else None
    value = first.get("value") if isinstance(first, dict) else first
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return float(value)
    return GRADES.get(value) if isinstance(value, str) else None
