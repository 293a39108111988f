"""The threshold in its purest form: a table of logits, one per usage probability, under the losses of controllers.

A run is one decision per usage probability u. An admission is used with probability u; all decisions of a run share
one advantage A ~ N(0, 1), so credit is A + beta * 1[admitted and used]. On average the logit d of a row moves as

    -dL/dd = p (1 - p) (beta u - lambda)     on-policy, p = sigmoid(d / temperature)
    -dL/dd = beta u q (1 - p) - lambda p (1 - p)    sampled from q = sigmoid(d / T), loss at temperature 1

so on-policy admission switches at u = lambda / beta. Off-policy it rests where q / p = lambda / (beta u): that is 1 at
q = 1/2, so the switch stays, and it is less sharp.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.learning import losses


@dataclass(frozen=True, slots=True)
class TabularSettings:
    """One table's training."""

    usage_weight: float = 0.5  # beta
    sparsity_weight: float = 0.15  # lambda
    temperature: float = 1.0  # of sampling
    loss_temperature: float = 1.0
    max_gradient_norm: float = float("inf")  # of a run's gradient, as the optimiser would cut it
    num_usages: int = 21  # u = 0, .05, ..., 1
    num_steps: int = 6000
    learning_rate: float = 0.08  # plain gradient descent
    num_replicates: int = 200


def usages(settings: TabularSettings) -> np.ndarray:
    """The usage probabilities u, f64[U]."""
    return np.linspace(0.0, 1.0, settings.num_usages)


def run_loss(settings: TabularSettings, logit_u: Array, action_u: Array, credit_u: Array) -> Array:
    """sum_u (-log pi(z_u) * credit_u + lambda * pi(ADMIT)) of one run, a scalar."""
    logits = jnp.stack([jnp.zeros_like(logit_u), logit_u], axis=-1)
    log_probs = losses.action_log_probs(logits, temperature=settings.loss_temperature)
    policy_gradient = losses.policy_gradient_loss(log_probs, action_u, credit_u)
    return jnp.sum(policy_gradient + settings.sparsity_weight * losses.sparsity_loss(log_probs))


def train_table(settings: TabularSettings, prng_key: Array) -> Array:
    """The sampling probability of admission of every row after training, f32[U]."""
    usage_u = jnp.asarray(usages(settings), jnp.float32)

    def update(logit_u: Array, step_key: Array) -> tuple[Array, None]:
        admit_key, use_key, advantage_key = jax.random.split(step_key, 3)
        admit_u = jax.random.uniform(admit_key, usage_u.shape) < jax.nn.sigmoid(logit_u / settings.temperature)
        is_used_u = admit_u & (jax.random.uniform(use_key, usage_u.shape) < usage_u)
        credit_u = jax.random.normal(advantage_key) + settings.usage_weight * is_used_u
        gradient_u = jax.grad(partial(run_loss, settings))(logit_u, admit_u.astype(jnp.int32), credit_u)
        norm = jnp.linalg.norm(gradient_u)
        gradient_u = gradient_u * jnp.minimum(1.0, settings.max_gradient_norm / jnp.maximum(norm, 1e-9))
        return logit_u - settings.learning_rate * gradient_u, None

    logit_u, _ = jax.lax.scan(update, jnp.zeros_like(usage_u), jax.random.split(prng_key, settings.num_steps))
    return jax.nn.sigmoid(logit_u / settings.temperature)


def tables(settings: TabularSettings, seed: int) -> np.ndarray:
    """All replicates in one program: f64[R, U]."""
    keys = jax.random.split(jax.random.key(seed), settings.num_replicates)
    return np.asarray(jax.jit(jax.vmap(partial(train_table, settings)))(keys), np.float64)


def crossing(x_u: np.ndarray, probability_u: np.ndarray, level: float = 0.5) -> float:
    """The x where the probability first passes `level`, by straight lines between points; NaN where it never does."""
    above = probability_u >= level
    places = np.flatnonzero(above[1:] != above[:-1])
    if not len(places):
        return float("nan")
    left = places[0]
    rise = probability_u[left + 1] - probability_u[left]
    return float(x_u[left] + (x_u[left + 1] - x_u[left]) * (level - probability_u[left]) / rise)
