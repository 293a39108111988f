"""Logs of the Who&When set (github.com/mingyin1/Agents_Failure_Attribution, MIT): failed runs of Magentic-One.

A log is a JSON object with `question`, `ground_truth`, `history` (messages with `role` and `content`) and a label:
the agent and the message that an annotator holds responsible. It is a file of its own, or a row of a table (JSON,
JSON lines, Parquet). A worker's reply becomes one step; its instruction is
what the orchestrator last told that worker.
"""

import json
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.logs.importers.autogen_messages import answer_text
from lts_jax.logs.importers.files import (
    EXPECTED,
    WHO_AND_WHEN,
    looks_failed,
    message_text,
    read_logs,
    without_termination,
)
from lts_jax.logs.importers.log_values import Log
from lts_jax.logs.importers.recorded import ImportedRuns, Mistake, RecordedRun, RecordedStep, RecordedTask
from lts_jax.records import Answer, Outcome, Step, StopReason, Task

_ORCHESTRATOR = re.compile(r"^\s*orchestrator\s*+(?:\((.*)\))?\s*$", re.IGNORECASE | re.DOTALL)
_ARROW = re.compile(r"(?:->|→)\s*+(.+)")
_FINAL_ANSWER = re.compile(r"FINAL ANSWER:[ \t]*(.*)")
_ENDINGS = (
    ("max rounds", StopReason.ROUND_LIMIT),
    ("max time", StopReason.TIME_LIMIT),
    ("replan", StopReason.REPLAN_LIMIT),
    ("no agent selected", StopReason.SATISFIED),
    ("satisfied", StopReason.SATISFIED),
)
_PEOPLE = ("human", "user")


def import_who_and_when(path: Path | str, *, skip_bad: bool = False) -> ImportedRuns:
    """Read a log, or all of them below a folder, each as a task with one run and the annotated mistake.

    The score is 0 for a run that carries a mistake label or says it is incorrect, 1 where it says it is correct, NaN
    where it says nothing. A log that cannot be read is an error, or with `skip_bad` a line in `problems`.

    Raises:
        UserError: the file, and what was expected of it.
    """
    logs, problems = read_logs(path, WHO_AND_WHEN, _parse_log, skip_bad=skip_bad)
    tasks: dict[str, RecordedTask] = {}
    for item in (item for _, found in logs for item in found):
        same = sum(name == item.task.task_id or name.startswith(f"{item.task.task_id}#") for name in tasks)
        name = f"{item.task.task_id}#{same + 1}" if same else item.task.task_id  # one question, run by two systems
        tasks[name] = replace(item, task=replace(item.task, task_id=name))
    return ImportedRuns(tuple(tasks.values()), tuple(problems))


def _parse_log(log: Log) -> tuple[RecordedTask, ...]:
    if not isinstance(log.value, list) or not log.value:
        return (_parse_run(log.value, log, log.file.stem),)
    stem = log.file.stem
    return tuple(_parse_run(value, log, f"{stem}-{number}") for number, value in enumerate(log.value))


def _parse_run(value: Any, log: Log, name: str) -> RecordedTask:
    file = log.file
    value = _with_history(value)
    if not isinstance(value, dict) or not isinstance(value.get("history"), list) or not value["history"]:
        raise UserError(f"{file}: expected {EXPECTED[WHO_AND_WHEN]}")
    reader = _HistoryReader()
    for index, message in enumerate(value["history"]):
        if not isinstance(message, dict) or not isinstance(message.get("role") or message.get("name"), str):
            raise UserError(f'{file}: message {index} of "history": expected an object with a text "role"')
        reader.read(index, _speaker(message), message_text(message.get("content")))
    question = message_text(value.get("question")) or reader.request
    if not question.strip():
        raise UserError(f'{file}: no question; expected a text "question" or a first message by "human"')
    if reader.waiting:
        reader.notes.append(f"{reader.waiting} instructions have no reply")
    mistake = _mistake(value, reader.step_of_message)
    score = _score(value, mistake)
    answer = reader.answer()
    notes = (*log.notes, *reader.notes)
    run = RecordedRun(0, tuple(reader.steps), answer, Outcome(score, bool(answer.text), "label"), notes)
    return RecordedTask(task=_task(value, question, name), runs=(run,), source=str(file), mistake=mistake)


def _with_history(value: Any) -> Any:
    """A log whose history is a list: tables may hold it as its JSON."""
    if not isinstance(value, dict) or not isinstance(value.get("history"), str):
        return value
    try:
        return value | {"history": json.loads(value["history"])}
    except (ValueError, RecursionError):
        return value


def _task(value: dict[str, Any], question: str, name: str) -> Task:
    identity = message_text(value.get("question_ID") or value.get("question_id")) or name
    reference = value.get("ground_truth", value.get("groundtruth"))
    level = value.get("level")
    is_gaia = level is not None or re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", identity) is not None
    return Task(
        task_id=identity,
        question=question.strip(),
        answer=None if reference is None else message_text(reference),
        split="test",
        family=WHO_AND_WHEN,
        difficulty="" if level is None else str(level),
        scoring="gaia" if is_gaia else "assistantbench",
    )


def _mistake(value: dict[str, Any], step_of_message: dict[int, int]) -> Mistake | None:
    agent, where, reason = (message_text(value.get(f"mistake_{part}")) for part in ("agent", "step", "reason"))
    if not (agent or where or reason):
        return None
    number = re.search(r"(?<![-\d.])\d+", where)
    message = int(number.group()) if number else -1
    return Mistake(agent, message, step_of_message.get(message, -1), reason)


def _score(value: dict[str, Any], mistake: Mistake | None) -> float:
    says = value.get("is_correct", value.get("is_corrected"))  # the set spells it both ways
    if mistake is not None or says is False:
        return 0.0
    return 1.0 if says is True else math.nan


def _speaker(message: dict[str, Any]) -> str:
    """Who speaks: the role, or the name where the role is only that of a chat interface."""
    role, name = str(message.get("role") or ""), message.get("name")
    return name if isinstance(name, str) and name and role in ("", "user", "assistant") else role


@dataclass(slots=True)
class _HistoryReader:
    """Reads the messages of one log in order."""

    steps: list[RecordedStep] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    step_of_message: dict[int, int] = field(default_factory=dict)
    request: str = ""
    previous: str = ""  # the message before; what an agent answers in logs without an orchestrator
    instruction: str = ""  # the last one given, to whomever
    instructions: dict[str, tuple[str, list[int]]] = field(default_factory=dict)  # agent -> text, its messages
    characters: int = 0
    waiting: int = 0  # instructions that were replaced by another before a reply came
    replans: int = 0
    stalls: int = 0
    ending: str | None = None

    def read(self, index: int, speaker: str, text: str) -> None:
        """Take in one message."""
        orchestrator = _ORCHESTRATOR.match(speaker)
        if orchestrator:
            self._read_orchestrator(index, orchestrator.group(1) or "", text)
        elif speaker.lower() in _PEOPLE:
            self.request = self.request or text
        else:
            self._read_reply(index, speaker, text)
        self.characters += len(text)
        self.previous = text

    def answer(self) -> Answer:
        """The run's final answer and how it ended. A log that just stops counts as crashed.

        Without an orchestrator agents end with TERMINATE; the answer is what was last said before it by no program.
        """
        ending = self.ending or ""
        found = _FINAL_ANSWER.findall(ending)
        is_done = without_termination(self.previous)[1]
        said = (item.step.output for item in reversed(self.steps) if not _is_program(item.step))
        spoken = next((text for text in map(_without_word, said) if text), "") if is_done and not ending else ""
        answer = found[-1].strip() if found else answer_text(spoken)
        at_end = StopReason.SATISFIED if is_done and not ending else StopReason.CRASHED
        reason = next((reason for text, reason in _ENDINGS if text in ending.lower()), at_end)
        return Answer(
            team=0,
            text=answer,
            seconds=0.0,
            stop_reason=reason,
            num_steps=len(self.steps),
            num_replans=self.replans,
            num_stalls=self.stalls,
            detail=ending.splitlines()[0] if ending else "" if is_done else "the log ends without a termination note",
        )

    def _read_orchestrator(self, index: int, aside: str, text: str) -> None:
        addressed = _ARROW.fullmatch(aside.strip())
        if addressed:
            agent = addressed.group(1)
            self.waiting += bool(self.instructions.get(agent, ("", []))[1])
            self.instruction = text
            self.instructions[agent] = (text, [index])
        elif "termination" in aside.lower():
            self.ending = text
        else:
            self.replans += "replanning" in text[:80].lower()
            self.stalls += _is_stalled(text)

    def _read_reply(self, index: int, speaker: str, text: str) -> None:
        asked = self.instruction or self.previous or self.request
        instruction, asking = self.instructions.get(speaker, (asked, []))
        if self.instruction and not asking:
            self.notes.append(f"message {index}: {speaker} speaks without a new instruction")
        for message in (*asking, index):
            self.step_of_message[message] = len(self.steps)
        if self.instruction:
            self.instructions[speaker] = (instruction, [])
        step = Step(
            team=0,
            step=len(self.steps),
            agent=speaker,
            instruction=instruction,
            action=_action(text),
            output=text,
            failed=looks_failed(text),
        )
        self.steps.append(RecordedStep(step, "", self.characters, len(text)))


def _is_program(step: Step) -> bool:
    """Whether a step is what a program printed, or the note that there was none to run."""
    return "terminal" in step.agent.lower() or step.output.startswith(("exitcode:", "There is no code"))


def _without_word(text: str) -> str:
    return without_termination(text)[0].strip()


def _action(text: str) -> str:
    """What a web surfer says it did ("I clicked 'Details'."), which opens its reply; empty for other replies."""
    first = text.lstrip().partition("\n")[0]
    return (
        first if re.match(r"I (clicked|typed|scrolled|visited|hovered|waited|pressed|went|navigated)\b", first) else ""
    )


def _is_stalled(text: str) -> bool:
    """Whether a thought is a progress ledger that says: in a loop, or no progress."""
    start = text.find("{")
    if start < 0 or "is_progress_being_made" not in text:
        return False
    try:
        ledger, _ = json.JSONDecoder().raw_decode(text[start:])
    except ValueError:
        return False
    in_loop, progress = (_ledger_answer(ledger, name) for name in ("is_in_loop", "is_progress_being_made"))
    return in_loop is True or progress is False


def _ledger_answer(ledger: Any, name: str) -> Any:
    item = ledger.get(name) if isinstance(ledger, dict) else None
    return item.get("answer") if isinstance(item, dict) else None
