"""The interface of a network that acts step by step for agents who may remember: pure functions, axis E last.

Arrays have the episodes side by side, E, as their last axis: on a CPU that is the one that vectorises.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jax import Array

from lts_jax.models.policy_network import Params


@dataclass(frozen=True, slots=True, eq=False)
class ActorCritic:
    """A policy and a value for I agents with shared parameters, and what they carry from step to step.

    Attributes:
        init: prng_key -> params.
        start: (number of episodes) -> carry: nothing remembered. Every array of it has E last.
        step: (params, carry, observation f32[I, E, O], begins bool[E], active bool[I, E])
            -> (carry, logits f32[A, I, E], value f32[I, E]). Where an episode begins, what was carried is forgotten.
        unroll: the same over T steps: (params, carry, observation f32[T, I, E, O], begins bool[T, E],
            active bool[T, I, E]) -> (logits f32[T, A, I, E], value f32[T, I, E]); equal to `step` again and again. What
            is carried into it is a constant.
        name: as it appears in records.
    """

    init: Callable[[Array], Params]
    start: Callable[[int], Any]
    step: Callable[[Params, Any, Array, Array, Array], tuple[Any, Array, Array]]
    unroll: Callable[[Params, Any, Array, Array, Array], tuple[Array, Array]]
    name: str
