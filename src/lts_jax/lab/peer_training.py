"""Agents of one world, each a learner by PPO with parameters of its own, that teach each other as in KnowSR.

What a lesson adds to the loss is the mean over learners i and contexts n of alpha_t sum_j w_ij KL(pi_j || pi_i)
(arXiv 2105.11611; `learning.distillation`); a context is what an agent saw at one step. With a weight of 0 the bits are
those of independent learners. Gradient norm, and the rate that follows KL, are those of all learners together.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError
from lts_jax.lab.ppo_training import PpoPlan, PpoRun, begin_run, live
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
from lts_jax.learning.losses import NEVER
from lts_jax.learning.ppo import PpoSettings, Steps, ppo_update
from lts_jax.models.actor_critic import ActorCritic
from lts_jax.models.own_parameters import with_own_parameters
from lts_jax.models.policy_network import Params

_LESSON = 2  # folded into a run's key
_RECENT = 0.9  # share of the old mean in each agent's recent reward


@dataclass(frozen=True)
class PeerPlan:
    """What a compiled program is made for. `alone` is the network of one agent, without a memory."""

    ppo: PpoPlan
    alone: ActorCritic
    roles: tuple[int, ...]  # of each agent; only agents of one role teach each other
    sharing: SharingSettings  # its weight is not looked at
    num_drawn: int = 256  # contexts of a lesson


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PeerRun:
    """Everything that a run carries."""

    inner: PpoRun
    contexts: Contexts  # of observation f32[N, O], legal bool[N, A], role i32[N], active bool[N]
    reward_i: Array  # f32[I] recent, a step
    prng_key: Array


def peer_plan(
    plan: PpoPlan, alone: ActorCritic, roles: tuple[int, ...], sharing: SharingSettings, num_drawn: int = 256
) -> PeerPlan:
    """The plan of these learners; `plan`'s network is replaced by as many copies of `alone` as there are agents."""
    number = plan.environment.shape.num_agents
    if len(roles) != number:
        raise UserError(f"roles: expected one for each of {number} agents, got {len(roles)}")
    return PeerPlan(replace(plan, network=with_own_parameters(alone, number)), alone, roles, sharing, num_drawn)


def begin_peers(plan: PeerPlan, numbers: tuple[Any, PpoSettings], prng_key: Array) -> PeerRun:
    """A fresh run; nothing in it depends on what is shared."""
    shape = plan.ppo.environment.shape
    size = 1
    for length in shape.observation:
        size *= length
    like = {
        "seen": jnp.zeros(size),
        "legal": jnp.zeros(shape.num_actions, bool),
        "role": jnp.zeros((), jnp.int32),
        "active": jnp.zeros((), bool),
    }
    return PeerRun(
        inner=begin_run(plan.ppo, numbers, prng_key),
        contexts=empty_contexts(like, plan.sharing.num_contexts),
        reward_i=jnp.zeros(shape.num_agents),
        prng_key=jax.random.fold_in(prng_key, _LESSON),
    )


def advance_peers(
    plan: PeerPlan, num_updates: int, run: PeerRun, numbers: tuple[Any, PpoSettings], weight: Array | float
) -> tuple[PeerRun, dict[str, Array]]:
    """Some updates, with alpha = `weight` at the first of the run: the run after them, and curves f32[updates].

    To the curves of `lab.ppo_training.advance` come `diversity` and `sharing_weight`.
    """
    world, settings = numbers
    environment = replace(plan.ppo.environment, params=world)
    is_peer_ij = peers(plan.roles)

    def one(run: PeerRun, number: Array) -> tuple[PeerRun, dict[str, Array]]:
        inner, steps, told = live(environment, plan.ppo.network, settings, run.inner)
        contexts = add_contexts(run.contexts, _met(plan, steps))
        reward_i = _RECENT * run.reward_i + (1.0 - _RECENT) * jnp.mean(steps.reward_tie, axis=(0, 2))
        drawn = drawn_contexts(contexts, jax.random.fold_in(run.prng_key, inner.time), plan.num_drawn)
        logit_ina = _logits(plan, inner.learner.params, drawn)
        alpha = sharing_weight(plan.sharing, number, weight)
        weight_ij = teacher_weights(plan.sharing, reward_i, is_peer_ij)
        lessons = partial(_lessons, plan, drawn, logit_ina, alpha, weight_ij)
        learner, learned = ppo_update(plan.ppo.network, settings, inner.learner, steps, lessons)
        told |= learned | {"diversity": diversity(logit_ina, is_peer_ij, drawn["active"]), "sharing_weight": alpha}
        return PeerRun(replace(inner, learner=learner), contexts, reward_i, run.prng_key), told

    first = run.inner.time // settings.rollout_steps
    return jax.lax.scan(one, run, first + jnp.arange(num_updates))


def _met(plan: PeerPlan, steps: Steps) -> dict[str, Array]:
    """What every agent saw at the last of these steps, as contexts [I * E]."""
    seen_ieo, active_ie = steps.observation_tieo[-1], steps.active_tie[-1]
    role_ie = jnp.broadcast_to(jnp.asarray(plan.roles, jnp.int32)[:, None], active_ie.shape)
    legal_iea = jnp.moveaxis(steps.legal_taie[-1], 0, -1)
    some = {"seen": seen_ieo, "legal": legal_iea, "role": role_ie, "active": active_ie}
    return {name: value.reshape(-1, *value.shape[2:]) for name, value in some.items()}


def _logits(plan: PeerPlan, params: Params, drawn: dict[str, Array]) -> Array:
    """f32[I, N, A]: what each learner would do in these contexts."""
    number = drawn["active"].shape[0]
    begins, active = jnp.ones(number, bool), jnp.ones((1, number), bool)

    def of_one(own: Params) -> Array:
        _, logit_a1n, _ = plan.alone.step(own, plan.alone.start(number), drawn["seen"][None], begins, active)
        return jnp.where(drawn["legal"], logit_a1n[:, 0].T, NEVER)

    return jax.vmap(of_one)(params)


def _lessons(
    plan: PeerPlan, drawn: dict[str, Array], teacher_ina: Array, alpha: Array, weight_ij: Array, params: Params
) -> Array:
    """f32[]: mean over learners, and over the contexts of their role in which somebody decided."""
    counted_in = drawn["active"] & (drawn["role"] == jnp.asarray(plan.roles)[:, None])
    of_one = partial(lesson, alpha=alpha, temperature=plan.sharing.temperature)
    logit_ina = _logits(plan, params, drawn)
    return jnp.mean(jax.vmap(of_one, in_axes=(0, None, 0, 0))(logit_ina, teacher_ina, weight_ij, counted_in))
