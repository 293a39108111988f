"""`lts rollout`: one task, told step by step."""

import asyncio
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from lts_jax.commands.world import find_task
from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import Arm
from lts_jax.records import EARLIER, Choice, Coordinates, Edit, ModelCall, Rollout, Task
from lts_jax.rollouts.failed_calls import common_failure, endpoint_failure
from lts_jax.rollouts.store import write_rollouts
from lts_jax.systems.comparison import LEARNED, ComparisonSettings, line_name, make_arm, make_policy
from lts_jax.systems.lts import learned_policy, trained_params
from lts_jax.systems.run_folder import RunFolder, read_settings
from lts_jax.systems.run_parts import RunParts, make_parts
from lts_jax.systems.train_settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Command:
    """Run one task with parallel teams and tell what each did, admitted and pulled, in order of time."""

    task: str | None = None
    """Id of a task of the offline world, or of a tested one of a benchmark or file; the first test task by default."""
    policy: str = "all"
    """Admission: a line of the comparison, such as all, random, similarity, m1_parallel, magentic_one, lts."""
    run: Path | None = None
    """Run folder whose trained controller (and settings) to use; needed for --policy lts."""
    number: int = 0
    """Number of the rollout: another number, other random draws."""
    progress: bool = False
    """Tell each call of the model as it ends, on standard error: for models that take their time."""
    config: Path | None = None
    """A run's config.json, or its folder: its settings in place of the defaults."""
    out: Path | None = None
    """Also store the rollout in this Parquet file."""
    train: Annotated[TrainSettings, tyro.conf.arg(name="")] = field(default_factory=TrainSettings)


def run(command: Command) -> None:
    """Run and tell.

    Raises:
        UserError: a wrong setting; or the endpoint failed, which is told after what was done until then.
    """
    if command.run is not None and command.train != TrainSettings():
        raise UserError("with --run the settings of that run are used; leave out the others")
    if command.out is not None and command.out.is_dir():
        raise UserError(f"{command.out}: is a folder; --out needs the name of a file")
    training = command.train if command.run is None else read_settings(command.run, TrainSettings)
    parts = make_parts(training)
    parts.check_world()
    task = _task(command, parts)
    if command.policy != LEARNED:
        policy = make_policy(line_name(command.policy, where="policy"), parts, ComparisonSettings())
    elif command.run is None:
        raise UserError("--policy lts needs --run, the folder of a trained controller")
    else:
        policy = learned_policy(parts, trained_params(RunFolder(command.run), parts))
    arm = make_arm(command.policy, parts, policy)
    if command.progress:
        arm = replace(arm, parts=replace(arm.parts, on_call=_tell_call))
    coordinates = Coordinates(training.seed, 0, task.task_id, command.number)
    rollout = asyncio.run(_run(arm, task, coordinates))
    print(tell(rollout))
    if command.out is not None:
        write_rollouts(command.out, [rollout])
        print(f"stored in {command.out}")
    refused = endpoint_failure(rollout.calls) or ((reason := common_failure(rollout.calls)) and reason.told())
    if refused:
        raise UserError(refused)


def _task(command: Command, parts: RunParts) -> Task:
    training = parts.settings
    if not training.tasks.is_live and command.task is not None:
        return find_task(command.task, training.world_seed)
    tasks = parts.tasks("test", 1)
    if command.task is None:
        return tasks[0]
    found = [task for task in tasks if task.task_id == command.task]
    if not found:
        raise UserError(f"no task {command.task!r} among the {len(tasks)} tested; one is {tasks[0].task_id}")
    return found[0]


async def _run(arm: Arm, task: Task, coordinates: Coordinates) -> Rollout:
    from lts_jax.rollouts.rollout import run_rollout

    try:
        return await run_rollout(task, coordinates, arm.parts, arm.rollout)
    finally:
        if arm.parts.tool_kit is not None:
            await arm.parts.tool_kit.aclose()


def _tell_call(call: ModelCall) -> None:
    """One line of a call that has ended."""
    who = "all teams" if call.team < 0 else f"team {call.team} step {call.step}"
    said = call.error or " ".join(call.reply.split())
    counts = f"{call.prompt_tokens}+{call.completion_tokens} tokens, {call.seconds:.1f} s"
    line = f"{call.started_seconds + call.seconds:7.1f} s  {who} {call.purpose} ({counts}): {said}"
    print(_cut(line, 150), file=sys.stderr, flush=True)


def tell(rollout: Rollout, width: int = 150) -> str:
    """A rollout as lines of text in order of time: steps, admissions, pulls, edits, what teams keep, answers."""
    events: list[tuple[float, str]] = []
    for step in rollout.steps:
        failed = " FAILED" if step.failed else ""
        text = f"team {step.team} step {step.step} {step.agent}{failed}: {step.instruction}"
        events.append((step.finished_seconds, f"{text}\n{'':>10}-> {step.summary or _first_line(step.output)}"))
    for entry in rollout.entries:
        done = f"team {entry.team} step {entry.step} ADMITTED as [{entry.entry}]"
        left = f"AN EARLIER TASK LEFT [{entry.entry}]: {entry.key}"
        events.append((entry.seconds, left if entry.team == EARLIER else done))
    for pull in rollout.pulls:
        writer = "an earlier task" if pull.writer == EARLIER else f"team {pull.writer}"
        events.append((pull.seconds, f"team {pull.reader} step {pull.step} PULLS [{pull.entry}] of {writer}"))
    events += [(choice.seconds, _choice(choice)) for choice in rollout.choices]
    for own, edits in (("", rollout.edits), *((" of its own", drawer.edits) for drawer in rollout.drawers)):
        events += [(edit.seconds, _edit(edit, own)) for edit in edits]
    for drawer in rollout.drawers:
        events += [(entry.seconds, f"team {entry.team} KEEPS [{entry.entry}]: {entry.key}") for entry in drawer.entries]
    for answer in rollout.answers:
        events.append((answer.seconds, f"team {answer.team} ANSWERS {answer.text!r} ({answer.stop_reason})"))
    lines = [f"{rollout.task.task_id} ({rollout.task.difficulty}): {rollout.task.question}", ""]
    for seconds, text in sorted(events, key=lambda event: event[0]):
        first, *rest = text.split("\n")
        lines += [f"{seconds:7.1f} s  {_cut(first, width)}", *(_cut(line, width) for line in rest)]
    lines += [
        f"{rollout.seconds:7.1f} s  AGGREGATED: {rollout.final.text!r}",
        "",
        f"reference {rollout.task.answer!r}: score {rollout.reward_agg:.3f} "
        f"(first finisher {rollout.reward_first:.3f}); "
        f"{len(rollout.steps)} steps, {len(rollout.entries)} entries, {len(rollout.pulls)} pulls, "
        f"{rollout.tokens} tokens, {rollout.clock} time",
    ]
    errors = [call.error for call in rollout.calls if call.error]
    if errors:
        lines.append(f"{len(errors)} of {len(rollout.calls)} model calls failed, the first with: {errors[0]}")
    return "\n".join(lines)


def _choice(choice: Choice) -> str:
    scores = choice.scores or (None,) * len(choice.chosen)
    taken = [
        f"[{entry}]{'' if score is None else f' {score:.2f}'}"
        for entry, score in zip(choice.chosen, scores, strict=True)
        if entry in choice.taken
    ]
    return (
        f"team {choice.team} step {choice.step} READS {', '.join(taken) or 'nothing'} of {len(choice.offered)} offered"
    )


def _edit(edit: Edit, own: str) -> str:
    done = "TAKES OUT" if edit.successor is None else "REPLACES"
    instead = "" if edit.successor is None else f" by [{edit.successor}]"
    return f"team {edit.team} step {edit.step} {done} [{edit.entry}]{own}{instead}"


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
