"""Logs of AutoGen's AgentChat (github.com/microsoft/autogen, MIT): whole results, saved states, and its event log.

Five things are read: a `TaskResult` as JSON, a bare list of its messages, the state that a team saves, a chat history
of AutoGen 0.2, and the JSON lines of the event logger `autogen_core.events`, in which several teams may stand together;
a file may hold several results. A worker's message becomes one step; its instruction is what the orchestrator last
said. Runs of the same question are runs of one task, so that teams which worked side by side can be replayed side by
side. AutoGen logs no scores.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.logs.importers.autogen_events import teams_of_events
from lts_jax.logs.importers.autogen_history import team_of_history
from lts_jax.logs.importers.autogen_messages import MessageReader, TeamLog
from lts_jax.logs.importers.files import AUTOGEN, EXPECTED, message_text, read_logs
from lts_jax.logs.importers.log_values import Log
from lts_jax.logs.importers.recorded import ImportedRuns, RecordedRun, RecordedTask
from lts_jax.records import Outcome, Task


def import_autogen(path: Path | str, *, skip_bad: bool = False) -> ImportedRuns:
    """Read a log, or all of them below a folder (`*.json`, `*.jsonl`), as tasks with their runs.

    Seconds are those between a message and the first one, where messages carry their times. A file that is no such log
    is an error, or with `skip_bad` a line in `problems`.

    Raises:
        UserError: the file, and what was expected of it.
    """
    logs, problems = read_logs(path, AUTOGEN, _parse_log, skip_bad=skip_bad)
    tasks: dict[str, RecordedTask] = {}
    for file, runs in logs:
        for question, run in runs:
            found = tasks.get(question)
            if found is None:
                name = file.stem if all(task.task.task_id != file.stem for task in tasks.values()) else ""
                tasks[question] = _task(question, name or f"{file.stem}-{len(tasks)}", run, file)
            else:
                tasks[question] = _with_run(found, run)
    return ImportedRuns(tuple(tasks.values()), tuple(problems))


def _task(question: str, task_id: str, run: RecordedRun, file: Path) -> RecordedTask:
    task = Task(task_id, question, None, "test", family=AUTOGEN, scoring="recorded")
    return RecordedTask(task, (run,), str(file))


def _with_run(found: RecordedTask, run: RecordedRun) -> RecordedTask:
    return replace(found, runs=(*found.runs, replace(run, trial=len(found.runs))))


def _parse_log(log: Log) -> list[tuple[str, RecordedRun]]:
    teams = _teams(log.value)
    if not teams:
        raise UserError(f"{log.file}: expected {EXPECTED[AUTOGEN]}")
    found = [_run(team, f"{log.file}: team {number}") for number, team in enumerate(teams)]
    return [(question, replace(run, notes=(*log.notes, *run.notes))) for question, run in found]


def _teams(value: Any) -> Sequence[TeamLog]:
    if isinstance(value, list):
        found = teams_of_events(value) or ([TeamLog(value, None)] if _are_messages(value) else [])
        return found or _teams_of_history(value) or [team for each in value for team in _teams(each)]
    if not isinstance(value, dict):
        return []
    if _are_messages(value.get("messages")):
        stop = value.get("stop_reason")
        return [TeamLog(value["messages"], stop if isinstance(stop, str) else None, has_ended=stop is not None)]
    states = value.get("agent_states")
    orchestrators = [each for each in states.values() if _is_orchestrator(each)] if isinstance(states, dict) else []
    return [
        TeamLog(
            [{"source": "user", "content": state.get("task"), "type": "TextMessage"}, *state["message_thread"]],
            None,
            notes=("a saved state does not say whether the run had ended: its last message is taken as the answer",),
            has_ended=True,
        )
        for state in orchestrators
    ] or _teams_of_history(value)


def _teams_of_history(value: Any) -> list[TeamLog]:
    team = team_of_history(value)
    return [] if team is None else [team]


def _are_messages(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, dict) and isinstance(each.get("source"), str) for each in value)
    )


def _is_orchestrator(state: Any) -> bool:
    return isinstance(state, dict) and _are_messages(state.get("message_thread"))


def _run(team: TeamLog, where: str) -> tuple[str, RecordedRun]:
    reader = MessageReader(has_orchestrator=any(_leads(message) for message in team.messages))
    for message in team.messages:
        reader.read(message)
    question = reader.request.strip()
    if not question:
        raise UserError(f'{where}: no question; expected a first message by "user"')
    answer = reader.answer(team)
    outcome = Outcome(math.nan, bool(answer.text), "AutoGen logs no scores")
    return question, RecordedRun(0, tuple(reader.steps), answer, outcome, (*team.notes, *reader.notes))


def _leads(message: dict[str, Any]) -> bool:
    return message_text(message.get("source")).endswith("Orchestrator")
