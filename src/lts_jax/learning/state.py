"""All that learning carries from one update to the next."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.flatten_util import ravel_pytree

from lts_jax.learning.objective_parts import POLICY_GRADIENT, AdmissionValue, Objective
from lts_jax.learning.ridge import init_ridge
from lts_jax.learning.settings import LearningSettings
from lts_jax.models.policy_network import Params, PolicyNetwork


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """A pytree; an update returns a new one."""

    params: Params
    opt_state: Any  # of the parameters as one vector, unless the optimiser is a user's; `RidgeState` where solved
    num_updates: Array  # i32[], optimiser steps taken
    num_skipped: Array  # i32[], updates left out because a gradient was not finite
    prng_key: Array  # typed key the run began with; all other randomness is derived from coordinates


def optimizer(settings: LearningSettings) -> optax.GradientTransformation:
    """AdamW after clipping by global norm, on all parameters as one vector: far less to compile, same numbers."""
    return optax.chain(
        optax.clip_by_global_norm(settings.max_gradient_norm),
        optax.adamw(_learning_rate(settings), b1=settings.beta1, b2=settings.beta2, weight_decay=settings.weight_decay),
    )


def init_state(
    network: PolicyNetwork,
    settings: LearningSettings,
    prng_key: Array,
    own: optax.GradientTransformation | None = None,
    objective: Objective = POLICY_GRADIENT,
) -> TrainState:
    """A fresh state. Consumes `prng_key` (typed, `jax.random.key`) for the parameters.

    `own` is an optimiser in place of the one that `settings` describe; it sees the parameters as they are. Where
    `is_solved`, there is none, and the sums of the regression take its place.
    """
    params = network.init(prng_key)
    if is_solved(network, objective):
        opt_state: Any = init_ridge(params)
    else:
        opt_state = own.init(params) if own is not None else optimizer(settings).init(ravel_pytree(params)[0])
    return TrainState(
        params=params,
        opt_state=opt_state,
        num_updates=jnp.zeros((), jnp.int32),
        num_skipped=jnp.zeros((), jnp.int32),
        prng_key=prng_key,
    )


def is_solved(network: PolicyNetwork, objective: Objective) -> bool:
    """Whether the objective is a regression on fixed features, which `learning.ridge` solves."""
    return isinstance(objective, AdmissionValue) and network.packed_features is not None


def _learning_rate(settings: LearningSettings) -> optax.ScalarOrSchedule:
    peak, rise, fall = settings.learning_rate, settings.num_warmup_updates, settings.num_decay_updates
    if not rise and not fall:
        return peak
    after = optax.cosine_decay_schedule(peak, fall) if fall else optax.constant_schedule(peak)
    return optax.join_schedules([optax.linear_schedule(0.0, peak, rise), after], [rise]) if rise else after
