"""What edits add to the arrays of a group: which entries each decision still saw, what was legal, and what it was of.

With place(d) of a decision and died(n) of an entry as `memory.lives.places_in_order` gives them, a decision sees entry
n iff n < num_keys and died(n) > place(d). Legal are always to do nothing and to add, and to update or to delete where
it sees an entry; these point at an entry that it sees. Where entries end by merging alone, nothing is chosen but
whether to add: then there are lives, and neither masks nor targets.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lts_jax.actions import ACTIONS, ADD, DELETE, NO_TARGET, NOOP, UPDATE
from lts_jax.memory.lives import places_in_order
from lts_jax.records import EDITS, Decision, Rollout
from lts_jax.trajectory import ALIVE

NUM_ACTIONS = 4
"""Of a bank that is edited: do nothing, add, update, delete."""

NUM_STEP_TEXTS = 3
"""Behind the entries among what an action could point at; no action on a bank of texts does."""


def has_edits(rollouts: Sequence[Rollout]) -> bool:
    """Whether an edit was chosen in any of them, or could have been."""
    return any(one.may_edit or any(taken.action in EDITS for taken in one.decisions) for one in rollouts)


def has_lives(rollouts: Sequence[Rollout]) -> bool:
    """Whether an entry ended in any of them, or could have: by an edit, or because it was merged."""
    return has_edits(rollouts) or any(one.edits for one in rollouts)


def life_arrays(rollouts: Sequence[Rollout], shape: tuple[int, int, int], max_entries: int) -> dict[str, Any]:
    """Fields of a group's `DecisionContext`: which entries each decision still saw.

    Args:
        rollouts: G of them.
        shape: (G, K, T).
        max_entries: N.
    """
    sequence, died = np.zeros(shape, np.int32), np.full((shape[0], max_entries), ALIVE, np.int32)
    for index, rollout in enumerate(rollouts):
        places, ends = places_in_order(rollout.decisions, rollout.edits)
        for entry, place in ends.items():
            died[index, entry] = place
        for decision, place in zip(rollout.decisions, places, strict=True):
            sequence[index, decision.team, decision.step] = place
    return {"died_gn": died, "sequence_gkt": sequence}


def edit_arrays(rollouts: Sequence[Rollout], lives: dict[str, Any]) -> dict[str, Any]:
    """Fields of a group's `Trajectory`: what was legal, and what an action was of; `lives` as of `life_arrays`.

    Raises:
        ValueError: one line: an action that a bank does not know, or an edit of what its decision did not see.
    """
    sequence, died = lives["sequence_gkt"], lives["died_gn"]
    action_mask = np.zeros((*sequence.shape, NUM_ACTIONS), bool)
    action_mask[..., NOOP] = True  # of padding too, so that no softmax is empty
    target = np.full(sequence.shape, NO_TARGET, np.int32)
    target_mask = np.zeros((*sequence.shape, died.shape[1] + NUM_STEP_TEXTS), bool)
    for index, rollout in enumerate(rollouts):
        for decision in rollout.decisions:
            at = (index, decision.team, decision.step)
            seen = np.flatnonzero(died[index, : decision.num_keys] > sequence[at])
            _check(decision, seen)
            target[at] = decision.target
            action_mask[at][[ADD, *(EDITS if seen.size else ())]] = True
            if decision.action in EDITS:
                target_mask[at][seen] = True
    return {"action_mask_gkta": action_mask, "target_gkt": target, "target_mask_gktj": target_mask}


def _check(decision: Decision, seen: np.ndarray) -> None:
    where = f"decision {decision.sequence}"
    if not 0 <= decision.action < NUM_ACTIONS:
        raise ValueError(f"{where}: expected an action from 0 to {NUM_ACTIONS - 1}, got {decision.action}")
    if decision.action in (UPDATE, DELETE) and decision.target not in seen:
        told = ", ".join(map(str, seen)) or "none"
        name = ACTIONS[decision.action]
        raise ValueError(f"{where}: expected {name} of an entry that it sees ({told}), got {decision.target}")
