"""Records of imported runs, whatever log they come from: a task, its runs, and each run's steps with text lengths.

Logs of agents seldom hold times. What they do hold is how long each text was, and from that a latency model can tell
a time; so a recorded step keeps the lengths in characters beside the `Step` itself, whose seconds are zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lts_jax.records import Answer, Coordinates, Outcome, Rollout, Step, StopReason, Task


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """One agent turn as it was recorded. Lengths are in characters."""

    step: Step  # seconds are zero: the log holds none
    tool: str = ""  # name of the called tool; empty for a plain reply
    prompt_characters: int = 0  # everything the model was shown before this step
    reply_characters: int = 0  # what the model wrote: text, tool name and arguments
    customer_characters: int = 0  # what a person answered to this step, 0 if nobody did
    asks_model: bool = True  # false for the second and later calls of one model reply
    said: str = ""  # what the model wrote beside a tool call, which `step.action` holds alone, as equal calls are equal


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One recorded run of a task. `notes` says what was odd in the log and how it was read."""

    trial: int
    steps: tuple[RecordedStep, ...]
    answer: Answer
    outcome: Outcome  # `score` is the recorded reward, NaN where the log holds none
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mistake:
    """Where, by the judgement of an annotator, a failed run went wrong."""

    agent: str
    message: int  # index into the log's list of messages; -1 where it is missing or no number
    step: int  # the step that this message asks for or is the reply of; -1 where there is none
    reason: str


@dataclass(frozen=True, slots=True)
class RecordedTask:
    """A task with its recorded runs, in order of trial, and the annotation of a failure where the log has one."""

    task: Task
    runs: tuple[RecordedRun, ...]
    source: str  # file that it was read from
    mistake: Mistake | None = None


@dataclass(frozen=True, slots=True)
class ImportedRuns:
    """What an importer read. `problems` names each log that was left out and why; empty unless that was asked for."""

    tasks: tuple[RecordedTask, ...]
    problems: tuple[str, ...] = ()


def recorded_rollout(recorded: RecordedTask) -> Rollout:
    """The runs of a task as the K teams of one rollout without a memory bank. Seconds are zero where none are recorded.

    The final answer is the first team's that has one, as no aggregator was recorded; `outcome.score` and `reward_agg`
    are the mean recorded reward of the teams (what picking a team at random gives), NaN if a reward is missing.
    """
    answers = tuple(replace(run.answer, team=team) for team, run in enumerate(recorded.runs))
    outcome = mean_outcome([run.outcome for run in recorded.runs])
    first = recorded.runs[0].outcome if recorded.runs else Outcome(math.nan, False)
    text = next((answer.text for answer in answers if answer.text), "")
    stop_reason = answers[0].stop_reason if answers else StopReason.CRASHED
    seconds = max((answer.seconds for answer in answers), default=0.0)
    return Rollout(
        task=recorded.task,
        coordinates=Coordinates(seed=0, iteration=0, task=recorded.task.task_id, rollout=0),
        num_teams=len(recorded.runs),
        steps=tuple(_whole_step(item, team) for team, run in enumerate(recorded.runs) for item in run.steps),
        decisions=(),
        entries=(),
        pulls=(),
        answers=answers,
        final=Answer(team=-1, text=text, seconds=seconds, stop_reason=stop_reason),
        outcome=outcome,
        first_outcome=first,
        reward_agg=outcome.score,
        reward_first=first.score,
        seconds=seconds,
        clock="real" if seconds else "none",
        policy="recorded",
        stop_reason=stop_reason,
    )


def _whole_step(item: RecordedStep, team: int) -> Step:
    """The step of a team, with all that was written: what was said beside a call stands before it."""
    return replace(item.step, team=team, action="\n".join(filter(None, (item.said, item.step.action))))


def mean_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """The mean score of several recorded outcomes: NaN if one is missing or there is none."""
    if not outcomes:
        return Outcome(math.nan, False, "no recorded run")
    score = sum(outcome.score for outcome in outcomes) / len(outcomes)
    return Outcome(score, any(outcome.answered for outcome in outcomes), "mean of the recorded rewards")
