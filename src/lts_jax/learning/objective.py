"""What an update lowers, and what a batch's credit looked like: arrays with a leading task axis B."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.credit.return_to_go import return_to_go
from lts_jax.credit.returns import episode_return
from lts_jax.errors import UserError
from lts_jax.learning import losses
from lts_jax.learning.settings import LearningSettings
from lts_jax.models.policy_network import Params, PolicyNetwork, need_lives
from lts_jax.trajectory import ADMIT, DecisionContext, Trajectory

Metrics = dict[str, Array]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Totals:
    """What the means of a batch divide by. With those of a whole batch, the losses of its parts add up to its own."""

    num_rollouts: Array  # i32[], counted ones
    num_decisions: Array  # i32[], of counted rollouts


class Batch(NamedTuple):
    """What a loss is taken of; arrays with a leading task axis B."""

    trajectory: Trajectory
    context: DecisionContext
    credit_bgkt: Array
    answered_bgkt: Array | None = None  # decisions that the scheme could judge; None: all of them


def totals_of(trajectory: Trajectory, *, first_weight: float) -> Totals:
    """Of a batch [B, G, ...]."""
    counted_bg, counted_bgkt = _counting_masks(trajectory, first_weight)
    return Totals(jnp.sum(counted_bg), jnp.sum(counted_bgkt))


def admission_loss(
    network: PolicyNetwork,
    settings: LearningSettings,
    params: Params,
    batch: Batch,
    frozen_arrays: Params = None,
    totals: Totals | None = None,
) -> tuple[Array, Metrics]:
    """L = mean over counted rollouts of sum_t (-log pi(z_t) * credit_t + sparsity_weight * pi(ADMIT))  (LTS Eq. 8-10).

    Where actions are masked or point at something, log pi(z_t) = log pi(a_t) + log pi(j_t | a_t) over what was legal.

    The sum is over the decisions that the credit scheme could judge: one that it needs a replay of, and that was not
    replayed, has no credit and pays no price. Minus `entropy_weight` times the entropy, an option of ours; plus, for
    a network with a value head, `value_weight` times the mean squared error of its values against the return to go.
    `totals` are those of the batch that this one is a part of; by default its own.

    Returns:
        the scalar loss, and its parts as metrics.
    """
    trajectory, context, credit_bgkt, answered_bgkt = batch
    totals = totals or totals_of(trajectory, first_weight=settings.first_weight)
    _, counted_bgkt = _counting_masks(trajectory, settings.first_weight)
    reduced = partial(
        losses.over_rollouts,
        counted_gkt=counted_bgkt if answered_bgkt is None else counted_bgkt & answered_bgkt,
        num_rollouts=totals.num_rollouts,
        step_reduction=settings.step_reduction,
    )
    mean = partial(_mean, where=counted_bgkt, count=totals.num_decisions)
    whole = network.join(params, frozen_arrays)
    if context.died_gn is not None:
        need_lives(network)
    logits = network.packed_logits(whole, context)
    mask = trajectory.action_mask_gkta
    if mask is not None and mask.shape[-1] != logits.shape[-1]:
        raise UserError(
            f"{network.name}: expected a network of {mask.shape[-1]} actions, as set_transformer(num_actions="
            f"{mask.shape[-1]}, targets=true), got {logits.shape[-1]}"
        )
    temperature = settings.temperature if settings.loss_temperature is None else settings.loss_temperature
    log_probs = losses.action_log_probs(logits, temperature=temperature, legal=trajectory.action_mask_gkta)
    policy_gradient = reduced(losses.policy_gradient_loss(log_probs, trajectory.action_gkt, credit_bgkt))
    pointed = _target_log_probs(network, whole, trajectory, context, temperature)
    if pointed is not None:
        policy_gradient = policy_gradient - reduced(pointed * jax.lax.stop_gradient(credit_bgkt))
    sparsity = reduced(losses.sparsity_loss(log_probs))
    entropy = reduced(losses.entropy(log_probs))
    loss = policy_gradient + settings.sparsity_weight * sparsity
    if not (isinstance(settings.entropy_weight, float) and settings.entropy_weight == 0.0):
        loss = loss - settings.entropy_weight * entropy
    taken = losses.log_prob_of(log_probs, trajectory.action_gkt) + (0.0 if pointed is None else pointed)
    metrics = {
        "learning/loss": loss,
        "learning/policy_gradient_loss": policy_gradient,
        "learning/sparsity_loss": sparsity,
        "learning/entropy": mean(losses.entropy(log_probs)),
        "learning/admit_probability": mean(jnp.exp(log_probs[..., ADMIT])),
        "learning/behavior_gap": mean(jnp.abs(taken - trajectory.behavior_log_prob_gkt)),
    }
    if network.packed_values is not None:
        to_go = jax.vmap(partial(return_to_go, first_weight=settings.first_weight, baseline=False))(trajectory)
        error = mean((network.packed_values(whole, context) - to_go) ** 2)
        metrics["learning/value_error"] = error
        metrics["learning/loss"] = loss = loss + settings.value_weight * error
    return loss, jax.lax.stop_gradient(metrics)


def _target_log_probs(
    network: PolicyNetwork, params: Params, trajectory: Trajectory, context: DecisionContext, temperature: float
) -> Array | None:
    """f32[B, G, K, T] log pi(j | a) of what the actions taken point at; None where none of them can.

    Raises:
        UserError: actions with targets, and a network that points at nothing.
    """
    if trajectory.target_gkt is None or trajectory.target_mask_gktj is None:
        return None
    if network.packed_targets is None:
        raise UserError(f"{network.name}: expected a network with targets, as set_transformer(targets=true), got none")
    return losses.target_log_prob(
        network.packed_targets(params, context),
        trajectory.target_gkt,
        trajectory.target_mask_gktj,
        temperature=temperature,
    )


def credit_metrics(trajectory: Trajectory, credit_bgkt: Array, *, first_weight: float) -> Metrics:
    """What the credit of a batch looked like; arrays with a leading task axis B."""
    return_bg, counted_bg = jax.vmap(partial(episode_return, first_weight=first_weight))(trajectory)
    _, counted_bgkt = _counting_masks(trajectory, first_weight)
    admitted_bgkt = counted_bgkt & (trajectory.action_gkt == ADMIT)
    mean = _mean(credit_bgkt, counted_bgkt)
    return {
        "credit/mean": mean,
        "credit/std": jnp.sqrt(_mean((credit_bgkt - mean) ** 2, counted_bgkt)),
        "credit/admitted_mean": _mean(credit_bgkt, admitted_bgkt),
        "credit/rejected_mean": _mean(credit_bgkt, counted_bgkt & ~admitted_bgkt),
        "credit/return_mean": _mean(return_bg, counted_bg),
        "credit/counted_fraction": jnp.mean(counted_bg.astype(jnp.float32)),
        "memory/admission_fraction": _mean(admitted_bgkt.astype(jnp.float32), counted_bgkt),
        "memory/used_fraction": _mean(trajectory.used_gkt.astype(jnp.float32), admitted_bgkt),
    }


def _counting_masks(trajectory: Trajectory, first_weight: float) -> tuple[Array, Array]:
    _, counted_bg = jax.vmap(partial(episode_return, first_weight=first_weight))(trajectory)
    return counted_bg, trajectory.decision_mask_gkt & counted_bg[..., None, None]


def _mean(value: Array, where: Array, count: Array | None = None) -> Array:
    return jnp.sum(jnp.where(where, value, 0.0)) / jnp.maximum(jnp.sum(where) if count is None else count, 1)
