"""The log of a served memory bank: JSON lines, from which the same bank is made by whoever opens it.

Of the events `begun` says what the bank is of, `joined` who works with it, `decided` holds a step with what was decided
on it, `pulled` who read which entry, `revoked` which origin. Seconds count from the log's beginning.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lts_jax.actions import ADMIT, DELETE, UPDATE
from lts_jax.admission.policy import Admission
from lts_jax.errors import UserError, show
from lts_jax.memory.bank import EditRefused, KeyRefused, MemoryBank
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.trust import Provenance, mark_revoked
from lts_jax.plain import from_plain
from lts_jax.records import (
    Answer,
    Coordinates,
    Decision,
    Origin,
    Outcome,
    Rollout,
    Step,
    StopReason,
    Task,
    Trust,
)  # fmt: skip
from lts_jax.storage import append_json_line, read_line, whole_lines

LOG_VERSION = 1


class ServedLog:
    """A bank as a log tells it, brought up to date line by line. Whoever writes holds the lock beside it."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self.path, self.offset = path, 0
        self.head: dict[str, Any] = {}
        self.bank = MemoryBank(GuardSettings(keys="off"))  # of an empty log
        self.agents: list[str] = []
        self.steps: list[Step] = []
        self.decisions: list[Decision] = []
        self.sources: dict[int, dict[str, None]] = {}  # by agent: those that it has named
        self.seconds = 0.0

    def append(self, event: Mapping[str, Any]) -> None:
        """Write an event down, durably, then do what it says.

        Raises:
            OSError: it cannot be written; then nothing is done.
        """
        append_json_line(self.path, event)
        self.read()

    def note(self, event: Mapping[str, Any]) -> None:
        """Write down an event that this bank has seen happen already. All older lines have been read."""
        append_json_line(self.path, event)
        self.offset = self.path.stat().st_size

    def num_steps(self, team: int) -> int:
        """Proposals of an agent so far."""
        return sum(step.team == team for step in self.steps)

    def read(self) -> None:
        """Take what was added since the last time.

        Raises:
            UserError: another file, or one whose lines are not what was written.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.offset)
            lines = whole_lines(file.read(), str(self.path))
        for line in lines:
            self.offset += len(line) + 1
            try:
                self._take(read_line(line, str(self.path)))
            except (KeyError, TypeError, AttributeError, EditRefused, KeyRefused) as error:
                raise UserError(f"{self.path}: no log of a served memory ({type(error).__name__}: {error})") from None

    def _take(self, event: Mapping[str, Any]) -> None:
        """What one line says has happened."""
        kind = event["event"]
        self.seconds = max(self.seconds, float(event.get("seconds", 0.0)))
        if kind == "begun":
            if event["version"] != LOG_VERSION:
                raise UserError(f"{self.path}: expected a log of version {LOG_VERSION}, got {show(event['version'])}")
            self.head = dict(event)
            self.bank = MemoryBank(from_plain(GuardSettings, event["guards"], f"{self.path}: guards"))
        elif kind == "joined":
            self.agents.append(event["agent"])
        elif kind == "decided":
            self._decide(event)
        elif kind == "pulled":
            self.bank.pull(event["team"], event["entry"], event["step"], event["seconds"])
        elif kind == "revoked":
            self.bank.revoke(event["origin"])
        else:
            raise KeyError(kind)

    def _decide(self, event: Mapping[str, Any]) -> None:
        """A step, what was decided on it, and what that did to the bank."""
        told = dict(event)
        step = Step(
            told["team"], told["step"], told["agent"], "", "", told["output"], told["summary"],
            told["seconds"], told["seconds"],
        )  # fmt: skip
        seen = self.sources.setdefault(step.team, {})
        seen.update(dict.fromkeys(told["seen"]))
        place = Provenance(Origin.UNKNOWN, told["agent"], tuple(seen))
        entry = -1
        if told["done"]:
            admission = Admission(told["action"], told["log_prob"], told["admit_probability"], told["target"])
            entry = self._carry_out(admission, step, place)
        self.steps.append(step)
        decision = Decision(
            step.team, step.step, told["action"], told["log_prob"], told["admit_probability"], told["num_keys"],
            len(self.decisions), told["seconds"], entry, told["policy"], told["target"], told["num_edits"],
        )  # fmt: skip
        self.decisions.append(decision)

    def _carry_out(self, admission: Admission, step: Step, place: Provenance) -> int:
        """Do what was decided; the new entry, or -1. Raises KeyRefused and EditRefused."""
        seconds, sequence = step.finished_seconds, len(self.decisions)
        if admission.action == ADMIT:
            return self.bank.add(step, seconds, place, trust=Trust.UNTRUSTED).entry
        if admission.action == UPDATE:
            return self.bank.update(admission.target, step, seconds, place, sequence=sequence).entry
        if admission.action == DELETE:
            self.bank.delete(admission.target, step.team, step.step, seconds, sequence=sequence)
        return -1


def served_rollout(path: Path | str) -> Rollout:
    """The log of a served bank as a rollout without a score, its agents as teams.

    Raises:
        UserError: no such file, or another one.
    """
    log = ServedLog(Path(path))
    log.read()
    if not log.head:
        raise UserError(f"{path}: no log of a served memory")
    task = Task(Path(path).stem, log.head["question"], None, "served", "served memory")
    numbers = range(max(1, len(log.agents)))
    nothing = Outcome(math.nan, False, "agents of a served memory give no answer")
    rollout = Rollout(
        task=task,
        coordinates=Coordinates(0, 0, task.task_id, 0),
        num_teams=len(numbers),
        steps=tuple(log.steps),
        decisions=tuple(log.decisions),
        entries=log.bank.entries,
        pulls=log.bank.pulls,
        answers=tuple(Answer(team, "", log.seconds, StopReason.SATISFIED, log.num_steps(team)) for team in numbers),
        final=Answer(-1, "", log.seconds, StopReason.SATISFIED),
        outcome=nothing,
        first_outcome=nothing,
        reward_agg=math.nan,
        reward_first=math.nan,
        seconds=log.seconds,
        clock="real",
        policy=log.head["policy"],
        edits=log.bank.edits,
        may_edit=bool(log.bank.edits),
    )
    return mark_revoked(rollout, log.bank.revoked)
