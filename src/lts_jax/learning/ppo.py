"""Proximal policy optimisation (arXiv 1707.06347) for agents who remember, on arrays with the episodes E last.

With ratio r = pi(a) / pi_old(a) and advantage A of generalised advantage estimation (arXiv 1506.02438), the loss is the
mean over decisions of -min(r A, clip(r, 1 - clip, 1 + clip) A) + value_weight (v - target)^2 - entropy_weight H(pi).
Gradients go back through what agents carry from step to step (`models.actor_critic`). Where an episode is cut off by
time, the value of the state before stands for what would have followed, as in the released learner of SRMT.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.flatten_util import ravel_pytree

from lts_jax.bounds import check_bounds
from lts_jax.errors import UserError
from lts_jax.learning.losses import NEVER, MoreLoss
from lts_jax.learning.part_credit import PartCredit, in_units, part_losses
from lts_jax.models.actor_critic import ActorCritic
from lts_jax.models.policy_network import Params

_STATIC = ("num_environments", "rollout_steps", "num_epochs", "num_minibatches")
_TRACED = (
    "clip", "discount", "gae_weight", "value_weight", "entropy_weight", "learning_rate", "kl_target",
    "min_learning_rate", "max_learning_rate", "max_gradient_norm",
)  # fmt: skip


@partial(jax.tree_util.register_dataclass, data_fields=_TRACED, meta_fields=_STATIC)
@dataclass(frozen=True, slots=True)
class PpoSettings:
    """SRMT's values for the bottleneck (arXiv 2501.13200), where it has one. Numbers may be traced, sizes not."""

    clip: float = 0.2
    discount: float = 0.9716  # gamma
    gae_weight: float = 0.95  # lambda
    value_weight: float = 0.5
    entropy_weight: float = 0.0156
    learning_rate: float = 1.3e-4  # of Adam, at the first update
    kl_target: float = 0.008
    """The rate doubles where an update moved the policy by less than half of this, and halves beyond twice of it; its
    release's learner has this target and steps of 1.5."""
    min_learning_rate: float = 1e-6  # as the release's learner
    max_learning_rate: float = 1e-2
    max_gradient_norm: float = 4.0
    num_environments: int = 128  # E; 128 of 8 steps of 2 agents are 2,048 decisions, ours; SRMT has 16,384
    rollout_steps: int = 8  # T
    num_epochs: int = 1
    num_minibatches: int = 1  # shares of the episodes

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant. Traced numbers are taken as they are."""
        for name in _STATIC:
            if getattr(self, name) < 1:
                raise UserError(f"ppo.{name}: expected at least 1, got {getattr(self, name)}")
        if self.num_environments % self.num_minibatches:
            raise UserError(f"ppo.num_minibatches: expected a divisor of {self.num_environments} environments")
        if not all(isinstance(getattr(self, name), int | float) for name in _TRACED):
            return
        check_bounds(self)
        for name in ("clip", "learning_rate", "kl_target", "max_gradient_norm"):
            if not getattr(self, name) > 0:
                raise UserError(f"ppo.{name}: expected more than 0, got {getattr(self, name)}")
        for name in ("discount", "gae_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"ppo.{name}: expected from 0 to 1, got {getattr(self, name)}")
        for name in ("value_weight", "entropy_weight"):
            if not getattr(self, name) >= 0:
                raise UserError(f"ppo.{name}: expected at least 0, got {getattr(self, name)}")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Steps:
    """T steps of E episodes with I agents, as they were lived through."""

    carry: Any  # what agents remembered before the first of them
    observation_tieo: Array
    begins_te: Array  # bool: an episode begins with this step
    active_tie: Array  # bool: the agent decides
    legal_taie: Array  # bool
    action_tie: Array  # i32
    log_prob_tie: Array  # of the action, when it was taken
    value_tie: Array
    reward_tie: Array
    done_tie: Array  # bool: after this step the agent's part is over
    truncated_te: Array  # bool: because time was up
    last_value_ie: Array  # of what comes after the last step


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PpoState:
    """All that learning carries from one update to the next."""

    params: Params
    opt_state: Any  # of the parameters as one vector
    learning_rate: Array  # f32[]
    num_updates: Array  # i32[] optimiser steps taken
    num_skipped: Array  # i32[] left out because something was not finite


def init_ppo(network: ActorCritic, settings: PpoSettings, prng_key: Array) -> PpoState:
    """A fresh state."""
    params = network.init(prng_key)
    zero = jnp.zeros((), jnp.int32)
    rate = jnp.asarray(settings.learning_rate, jnp.float32)
    return PpoState(params, _adam().init(ravel_pytree(params)[0]), rate, zero, zero)


def advantages(settings: PpoSettings, steps: Steps) -> tuple[Array, Array]:
    """(advantage, target of the value): f32[T, I, E] each.

    delta_t = r_t + gamma v_{t+1} - v_t and A_t = delta_t + gamma lambda A_{t+1}; both end where an agent is done.
    """
    cut_off = steps.truncated_te[:, None] & steps.active_tie
    reward_tie = steps.reward_tie + settings.discount * jnp.where(cut_off, steps.value_tie, 0.0)
    goes_on_tie = (~steps.done_tie).astype(jnp.float32)
    next_tie = jnp.concatenate([steps.value_tie[1:], steps.last_value_ie[None]])
    delta_tie = reward_tie + settings.discount * goes_on_tie * next_tie - steps.value_tie

    def back(later_ie: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        delta_ie, goes_on_ie = now
        advantage_ie = delta_ie + settings.discount * settings.gae_weight * goes_on_ie * later_ie
        return advantage_ie, advantage_ie

    nothing_ie = jnp.zeros_like(steps.last_value_ie)
    _, advantage_tie = jax.lax.scan(back, nothing_ie, (delta_tie, goes_on_tie), reverse=True)
    return advantage_tie, advantage_tie + steps.value_tie


def legal_log_probs(logit_a: Array, legal_a: Array, *, axis: int) -> Array:
    """log softmax over the legal actions along an axis."""
    return jax.nn.log_softmax(jnp.where(legal_a, logit_a, NEVER), axis=axis)


def taken(log_prob_taie: Array, action_tie: Array) -> Array:
    """f32[T, I, E]: of each action; a sum over few, which a CPU does faster than a lookup."""
    number = log_prob_taie.shape[1]
    return sum(
        (jnp.where(action_tie == one, log_prob_taie[:, one], 0.0) for one in range(number)),
        jnp.zeros(action_tie.shape),
    )


def ppo_loss(
    network: ActorCritic,
    settings: PpoSettings,
    params: Params,
    steps: Steps,
    advantage_tie: Array,
    target_tie: Array,
    own: PartCredit | None = None,
) -> tuple[Array, dict[str, Array]]:
    """The loss of the module's text, over decisions of active agents, and its parts; `advantage_tie` as it is used.

    With `own` one part of the actions has an advantage of its own, and its loss is a mean over where it was decided.
    """
    logit_taie, value_tie = network.unroll(
        params, steps.carry, steps.observation_tieo, steps.begins_te, steps.active_tie
    )
    log_prob_taie = legal_log_probs(logit_taie, steps.legal_taie, axis=1)
    ratio_tie = jnp.exp(taken(log_prob_taie, steps.action_tie) - steps.log_prob_tie)
    clipped_tie = jnp.clip(ratio_tie, 1.0 - settings.clip, 1.0 + settings.clip)
    mean = partial(_mean, where=steps.active_tie)
    parts = {
        "policy_loss": -mean(jnp.minimum(ratio_tie * advantage_tie, clipped_tie * advantage_tie)),
        "value_loss": mean((value_tie - target_tie) ** 2),
        "entropy": mean(-jnp.sum(jnp.exp(log_prob_taie) * log_prob_taie, axis=1)),
    }
    if own is not None:
        now_tie = taken(log_prob_taie, steps.action_tie)
        action = (log_prob_taie, steps.action_tie, now_tie)
        rest_tie, part_tie = part_losses(own, action, steps.log_prob_tie, advantage_tie, settings.clip)
        parts["part_loss"] = _mean(part_tie, steps.active_tie & own.decided_tie)
        parts["policy_loss"] = mean(rest_tie) + parts["part_loss"]
    loss = parts["policy_loss"] + settings.value_weight * parts["value_loss"]
    return loss - settings.entropy_weight * parts["entropy"], parts


def ppo_update(
    network: ActorCritic,
    settings: PpoSettings,
    state: PpoState,
    steps: Steps,
    more_loss: MoreLoss | None = None,
    own: PartCredit | None = None,
) -> tuple[PpoState, dict[str, Array]]:
    """All epochs over these steps: the new state, and what the last minibatch told; `own` as in `ppo_loss`.

    Advantages are brought to mean 0 and variance 1 over the active decisions, the part's own to mean square 1. If
    anything is not finite in a minibatch, nothing changes and `num_skipped` rises.
    """
    advantage_tie, target_tie = advantages(settings, steps)
    mean = _mean(advantage_tie, steps.active_tie)
    spread = jnp.sqrt(_mean((advantage_tie - mean) ** 2, steps.active_tie))
    more = () if own is None else (in_units(own, steps.active_tie),)
    batch = (steps, (advantage_tie - mean) / (spread + 1e-5), target_tie, *more)
    size = settings.num_environments // settings.num_minibatches

    def one(state: PpoState, number: Array) -> tuple[PpoState, dict[str, Array]]:
        first = (number % settings.num_minibatches) * size
        share = _episodes(batch, first, size) if settings.num_minibatches > 1 else batch
        return _minibatch(network, settings, state, share, more_loss)

    if settings.num_epochs * settings.num_minibatches == 1:
        return one(state, jnp.asarray(0))
    state, told = jax.lax.scan(one, state, jnp.arange(settings.num_epochs * settings.num_minibatches))
    return state, jax.tree.map(lambda leaf: leaf[-1], told)


def _minibatch(
    network: ActorCritic, settings: PpoSettings, state: PpoState, batch: Any, more_loss: MoreLoss | None
) -> tuple[PpoState, dict[str, Array]]:
    def loss_of(params: Params) -> tuple[Array, dict[str, Array]]:
        loss, parts = ppo_loss(network, settings, params, *batch)
        return (loss if more_loss is None else loss + more_loss(params)), parts

    (loss, told), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    old_x, restored = ravel_pytree(state.params)
    gradient_x = ravel_pytree(gradient)[0]
    norm = jnp.sqrt(jnp.sum(gradient_x**2))
    gradient_x = gradient_x * jnp.minimum(1.0, settings.max_gradient_norm / (norm + 1e-6))
    change_x, opt_state = _adam().update(gradient_x, state.opt_state)
    new_x = old_x - state.learning_rate * change_x
    moved = _moved(network, restored(new_x), batch[0])
    finite = [jnp.all(jnp.isfinite(leaf)) for leaf in (loss, gradient_x, new_x, moved)]
    is_finite = jnp.all(jnp.stack(finite))
    rate = _adapted(settings, state.learning_rate, moved)
    new = PpoState(restored(new_x), opt_state, rate, state.num_updates + 1, state.num_skipped)
    kept = jax.tree.map(partial(jnp.where, is_finite), new, state)
    kept = replace(kept, num_skipped=state.num_skipped + ~is_finite)
    told |= {"loss": loss, "gradient_norm": norm, "kl": moved, "learning_rate": state.learning_rate}
    return kept, told


def _moved(network: ActorCritic, params: Params, steps: Steps) -> Array:
    """Mean of r - 1 - log r of the new policy, an estimate of KL(old || new); of an eighth of the episodes."""
    number = max(1, steps.begins_te.shape[-1] // 8)
    steps = _episodes(steps, 0, number)
    logit_taie, _ = network.unroll(params, steps.carry, steps.observation_tieo, steps.begins_te, steps.active_tie)
    log_prob_taie = legal_log_probs(logit_taie, steps.legal_taie, axis=1)
    log_ratio_tie = taken(log_prob_taie, steps.action_tie) - steps.log_prob_tie
    return _mean(jnp.exp(log_ratio_tie) - 1.0 - log_ratio_tie, steps.active_tie)


def _adapted(settings: PpoSettings, rate: Array, moved: Array) -> Array:
    factor = jnp.where(moved > 2.0 * settings.kl_target, 0.5, jnp.where(moved < 0.5 * settings.kl_target, 2.0, 1.0))
    return jnp.clip(rate * factor, settings.min_learning_rate, settings.max_learning_rate)


def _episodes(tree: Any, first: Array | int, size: int) -> Any:
    """Some of the episodes: the last axis of everything but observations, where it is the last but one."""

    def some(path: Any, leaf: Array) -> Array:
        axis = leaf.ndim - 2 if "observation" in jax.tree_util.keystr(path) else leaf.ndim - 1
        return jax.lax.dynamic_slice_in_dim(leaf, first, size, axis)

    return jax.tree_util.tree_map_with_path(some, tree)


def _mean(value: Array, where: Array) -> Array:
    return jnp.sum(jnp.where(where, value, 0.0)) / jnp.maximum(jnp.sum(where), 1)


def _adam() -> optax.GradientTransformation:
    return optax.scale_by_adam(eps=1e-6)  # as the release's learner
