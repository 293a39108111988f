"""What edits add to the arrays of a group: which entries each decision still saw, what was legal, and what it was of.

With place(d) of a decision and died(n) of an entry as `memory.lives.places_in_order` gives them, a decision sees entry
n iff n < num_keys and died(n) > place(d). Legal are always to do nothing and to add, and to update or to delete where
it sees an entry; these point at an entry that it sees.
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
    """Whether an entry was edited in any of them, or could have been."""
    return any(one.may_edit or one.edits or any(taken.action in EDITS for taken in one.decisions) for one in rollouts)


def edit_arrays(
    rollouts: Sequence[Rollout], shape: tuple[int, int, int], max_entries: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of a group's `Trajectory`, and of its `DecisionContext`.

    Args:
        rollouts: G of them.
        shape: (G, K, T).
        max_entries: N; J = N + 3.

    Raises:
        ValueError: one line: an action that a bank does not know, or an edit of what its decision did not see.
    """
    num_targets = max_entries + NUM_STEP_TEXTS
    action_mask = np.zeros((*shape, NUM_ACTIONS), bool)
    action_mask[..., NOOP] = True  # of padding too, so that no softmax is empty
    target, target_mask = np.full(shape, NO_TARGET, np.int32), np.zeros((*shape, num_targets), bool)
    sequence, died = np.zeros(shape, np.int32), np.full((shape[0], max_entries), ALIVE, np.int32)
    for index, rollout in enumerate(rollouts):
        places, ends = places_in_order(rollout.decisions, rollout.edits)
        for entry, place in ends.items():
            died[index, entry] = place
        for decision, place in zip(rollout.decisions, places, strict=True):
            at = (index, decision.team, decision.step)
            seen = np.flatnonzero(died[index, : decision.num_keys] > place)
            _check(decision, seen)
            sequence[at], target[at] = place, decision.target
            action_mask[at][[ADD, *(EDITS if seen.size else ())]] = True
            if decision.action in EDITS:
                target_mask[at][seen] = True
    trajectory = {"action_mask_gkta": action_mask, "target_gkt": target, "target_mask_gktj": target_mask}
    return trajectory, {"died_gn": died, "sequence_gkt": sequence}


def _check(decision: Decision, seen: np.ndarray) -> None:
    where = f"decision {decision.sequence}"
    if not 0 <= decision.action < NUM_ACTIONS:
        raise ValueError(f"{where}: expected an action from 0 to {NUM_ACTIONS - 1}, got {decision.action}")
    if decision.action in (UPDATE, DELETE) and decision.target not in seen:
        told = ", ".join(map(str, seen)) or "none"
        name = ACTIONS[decision.action]
        raise ValueError(f"{where}: expected {name} of an entry that it sees ({told}), got {decision.target}")
