"""Replays of a group under common random numbers: what a decision, an entry, or a bank was worth.

Exact: a replay draws the same number at the same place, so it differs from its original only by what was changed and by
what follows from it. Replays are made for at most `max_places` places of a rollout; where it has more, a random subset.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.actions import ADD, NOOP
from lts_jax.environments.contract import ASK, WITHHELD, Controller, Environment, Fork, Script
from lts_jax.environments.randomness import seed_words
from lts_jax.environments.rollout import rollout
from lts_jax.errors import UserError
from lts_jax.trajectory import Coalitions, FlippedRollouts, RegroupedRollouts, Trajectory

_FORKS, _SUBSETS, _PERMUTATIONS = 0xF0, 0x5B, 0x9E  # purposes folded into a rollout's key


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """How much is replayed. Everything here changes array sizes."""

    max_places: int = 48  # decisions of a rollout that are replayed
    num_permutations: int = 2  # P, for Shapley values
    num_blocks: int = 8  # C, blocks that a permutation cuts the admitted entries into
    num_rerollouts: int = 3  # M, re-rollouts from the state before a decision

    def __post_init__(self) -> None:
        for name in ("max_places", "num_permutations", "num_blocks", "num_rerollouts"):
            if getattr(self, name) < 1:
                raise UserError(f"replays.{name}: expected at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Original:
    """A group as it was rolled out: all that a replay needs."""

    environment: Environment  # one that follows scripts
    task: Any
    prng_key_g: Array
    controller: Controller
    trajectory: Trajectory
    truth: Any


def with_replays(original: Original, settings: ReplaySettings, fields: frozenset[str]) -> Trajectory:
    """The trajectory with those of `flipped`, `coalitions` and `regrouped` that are asked for."""
    makers: dict[str, Callable[[Original, ReplaySettings], Any]] = {
        "flipped": flip_decisions,
        "coalitions": withhold_coalitions,
        "regrouped": regroup,
    }
    made = {name: make(original, settings) for name, make in makers.items() if name in fields}
    return replace(original.trajectory, **made)


def flip_decisions(original: Original, settings: ReplaySettings, *, only_admitted: bool = False) -> FlippedRollouts:
    """Replay the group once for every decision, with that one turned: f32[G, K, T] rewards and runtimes.

    Turned is the other of two actions; of more actions, to do nothing, and where nothing was done the rollout is its
    own replay. Later decisions are asked anew of the same policy with the same random numbers. `only_admitted` replays
    admissions alone. NaN where nothing was replayed.
    """
    one = partial(_flip_decisions, original, settings.max_places, only_admitted)
    return jax.vmap(one)(original.trajectory, original.prng_key_g)


def _flip_decisions(
    original: Original, max_places: int, only_admitted: bool, trajectory: Trajectory, prng_key: Array
) -> FlippedRollouts:
    decided_kt, action_kt, several = trajectory.decision_mask_gkt, trajectory.action_gkt, _has_more(trajectory)
    wanted_kt = decided_kt & ((action_kt == ADD) | (not only_admitted))
    wanted_kt = wanted_kt & (action_kt != NOOP) if several else wanted_kt
    place_r, is_real_r = _some_places(wanted_kt, prng_key, max_places)
    turned_x = jnp.full_like(action_kt, NOOP).reshape(-1) if several else 1 - action_kt.reshape(-1)

    def flipped(place: Array) -> tuple[Array, Array, Array]:
        forced_x = jnp.full_like(turned_x, ASK).at[place].set(turned_x[place])
        return _replay(original, prng_key, _script(trajectory, forced_x.reshape(wanted_kt.shape)))

    found = [_put(place_r, is_real_r, wanted_kt.shape, value) for value in jax.vmap(flipped)(place_r)]
    if several and not only_admitted:
        is_same_kt = decided_kt & (action_kt == NOOP)
        own = (trajectory.reward_agg_g, trajectory.reward_first_g, trajectory.runtime_g)
        found = [jnp.where(is_same_kt, mine, value) for mine, value in zip(own, found, strict=True)]
    return FlippedRollouts(*found)


def _has_more(trajectory: Trajectory) -> bool:
    """Whether there are more than two actions."""
    return trajectory.action_mask_gkta is not None and trajectory.action_mask_gkta.shape[-1] > 2


def _script(trajectory: Trajectory, forced_kt: Array, fork: Fork | None = None) -> Script:
    """Actions, and with them what the original pointed at, where actions point."""
    return Script(forced_kt, fork, trajectory.target_gkt)


def withhold_coalitions(original: Original, settings: ReplaySettings) -> Coalitions:
    """Replay the group with growing parts of its bank, in sampled orders: see `Coalitions`.

    Every decision of the original is forced: admitted if it was admitted and belongs to the coalition, else rejected.
    Of more than two actions all stay, and additions outside the coalition add nothing. Steps that only a replay has
    are asked of the policy.
    """
    permutation_p = jnp.arange(settings.num_permutations)

    def one(trajectory: Trajectory, prng_key: Array) -> Coalitions:
        permuted = partial(_grow_bank, original, settings.num_blocks, trajectory, prng_key)
        return Coalitions(*jax.vmap(permuted)(permutation_p))

    return jax.vmap(one)(original.trajectory, original.prng_key_g)


def _grow_bank(
    original: Original, num_blocks: int, trajectory: Trajectory, prng_key: Array, permutation: Array
) -> tuple[Array, Array, Array, Array]:
    """One permutation: blocks i32[K, T]; rewards and runtimes f32[C + 1] of the replays that keep 0 .. C blocks."""
    admitted_kt = trajectory.decision_mask_gkt & (trajectory.action_gkt == ADD)
    draw_x = jax.random.uniform(jax.random.fold_in(prng_key, permutation + _PERMUTATIONS), (admitted_kt.size,))
    order_x = jnp.argsort(jnp.argsort(jnp.where(admitted_kt.reshape(-1), draw_x, 2.0)))
    count = jnp.maximum(jnp.sum(admitted_kt), 1)
    block_kt = jnp.minimum(order_x * num_blocks // count, num_blocks - 1).reshape(admitted_kt.shape)

    def kept(num_kept: Array) -> tuple[Array, Array, Array]:
        kept_kt = (admitted_kt & (block_kt < num_kept)).astype(jnp.int32)
        if _has_more(trajectory):
            kept_kt = jnp.where(admitted_kt & (block_kt >= num_kept), WITHHELD, trajectory.action_gkt)
        return _replay(original, prng_key, _script(trajectory, jnp.where(trajectory.decision_mask_gkt, kept_kt, ASK)))

    return block_kt.astype(jnp.int32), *jax.vmap(kept)(jnp.arange(num_blocks + 1))


def regroup(original: Original, settings: ReplaySettings) -> RegroupedRollouts:
    """Re-roll every decision's rollout from the state right before it: f32[G, M, K, T] rewards.

    The history and the bank are those of the original; the decision and all that comes after it is drawn afresh.
    """
    one = partial(_regroup, original, settings)
    return jax.vmap(one)(original.trajectory, original.truth, original.prng_key_g)


def _regroup(
    original: Original, settings: ReplaySettings, trajectory: Trajectory, truth: Any, prng_key: Array
) -> RegroupedRollouts:
    decided_kt = trajectory.decision_mask_gkt
    place_r, is_real_r = _some_places(decided_kt, prng_key, settings.max_places)
    event_r = truth.event_kt.reshape(-1)[place_r]
    fork_key_m = jax.random.split(jax.random.fold_in(prng_key, _FORKS), settings.num_rerollouts)

    def again(fork_key: Array, event: Array) -> tuple[Array, Array, Array]:
        # Up to the fork the actions are the original's, so that a policy near the edge cannot round otherwise.
        is_past_kt = decided_kt & (truth.event_kt < event)
        forced_kt = jnp.where(is_past_kt, trajectory.action_gkt, ASK)
        return _replay(original, prng_key, _script(trajectory, forced_kt, Fork(event, seed_words(fork_key))))

    by_place = jax.vmap(again, in_axes=(None, 0))
    found = jax.vmap(by_place, in_axes=(0, None))(fork_key_m, event_r)
    put = jax.vmap(partial(_put, place_r, is_real_r, decided_kt.shape))
    return RegroupedRollouts(*map(put, found))


def _replay(original: Original, prng_key: Array, script: Script) -> tuple[Array, Array, Array]:
    replayed, _, _ = rollout(original.environment, original.task, prng_key, original.controller, script)
    return replayed.reward_agg_g, replayed.reward_first_g, replayed.runtime_g


def _some_places(wanted_kt: Array, prng_key: Array, max_places: int) -> tuple[Array, Array]:
    """i32[R] places of a rollout, those that are wanted first and in random order; bool[R] whether they are."""
    wanted_x = wanted_kt.reshape(-1)
    draw_x = jax.random.uniform(jax.random.fold_in(prng_key, _SUBSETS), wanted_x.shape)
    place_r = jnp.argsort(jnp.where(wanted_x, draw_x, 2.0))[:max_places]
    return place_r, wanted_x[place_r]


def _put(place_r: Array, is_real_r: Array, shape_kt: tuple[int, ...], value_r: Array) -> Array:
    """f32[R] back to f32[K, T]; NaN where nothing was replayed."""
    nothing_x = jnp.full(shape_kt[0] * shape_kt[1], jnp.nan)
    return nothing_x.at[place_r].set(jnp.where(is_real_r, value_r, jnp.nan)).reshape(shape_kt)
