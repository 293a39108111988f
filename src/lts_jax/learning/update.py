"""One optimiser step on B groups: as a function to compile into a larger program, or compiled by itself."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lts_jax.credit.answered import AnsweredFn
from lts_jax.credit.contract import CreditFn
from lts_jax.errors import UserError
from lts_jax.learning.admission_value import value_loss
from lts_jax.learning.costs import over_tasks
from lts_jax.learning.losses import MoreLoss
from lts_jax.learning.objective import Batch, Metrics, admission_loss, credit_metrics, totals_of
from lts_jax.learning.objective_parts import POLICY_GRADIENT, AdmissionValue, Objective
from lts_jax.learning.ridge import fit_once
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import TrainState, is_solved, optimizer
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.trajectory import ADMIT, REJECT, DecisionContext, Trajectory

Update = Callable[[TrainState, Trajectory, DecisionContext], tuple[TrainState, Metrics, Array]]
"""(state, trajectory [B, G, ...], context [B, G, ...]) -> (new state, metrics, credit f32[B, G, K, T])."""


@dataclass(frozen=True)
class Learner:
    """What an update is made of. The numbers in `settings` may be traced."""

    network: PolicyNetwork
    credit: CreditFn
    settings: LearningSettings
    optimizer: optax.GradientTransformation | None = None  # in place of the one that `settings` describe
    answered: AnsweredFn | None = None  # decisions that the scheme could judge; None: all of them
    objective: Objective = POLICY_GRADIENT  # `credit` is not asked by `AdmissionValue`


def make_update(
    network: PolicyNetwork,
    credit: CreditFn,
    settings: LearningSettings,
    mesh: Mesh | None = None,
    optimizer: optax.GradientTransformation | None = None,
    answered: AnsweredFn | None = None,
    objective: Objective = POLICY_GRADIENT,
) -> Update:
    """The compiled update.

    Groups of one batch are padded to one shape; another shape compiles anew. The metrics' names and meanings stand in
    `learning.objective` and `learning.metrics`. A frozen base is an argument of the compiled function, never a constant
    in it. With a mesh, tasks are divided over its axis "data"; the base lies as it was placed (`models.qwen3_mesh`).
    `answered` says which decisions the scheme could judge (`credit.answered.answered_by`).
    """
    update = partial(update_once, Learner(network, credit, settings, optimizer, answered, objective))
    if mesh is None:
        compiled = jax.jit(update)
    else:
        everywhere, by_task = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
        placed = jax.tree.map(lambda leaf: leaf.sharding, network.frozen_arrays)
        shardings = (everywhere, by_task, by_task, *([] if network.frozen is None else [placed]))
        compiled = jax.jit(update, in_shardings=shardings, out_shardings=everywhere)
    if network.frozen is None:
        return compiled
    return lambda state, trajectory, context: compiled(state, trajectory, context, network.frozen_arrays)


def update_once(
    learner: Learner,
    state: TrainState,
    trajectory: Trajectory,
    context: DecisionContext,
    frozen_arrays: Params = None,
    more_loss: MoreLoss | None = None,
) -> tuple[TrainState, Metrics, Array]:
    """One optimiser step, to be compiled by the caller: (new state, metrics, credit f32[B, G, K, T]).

    `frozen_arrays` are those of the network's frozen base, where it has one; no gradient is taken of them. `more_loss`
    is added to the loss of the policy gradient; the regression on admission values has none.

    If the loss or any gradient is not finite, parameters and optimiser state stay exactly as they were and
    `num_skipped` rises instead of `num_updates`.
    """
    network, settings = learner.network, learner.settings
    if more_loss is not None and isinstance(learner.objective, AdmissionValue):
        raise UserError("objective: expected policy_gradient, since something is added to its loss")
    if is_solved(network, learner.objective):
        return _solve_once(learner, state, trajectory, context)
    if isinstance(learner.objective, AdmissionValue):
        return _value_step(learner, state, trajectory, context, frozen_arrays)
    weights = settings.cost_weights(learner.objective.runtime_weight)
    trajectory = over_tasks(trajectory, weights, first_weight=settings.first_weight)
    if network.packed_values is not None:
        trajectory = replace(
            trajectory, value_gkt=network.packed_values(network.join(state.params, frozen_arrays), context)
        )
    credit_bgkt = jax.vmap(learner.credit)(trajectory)
    chex.assert_equal_shape([credit_bgkt, trajectory.action_gkt])
    batch = Batch(trajectory, context, credit_bgkt, None if learner.answered is None else learner.answered(trajectory))
    (loss, metrics), gradient = _loss_and_gradient(network, settings, state.params, batch, frozen_arrays)
    if more_loss is not None:
        added, added_gradient = jax.value_and_grad(more_loss)(state.params)
        loss, gradient = loss + added, jax.tree.map(jnp.add, gradient, added_gradient)
    state, told = _stepped(learner, state, loss, gradient)
    metrics |= told | credit_metrics(trajectory, credit_bgkt, first_weight=settings.first_weight)
    return state, metrics, credit_bgkt


def _value_step(
    learner: Learner, state: TrainState, trajectory: Trajectory, context: DecisionContext, frozen_arrays: Params
) -> tuple[TrainState, Metrics, Array]:
    """One optimiser step on the regression of `admission_value`; the credit is the value before it."""
    network, settings, objective = learner.network, learner.settings, learner.objective
    assert isinstance(objective, AdmissionValue)
    slope = jax.value_and_grad(partial(value_loss, network, objective, settings), has_aux=True)
    (loss, metrics), gradient = slope(state.params, (trajectory, context), frozen_arrays)
    logits = network.packed_logits(network.join(state.params, frozen_arrays), context)
    value_bgkt = objective.value_scale * (logits[..., ADMIT] - logits[..., REJECT]) + objective.threshold
    value_bgkt = jnp.where(trajectory.decision_mask_gkt, value_bgkt, 0.0)
    state, told = _stepped(learner, state, loss, gradient)
    told |= credit_metrics(trajectory, value_bgkt, first_weight=settings.first_weight)
    return state, metrics | told, value_bgkt


def _solve_once(
    learner: Learner, state: TrainState, trajectory: Trajectory, context: DecisionContext
) -> tuple[TrainState, Metrics, Array]:
    """Take in a batch and solve the regression anew; a result that is not finite leaves everything as it was.

    The loss is that of the parameters before, which have not seen the batch; the credit is the value after it.
    """
    network, settings, objective = learner.network, learner.settings, learner.objective
    assert isinstance(objective, AdmissionValue)
    _, metrics = value_loss(network, objective, settings, state.params, (trajectory, context))
    params, sums, told, value_bgkt = fit_once(network, objective, settings, state.opt_state, (trajectory, context))
    is_finite = _all_finite((params, sums))
    new = _kept(state, params, sums, is_finite)
    told |= {"learning/gradient_norm": jnp.zeros(()), **_counts(new)}
    told |= credit_metrics(trajectory, value_bgkt, first_weight=settings.first_weight)
    return new, metrics | told, value_bgkt


def _stepped(learner: Learner, state: TrainState, loss: Array, gradient: Params) -> tuple[TrainState, Metrics]:
    """The state after an optimiser step, unless something is not finite."""
    gradient_x, old_x, restored = _as_vectors(learner.optimizer, gradient, state.params)
    transformation = learner.optimizer or optimizer(learner.settings)
    change_x, opt_state = transformation.update(gradient_x, state.opt_state, old_x)
    if learner.network.learning_rate_scales is not None and learner.optimizer is None:
        change_x = change_x * _scale_of(learner.network.learning_rate_scales, state.params)
    new_x = optax.apply_updates(old_x, change_x)
    # An overflow can also arise inside the optimiser, so its state is looked at too.
    is_finite = jnp.isfinite(loss) & _all_finite((gradient_x, new_x, opt_state))
    new = _kept(state, restored(jax.tree.map(partial(jnp.where, is_finite), new_x, old_x)), opt_state, is_finite)
    return new, {"learning/gradient_norm": optax.tree.norm(gradient_x), **_counts(new)}


def _scale_of(scales: tuple[tuple[str, float], ...], params: Params) -> Array:
    """What the change of each parameter is multiplied with, as a vector."""
    by_name = {name: jax.tree.map(lambda leaf, by=by: jnp.full_like(leaf, by), params[name]) for name, by in scales}
    return ravel_pytree(by_name)[0]


def _kept(state: TrainState, params: Params, opt_state: Any, is_finite: Array) -> TrainState:
    chosen = partial(jax.tree.map, partial(jnp.where, is_finite))
    return TrainState(
        params=chosen(params, state.params),
        opt_state=chosen(opt_state, state.opt_state),
        num_updates=state.num_updates + is_finite,
        num_skipped=state.num_skipped + ~is_finite,
        prng_key=state.prng_key,
    )


def _counts(state: TrainState) -> Metrics:
    return {"learning/num_updates": state.num_updates, "learning/num_skipped": state.num_skipped}


def _as_vectors(
    own: optax.GradientTransformation | None, gradient: Params, params: Params
) -> tuple[Params, Params, Callable[[Params], Params]]:
    """Gradient and parameters as one vector each, and the way back; an optimiser of one's own sees them as they are."""
    if own is not None:
        return gradient, params, lambda tree: tree
    old_x, restored = ravel_pytree(params)
    return ravel_pytree(gradient)[0], old_x, restored


def _loss_and_gradient(
    network: PolicyNetwork,
    settings: LearningSettings,
    params: Params,
    batch: Batch,
    frozen_arrays: Params,
) -> tuple[tuple[Array, Metrics], Params]:
    """Loss, metrics and gradient of a batch: at once, or summed over passes of a few tasks each."""
    slope = jax.value_and_grad(partial(admission_loss, network, settings), has_aux=True)
    num_tasks, per_pass = batch.trajectory.reward_agg_g.shape[0], settings.tasks_per_pass
    if per_pass in (0, num_tasks):
        return slope(params, batch, frozen_arrays)
    if num_tasks % per_pass:
        raise UserError(f"learning.tasks_per_pass: expected a divisor of {num_tasks} tasks, got {per_pass}")
    totals = totals_of(batch.trajectory, first_weight=settings.first_weight)
    # Every pass takes tasks from all over the batch: where a mesh divides the batch, it divides each pass as well.
    passes = jax.tree.map(lambda leaf: jnp.reshape(leaf, (per_pass, -1, *leaf.shape[1:])).swapaxes(0, 1), batch)

    def add(total: Params, part: Batch) -> tuple[Params, None]:
        found = slope(params, part, frozen_arrays, totals)
        return jax.tree.map(jnp.add, total, found), None

    shapes = jax.eval_shape(slope, params, jax.tree.map(lambda leaf: leaf[0], passes), frozen_arrays, totals)
    nothing = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    return jax.lax.scan(add, nothing, passes)[0]


def _all_finite(tree: object) -> Array:
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.all(jnp.stack(leaves))
