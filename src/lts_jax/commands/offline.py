"""`lts offline`: what other admission policies would have been worth, from a run's stored rollouts alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from lts_jax.admission.rules import make_rule
from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import EvaluationSettings, evaluate
from lts_jax.evaluation.off_policy import Estimate, estimates
from lts_jax.evaluation.statistics import Interval, mean_interval
from lts_jax.records import Rollout, RolloutGroup
from lts_jax.reports.text import interval, number, plain_table, wrapped
from lts_jax.systems.comparison import ComparisonSettings, line_name, make_arm, make_policy
from lts_jax.systems.logged_decisions import logged_decisions
from lts_jax.systems.run_folder import RunFolder, read_settings
from lts_jax.systems.run_parts import RunParts, make_parts
from lts_jax.systems.step_credit import TRAINING, stored_groups
from lts_jax.systems.train_settings import TrainSettings

OUTCOMES = {"score": "+.3f", "seconds": "+.1f"}
NOTE = (
    "Differences from the logging policy, with 95 % intervals over tasks. The first three estimates change one "
    "decision at a time: exact where decisions add up. The whole trajectory is exact, with as many rollouts left as "
    "are named."
)


@dataclass(frozen=True, slots=True)
class Command:
    """Estimate what policies would have been worth from rollouts in which chance decided; nothing is run.

    `lts offline runs/ours --policies all "similarity(threshold=0.6)" --truth 3`
    """

    run: tyro.conf.Positional[Path]
    """Run folder."""
    policies: tuple[str, ...] = ("all", "similarity(threshold=0.6)")
    """Admission rules that ask no model: all, random(rate=0.3), similarity(threshold=0.6), mine.py:function."""
    line: str = TRAINING
    """training, or a line of the evaluation in which chance decided, such as random."""
    truth: int = 0
    """Also run each policy this many times on the same tasks, to hold the estimates against: the simulated model's."""

    def __post_init__(self) -> None:
        if self.truth < 0:
            raise UserError(f"truth: expected at least 0, got {self.truth}")


def run(command: Command) -> None:
    """Read, estimate, print."""
    parts = make_parts(read_settings(command.run, TrainSettings))
    if command.truth and not parts.virtual_time:
        raise UserError("truth: expected the simulated model, whose world can be met again")
    groups = stored_groups(RunFolder(command.run), command.line)
    for name in command.policies:
        print(told(name, parts, groups, command.truth), end="\n\n")
    print(wrapped(NOTE))


def told(name: str, parts: RunParts, groups: Sequence[RolloutGroup], num_truth: int) -> str:
    """One policy's table: a row an estimate, and the truth where it is asked for."""
    text = line_name(name)
    logged = logged_decisions(groups, make_rule(text, parts.encoder), parts.encoder, tuple(OUTCOMES))
    found = {outcome: estimates(one) for outcome, one in logged.items()}
    true = true_differences(text, parts, groups, num_truth) if num_truth else {}
    rows = [
        [
            kind.name,
            *(interval(found[outcome][place].difference, form) for outcome, form in OUTCOMES.items()),
            _left(kind),
        ]
        for place, kind in enumerate(found["score"])
    ]
    if true:
        rows.append(["simulated truth", *(interval(true[outcome], form) for outcome, form in OUTCOMES.items()), ""])
    return plain_table([text, *OUTCOMES, "rollouts"], rows)


def true_differences(
    name: str, parts: RunParts, groups: Sequence[RolloutGroup], num_rollouts: int
) -> dict[str, Interval]:
    """The policy run on the same tasks, less what was logged there, by outcome."""
    tasks = tuple({group.task.task_id: group.task for group in groups}.values())
    arm = make_arm(name, parts, make_policy(name, parts, ComparisonSettings()))
    rollouts = evaluate([arm], tasks, EvaluationSettings(len(tasks), num_rollouts))[name]
    return {outcome: _difference(rollouts, groups, outcome) for outcome in OUTCOMES}


def _difference(rollouts: Sequence[Rollout], groups: Sequence[RolloutGroup], outcome: str) -> Interval:
    logged: dict[str, list[float]] = {}
    for group in groups:
        logged.setdefault(group.task.task_id, []).extend(_outcome(one, outcome) for one in group.rollouts)
    values = [_outcome(one, outcome) - float(np.mean(logged[one.task.task_id])) for one in rollouts]
    return mean_interval(values, [one.task.task_id for one in rollouts])


def _outcome(rollout: Rollout, outcome: str) -> float:
    return rollout.reward_agg if outcome == "score" else rollout.seconds


def _left(kind: Estimate) -> str:
    return number(kind.effective_rollouts, ".0f" if kind.effective_rollouts >= 10 else ".1f")
