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

from lts_jax.environments.contract import Acting, Controller, Environment, Observation, Policy, Rollouts
from lts_jax.environments.policies import constant, constant_logit, novelty
from lts_jax.environments.rollout import lone_rollouts
from lts_jax.errors import UserError
from lts_jax.lab.grid import Point, seed_keys, stack_points, tile_seeds, unstack
from lts_jax.lab.settings import LabSettings, at_point, world_of

_TRY = 3  # purpose folded into a seed's key, after those of training: its tasks are nobody's training tasks
_CONSTANT, _NOVELTY, _ORACLE = 0.0, 1.0, 2.0

Measure = Callable[[Rollouts], dict[str, Array]]
"""Trajectory, context and truth [B, 1, ...] of a trial to numbers f32[] each; static, so give a named function."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is measured, and on how many tasks, one rollout each."""

    measure: Measure
    num_tasks: int


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
"""No bank; every step; a fair coin; what is unlike all keys so far; what the environment's oracle admits."""


def try_rules(
    settings: LabSettings, points: Sequence[Point], seeds: Sequence[int], rules: Mapping[str, Rule], trial: Trial
) -> dict[str, dict[str, np.ndarray]]:
    """Try every rule at every point with every seed, through one compiled program.

    Args:
        settings: its environment; nothing is learned.
        points: numbers of the world, dotted (`world.overlap`).
        seeds: of the tasks and rollouts.
        rules: by name.
        trial: what is measured.

    Returns:
        measures f64[points, seeds] by name of rule, then of measure.

    Raises:
        UserError: an oracle is asked for, and the environment has none.
    """
    environment = world_of(settings)
    if environment.oracle is None and any(rule.kind == _ORACLE for rule in rules.values()):
        raise UserError(f"rules: environment {environment.name} has no oracle; leave that rule out")
    arms = [(rule, at_point(settings, point).world) for rule in rules.values() for point in points]
    worlds = [replace(world, has_memory=world.has_memory * rule.has_memory) for rule, world in arms]
    params = [_parameters(rule) for rule, _ in arms]
    traced = stack_points([*zip(worlds, params, strict=True)], len(seeds))
    run = _program(world_of(_static(settings)), _by_rule(environment.oracle), trial)
    measured = run(*traced, False, seed_keys(seeds, len(arms)))
    of_arm = unstack(measured, len(seeds))
    size = len(points)
    return {
        name: {key: value[place * size : (place + 1) * size] for key, value in of_arm.items()}
        for place, name in enumerate(rules)
    }


def try_policy(
    settings: LabSettings, points: Sequence[Point], seeds: Sequence[int], controller: Controller, trial: Trial
) -> dict[str, np.ndarray]:
    """Try a controller at every point; its parameters [seeds, ...] are one for each seed: measures f64[points, seeds].

    It acts at temperature 1, whatever its temperature is.
    """
    world_s = stack_points([at_point(settings, point).world for point in points], len(seeds))
    params_s = tile_seeds(controller.params, len(points))
    run = _program(world_of(_static(settings)), controller.policy, trial)
    return unstack(run(world_s, params_s, controller.acting.is_greedy, seed_keys(seeds, len(points))), len(seeds))


def try_coin(
    settings: LabSettings, points: Sequence[Point], seeds: Sequence[int], admission_ps: np.ndarray, trial: Trial
) -> dict[str, np.ndarray]:
    """A coin that admits as often as a policy did with the same seed: fractions [points, seeds], points averaged."""
    rate_s = np.clip(np.mean(admission_ps, axis=0), 1e-6, 1.0 - 1e-6)
    logit_s = np.log(rate_s) - np.log1p(-rate_s)
    coin = Controller(constant, jnp.asarray(logit_s, jnp.float32), Acting(1.0, False))
    return try_policy(settings, points, seeds, coin, trial)


def _static(settings: LabSettings) -> LabSettings:
    """These settings with the numbers of the world at their defaults: what a program is compiled for."""
    return replace(settings, world=None)


def _parameters(rule: Rule) -> tuple[float, float]:
    number = float(constant_logit(rule.number)) if rule.kind == _CONSTANT else rule.number
    return rule.kind, number


@lru_cache
def _by_rule(oracle: Policy | None) -> Policy:
    """The policy whose parameters are a rule's kind and number."""

    def policy(params: tuple[Array, Array], seen: Observation) -> Array:
        kind, number = params
        blind, new = constant(number, seen), novelty(number, seen)
        best = blind if oracle is None else oracle(None, seen)
        return jnp.where(kind == _CONSTANT, blind, jnp.where(kind == _NOVELTY, new, best))

    return policy


@lru_cache(maxsize=32)
def _program(environment: Environment, policy: Policy, trial: Trial) -> Callable[..., dict[str, Array]]:
    """Trials one after another, each with its tasks side by side: small in memory, and no trial waits for another."""

    def run(world_s: Any, params_s: Any, is_greedy: Array, key_s: Array) -> dict[str, Array]:
        one = partial(_try_once, environment, policy, trial, Acting(1.0, is_greedy))
        return jax.lax.map(one, (world_s, params_s, key_s))

    return jax.jit(run)


def _try_once(
    environment: Environment, policy: Policy, trial: Trial, acting: Acting, traced: tuple[Any, Any, Array]
) -> dict[str, Array]:
    world, params, prng_key = traced
    key, controller = jax.random.fold_in(prng_key, _TRY), Controller(policy, params, acting)
    return trial.measure(lone_rollouts(replace(environment, params=world), key, controller, trial.num_tasks))
