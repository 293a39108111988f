"""What a rollout costs, as part of its return: seconds, tokens, dollars, each as a share of its group's mean.

    R_g = R_agg - runtime_weight * s_g / mean(s) - token_weight * n_g / mean(n) - dollar_weight * u_g / mean(u)

with s seconds, n tokens and u dollars of rollout g, means over the counted rollouts of its group. So a weight is what
the whole of a cost is worth in units of R_agg, to which a return may add first_weight * R_first as before. What asks
for R > 0 asks it of this return. LTS (arXiv 2602.05965) has no costs: all weights 0.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import Number
from lts_jax.credit.returns import total_reward
from lts_jax.errors import UserError
from lts_jax.trajectory import Trajectory

COSTS = ("runtime", "token", "dollar")


def share_of_mean(cost_g: Array, counted_g: Array) -> Array:
    """f32[G] cost over the mean cost of the counted rollouts; 0 where the mean is 0 or nothing counts."""
    mean = jnp.sum(jnp.where(counted_g, cost_g, 0.0)) / jnp.maximum(jnp.sum(counted_g), 1)
    return jnp.where(counted_g & (mean > 0.0), cost_g / jnp.where(mean > 0.0, mean, 1.0), 0.0)


def cost_of(trajectory: Trajectory, cost: str) -> Array:
    """f32[G] seconds, tokens or dollars of each rollout.

    Raises:
        UserError: this trajectory does not know it.
    """
    found = {"runtime": trajectory.runtime_g, "token": trajectory.tokens_g, "dollar": trajectory.usd_g}[cost]
    if found is None:
        raise UserError(f"learning.{cost}_weight: the simulator counts no {cost}s; use lts train, or set it to 0")
    return found


def charged_costs(trajectory: Trajectory, weights: dict[str, Number]) -> dict[str, Number]:
    """The weights that cost anything; a plain 0 does not.

    Raises:
        UserError: a weight for what this trajectory does not know.
    """
    charged = {cost: weight for cost, weight in weights.items() if not (isinstance(weight, float) and weight == 0.0)}
    for cost in charged:
        cost_of(trajectory, cost)
    return charged


def with_costs(trajectory: Trajectory, weights: dict[str, Number], *, first_weight: Number = 1.0) -> Trajectory:
    """One group with its costs taken off the aggregated reward, in its rollouts and in all that is replayed of them.

    Replays are measured against the mean of the group's own rollouts, so that a difference is a difference in cost.

    Args:
        trajectory: one group.
        weights: of the `COSTS`, at least 0; may be traced. A plain 0 costs nothing.
        first_weight: lambda_first of the return; unless it is 0, a rollout without R_first does not count.

    Raises:
        UserError: a weight for what this trajectory does not know.
    """
    charged = charged_costs(trajectory, weights)
    if not charged:
        return trajectory
    return_g = total_reward(trajectory.reward_agg_g, trajectory.reward_first_g, first_weight=first_weight)
    counted_g = trajectory.rollout_mask_g & jnp.isfinite(return_g)
    reward_g = trajectory.reward_agg_g
    for cost, weight in charged.items():
        reward_g = reward_g - weight * share_of_mean(cost_of(trajectory, cost), counted_g)
    return replace(_with_costly_replays(trajectory, charged, counted_g), reward_agg_g=reward_g)


def _with_costly_replays(trajectory: Trajectory, weights: dict[str, Number], counted_g: Array) -> Trajectory:
    replayed = {"flipped": "gkt", "coalitions": "gpc", "regrouped": "gmkt"}
    present = {name: letters for name, letters in replayed.items() if getattr(trajectory, name) is not None}
    if not present:
        return trajectory
    if set(weights) - {"runtime"}:
        raise UserError("learning.token_weight, learning.dollar_weight: replays count neither; set them to 0")
    mean = jnp.sum(jnp.where(counted_g, trajectory.runtime_g, 0.0)) / jnp.maximum(jnp.sum(counted_g), 1)
    weight = weights["runtime"] / jnp.where(mean > 0.0, mean, 1.0)
    changed = {}
    for name, letters in present.items():
        record = getattr(trajectory, name)
        reward, runtime = getattr(record, f"reward_agg_{letters}"), getattr(record, f"runtime_{letters}")
        if runtime is None:
            raise UserError(f"learning.runtime_weight: these {name} rollouts were not timed; set it to 0")
        changed[name] = replace(record, **{f"reward_agg_{letters}": reward - weight * runtime})
    return replace(trajectory, **changed)


def over_tasks(trajectory: Trajectory, weights: dict[str, Number], *, first_weight: Number = 1.0) -> Trajectory:
    """`with_costs` for B groups [B, G, ...]."""
    if not charged_costs(trajectory, weights):
        return trajectory
    return jax.vmap(lambda group: with_costs(group, weights, first_weight=first_weight))(trajectory)
