"""Reading the messages of one team of AutoGen's, in order, into steps and an answer."""

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lts_jax.logs.importers.files import json_text, looks_failed, message_text, without_termination
from lts_jax.logs.importers.recorded import RecordedStep
from lts_jax.logs.importers.tool_calls import canonical_call
from lts_jax.records import Answer, Step, StopReason
from lts_jax.teams.aggregate import extract_answer

_LEDGER_OPENINGS = ("We are working to address the following user request:", "Task ledger.")
_SHARED = "SharedMemory"  # values that a team of ours had pulled
_ENDINGS = (
    ("max rounds", StopReason.ROUND_LIMIT),
    ("maximum number", StopReason.ROUND_LIMIT),
    ("timeout", StopReason.TIME_LIMIT),
    ("cancel", StopReason.CANCELLED),
    ("exception", StopReason.CRASHED),
)


@dataclass(frozen=True, slots=True)
class TeamLog:
    """The messages of one team. `stop_reason` as AutoGen gives it; `has_ended`: the log says that the run ended."""

    messages: list[dict[str, Any]]
    stop_reason: str | None
    notes: tuple[str, ...] = ()
    has_ended: bool = False


@dataclass(slots=True)
class MessageReader:
    """Takes in messages in order; `steps` grows with each worker's message."""

    has_orchestrator: bool
    steps: list[RecordedStep] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    request: str = ""
    instruction: str = ""
    last: str = ""  # what the orchestrator said after the last step, if anything
    characters: int = 0
    num_ledgers: int = 0
    calls: list[tuple[str, Any]] = field(default_factory=list)  # the tool calls of the step under way
    call_failed: bool = False  # one of them, as its result says
    is_done: bool = False  # an agent said so, or a condition for it was met
    ending: str = ""  # which one, in AutoGen's words
    began: float = math.nan
    asked: float = 0.0
    now: float = 0.0

    def read(self, message: dict[str, Any]) -> None:
        """Take in one message."""
        source, kind = message_text(message.get("source")), str(message.get("type") or "")
        self._read_time(message.get("created_at"))
        if kind == "ToolCallRequestEvent":
            self._read_calls(message.get("content"))
        elif kind == "ToolCallExecutionEvent":
            self._read_results(message.get("content"))
        elif kind == "StopMessage":
            self.is_done = True
            self.ending = without_termination(message_text(message.get("content")))[0].strip()
        elif kind.endswith("Event"):
            return  # results of calls stand in the message that follows; thoughts and chunks are part of it
        else:
            content = message.get("content")
            is_structured = kind.startswith("StructuredMessage") and not isinstance(content, str)
            self._read_said(source, json_text(content) if is_structured else message_text(content))

    def answer(self, team: TeamLog) -> Answer:
        """How the run ended, and with what. A log that just stops counts as crashed."""
        ending = team.stop_reason or self.ending
        last = self.last if self.has_orchestrator else ""
        if not last and self.steps and (self.is_done or not self.has_orchestrator):
            last = self.steps[-1].step.output
        is_answer = bool(last) and (team.has_ended or self.is_done or "final answer" in last.lower())
        found = next((reason for text, reason in _ENDINGS if text in ending.lower()), StopReason.SATISFIED)
        return Answer(
            team=0,
            text=answer_text(last) if is_answer else "",
            seconds=self.now,
            stop_reason=found if is_answer or found != StopReason.SATISFIED else StopReason.CRASHED,
            num_steps=len(self.steps),
            num_replans=max(0, self.num_ledgers - 1),
            detail=ending or ("" if is_answer else "the log ends without an answer"),
        )

    def _read_time(self, created: Any) -> None:
        try:
            seconds = datetime.fromisoformat(str(created)).timestamp()
        except ValueError:
            return
        if math.isnan(self.began):
            self.began = seconds
        self.now = max(self.now, seconds - self.began)

    def _read_calls(self, content: Any) -> None:
        for call in content if isinstance(content, list) else ():
            if isinstance(call, dict):
                self.calls.append((str(call.get("name") or ""), call.get("arguments")))

    def _read_results(self, content: Any) -> None:
        results = content if isinstance(content, list) else ()
        self.call_failed |= any(isinstance(each, dict) and each.get("is_error") is True for each in results)

    def _read_said(self, source: str, text: str) -> None:
        if source != "user":
            text, is_done = without_termination(text)
            self.is_done |= is_done
            if is_done and not text.strip():
                return  # an end, and neither a step nor an answer
        if source == "user":
            self.request = self.request or text
            self.instruction = self.instruction or text
        elif source == _SHARED:
            pass
        elif source.endswith("Orchestrator"):
            self._read_orchestrator(text)
        else:
            self._read_worker(source, text)
        self.characters += len(text)

    def _read_orchestrator(self, text: str) -> None:
        if text.lstrip().startswith(_LEDGER_OPENINGS):
            self.num_ledgers += 1
            self.last = ""
            return
        if self.last:
            self.notes.append(f"step {len(self.steps)}: an instruction has no reply")
        self.last = self.instruction = text
        self.asked = self.now

    def _read_worker(self, source: str, text: str) -> None:
        calls = [canonical_call(name, arguments) for name, arguments in self.calls]
        step = Step(
            team=0,
            step=len(self.steps),
            agent=source,
            instruction=self.instruction,
            action="\n".join(calls),
            output=text,
            started_seconds=self.asked,
            finished_seconds=self.now,
            failed=self.call_failed or looks_failed(text),
        )
        tool = self.calls[0][0] if self.calls else ""
        reply = sum(map(len, calls)) or len(text)
        self.steps.append(RecordedStep(step, tool, self.characters, reply))
        self.calls, self.call_failed, self.last, self.asked = [], False, "", self.now
        if not self.has_orchestrator:
            self.instruction = text


def answer_text(text: str) -> str:
    """The answer in the last words of a run: what follows a marker, or else all of it."""
    return extract_answer(text) if "final answer" in text.lower() else text.strip()
