"""Policies tried without training: many worlds, many seeds and several rules in one compiled program.

A trial is one world, one policy and one seed: fresh tasks with one rollout each, and numbers measured on them. A seed
draws the same tasks and the same random numbers in every trial, so differences between trials are paired.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.environments.teams.environment import Acting, Observation, Policy
from lts_jax.environments.teams.policies import constant, constant_logit, novelty, only_right
from lts_jax.environments.teams.rollout import Rollouts, group
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.environments.teams.task import draw_task
from lts_jax.lab.lab import LabSettings, at_point

_TRY = 3  # purpose folded into a seed's key, after those of training: its tasks are nobody's training tasks
_CONSTANT, _NOVELTY, _ORACLE = 0.0, 1.0, 2.0

Measure = Callable[[Rollouts], dict[str, Array]]
"""Trajectory, context and truth [B, 1, ...] of a trial to numbers f32[] each; static, so give a named function."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy without parameters to learn, and whether there is a bank at all."""

    kind: float = _CONSTANT
    number: float = 0.5  # probability of admission, or the similarity under which a key is new
    has_memory: bool = True


RULES = {
    "none": Rule(number=0.0, has_memory=False),
    "all": Rule(number=1.0),
    "random": Rule(number=0.5),
    "novelty": Rule(kind=_NOVELTY, number=0.8),
    "oracle": Rule(kind=_ORACLE),
}
"""No bank; every step; a fair coin; what is unlike all keys so far; right values alone, as an oracle."""


def try_rules(
    settings: LabSettings,
    points: Sequence[Mapping[str, float]],
    seeds: Sequence[int],
    rules: Mapping[str, Rule],
    measure: Measure,
    num_tasks: int,
) -> dict[str, dict[str, np.ndarray]]:
    """Try every rule at every point with every seed, through one compiled program.

    Args:
        settings: its shape and world; nothing is learned.
        points: numbers of the world, dotted (`world.overlap`).
        seeds: of the tasks and rollouts.
        rules: by name.
        measure: what is measured on a trial's rollouts.
        num_tasks: of a trial, one rollout each.

    Returns:
        measures f64[points, seeds] by name of rule, then of measure.
    """
    arms = [(rule, point) for rule in rules.values() for point in points]
    worlds = [
        replace(world, has_memory=world.has_memory * rule.has_memory)
        for rule, point in arms
        for world in [at_point(settings, point).world]
    ]
    params = [_parameters(rule) for rule, _ in arms]
    world_s, (kind_s, number_s) = (
        jax.tree.map(lambda *leaf: np.repeat(np.asarray(leaf, np.float32), len(seeds)), *worlds),
        [np.repeat(np.asarray(column, np.float32), len(seeds)) for column in zip(*params, strict=True)],
    )
    run = _program(settings.shape, _by_rule, measure, num_tasks)
    measured = run(world_s, (kind_s, number_s), False, _keys(seeds, len(arms)))
    shape = (len(rules), len(points), len(seeds))
    return {
        name: {key: np.asarray(value, np.float64).reshape(shape)[place] for key, value in measured.items()}
        for place, name in enumerate(rules)
    }


def try_policy(
    settings: LabSettings,
    points: Sequence[Mapping[str, float]],
    seeds: Sequence[int],
    policy: Policy,
    params_s: Any,
    measure: Measure,
    num_tasks: int,
    *,
    is_greedy: bool = True,
) -> dict[str, np.ndarray]:
    """Try a policy at every point, parameters [seeds, ...] one per seed: measures f64[points, seeds]."""
    worlds = [at_point(settings, point).world for point in points]
    world_s = jax.tree.map(lambda *leaf: np.repeat(np.asarray(leaf, np.float32), len(seeds)), *worlds)
    params_s = jax.tree.map(lambda leaf: np.tile(leaf, (len(points),) + (1,) * (np.ndim(leaf) - 1)), params_s)
    run = _program(settings.shape, policy, measure, num_tasks)
    measured = run(world_s, params_s, is_greedy, _keys(seeds, len(points)))
    return {key: np.asarray(value, np.float64).reshape(len(points), len(seeds)) for key, value in measured.items()}


def try_coin(
    settings: LabSettings,
    points: Sequence[Mapping[str, float]],
    seeds: Sequence[int],
    admission_ps: np.ndarray,
    measure: Measure,
    num_tasks: int,
) -> dict[str, np.ndarray]:
    """A coin that admits as often as a policy did with the same seed: fractions [points, seeds], points averaged."""
    rate_s = np.clip(np.mean(admission_ps, axis=0), 1e-6, 1.0 - 1e-6)
    logit_s = np.log(rate_s) - np.log1p(-rate_s)
    return try_policy(
        settings, points, seeds, constant, logit_s.astype(np.float32), measure, num_tasks, is_greedy=False
    )


def _keys(seeds: Sequence[int], num_repeats: int) -> Array:
    return jax.vmap(jax.random.key)(jnp.tile(jnp.asarray(seeds, jnp.uint32), num_repeats))


def _parameters(rule: Rule) -> tuple[float, float]:
    number = float(constant_logit(rule.number)) if rule.kind == _CONSTANT else rule.number
    return rule.kind, number


def _by_rule(params: tuple[Array, Array], seen: Observation) -> Array:
    kind, number = params
    blind, new, right = constant(number, seen), novelty(number, seen), only_right(None, seen)
    return jnp.where(kind == _CONSTANT, blind, jnp.where(kind == _NOVELTY, new, right))


@lru_cache(maxsize=32)
def _program(
    shape: SimulatorShape, policy: Policy, measure: Measure, num_tasks: int
) -> Callable[..., dict[str, Array]]:
    """Trials one after another, each with its tasks side by side: small in memory, and no trial waits for another."""
    one = partial(_trial, shape, policy, measure, num_tasks)

    def run(world_s: SimulatorParams, params_s: Any, is_greedy: Array, key_s: Array) -> dict[str, Array]:
        acting = Acting(1.0, is_greedy)
        return jax.lax.map(lambda trial: one(trial[0], trial[1], acting, trial[2]), (world_s, params_s, key_s))

    return jax.jit(run)


def _trial(
    shape: SimulatorShape,
    policy: Policy,
    measure: Measure,
    num_tasks: int,
    world: SimulatorParams,
    policy_params: Any,
    acting: Acting,
    prng_key: Array,
) -> dict[str, Array]:
    def one(key: Array) -> Rollouts:
        task_key, rollout_key = jax.random.split(key)
        task = draw_task(shape, world, task_key)
        return group(shape, world, task, rollout_key[None], policy, policy_params, acting)

    return measure(jax.vmap(one)(jax.random.split(jax.random.fold_in(prng_key, _TRY), num_tasks)))
