"""The objective of LTS (arXiv 2602.05965, Eq. 8-10), term by term, on arrays with any leading axes.

With d = logit of ADMIT - logit of REJECT, p = sigmoid(d / temperature), credit c and sparsity weight lambda, one
decision's gradient is dL/dd = (-c (1 - p) + lambda p (1 - p)) / temperature after ADMIT, and (c p + lambda p (1 - p)) /
temperature after REJECT; so on average admission grows where E[c | ADMIT] - E[c | REJECT] > lambda.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.controller.policy import ADMIT


def action_log_probs(logits: Array, *, temperature: float) -> Array:
    """log softmax(logits / temperature): f32[..., A], the distribution that decisions are sampled from."""
    return jax.nn.log_softmax(logits / temperature, axis=-1)


def policy_gradient_loss(log_probs: Array, action: Array, credit: Array) -> Array:
    """-log pi(action) * credit per decision: f32[...] from f32[..., A], i32[...], f32[...]. Credit is a constant."""
    taken = jnp.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]
    return -taken * jax.lax.stop_gradient(credit)


def sparsity_loss(log_probs: Array) -> Array:
    """pi(ADMIT) per decision: f32[...] from f32[..., A]."""
    return jnp.exp(log_probs[..., ADMIT])


def entropy(log_probs: Array) -> Array:
    """Entropy of the action distribution in nats: f32[...] from f32[..., A]."""
    return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)


def over_rollouts(
    value_gkt: Array, counted_gkt: Array, counted_g: Array, *, step_reduction: Literal["sum", "mean"]
) -> Array:
    """Mean over counted rollouts of the sum, or mean, over their decisions; scalar.

    Args:
        value_gkt: f32[..., G, K, T], anything where it does not count.
        counted_gkt: bool[..., G, K, T], decisions of counted rollouts.
        counted_g: bool[..., G]; one without decisions counts as 0.
        step_reduction: "sum" or "mean".
    """
    total_g = jnp.sum(jnp.where(counted_gkt, value_gkt, 0.0), axis=(-2, -1))
    if step_reduction == "mean":
        total_g = total_g / jnp.maximum(jnp.sum(counted_gkt, axis=(-2, -1)), 1)
    return jnp.sum(total_g) / jnp.maximum(jnp.sum(counted_g), 1)
