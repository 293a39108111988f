"""The interface of a controller network: pure functions, so that one network can stand in for another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jax import Array

from lts_jax.trajectory import DecisionContext

Params = Any  # a pytree of arrays


@dataclass(frozen=True, slots=True)
class PolicyNetwork:
    """A network that scores the actions of one decision: 0 rejects, 1 admits.

    Attributes:
        init: prng_key -> params.
        decision_logits: (params, query f32[..., D], keys f32[..., N, D], num_keys i32[...], step f32[..., 3, D])
            -> logits f32[..., A]; keys from `num_keys` on are padding.
        packed_logits: (params, context of one group, or of B groups with a leading axis) -> f32[(B,) G, K, T, A]; equal
            to `decision_logits` of every decision, but the keys of a rollout are processed once.
        key_window: a decision sees the newest this many of its keys.
        name: name and size, as it appears in records.
        packed_values: (params, context as for `packed_logits`) -> f32[(B,) G, K, T], the return expected before each
            decision; None for a network without a value head.
    """

    init: Callable[[Array], Params]
    decision_logits: Callable[[Params, Array, Array, Array, Array], Array]
    packed_logits: Callable[[Params, DecisionContext], Array]
    key_window: int
    name: str
    packed_values: Callable[[Params, DecisionContext], Array] | None = None
