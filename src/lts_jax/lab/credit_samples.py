"""Credit beside truth: what schemes say of admissions in fresh rollouts, and what each admission really did.

The truth of an admission comes in two forms. Its effect in this very rollout: the rollout replayed with that one
decision flipped and all random numbers kept, which is exact. Its expected effect: the mean over several futures drawn
afresh from the state before the decision, each played with the admission and without it. A scheme can at best know the
second; most of the first is luck that no scheme could have foreseen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.credit.check import check_credit, needs
from lts_jax.credit.contract import CreditFn, admitted
from lts_jax.credit.returns import combined
from lts_jax.environments.teams.environment import ASK, Acting, Fork, Policy
from lts_jax.environments.teams.randomness import seed_words
from lts_jax.environments.teams.replays import Original, flip_decisions, with_replays
from lts_jax.environments.teams.rollout import group, rollout
from lts_jax.environments.teams.settings import SimulatorParams
from lts_jax.environments.teams.state import RIGHT
from lts_jax.environments.teams.task import draw_task
from lts_jax.errors import UserError
from lts_jax.lab.lab import LabSettings
from lts_jax.models.policy_network import Params
from lts_jax.trajectory import DecisionContext

_FUTURES, _PLACES = 0xFC, 0xFD  # purposes folded into a rollout's key
Values = Callable[[Params, DecisionContext], Array]
"""The value head of a network: (params, context) -> f32[G, K, T]."""


@dataclass(frozen=True)
class CreditSamples:
    """One row per admission whose flip was replayed. Effects are of admitting against rejecting: above 0 is good."""

    credit: Mapping[str, np.ndarray]  # f64[n] by scheme
    reward_effect: np.ndarray  # f64[n] R - R(flipped) in this rollout
    seconds_saved: np.ndarray  # f64[n] runtime(flipped) - runtime in this rollout
    expected_reward_effect: np.ndarray  # f64[n] the same, mean over futures; NaN where none was drawn
    expected_seconds_saved: np.ndarray  # f64[n]
    tasks: tuple[str, ...]  # label of the row's task
    rollouts: np.ndarray  # i64[n] number of the row's rollout, over all tasks
    was_used: np.ndarray  # bool[n] another team pulled the entry
    was_right: np.ndarray  # bool[n] the entry held a right value; latent


@dataclass(frozen=True, slots=True)
class SampleSettings:
    """How many rollouts are looked at, and how many futures of each admission."""

    num_tasks: int = 100
    num_futures: int = 0  # of each admission that is tried, with it and without; 0 draws none
    max_future_places: int = 4  # admissions of a rollout that are tried, at random
    tasks_per_call: int = 10  # side by side in one call of the compiled program

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be meant."""
        for name, low in (("num_tasks", 1), ("num_futures", 0), ("max_future_places", 1), ("tasks_per_call", 1)):
            if getattr(self, name) < low:
                raise UserError(f"samples.{name}: expected at least {low}, got {getattr(self, name)}")


def credit_samples(
    settings: LabSettings,
    credits: Mapping[str, CreditFn],
    policy: Policy,
    policy_params: Any,
    acting: Acting,
    *,
    sampling: SampleSettings,
    seed: int,
    values: Values | None = None,
    value_params: Params = None,
) -> CreditSamples:
    """Roll out fresh tasks under a policy and put every scheme's credit of each admission beside its true effect.

    Args:
        settings: world, shape, rollouts of a group, replays, and `learning.first_weight` of the return.
        credits: schemes by name, their hyper-parameters bound. Replays that one of them needs are made.
        policy: that acts; hand in the same object again and nothing is compiled anew.
        policy_params: handed to it.
        acting: how its logits become actions.
        sampling: how much is looked at.
        seed: of all tasks and random numbers.
        values: a value head, for schemes that need one. Without it such schemes get values of 0.
        value_params: of that head.

    Raises:
        UserError: a scheme that breaks its contract, by name.
    """
    for name, credit in credits.items():
        check_credit(name, credit, settings.shape.num_teams)
    static = replace(settings, world=SimulatorParams()), replace(sampling, num_tasks=1)  # not what is compiled for
    program = _program(static[0], tuple(credits.items()), policy, static[1], values)
    key = jax.random.key(seed)
    tried, traced = [], jax.tree.map(jnp.asarray, (settings.world, policy_params, acting, value_params))
    for first in range(0, sampling.num_tasks, sampling.tasks_per_call):
        key_b = jax.vmap(partial(jax.random.fold_in, key))(first + jnp.arange(sampling.tasks_per_call))
        tried.append(jax.tree.map(np.asarray, program(key_b, *traced)))
    columns = jax.tree.map(lambda *parts: np.concatenate(parts)[: sampling.num_tasks], *tried)
    return _flat(columns)


@lru_cache(maxsize=16)
def _program(
    settings: LabSettings,
    credits: tuple[tuple[str, CreditFn], ...],
    policy: Policy,
    sampling: SampleSettings,
    values: Values | None,
) -> Callable[..., Any]:
    """One compiled function of task keys [B] and traced numbers; the world of `settings` is not looked at."""
    needed = frozenset().union(*(needs(credit) for _, credit in credits)) if credits else frozenset()
    one = partial(_columns, settings, credits, needed, policy, sampling, values)
    return jax.jit(jax.vmap(one, in_axes=(0, None, None, None, None)))


def _columns(
    settings: LabSettings,
    credits: tuple[tuple[str, CreditFn], ...],
    needed: frozenset[str],
    policy: Policy,
    sampling: SampleSettings,
    values: Values | None,
    prng_key: Array,
    world: Any,
    policy_params: Any,
    acting: Acting,
    value_params: Params,
) -> dict[str, Any]:
    """Everything about one task's group: arrays [G, K, T]."""
    task_key, rollout_key = jax.random.split(prng_key)
    task = draw_task(settings.shape, world, task_key)
    key_g = jax.random.split(rollout_key, settings.num_rollouts)
    trajectory, context, truth = group(settings.shape, world, task, key_g, policy, policy_params, acting)
    original = Original(settings.shape, world, task, key_g, policy, policy_params, acting, trajectory, truth)
    flipped = flip_decisions(original, settings.replays, only_admitted=True)
    made = with_replays(original, settings.replays, needed - {"value_gkt", "flipped"})
    value_gkt = jnp.zeros(made.action_gkt.shape) if values is None else values(value_params, context)
    given = replace(made, flipped=flipped, value_gkt=value_gkt)
    weight = settings.learning.first_weight
    return_gkt = combined(trajectory.reward_agg_g, trajectory.reward_first_g, first_weight=weight)[:, None, None]
    flipped_gkt = combined(flipped.reward_agg_gkt, flipped.reward_first_gkt, first_weight=weight)
    expected_reward, expected_seconds = _expected(original, sampling, weight)
    return {
        "credit": {name: credit(given) for name, credit in credits},
        "is_admitted": admitted(trajectory),
        "reward_effect": return_gkt - flipped_gkt,
        "seconds_saved": flipped.runtime_gkt - trajectory.runtime_g[:, None, None],
        "expected_reward_effect": expected_reward,
        "expected_seconds_saved": expected_seconds,
        "was_used": trajectory.used_gkt,
        "was_right": truth.variant_kt == RIGHT,
    }


def _expected(original: Original, sampling: SampleSettings, first_weight: float) -> tuple[Array, Array]:
    """Mean effect of admitting over futures, on R and on seconds saved: f32[G, K, T] each, NaN where none was drawn."""
    nothing_gkt = jnp.full(original.trajectory.action_gkt.shape, jnp.nan)
    if sampling.num_futures == 0:
        return nothing_gkt, nothing_gkt
    one = partial(_expected_of_rollout, original, sampling, first_weight)
    is_admitted_gkt = admitted(original.trajectory)
    return jax.vmap(one)(is_admitted_gkt, original.trajectory.action_gkt, original.truth.event_kt, original.prng_key_g)


def _expected_of_rollout(
    original: Original,
    sampling: SampleSettings,
    first_weight: float,
    is_admitted_kt: Array,
    action_kt: Array,
    event_kt: Array,
    prng_key: Array,
) -> tuple[Array, Array]:
    draw_x = jax.random.uniform(jax.random.fold_in(prng_key, _PLACES), (is_admitted_kt.size,))
    place_r = jnp.argsort(jnp.where(is_admitted_kt.reshape(-1), draw_x, 2.0))[: sampling.max_future_places]
    key_m = jax.random.split(jax.random.fold_in(prng_key, _FUTURES), sampling.num_futures)

    def played(action: Array, place: Array, key: Array) -> tuple[Array, Array]:
        event_x = event_kt.reshape(-1)
        forced_x = jnp.where(event_x < event_x[place], action_kt.reshape(-1), ASK).at[place].set(action)
        trajectory, _, _ = rollout(
            original.shape, original.params, original.task, prng_key, original.policy, original.policy_params,
            original.acting, forced_x.reshape(action_kt.shape), Fork(event_x[place], seed_words(key)),
        )  # fmt: skip
        first, agg = trajectory.reward_first_g, trajectory.reward_agg_g
        return combined(agg, first, first_weight=first_weight), trajectory.runtime_g

    over_futures = jax.vmap(played, in_axes=(None, None, 0))
    over_places = jax.vmap(over_futures, in_axes=(None, 0, None))
    return_arm, seconds_arm = jax.vmap(over_places, in_axes=(0, None, None))(jnp.array([0, 1]), place_r, key_m)
    effects = jnp.nanmean(return_arm[1] - return_arm[0], axis=1), jnp.mean(seconds_arm[0] - seconds_arm[1], axis=1)
    is_real_r = is_admitted_kt.reshape(-1)[place_r]

    def put(value_r: Array) -> Array:
        nothing_x = jnp.full(is_admitted_kt.size, jnp.nan)
        return nothing_x.at[place_r].set(jnp.where(is_real_r, value_r, jnp.nan)).reshape(is_admitted_kt.shape)

    return put(effects[0]), put(effects[1])


def _flat(columns: dict[str, Any]) -> CreditSamples:
    """Rows of the admissions that were replayed, from arrays [B, G, K, T]."""
    replayed = columns.pop("is_admitted") & np.isfinite(columns["reward_effect"])
    task, rollout_of_task = np.nonzero(replayed)[:2]
    credit = {name: np.asarray(value[replayed], float) for name, value in columns.pop("credit").items()}
    flags = {name: columns.pop(name)[replayed] for name in ("was_used", "was_right")}
    return CreditSamples(
        credit=credit,
        tasks=tuple(f"{number:05d}" for number in task),
        rollouts=task * replayed.shape[1] + rollout_of_task,
        **flags,
        **{name: np.asarray(value[replayed], float) for name, value in columns.items()},
    )
