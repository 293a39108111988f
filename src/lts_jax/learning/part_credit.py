"""An advantage of its own for one part of every action, where an action's logit is a sum of its parts'.

Then pi(a) is a product over the parts, and the policy's loss is that of the chosen part with its own advantage, and
that of all the others together with the usual one, each clipped by its own ratio (`learning.ppo`).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("advantage_tie", "decided_tie", "log_prob_tie"),
    meta_fields=("sizes", "place"),
)
@dataclass(frozen=True)
class PartCredit:
    """What one part of T steps of E episodes with I agents is paid by."""

    advantage_tie: Array  # as it is used
    decided_tie: Array  # bool: where the part was free to choose
    log_prob_tie: Array  # of the part, when it was taken
    sizes: tuple[int, ...]  # of the parts; an action's number runs through the last one first
    place: int  # of this part among them


def in_units(own: PartCredit, active_tie: Array) -> PartCredit:
    """The same credit with mean square 1 over what was decided: a scheme has no scale of its own; zero stays zero."""
    counts_tie = active_tie & own.decided_tie
    square = jnp.sum(jnp.where(counts_tie, own.advantage_tie, 0.0) ** 2) / jnp.maximum(jnp.sum(counts_tie), 1)
    return replace(own, advantage_tie=own.advantage_tie / (jnp.sqrt(square) + 1e-5))


def part_log_probs(log_prob_taie: Array, action_tie: Array, sizes: tuple[int, ...], place: int) -> Array:
    """f32[T, I, E]: log pi of one part of the action that was taken."""
    inner = 1
    for size in sizes[place + 1 :]:
        inner *= size
    chosen_tie = action_tie // inner % sizes[place]
    part_a = jnp.arange(log_prob_taie.shape[1]) // inner % sizes[place]
    is_same_taie = part_a[:, None, None] == chosen_tie[:, None]
    return jax.nn.logsumexp(jnp.where(is_same_taie, log_prob_taie, -jnp.inf), axis=1)


def part_losses(
    own: PartCredit, action: tuple[Array, Array, Array], old_log_prob_tie: Array, advantage_tie: Array, clip: Any
) -> tuple[Array, Array]:
    """(of all other parts, of this part): f32[T, I, E] each, -min(r A, clip(r, 1 - clip, 1 + clip) A).

    Args:
        own: of this part.
        action: log pi of all actions now f32[T, A, I, E], the action taken, and log pi of that one now.
        old_log_prob_tie: of the action when it was taken.
        advantage_tie: of the other parts.
        clip: of ratios.
    """
    log_prob_taie, action_tie, now_tie = action
    part_tie = part_log_probs(log_prob_taie, action_tie, own.sizes, own.place)
    rest_ratio_tie = jnp.exp((now_tie - part_tie) - (old_log_prob_tie - own.log_prob_tie))
    part_ratio_tie = jnp.exp(part_tie - own.log_prob_tie)
    rest_tie, part_tie = (
        -jnp.minimum(ratio * paid, jnp.clip(ratio, 1.0 - clip, 1.0 + clip) * paid)
        for ratio, paid in ((rest_ratio_tie, advantage_tie), (part_ratio_tie, own.advantage_tie))
    )
    return rest_tie, part_tie
