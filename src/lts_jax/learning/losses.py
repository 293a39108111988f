"""The objective of LTS (arXiv 2602.05965, Eq. 8-10), term by term, on arrays with any leading axes.

With d = logit of ADMIT - logit of REJECT, p = sigmoid(d / temperature), credit c and sparsity weight lambda, one
decision's gradient is dL/dd = (-c (1 - p) + lambda p (1 - p)) / temperature after ADMIT, and (c p + lambda p (1 - p)) /
temperature after REJECT; so on average admission grows where E[c | ADMIT] - E[c | REJECT] > lambda.
"""

from collections.abc import Callable
from typing import Literal

import chex
import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import Number
from lts_jax.models.policy_network import Params
from lts_jax.trajectory import ADMIT, REJECT

MoreLoss = Callable[[Params], Array]
"""What is added to a loss: parameters -> f32[]."""

NEVER = -1e9  # a logit that no softmax sees, and finite, so that 0 * log 0 is 0


def action_log_probs(logits: Array, *, temperature: Number, legal: Array | None = None) -> Array:
    """log softmax(logits / temperature) over the legal actions: f32[..., A], what decisions are sampled from.

    `legal` is bool[..., A], None for all of them; an illegal action has probability 0. The same serves for targets.
    """
    scaled = logits / temperature
    if legal is not None:
        scaled = jnp.where(legal, scaled, NEVER)
    if scaled.shape[-1] != 2:
        return jax.nn.log_softmax(scaled, axis=-1)
    # The same operations for two actions, written out: CPUs are slow at reductions over two numbers.
    shifted = scaled - jax.lax.stop_gradient(jnp.maximum(scaled[..., 0], scaled[..., 1]))[..., None]
    weight = jnp.exp(shifted)
    return shifted - jnp.log(weight[..., 0] + weight[..., 1])[..., None]


def log_prob_of(log_probs: Array, action: Array) -> Array:
    """The log-probability of the action: f32[...] from f32[..., A] and i32[...]."""
    if log_probs.shape[-1] == 2:  # without a lookup, which is slow in reverse
        return jnp.where(action == ADMIT, log_probs[..., ADMIT], log_probs[..., REJECT])
    return jnp.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]


def target_log_prob(target_logits: Array, target: Array, legal: Array, *, temperature: Number) -> Array:
    """log pi(j | a) of what an action points at, f32[...]; 0 where it points at nothing.

    A decision with a target has log pi = log pi(a) + log pi(j | a).

    Args:
        target_logits: f32[..., J].
        target: i32[...], -1 for nothing.
        legal: bool[..., J], what the action taken could have pointed at.
        temperature: of both.
    """
    log_probs = action_log_probs(target_logits, temperature=temperature, legal=legal)
    taken = jnp.take_along_axis(log_probs, jnp.maximum(target, 0)[..., None], axis=-1)[..., 0]
    return jnp.where(target >= 0, taken, 0.0)


def policy_gradient_loss(log_probs: Array, action: Array, credit: Array) -> Array:
    """-log pi(action) * credit per decision: f32[...] from f32[..., A], i32[...], f32[...]. Credit is a constant."""
    chex.assert_equal_shape([action, credit])
    chex.assert_shape(log_probs, (*action.shape, None))
    chex.assert_type(action, int)
    return -log_prob_of(log_probs, action) * jax.lax.stop_gradient(credit)


def sparsity_loss(log_probs: Array) -> Array:
    """pi(ADMIT) per decision: f32[...] from f32[..., A]."""
    return jnp.exp(log_probs[..., ADMIT])


def entropy(log_probs: Array) -> Array:
    """Entropy of the action distribution in nats: f32[...] from f32[..., A]."""
    return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)


def peer_distillation_loss(
    logits: Array, teacher_logits: Array, *, distillation_weight: Number, temperature: Number, teacher_weights: Array
) -> Array:
    """alpha * sum_j w_j KL(softmax(z_j / tau) || softmax(z / tau)) per decision, the form of KnowSR (arXiv 2105.11611).

    Learners that saw different rollouts teach each other: z_j are a peer's logits for the same decisions. A teacher is
    a constant, no gradient reaches it. Equal policies give 0 and no gradient, and so does a weight alpha of 0.

    Args:
        logits: f32[..., A] of the learner.
        teacher_logits: f32[J, ..., A] of J peers.
        distillation_weight: alpha.
        temperature: tau.
        teacher_weights: w, f32[J], for instance 1 / J each, or 1 for the best peer alone.

    Returns:
        f32[...].
    """
    log_probs = action_log_probs(logits, temperature=temperature)
    teacher_log_probs = action_log_probs(jax.lax.stop_gradient(teacher_logits), temperature=temperature)
    divergence = jnp.sum(jnp.exp(teacher_log_probs) * (teacher_log_probs - log_probs), axis=-1)
    return distillation_weight * jnp.tensordot(teacher_weights, divergence, axes=1)


def over_rollouts(
    value_gkt: Array, counted_gkt: Array, num_rollouts: Array, *, step_reduction: Literal["sum", "mean"]
) -> Array:
    """Mean over counted rollouts of the sum, or mean, over their decisions; scalar.

    Args:
        value_gkt: f32[..., G, K, T], anything where it does not count.
        counted_gkt: bool[..., G, K, T], decisions of counted rollouts.
        num_rollouts: i32[], counted ones; one without decisions counts as 0.
        step_reduction: "sum" or "mean".
    """
    total_g = jnp.sum(jnp.where(counted_gkt, value_gkt, 0.0), axis=(-2, -1))
    if step_reduction == "mean":
        total_g = total_g / jnp.maximum(jnp.sum(counted_gkt, axis=(-2, -1)), 1)
    return jnp.sum(total_g) / jnp.maximum(num_rollouts, 1)
