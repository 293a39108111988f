"""Credit from replays: the rollout as it was against the rollout as it would have been.

These schemes need what only a simulator or simulated teams can afford: the same rollout again with one decision turned,
with a part of its bank, or with fresh randomness from the same state.
"""

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import Number, admission_mask, check_number, per_decision, require
from lts_jax.credit.group_relative import Divisor, standard_deviation, subtract_mean
from lts_jax.credit.returns import episode_return, mean_runtime, total_reward
from lts_jax.errors import UserError
from lts_jax.trajectory import Trajectory

FLIPPED = "flipped, which replays with one decision turned give"


def counterfactual(trajectory: Trajectory, *, first_weight: Number = 1.0, runtime_weight: Number = 0.0) -> Array:
    """a = (1 - pi(z)) * difference reward: COMA's counterfactual baseline, with replays in place of its critic.

    COMA (arXiv 1705.08926, Eq. 4) takes R less the policy's own mean over what might have been done in this place, all
    else kept: R(z) - sum_a pi(a) R(a), which for two actions is (1 - pi(z)) * (R(z) - R(other)), with pi(z) the
    probability that the taken action had. A decision that was taken for certain gets 0. On average the policy gradient
    is p (1 - p) (R(admit) - R(reject)), as under every baseline, so that a sparsity weight means the same here as under
    `leave_one_out`; under `difference_rewards` it is twice that. `runtime_weight` and what gets 0 as there. Of more
    than two actions one replay says too little, and `difference_rewards` has the right expectation.

    Args:
        trajectory: one group, arrays [G, K, T], with `flipped`.
        first_weight: lambda_first.
        runtime_weight: credit for one mean runtime saved; 0 leaves runtime out.

    Returns:
        f32[G, K, T].

    Raises:
        UserError: no `flipped`, or more than two actions.
    """
    require(trajectory.flipped, "counterfactual", FLIPPED)
    legal_gkta = trajectory.action_mask_gkta
    if legal_gkta is not None and legal_gkta.shape[-1] > 2:
        raise UserError(
            f"counterfactual: expected two actions, got {legal_gkta.shape[-1]}; difference_rewards is for more"
        )
    difference_gkt = difference_rewards(trajectory, first_weight=first_weight, runtime_weight=runtime_weight)
    return jnp.where(difference_gkt == 0.0, 0.0, -jnp.expm1(trajectory.behavior_log_prob_gkt) * difference_gkt)


def difference_rewards(trajectory: Trajectory, *, first_weight: Number = 1.0, runtime_weight: Number = 0.0) -> Array:
    """a = R - R(flipped) + runtime_weight * (runtime(flipped) - runtime) / mean runtime.

    Leave one entry out: for an admitted step, what the rollout lost when that one entry was withheld; for a rejected
    one, what it gained by having been rejected. The difference reward of Wolpert and Tumer (2002, "Optimal payoff
    functions for members of collectives"), whose default action is here the other one. Its mean is not 0 under the
    policy, and the policy gradient on average 2 p (1 - p) (R(admit) - R(reject)): twice that of a baseline, which is
    `counterfactual`. The mean runtime is over the counted rollouts. A decision that was not replayed, or whose replay
    has no reward, gets 0, and training leaves it out (`credit.answered`). No divisor, no epsilon, no group: a group of
    one and equal rewards make no difference.

    Args:
        trajectory: one group, arrays [G, K, T], with `flipped`.
        first_weight: lambda_first.
        runtime_weight: credit for one mean runtime saved; 0 leaves runtime out.

    Returns:
        f32[G, K, T].

    Raises:
        UserError: no `flipped`.
    """
    check_number("runtime_weight", runtime_weight)
    flipped = require(trajectory.flipped, "difference_rewards", FLIPPED)
    return_g, counted_g = episode_return(trajectory, first_weight=first_weight)
    flipped_gkt = total_reward(flipped.reward_agg_gkt, flipped.reward_first_gkt, first_weight=first_weight)
    saved_gkt = (flipped.runtime_gkt - trajectory.runtime_g[:, None, None]) / mean_runtime(trajectory, counted_g)
    worth_gkt = jnp.where(runtime_weight == 0.0, 0.0, runtime_weight * saved_gkt)
    difference_gkt = return_g[:, None, None] - flipped_gkt + worth_gkt
    return per_decision(jnp.where(jnp.isfinite(difference_gkt), difference_gkt, 0.0), trajectory, counted_g)


def shapley(trajectory: Trajectory, *, first_weight: Number = 1.0) -> Array:
    """a = mean over p of (v[p, b + 1] - v[p, b]) / (admitted steps of the rollout in block b of p), b the step's block.

    Shapley values of the admitted entries by sampled permutations (Castro et al., 2009), v = R_agg + first_weight *
    R_first of the rollout replayed with blocks 0 .. b - 1 alone. Entries of one block share its gain equally. For each
    permutation the credit of a rollout adds up to v(all) - v(none); an entry that changes nothing gets 0. Rejected
    steps get 0. A difference that is not a number stays out of the mean. No divisor, no epsilon, no group: a group of
    one and equal rewards make no difference.

    Args:
        trajectory: one group, arrays [G, K, T], with `coalitions`.
        first_weight: lambda_first.

    Returns:
        f32[G, K, T].

    Raises:
        UserError: no `coalitions`.
    """
    coalitions = require(trajectory.coalitions, "shapley", "coalitions, which replays with growing banks give")
    _, counted_g = episode_return(trajectory, first_weight=first_weight)
    value_gpc = total_reward(coalitions.reward_agg_gpc, coalitions.reward_first_gpc, first_weight=first_weight)
    gain_gpc = jnp.diff(value_gpc, axis=-1)
    num_blocks = gain_gpc.shape[-1]
    admitted_gkt = admission_mask(trajectory)
    block_gpkt = jnp.clip(coalitions.block_gpkt, 0, num_blocks - 1)
    in_block_gpktc = jax.nn.one_hot(block_gpkt, num_blocks) * admitted_gkt[:, None, :, :, None]
    share_gpc = gain_gpc / jnp.maximum(jnp.sum(in_block_gpktc, axis=(2, 3)), 1.0)
    block_gpx = block_gpkt.reshape(*gain_gpc.shape[:2], -1)  # x: all steps of all teams
    share_gpx = jnp.take_along_axis(share_gpc, block_gpx, axis=-1)
    known_gpx = jnp.isfinite(share_gpx)
    total_gx = jnp.sum(jnp.where(known_gpx, share_gpx, 0.0), axis=1)
    mean_gkt = (total_gx / jnp.maximum(jnp.sum(known_gpx, axis=1), 1)).reshape(admitted_gkt.shape)
    return per_decision(jnp.where(admitted_gkt, mean_gkt, 0.0), trajectory, counted_g)


def local_group(
    trajectory: Trajectory, *, first_weight: Number = 1.0, local_divisor: Divisor = "none", epsilon: Number = 1e-6
) -> Array:
    """a = (R - mean) / (std + epsilon), over the rollout and its re-rollouts from the state before this decision.

    The argument of Memory-R2: rollouts with different banks are different problems, so a decision is compared only
    with what else might have come from the same history and bank. By default only the mean is taken off, as dividing
    by the spread of so few re-rollouts weights decisions by chance; the result is then unbiased up to the constant
    M / (M + 1) for M re-rollouts, since the rollout is part of its own mean. Re-rollouts without a reward stay out; a
    decision that has none, a group of one that is, gets 0, and so do equal rewards.

    Args:
        trajectory: one group, arrays [G, K, T], with `regrouped`.
        first_weight: lambda_first.
        local_divisor: "none", "population" or "sample", as in `group_relative`, here over the M + 1 rollouts.
        epsilon: added to the standard deviation.

    Returns:
        f32[G, K, T].

    Raises:
        UserError: no `regrouped`.
        ValueError: unknown `local_divisor`.
    """
    regrouped = require(trajectory.regrouped, "local_group", "regrouped, which re-rollouts from before a decision give")
    return_g, counted_g = episode_return(trajectory, first_weight=first_weight)
    again_gmkt = total_reward(regrouped.reward_agg_gmkt, regrouped.reward_first_gmkt, first_weight=first_weight)
    itself_gmkt = jnp.broadcast_to(return_g[:, None, None, None], again_gmkt[:, :1].shape)
    member_gktm = jnp.moveaxis(jnp.concatenate([itself_gmkt, again_gmkt], axis=1), 1, -1)
    member_xm = member_gktm.reshape(-1, member_gktm.shape[-1])  # x: all decisions
    known_xm = jnp.isfinite(member_xm)
    member_xm = jnp.where(known_xm, member_xm, 0.0)
    deviation_x = jax.vmap(subtract_mean)(member_xm, known_xm)[:, 0]
    scale_x = jax.vmap(lambda value, known: standard_deviation(value, known, divisor=local_divisor, epsilon=epsilon))(
        member_xm, known_xm
    )
    return per_decision((deviation_x / scale_x).reshape(member_gktm.shape[:-1]), trajectory, counted_g)
