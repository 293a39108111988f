"""Logs of tau-bench (github.com/sierra-research/tau-bench, MIT) and tau2-bench: several independent runs of each task.

A file is a JSON list of runs with `task_id`, `trial`, `reward`, `info` and `traj`, the chat messages. Each tool call,
and each reply to the customer, becomes one step. Both ways in which the benchmark's agents call tools are read: the
`tool_calls` (or the older `function_call`) of a message, and "Action: {...}" in the text answered by "API output: ...".
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.logs.importers.chat_messages import ChatReader
from lts_jax.logs.importers.files import EXPECTED, TAU_BENCH, message_text, read_logs
from lts_jax.logs.importers.log_values import Log
from lts_jax.logs.importers.recorded import ImportedRuns, RecordedRun, RecordedTask
from lts_jax.logs.importers.tau2_bench import STOPS, as_tau_bench
from lts_jax.records import Answer, Outcome, StopReason, Task


def import_tau_bench(path: Path | str, *, skip_bad: bool = False) -> ImportedRuns:
    """Read a tau-bench log, or all of them below a folder, as tasks with their runs, in order of task and trial.

    With several files the task ids carry the file's name, since every domain counts its tasks from 0. What is
    missing in a run is said in its `notes`; a file that is no such log is an error, or with `skip_bad` a line in
    `problems`.

    Raises:
        UserError: the file, and what was expected of it.
    """
    logs, problems = read_logs(path, TAU_BENCH, _parse_log, skip_bad=skip_bad)
    if len(logs) == 1:
        return ImportedRuns(logs[0][1], tuple(problems))
    return ImportedRuns(tuple(_with_prefix(item, file.stem) for file, log in logs for item in log), tuple(problems))


def _parse_log(log: Log) -> tuple[RecordedTask, ...]:
    return recorded_tasks(as_tau_bench(log.value), log, TAU_BENCH)


def recorded_tasks(value: Any, log: Log, family: str) -> tuple[RecordedTask, ...]:
    """Tasks from a list of runs with `task_id`, `traj`, and, where known, `trial`, `reward`, `info` and `reference`.

    Raises:
        UserError: the file, and what was expected of a log of this family.
    """
    file = log.file
    if not isinstance(value, list) or not value:
        raise UserError(f"{file}: expected {EXPECTED[family]}")
    runs: dict[str, list[tuple[dict[str, Any], RecordedRun]]] = {}
    for position, run in enumerate(value):
        if not isinstance(run, dict) or not isinstance(run.get("traj"), list) or run.get("task_id") is None:
            raise UserError(f"{file}: run {position}: expected {EXPECTED[family]}")
        if not all(isinstance(message, dict) for message in run["traj"]):
            raise UserError(f"{file}: run {position}: expected every message to be an object")
        of_task = runs.setdefault(message_text(run["task_id"]), [])
        of_task.append((run, _parse_run(run, len(of_task), log.notes)))
    ordered = sorted(runs, key=lambda task: (0, int(task), "") if task.isdecimal() else (1, 0, task))
    return tuple(_recorded_task(task_id, runs[task_id], file, family) for task_id in ordered)


def _recorded_task(
    task_id: str, runs: list[tuple[dict[str, Any], RecordedRun]], file: Path, family: str
) -> RecordedTask:
    info = runs[0][0].get("info")
    scenario = info.get("task") if isinstance(info, dict) else None
    question = message_text(scenario.get("instruction")) if isinstance(scenario, dict) else ""
    task = Task(
        task_id=task_id,
        question=question or next((text for run, _ in runs if (text := _first_request(run["traj"]))), ""),
        answer=runs[0][0].get("reference"),
        split="test",
        family=family,
        scoring="recorded",
    )
    in_order = sorted((run for _, run in runs), key=lambda run: run.trial)
    return RecordedTask(task=task, runs=tuple(in_order), source=str(file))


def _parse_run(run: dict[str, Any], position: int, notes_of_log: tuple[str, ...]) -> RecordedRun:
    reader = ChatReader(run["traj"])
    for index, message in enumerate(run["traj"]):
        reader.read(index, message)
    reader.close()
    trial, reward = run.get("trial"), run.get("reward")
    notes = [*notes_of_log, *reader.notes]
    if not isinstance(trial, int):
        notes.append("no trial number: counted in order of the file")
        trial = position
    try:
        score = math.nan if reward is None else float(reward)
    except (TypeError, ValueError):
        score = math.nan
    if math.isnan(score):
        notes.append("no reward")
    info = run.get("info")
    error = message_text(info.get("error")) if isinstance(info, dict) else ""
    replies = [item.step.output for item in reader.steps if not item.tool and item.step.output]
    ended = STOPS.get(str(run.get("ended")))
    stop_reason = StopReason.CRASHED if error or not reader.steps else ended or StopReason.SATISFIED
    answer = Answer(
        team=0,
        text=replies[-1] if replies else "",
        seconds=0.0,
        stop_reason=stop_reason,
        num_steps=len(reader.steps),
        detail=error.splitlines()[0] if error else str(run["ended"]) if ended else "",
    )
    return RecordedRun(trial, tuple(reader.steps), answer, Outcome(score, bool(reader.steps), "recorded"), tuple(notes))


def _with_prefix(item: RecordedTask, prefix: str) -> RecordedTask:
    return replace(item, task=replace(item.task, task_id=f"{prefix}/{item.task.task_id}"))


def _first_request(messages: list[dict[str, Any]]) -> str:
    return next((message_text(item.get("content")) for item in messages if item.get("role") == "user"), "")
