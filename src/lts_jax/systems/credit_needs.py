"""What a credit scheme asks of text-side training beyond the rollouts: refused early, or provided."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from lts_jax.bridge.flips import ReplayChoice, flip_decisions
from lts_jax.bridge.futures import regroup_decisions
from lts_jax.bridge.stored_replays import NUM_FUTURES
from lts_jax.credit.check import check_credit, needs
from lts_jax.credit.contract import CreditFn
from lts_jax.errors import UserError
from lts_jax.records import RolloutGroup
from lts_jax.rollouts.collect import RolloutCounter
from lts_jax.rollouts.rollout import RolloutParts
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.trajectory import Trajectory


def check_needs(
    name: str, credit: CreditFn, *, num_teams: int, has_value_head: bool, is_simulated: bool
) -> frozenset[str]:
    """Refuse a scheme that breaks its contract or needs what this training has not.

    Returns:
        which of `flipped` and `regrouped` the scheme needs.

    Raises:
        UserError: one line that names the scheme.
    """
    check_credit(name, credit, num_teams)
    needed = needs(credit)
    if "value_gkt" in needed and not has_value_head:
        raise UserError(
            f"credit scheme {name}: needs a value head; set --controller 'set_transformer(value_head=true)'"
        )
    unknown = sorted(needed - {"value_gkt", "flipped", "regrouped"})
    if unknown:
        raise UserError(
            f"credit scheme {name}: needs {', '.join(unknown)}, which only the simulator makes; use lts sweep"
        )
    replayed = needed - {"value_gkt"}
    if replayed and not is_simulated:
        raise UserError(f"credit scheme {name}: replays rollouts, and a live model meets no world twice")
    return replayed


def with_replays(
    needed: frozenset[str],
    groups: Sequence[RolloutGroup],
    trajectory: Trajectory,
    parts: RolloutParts,
    settings: TrainSettings,
    counter: RolloutCounter,
) -> Trajectory:
    """The trajectories [B, G, K, T] of these groups with what a scheme needs: rollouts more for each decision."""
    choice = ReplayChoice("all", counter=counter)
    made_by: dict[str, Callable[..., Any]] = {
        "flipped": flip_decisions,
        "regrouped": partial(regroup_decisions, num_futures=NUM_FUTURES),
    }
    made: dict[str, list[Any]] = {
        name: [make(group, parts, settings.rollout, settings.padding, choice) for group in groups]
        for name, make in made_by.items()
        if name in needed
    }
    return replace(trajectory, **{name: jax.tree.map(_stack, *records) for name, records in made.items()})


def _stack(*arrays: Any) -> np.ndarray:
    return np.stack([np.asarray(array) for array in arrays])
