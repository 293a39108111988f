"""The credit of every step of a finished run, by any scheme, as rows that other trainers can read."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from lts_jax.bridge.collate import CollateSettings, collate
from lts_jax.bridge.stored_replays import KINDS
from lts_jax.credit.check import check_credit, needs
from lts_jax.credit.contract import CreditFn
from lts_jax.credit.schemes import bind, scheme
from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import arm_folder
from lts_jax.records import Rollout, RolloutGroup
from lts_jax.rollouts.store import read_folder
from lts_jax.systems.kept_replays import TRAINING
from lts_jax.systems.run_folder import RunFolder
from lts_jax.systems.train_settings import TrainSettings


class _NoText:
    """Credit never meets a text: an encoder of width 1 that reads none."""

    dim = 1

    def encode(self, texts: Any) -> np.ndarray:
        return np.ones((len(texts), 1), np.float32)


def stored_groups(folder: RunFolder, line: str) -> list[RolloutGroup]:
    """The groups of a run: those that were trained on, or those of a line of its evaluation.

    Raises:
        UserError: there are none.
    """
    place = folder.rollouts if line == TRAINING else arm_folder(folder.evaluation, line)
    found = list(read_folder(place)) if place.exists() else []
    if not found:
        raise UserError(f"{place}: holds no rollouts; expected training, or a line that was evaluated")
    return found


Replays = Callable[[RolloutGroup, str], Any]
"""(group, kind of replay) -> what a scheme reads of it; see `kept_replays`."""


def stored_scheme(name: str, settings: TrainSettings) -> tuple[str, CreditFn, frozenset[str]]:
    """A scheme that is tried before anything is done: its text, its function, what it needs beyond the rollouts.

    Raises:
        UserError: one that breaks its contract.
    """
    part = scheme(name)
    credit = bind(part, first_weight=settings.learning.first_weight)
    check_credit(part.text, credit, settings.rollout.num_teams)
    return part.text, credit, needs(credit)


def credited_steps(
    groups: Iterable[RolloutGroup], name: str, settings: TrainSettings, replays: Replays | None = None
) -> Iterator[dict[str, Any]]:
    """One row for each step of these groups, in order of group, rollout, team and step; credit is zero where nothing
    was decided.

    Args:
        groups: rollouts of one task each; a scheme compares those of a group with each other.
        name: the credit scheme.
        settings: of the run, for its padding and weights.
        replays: what gives the replays that a scheme needs.

    Raises:
        UserError: a scheme that needs what a finished run has not: values, or replays where nothing gives any.
    """
    text, credit, needed = stored_scheme(name, settings)
    kinds = needed & set(KINDS) if replays is not None else frozenset()
    lacking = sorted(needed - kinds)
    if lacking:
        raise UserError(f"credit scheme {text}: needs {', '.join(lacking)}, which a stored run has not")
    padding: CollateSettings = settings.padding
    compiled = jax.jit(credit)
    for group in groups:
        trajectory, _ = collate(group, _NoText(), padding)
        if replays is not None:
            trajectory = replace(trajectory, **{kind: replays(group, kind) for kind in sorted(kinds)})
        credit_gkt = np.asarray(compiled(trajectory), np.float64)
        for place, rollout in enumerate(group.rollouts):
            yield from _rows(rollout, credit_gkt[place])


def _rows(rollout: Rollout, credit_kt: np.ndarray) -> Iterator[dict[str, Any]]:
    decided = {(one.team, one.step): one for one in rollout.decisions}
    place = rollout.coordinates
    for step in sorted(rollout.steps, key=lambda one: (one.team, one.step)):
        decision = decided.get((step.team, step.step))
        yield {
            "iteration": place.iteration,
            "task": rollout.task.task_id,
            "rollout": place.rollout,
            "team": step.team,
            "step": step.step,
            "agent": step.agent,
            "question": rollout.task.question,
            "instruction": step.instruction,
            "action": step.action,
            "output": step.output,
            "summary": step.summary,
            "failed": step.failed,
            "decided": decision is not None,
            "admitted": decision is not None and decision.action == 1,
            "admit_probability": float("nan") if decision is None else decision.admit_probability,
            "credit": float(credit_kt[step.team, step.step]) if decision is not None else 0.0,
            "reward": rollout.reward_agg,
            "answer": rollout.answers[step.team].text,
            "reference": rollout.task.answer,
        }


Row = Mapping[str, Any]
"""One step, as `credited_steps` gives it."""
