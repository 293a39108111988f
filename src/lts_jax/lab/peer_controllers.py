"""Admission controllers that learn side by side, each on tasks of its own, and teach each other as in KnowSR.

To each learner's policy gradient comes alpha_t sum_j w_kj KL(pi_j || pi_k), a mean over the decisions of rollouts that
any of them lived through lately (arXiv 2105.11611; `learning.distillation`). With a weight of 0 each is what it is
alone. Letters: K learners here, not teams.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.lab.training import Numbers, Plan, chosen_answered, chosen_credit, training_batch
from lts_jax.learning.distillation import (
    Contexts,
    SharingSettings,
    add_contexts,
    diversity,
    drawn_contexts,
    empty_contexts,
    lesson,
    peers,
    sharing_weight,
    teacher_weights,
)
from lts_jax.learning.state import TrainState, init_state
from lts_jax.learning.update import Learner, update_once
from lts_jax.models.policy_network import Params
from lts_jax.trajectory import DecisionContext, Trajectory

_INIT, _TRAIN, _LESSON = 0, 1, 2
_RECENT = 0.9  # share of the old mean in each learner's recent return

Met = tuple[DecisionContext, Array]
"""Rollouts of one group, and which of their decisions count, bool[G, teams, T]."""


@dataclass(frozen=True)
class PeerControllersPlan:
    """What a compiled program is made for; `sharing.num_contexts` and `num_drawn` count groups of rollouts."""

    plan: Plan  # of each learner; its number of iterations is not looked at
    num_learners: int
    sharing: SharingSettings  # its weight is not looked at
    num_drawn: int = 2


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PeerControllersRun:
    """Everything that a run carries."""

    state_k: TrainState
    contexts: Contexts  # of `Met`
    return_k: Array  # f32[K] recent
    iteration: Array  # i32[] done
    prng_key: Array


def begin_controllers(plan: PeerControllersPlan, numbers: Numbers, prng_key: Array) -> PeerControllersRun:
    """A fresh run: learner k draws its first parameters, and later its tasks, from the key folded with k."""
    lab = plan.plan
    init = partial(init_state, lab.network, numbers.learning, objective=lab.objective)
    state_k = jax.vmap(lambda key: init(jax.random.fold_in(key, _INIT)))(_keys(plan, prng_key))

    def met_by(params: Params, key: Array) -> Met:
        trajectory, context = training_batch(lab, numbers, params, key)
        return jax.tree.map(lambda leaf: leaf[0], (context, trajectory.decision_mask_gkt))

    like = jax.eval_shape(met_by, jax.tree.map(lambda leaf: leaf[0], state_k.params), prng_key)
    contexts = empty_contexts(like, plan.sharing.num_contexts)
    return PeerControllersRun(state_k, contexts, jnp.zeros(plan.num_learners), jnp.zeros((), jnp.int32), prng_key)


def advance_controllers(
    plan: PeerControllersPlan, num_iterations: int, run: PeerControllersRun, numbers: Numbers, weight: Array | float
) -> tuple[PeerControllersRun, dict[str, Array]]:
    """Some iterations: the run after them, and curves `return` f32[iterations, K], `diversity`, `sharing_weight`.

    alpha is `weight` at the first iteration of the run. `return` is the mean of the rollouts that are learned from.
    """
    lab = plan.plan
    learner = Learner(
        lab.network,
        chosen_credit(lab, numbers),
        numbers.learning,
        objective=lab.objective,
        answered=chosen_answered(lab, numbers),
    )
    is_peer_kj = peers([0] * plan.num_learners)
    key_k = _keys(plan, run.prng_key)

    def iterate(run: PeerControllersRun, _: None) -> tuple[PeerControllersRun, dict[str, Array]]:
        now_k = jax.vmap(lambda key: jax.random.fold_in(jax.random.fold_in(key, _TRAIN), run.iteration))(key_k)
        trajectory_k, context_k = jax.vmap(partial(training_batch, lab, numbers))(run.state_k.params, now_k)
        newest = jax.tree.map(lambda leaf: leaf[:, 0], (context_k, trajectory_k.decision_mask_gkt))
        contexts = add_contexts(run.contexts, newest)
        lesson_key = jax.random.fold_in(jax.random.fold_in(run.prng_key, _LESSON), run.iteration)
        drawn = drawn_contexts(contexts, lesson_key, plan.num_drawn)
        logit_kna = jax.vmap(partial(_logits, plan, drawn))(run.state_k.params)
        alpha = sharing_weight(plan.sharing, run.iteration, weight)
        weight_kj = teacher_weights(plan.sharing, run.return_k, is_peer_kj)

        lesson_of = partial(_lesson, plan, drawn, logit_kna, alpha)
        state_k, return_k = jax.vmap(partial(_learned, learner, lesson_of))(
            run.state_k, trajectory_k, context_k, weight_kj
        )
        recent_k = _RECENT * run.return_k + (1.0 - _RECENT) * return_k
        told = {
            "return": return_k,
            "diversity": diversity(logit_kna, is_peer_kj, drawn[1].reshape(-1)),
            "sharing_weight": alpha,
        }
        return PeerControllersRun(state_k, contexts, recent_k, run.iteration + 1, run.prng_key), told

    return jax.lax.scan(iterate, run, None, length=num_iterations)


def _learned(
    learner: Learner,
    lesson_of: Callable[[Array, Params], Array],
    state: TrainState,
    trajectory: Trajectory,
    context: DecisionContext,
    weight_j: Array,
) -> tuple[TrainState, Array]:
    """One learner's update, with the lesson from its teachers; and the mean return of its rollouts."""
    state, metrics, _ = update_once(learner, state, trajectory, context, more_loss=partial(lesson_of, weight_j))
    return state, metrics["credit/return_mean"]


def _keys(plan: PeerControllersPlan, prng_key: Array) -> Array:
    return jax.vmap(partial(jax.random.fold_in, prng_key))(jnp.arange(plan.num_learners))


def _logits(plan: PeerControllersPlan, drawn: Met, params: Params) -> Array:
    """f32[N, A]: of every decision of the drawn rollouts."""
    network = plan.plan.network
    logits = network.packed_logits(network.join(params, None), drawn[0])
    return logits.reshape(-1, logits.shape[-1])


def _lesson(
    plan: PeerControllersPlan, drawn: Met, teacher_kna: Array, alpha: Array, weight_j: Array, params: Params
) -> Array:
    """f32[]: mean over the decisions that count."""
    return lesson(
        _logits(plan, drawn, params),
        teacher_kna,
        weight_j,
        drawn[1].reshape(-1),
        alpha=alpha,
        temperature=plan.sharing.temperature,
    )
