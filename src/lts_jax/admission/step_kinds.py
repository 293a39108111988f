"""What kind of step a team of the offline world took: a right value, a wrong one, a listing, nothing, a program."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lts_jax.admission.offline_truth import Truth, truth_of
from lts_jax.llm.simulated.findings import asked_need, read_note
from lts_jax.records import EARLIER, MemoryEntry, Rollout, Step

RIGHT, WRONG, LISTING = "right value", "wrong value", "listing"
NOTHING, PROGRAM = "page without value or failure", "program"
KINDS = (RIGHT, WRONG, LISTING, NOTHING, PROGRAM)
"""In the order of tables. A step that states several values, one of them wrong, is a wrong value; a search that lists
no fitting page is a failure; a program is the program or what it printed."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What one step says: its kind, and what it is about, by which repeats are known.

    `about` holds (need, part) of each needed value; of the other kinds the kind and the need that was asked for.
    """

    kind: str
    about: frozenset[tuple[object, object]]

    def is_new(self, known: Collection[tuple[object, object]]) -> bool:
        """Whether it is about anything that is not among what is known."""
        return any(each not in known for each in self.about)


@dataclass(frozen=True, slots=True)
class StepLabel:
    """The kind of the step behind a decision. `is_new`: no entry committed before the decision is about the same."""

    kind: str
    is_new: bool


def read_step(step: Step, truth: Truth) -> Statement:
    """What a step says, its values judged by the truth."""
    if step.agent in ("Coder", "ComputerTerminal"):
        return Statement(PROGRAM, frozenset({(PROGRAM, step.agent)}))
    note, need = read_note(step.output), asked_need(step.instruction)
    needed = [finding for finding in note.findings if truth.is_needed(finding)]
    if needed:
        kind = RIGHT if all(map(truth.is_right, needed)) else WRONG
        return Statement(kind, frozenset((finding.need, finding.part) for finding in needed))
    wanted = truth.understanding.title(need) if need is not None else ""
    is_listing = any(title == wanted for search in note.searches for title, _ in search.pages)
    kind = LISTING if is_listing else NOTHING
    return Statement(kind, frozenset({(kind, need)}))


def label_decisions(rollout: Rollout, world_seed: int = 0) -> tuple[StepLabel, ...]:
    """The kind of the step behind each decision of a rollout of simulated teams on the offline world, in order."""
    truth = truth_of(rollout.task.question, world_seed)
    said = {(step.team, step.step): read_step(step, truth) for step in rollout.steps}
    stored = [
        (_read_earlier(entry, truth) if entry.team == EARLIER else said[entry.team, entry.step]).about
        for entry in rollout.entries
    ]
    labels = []
    for decision in rollout.decisions:
        statement = said[decision.team, decision.step]
        labels.append(StepLabel(statement.kind, statement.is_new(_union(stored[: decision.num_keys]))))
    return tuple(labels)


def _read_earlier(entry: MemoryEntry, truth: Truth) -> Statement:
    """What an entry of an earlier task says, of whose step only the output is known."""
    return read_step(Step(EARLIER, EARLIER, "", "", "", entry.value), truth)


def _union(stored: Sequence[frozenset[tuple[object, object]]]) -> frozenset[tuple[object, object]]:
    return frozenset().union(*stored)
