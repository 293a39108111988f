"""What a credit scheme asks of text-side training beyond the rollouts: refused early, or provided."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lts_jax.credit.check import check_credit, needs
from lts_jax.credit.contract import CreditFn
from lts_jax.errors import UserError
from lts_jax.records import RolloutGroup
from lts_jax.rollouts.collate import CollateSettings
from lts_jax.rollouts.collect import RolloutCounter
from lts_jax.rollouts.flips import flip_decisions
from lts_jax.rollouts.rollout import RolloutParts, RolloutSettings
from lts_jax.trajectory import FlippedRollouts, Trajectory


def checked_needs(name: str, credit: CreditFn, *, num_teams: int, has_value_head: bool, is_simulated: bool) -> bool:
    """Refuse a scheme that breaks its contract or needs what this training has not.

    Returns:
        whether the scheme needs every decision flipped.

    Raises:
        UserError: one line that names the scheme.
    """
    check_credit(name, credit, num_teams)
    needed = needs(credit)
    if "value_gkt" in needed and not has_value_head:
        raise UserError(f"credit scheme {name}: needs a value head; set --network.value-head True")
    unknown = sorted(needed - {"value_gkt", "flipped"})
    if unknown:
        raise UserError(
            f"credit scheme {name}: needs {', '.join(unknown)}, which only the simulator makes; use lts sweep"
        )
    if "flipped" in needed and not is_simulated:
        raise UserError(f"credit scheme {name}: replays rollouts, and a live model meets no world twice")
    return "flipped" in needed


def with_flips(
    groups: Sequence[RolloutGroup],
    trajectory: Trajectory,
    parts: RolloutParts,
    settings: RolloutSettings,
    padding: CollateSettings,
    counter: RolloutCounter,
) -> Trajectory:
    """The trajectories [B, G, K, T] of these groups with every decision flipped: one more rollout per decision."""
    flipped = [flip_decisions(group, parts, settings, padding, only="all", counter=counter) for group in groups]
    names = FlippedRollouts.__dataclass_fields__
    stacked = {name: np.stack([np.asarray(getattr(one, name)) for one in flipped]) for name in names}
    return replace(trajectory, flipped=FlippedRollouts(**stacked))  # type: ignore[arg-type]
