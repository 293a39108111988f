"""The interface of a controller network: pure functions, so that one network can stand in for another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
from jax import Array

from lts_jax.errors import UserError
from lts_jax.trajectory import DecisionContext

Params = Any  # a pytree of arrays


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """Weights that a network reads and nobody trains. Two are equal only if they are one object, so that a network that
    holds them stays a static argument of compiled functions.
    """

    arrays: Params
    digest: str  # sha256 of the weights, and what else a network reads of their folder: a checkpoint records it instead


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Joined:
    """Trained parameters and frozen arrays, side by side: what the functions of a network with a frozen base take."""

    trained: Params
    frozen: Params


class CachedDecision(NamedTuple):
    """One decision for each of B rows of a cache. Row b holds `num_keys` keys; `new_key`, if any, is next."""

    num_keys_b: Any  # i32[B]
    new_key_bd: Any  # f32[B, D]
    has_new_b: Any  # bool[B]
    step_bsd: Any  # f32[B, 3, D]
    alive_bn: Any = None  # bool[B, capacity] of all keys, the new one too; None where no entry ends


@dataclass(frozen=True, slots=True)
class DecisionCache:
    """How a network keeps what it has computed of [query; keys], so that a decision costs its own tokens only.

    A cache is a pytree with one row for each rollout. What is written beyond a row's keys is never looked at.

    Attributes:
        empty: (num_rows, capacity in keys) -> cache.
        start: (params, cache, row i32[], query f32[D], keys f32[N, D]) -> cache with that row computed anew; padding
            comes after the keys, where none of them sees it.
        rows: (cache, row i32[B]) -> cache of these rows alone; one beyond the end gives any row.
        step: (params, cache, `CachedDecision`) -> (logits f32[B, A], new entries).
        append: (cache, new entries, row i32[B], num_keys i32[B], has_new bool[B]) -> cache with the new keys of these
            rows, where there are any; a row beyond the end is left out.
    """

    empty: Callable[[int, int], Any]
    start: Callable[[Params, Any, Array, Array, Array], Any]
    rows: Callable[[Any, Array], Any]
    step: Callable[[Params, Any, CachedDecision], tuple[Array, Any]]
    append: Callable[[Any, Any, Array, Array, Array], Any]


@dataclass(frozen=True, slots=True)
class PolicyNetwork:
    """A network that scores the actions of one decision: 0 rejects, 1 admits; further ones edit (`lts_jax.actions`).

    Where it has a frozen base, `params` of `init`, of the optimiser and of a checkpoint are the trained ones alone, and
    all other functions take `joined(params, frozen_arrays)`.

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
        frozen: the base weights that are not trained; None for a network that is trained whole.
        cache: decisions from what was computed before; None for a network that computes each anew.
        packed_targets: (params, context as for `packed_logits`) -> f32[(B,) G, K, T, J], how much an action that points
            at something would point at each entry, and then at each of the S vectors of `step`, J = N + S; of an entry
            that the decision does not see, anything. None for a network whose actions point at nothing.
        decision_targets: the same for single decisions: (params, query, keys, num_keys, step, alive bool[..., N])
            -> (logits f32[..., A], f32[..., J]).
        living_logits: as `decision_logits`, with alive bool[..., N] behind the step: of the keys only these are seen;
            None for a network that does not know of entries that end.
        knows_lives: whether `packed_logits` leaves out entries that had ended (`DecisionContext.died_gn`).
        packed_features: context as for `packed_logits` -> f32[(B,) G, K, T, F], for a network whose parameters are
            {"weight": f32[F]} alone and whose log-odds of an admission are features @ weight, the first feature being
            the same constant everywhere; else None.
        of_team: name and network of each team, where every team has its own (`models.several`): `params` are then by
            name, and single decisions are asked of the member. None for one network that decides for all teams.
        num_actions: A.
        learning_rate_scales: by the first name of `params`, what the optimiser's changes are multiplied with; None: 1.
    """

    init: Callable[[Array], Params]
    decision_logits: Callable[[Params, Array, Array, Array, Array], Array]
    packed_logits: Callable[[Params, DecisionContext], Array]
    key_window: int
    name: str
    packed_values: Callable[[Params, DecisionContext], Array] | None = None
    frozen: Frozen | None = None
    cache: DecisionCache | None = None
    packed_features: Callable[[DecisionContext], Array] | None = None
    packed_targets: Callable[[Params, DecisionContext], Array] | None = None
    decision_targets: Callable[[Params, Array, Array, Array, Array, Array], tuple[Array, Array]] | None = None
    living_logits: Callable[[Params, Array, Array, Array, Array, Array], Array] | None = None
    knows_lives: bool = False
    of_team: tuple[tuple[str, "PolicyNetwork"], ...] | None = None
    num_actions: int = 2
    learning_rate_scales: tuple[tuple[str, float], ...] | None = None

    @property
    def may_edit(self) -> bool:
        """Whether it also chooses among actions that point at an entry."""
        return self.decision_targets is not None and self.num_actions > 2

    @property
    def frozen_arrays(self) -> Params:
        """The frozen arrays, to be handed to a compiled function as an argument; None without."""
        return None if self.frozen is None else self.frozen.arrays

    def join(self, params: Params, frozen_arrays: Params = None) -> Params:
        """What the network's functions take: `params` alone, or with the frozen arrays that it needs.

        Raises:
            ValueError: a network with a frozen base, and no frozen arrays. They are never filled in here, since inside
                a compiled function they would become a constant of it.
        """
        if self.frozen is None:
            return params
        if frozen_arrays is None:
            raise ValueError(f"{self.name}: expected the frozen arrays of its base as an argument, got None")
        return Joined(params, frozen_arrays)


def need_lives(network: PolicyNetwork) -> None:
    """Refuse a network that would see entries that have ended, in a packed pass or in a single decision.

    Raises:
        UserError: one line that names it and those that do.
    """
    decides_alone = network.living_logits is not None or network.decision_targets is not None
    if not network.knows_lives or not (decides_alone or network.of_team):
        raise UserError(
            f"{network.name}: expected a network that knows ended entries, as set_transformer, or qwen3 with "
            "qwen3.key_visibility=own"
        )
