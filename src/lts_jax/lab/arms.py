"""Arms of a study: ways to train that differ in one thing, trained with the same seeds and measured on the same tasks.

An arm is one phase or several. In each, some of the agents learn from what the phase's credit scheme says, and the
others act by a rule or with the parameters that they have; the next phase begins with all parameters as they are then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from lts_jax.environments.contract import Acting, Controller, Policy
from lts_jax.environments.policies import of_network
from lts_jax.lab.grid import seed_keys
from lts_jax.lab.lab import plan_of, results_by_scheme
from lts_jax.lab.settings import LabSettings, at_point, network_of
from lts_jax.lab.trials import Trial, try_policy
from lts_jax.models.policy_network import Params

_START = 5  # purpose folded into a seed's key, after those of training and trials


@dataclass(frozen=True, slots=True)
class Phase:
    """One training."""

    credit: str  # a scheme
    numbers: Mapping[str, float] = field(default_factory=dict)  # as `world.task_weight` or `learning.entropy_weight`


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train."""

    name: str
    told: str  # what it is, for the table
    phases: tuple[Phase, ...]


@dataclass(frozen=True)
class Trained:
    """What a way to train came to with some seeds."""

    params: Params  # [seeds, ...]
    score_si: np.ndarray  # f32[seeds, updates] mean return of the training rollouts, of all phases in order
    measures: Mapping[str, np.ndarray]  # f64[seeds] each, acting as trained, on tasks that nothing was trained on


def train_arm(settings: LabSettings, arm: Arm, all_arms: Sequence[Arm], seeds: Sequence[int], trial: Trial) -> Trained:
    """Train an arm with these seeds, and measure it in the world of `settings`.

    All arms that use the same schemes share one compiled program, so give them all.

    Args:
        settings: of every phase; strict ones give a seed the same bits whatever other seeds are there.
        arm: the one to train.
        all_arms: it and the others.
        seeds: of the runs; a seed begins with the same parameters in every arm.
        trial: what is measured, on how many tasks.
    """
    schemes = {phase.credit: phase.credit for one in all_arms for phase in one.phases}
    network = network_of(settings)
    key_s = jax.vmap(lambda key: jax.random.fold_in(key, _START))(seed_keys(seeds, 1))
    params: Params = jax.jit(jax.vmap(network.init))(key_s)
    curves = []
    for number, phase in enumerate(arm.phases):
        # Each phase has tasks of its own, as a seed's are the same in every call.
        own = [seed + 1000 * number for seed in seeds]
        found = results_by_scheme(settings, schemes, [phase.numbers], own, only=[phase.credit], start=params)
        params = found[phase.credit].params
        curves.append(np.asarray(found[phase.credit].curves["credit/return_mean"]))
    acting = Controller(of_network(network), params, Acting(1.0, False))
    return Trained(params, np.concatenate(curves, axis=1), measure(settings, acting, seeds, trial))


def measure(settings: LabSettings, controller: Controller, seeds: Sequence[int], trial: Trial) -> dict[str, np.ndarray]:
    """Measures f64[seeds] of a controller with parameters [seeds, ...], on the tasks of these seeds."""
    found = try_policy(settings, [{}], seeds, controller, trial)
    return {name: value[0] for name, value in found.items()}


def measure_rule(settings: LabSettings, policy: Policy, seeds: Sequence[int], trial: Trial) -> dict[str, np.ndarray]:
    """The same of a policy without parameters."""
    return measure(settings, Controller(policy, np.zeros(len(seeds)), Acting(1.0, False)), seeds, trial)


def check_arms(settings: LabSettings, arms: Sequence[Arm]) -> None:
    """Refuse a scheme or a number of a phase that cannot be meant, before anything is compiled."""
    for phase in (phase for arm in arms for phase in arm.phases):
        plan_of(at_point(settings, phase.numbers), phase.credit)


def seed_blocks(seeds: Sequence[int], size: int) -> list[list[int]]:
    """Seeds in blocks of equal size but the last."""
    return [list(seeds[first : first + size]) for first in range(0, len(seeds), size)]


def joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Measures of several blocks of seeds, one after another."""
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}
