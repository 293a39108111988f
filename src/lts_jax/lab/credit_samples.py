"""Credit beside truth: what schemes say of admissions in fresh rollouts, and what each admission really did.

The truth of an admission comes in two forms. Its effect in this very rollout: the rollout replayed with that one
decision flipped and all random numbers kept, which is exact. Its expected effect: the mean over several futures drawn
afresh from the state before the decision, each played with the admission and without it. A scheme can at best know the
second; most of the first is luck that no scheme could have foreseen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.credit.check import check_credit, needs
from lts_jax.credit.contract import CreditFn, admission_mask
from lts_jax.credit.returns import total_reward
from lts_jax.credit.schemes import bind, scheme
from lts_jax.environments.contract import ASK, Controller, Fork, Script
from lts_jax.environments.randomness import seed_words
from lts_jax.environments.replays import Original, flip_decisions, with_replays
from lts_jax.environments.rollout import draw_group, fresh_group, group, rollout
from lts_jax.errors import UserError
from lts_jax.lab.settings import LabSettings, world_of
from lts_jax.models.policy_network import Params
from lts_jax.trajectory import DecisionContext, FlippedRollouts, Trajectory

_FUTURES, _PLACES = 0xFC, 0xFD  # purposes folded into a rollout's key
Values = Callable[[Params, DecisionContext], Array]
"""The value head of a network: (params, context) -> f32[G, K, T]."""


@dataclass(frozen=True)
class ValueHead:
    """A trained estimate of the return, for schemes that need one."""

    values: Values
    params: Params


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
    was_right: np.ndarray  # bool[n] the entry held a right value; latent; false where the environment cannot say


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


def sample_group(settings: LabSettings, controller: Controller, *, num_rollouts: int = 5, seed: int = 0) -> Trajectory:
    """One group of rollouts of a fresh task, to try a credit scheme on: arrays [G, K, T] and [G]."""
    drawn = jax.jit(partial(fresh_group, world_of(settings), num_rollouts=num_rollouts))
    trajectory, _, _ = drawn(jax.random.key(seed), controller=controller)
    return trajectory


def credit_samples(
    settings: LabSettings,
    credits: Mapping[str, CreditFn] | Sequence[str | CreditFn],
    controller: Controller,
    *,
    sampling: SampleSettings,
    seed: int,
    head: ValueHead | None = None,
) -> CreditSamples:
    """Roll out fresh tasks under a controller and put every scheme's credit of each admission beside its true effect.

    Args:
        settings: environment, rollouts of a group, replays, and `learning.first_weight` of the return.
        credits: schemes by name, their hyper-parameters bound; or texts and functions as `simulate` takes them.
            Replays that one of them needs are made.
        controller: that acts; hand in the same policy again and nothing is compiled anew.
        sampling: how much is looked at.
        seed: of all tasks and random numbers.
        head: for schemes that need values. Without it such schemes get values of 0.

    Raises:
        UserError: a scheme that breaks its contract, by name; an environment that cannot replay.
    """
    if not isinstance(credits, Mapping):
        credits = {part.text: bind(part) for part in map(scheme, credits)}
    for name, credit in credits.items():
        check_credit(name, credit, settings.shape.num_teams)
    if not world_of(settings).follows_scripts:
        raise UserError(f"credit samples: expected an environment that replays, got {world_of(settings).name}")
    static = replace(settings, world=None), replace(sampling, num_tasks=1)  # not what is compiled for
    program = _program(static[0], tuple(credits.items()), static[1], None if head is None else head.values)
    key = jax.random.key(seed)
    tried, traced = [], jax.tree.map(jnp.asarray, (settings.world, controller, None if head is None else head.params))
    for first in range(0, sampling.num_tasks, sampling.tasks_per_call):
        key_b = jax.vmap(partial(jax.random.fold_in, key))(first + jnp.arange(sampling.tasks_per_call))
        tried.append(jax.tree.map(np.asarray, program(key_b, *traced)))
    columns = jax.tree.map(lambda *parts: np.concatenate(parts)[: sampling.num_tasks], *tried)
    return _flat(columns)


@dataclass(frozen=True)
class _Plan:
    """What a program is compiled for; the world of `settings` is not looked at."""

    settings: LabSettings
    credits: tuple[tuple[str, CreditFn], ...]
    sampling: SampleSettings
    values: Values | None
    needed: frozenset[str]


@lru_cache(maxsize=16)
def _program(
    settings: LabSettings,
    credits: tuple[tuple[str, CreditFn], ...],
    sampling: SampleSettings,
    values: Values | None,
) -> Callable[..., Any]:
    """One compiled function of task keys [B] and traced numbers."""
    needed = frozenset().union(*(needs(credit) for _, credit in credits)) if credits else frozenset()
    one = partial(_columns, _Plan(settings, credits, sampling, values, needed))
    return jax.jit(jax.vmap(one, in_axes=(0, None, None, None)))


def _columns(plan: _Plan, prng_key: Array, world: Any, controller: Controller, value_params: Params) -> dict[str, Any]:
    """Everything about one task's group: arrays [G, K, T]."""
    settings, environment = plan.settings, replace(world_of(plan.settings), params=world)
    task, key_g = draw_group(environment, prng_key, settings.num_rollouts)
    trajectory, context, truth = group(environment, task, key_g, controller)
    original = Original(environment, task, key_g, controller, trajectory, truth)
    flipped = flip_decisions(original, settings.replays, only_admitted=True)
    made = with_replays(original, settings.replays, plan.needed - {"value_gkt", "flipped"})
    nothing_gkt = jnp.zeros(made.action_gkt.shape)
    value_gkt = nothing_gkt if plan.values is None else plan.values(value_params, context)
    given = replace(made, flipped=flipped, value_gkt=value_gkt)
    return _effects(original, flipped, plan) | {
        "credit": {name: credit(given) for name, credit in plan.credits},
        "is_admitted": admission_mask(trajectory),
        "was_used": trajectory.used_gkt,
        "was_right": nothing_gkt > 0 if environment.is_right is None else environment.is_right(truth),
    }


def _effects(original: Original, flipped: FlippedRollouts, plan: _Plan) -> dict[str, Array]:
    """Effects of admitting against rejecting, in this rollout and expected: f32[G, K, T] each."""
    trajectory, weight = original.trajectory, plan.settings.learning.first_weight
    return_gkt = total_reward(trajectory.reward_agg_g, trajectory.reward_first_g, first_weight=weight)[:, None, None]
    flipped_gkt = total_reward(flipped.reward_agg_gkt, flipped.reward_first_gkt, first_weight=weight)
    expected_reward, expected_seconds = _expected(original, plan.sampling, weight)
    return {
        "reward_effect": return_gkt - flipped_gkt,
        "seconds_saved": flipped.runtime_gkt - trajectory.runtime_g[:, None, None],
        "expected_reward_effect": expected_reward,
        "expected_seconds_saved": expected_seconds,
    }


def _expected(original: Original, sampling: SampleSettings, first_weight: float) -> tuple[Array, Array]:
    """Mean effect of admitting over futures, on R and on seconds saved: f32[G, K, T] each, NaN where none was drawn."""
    nothing_gkt = jnp.full(original.trajectory.action_gkt.shape, jnp.nan)
    if sampling.num_futures == 0:
        return nothing_gkt, nothing_gkt
    one = partial(_expected_of_rollout, original, sampling, first_weight)
    return jax.vmap(one)(original.trajectory, original.truth.event_kt, original.prng_key_g)


def _expected_of_rollout(
    original: Original,
    sampling: SampleSettings,
    first_weight: float,
    trajectory: Trajectory,
    event_kt: Array,
    prng_key: Array,
) -> tuple[Array, Array]:
    is_admitted_kt, action_kt = admission_mask(trajectory), trajectory.action_gkt
    draw_x = jax.random.uniform(jax.random.fold_in(prng_key, _PLACES), (is_admitted_kt.size,))
    place_r = jnp.argsort(jnp.where(is_admitted_kt.reshape(-1), draw_x, 2.0))[: sampling.max_future_places]
    key_m = jax.random.split(jax.random.fold_in(prng_key, _FUTURES), sampling.num_futures)

    def played(action: Array, place: Array, key: Array) -> tuple[Array, Array]:
        event_x = event_kt.reshape(-1)
        forced_x = jnp.where(event_x < event_x[place], action_kt.reshape(-1), ASK).at[place].set(action)
        script = Script(forced_x.reshape(action_kt.shape), Fork(event_x[place], seed_words(key)))
        trajectory, _, _ = rollout(original.environment, original.task, prng_key, original.controller, script)
        first, agg = trajectory.reward_first_g, trajectory.reward_agg_g
        return total_reward(agg, first, first_weight=first_weight), trajectory.runtime_g

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
