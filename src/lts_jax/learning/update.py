"""One optimiser step on B groups: as a function to compile into a larger program, or compiled by itself."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.flatten_util import ravel_pytree

from lts_jax.controller.policy import ADMIT
from lts_jax.credit.contract import CreditFn
from lts_jax.credit.return_to_go import return_to_go
from lts_jax.credit.returns import episode_return
from lts_jax.learning import losses
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import TrainState, optimizer
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.trajectory import DecisionContext, Trajectory

Metrics = dict[str, Array]
Update = Callable[[TrainState, Trajectory, DecisionContext], tuple[TrainState, Metrics]]


def make_update(network: PolicyNetwork, credit: CreditFn, settings: LearningSettings) -> Update:
    """The compiled update: (state, trajectory [B, G, ...], context [B, G, ...]) -> (state, metrics).

    Groups of one batch are padded to one shape; another shape compiles anew. The metrics' names and meanings stand in
    `learning.metrics.METRICS`. A frozen base is an argument of the compiled function, never a constant in it.
    """
    update = jax.jit(partial(update_once, network, credit, settings))
    if network.frozen is None:
        return update
    return lambda state, trajectory, context: update(state, trajectory, context, network.frozen_arrays)


def update_once(
    network: PolicyNetwork,
    credit: CreditFn,
    settings: LearningSettings,
    state: TrainState,
    trajectory: Trajectory,
    context: DecisionContext,
    frozen_arrays: Params = None,
) -> tuple[TrainState, Metrics]:
    """One optimiser step, to be compiled by the caller; the numbers in `settings` may be traced.

    `frozen_arrays` are those of the network's frozen base, where it has one; no gradient is taken of them.

    If the loss or any gradient is not finite, parameters and optimiser state stay exactly as they were and
    `num_skipped` rises instead of `num_updates`.
    """
    transformation = optimizer(settings)
    if network.packed_values is not None:
        trajectory = replace(
            trajectory, value_gkt=network.packed_values(network.joined(state.params, frozen_arrays), context)
        )
    credit_bgkt = jax.vmap(credit)(trajectory)
    loss_and_gradient = jax.value_and_grad(partial(admission_loss, network, settings), has_aux=True)
    (loss, metrics), gradient = loss_and_gradient(state.params, trajectory, context, credit_bgkt, frozen_arrays)
    gradient_x, old_x = ravel_pytree(gradient)[0], ravel_pytree(state.params)[0]
    change_x, opt_state = transformation.update(gradient_x, state.opt_state, old_x)
    new_x = optax.apply_updates(old_x, change_x)
    # An overflow can also arise inside the optimiser, so its state is looked at too.
    is_finite = jnp.isfinite(loss) & _all_finite((gradient_x, new_x, opt_state))
    new = TrainState(
        params=ravel_pytree(state.params)[1](jnp.where(is_finite, new_x, old_x)),
        opt_state=jax.tree.map(partial(jnp.where, is_finite), opt_state, state.opt_state),
        num_updates=state.num_updates + is_finite,
        num_skipped=state.num_skipped + ~is_finite,
        prng_key=state.prng_key,
    )
    metrics |= {
        "learning/gradient_norm": optax.tree.norm(gradient_x),
        "learning/num_updates": new.num_updates,
        "learning/num_skipped": new.num_skipped,
    }
    return new, metrics | credit_metrics(trajectory, credit_bgkt, first_weight=settings.first_weight)


def admission_loss(
    network: PolicyNetwork,
    settings: LearningSettings,
    params: Params,
    trajectory: Trajectory,
    context: DecisionContext,
    credit_bgkt: Array,
    frozen_arrays: Params = None,
) -> tuple[Array, Metrics]:
    """L = mean over counted rollouts of sum_t (-log pi(z_t) * credit_t + sparsity_weight * pi(ADMIT))  (LTS Eq. 8-10).

    Minus `entropy_weight` times the entropy, an option of ours; plus, for a network with a value head, `value_weight`
    times the mean squared error of its values against the return to go. Arrays carry a leading task axis B.

    Returns:
        the scalar loss, and its parts as metrics.
    """
    counted_bg, counted_bgkt = _counted(trajectory, settings.first_weight)
    reduced = partial(
        losses.over_rollouts,
        counted_gkt=counted_bgkt,
        counted_g=counted_bg,
        step_reduction=settings.step_reduction,
    )
    whole = network.joined(params, frozen_arrays)
    logits = network.packed_logits(whole, context)
    temperature = settings.temperature if settings.loss_temperature is None else settings.loss_temperature
    log_probs = losses.action_log_probs(logits, temperature=temperature)
    policy_gradient = reduced(losses.policy_gradient_loss(log_probs, trajectory.action_gkt, credit_bgkt))
    sparsity = reduced(losses.sparsity_loss(log_probs))
    entropy = reduced(losses.entropy(log_probs))
    loss = policy_gradient + settings.sparsity_weight * sparsity
    if not (isinstance(settings.entropy_weight, float) and settings.entropy_weight == 0.0):
        loss = loss - settings.entropy_weight * entropy
    taken = losses.taken(log_probs, trajectory.action_gkt)
    metrics = {
        "learning/loss": loss,
        "learning/policy_gradient_loss": policy_gradient,
        "learning/sparsity_loss": sparsity,
        "learning/entropy": _mean(losses.entropy(log_probs), counted_bgkt),
        "learning/admit_probability": _mean(jnp.exp(log_probs[..., ADMIT]), counted_bgkt),
        "learning/behavior_gap": _mean(jnp.abs(taken - trajectory.behavior_log_prob_gkt), counted_bgkt),
    }
    if network.packed_values is not None:
        to_go = jax.vmap(partial(return_to_go, first_weight=settings.first_weight, baseline=False))(trajectory)
        error = _mean((network.packed_values(whole, context) - to_go) ** 2, counted_bgkt)
        metrics["learning/value_error"] = error
        metrics["learning/loss"] = loss = loss + settings.value_weight * error
    return loss, jax.lax.stop_gradient(metrics)


def credit_metrics(trajectory: Trajectory, credit_bgkt: Array, *, first_weight: float) -> Metrics:
    """What the credit of a batch looked like; arrays with a leading task axis B."""
    return_bg, counted_bg = jax.vmap(partial(episode_return, first_weight=first_weight))(trajectory)
    _, counted_bgkt = _counted(trajectory, first_weight)
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


def _counted(trajectory: Trajectory, first_weight: float) -> tuple[Array, Array]:
    _, counted_bg = jax.vmap(partial(episode_return, first_weight=first_weight))(trajectory)
    return counted_bg, trajectory.decision_mask_gkt & counted_bg[..., None, None]


def _mean(value: Array, where: Array) -> Array:
    return jnp.sum(jnp.where(where, value, 0.0)) / jnp.maximum(jnp.sum(where), 1)


def _all_finite(tree: object) -> Array:
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.all(jnp.stack(leaves))
