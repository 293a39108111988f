"""Find parameters with which simulated rollouts have the figures of recorded ones.

What can be read off recorded rollouts (seconds of calls, say) is set by the caller. The rest is latent, and found by
the method of simulated moments: many candidates in one compiled program, all with the same random numbers, so that the
objective is one fixed function of the parameters; an evolution strategy walks down it. Axis letter S: policies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.environments.contract import Acting, Controller
from lts_jax.environments.policies import constant, constant_logit
from lts_jax.environments.rollout import groups
from lts_jax.environments.teams.environment import TEAMS
from lts_jax.environments.teams.figures import AGREED, Figures, figures
from lts_jax.environments.teams.search import minimum
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.errors import UserError

LATENT: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "needed_low": (1.0, 4.0),
        "needed_high": (4.0, 11.0),
        "detour_probability": (0.0, 0.8),
        "num_dead_ends": (0.0, 4.0),
        "difficulty_spread": (0.0, 2.0),
        "task_spread": (0.0, 2.0),
        "overlap": (0.0, 1.0),
        "insight": (0.0, 1.0),
        "find_probability": (0.15, 0.9),
        "wrong_probability": (0.0, 0.4),
        "common_mistake_share": (0.0, 1.0),
        "stale_probability": (0.0, 0.3),
        "leave_probability": (0.2, 0.9),
        "reasoning_probability": (0.6, 1.0),
        "drop_probability": (0.0, 0.4),
        "stop_probability": (0.0, 0.1),
        "partial_credit": (0.0, 1.0),
        "aggregator_insight": (0.0, 2.0),
        "pull_probability": (0.5, 1.0),
        "idle_pull_probability": (0.0, 0.6),
        "attention_keys": (10.0, 150.0),
        "discourage_probability": (0.0, 1.0),
    }
)
"""Parameters that no recorded rollout shows, and the range in which each is looked for. All ours."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """A policy under which rollouts were recorded: none at all, or a coin."""

    name: str
    has_memory: bool
    admit_probability: float = 0.0


SHARINGS = (Sharing("none", False), Sharing("all", True, 1.0), Sharing("random", True, 0.5))


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How hard to look. The defaults take some minutes on two cores."""

    num_tasks: int = 128  # simulated tasks of a candidate
    num_rollouts: int = 2  # of each
    population: int = 24  # candidates a generation
    generations: int = 80
    spread: float = 1.0  # first standard deviation, on the logit of a parameter's place in its range
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in (("num_tasks", 2), ("num_rollouts", 2), ("population", 4), ("generations", 1)):
            if getattr(self, name) < low:
                raise UserError(f"fit.{name}: expected at least {low}, got {getattr(self, name)}")


def simulated_figures(
    shape: SimulatorShape,
    params: SimulatorParams,
    prng_key: Array,
    *,
    num_tasks: int,
    num_rollouts: int,
    sharings: Sequence[Sharing] = SHARINGS,
) -> Figures:
    """Figures of fresh simulated rollouts under each policy, arrays [S]; all policies meet the same tasks."""

    def under(has_memory: Array, logit: Array) -> Figures:
        numbers: Any = replace(params, has_memory=has_memory)  # type: ignore[arg-type]
        environment, coin = replace(TEAMS, shape=shape, params=numbers), Controller(constant, logit, Acting(1.0))
        rolled = groups(environment, prng_key, coin, num_tasks=num_tasks, num_rollouts=num_rollouts)
        return figures(rolled[0])

    has_memory_s = jnp.array([float(each.has_memory) for each in sharings])
    return jax.vmap(under)(has_memory_s, jnp.stack([constant_logit(each.admit_probability) for each in sharings]))


def mismatch(found: Figures, target: Figures) -> Array:
    """Sum of squared relative differences, f32[]; those of `AGREED` weigh four times, targets of NaN not at all."""
    total = jnp.zeros(())
    for name in Figures.names():
        wanted_s = getattr(target, name)
        counts_s = jnp.isfinite(wanted_s)
        scale_s = (0.05 if name in AGREED else 0.1) * jnp.maximum(jnp.abs(wanted_s), 1e-3)
        difference_s = jnp.where(counts_s, getattr(found, name) - wanted_s, 0.0) / jnp.where(counts_s, scale_s, 1.0)
        total = total + jnp.sum(difference_s**2)
    return total


def neutral(params: SimulatorParams) -> SimulatorParams:
    """These parameters with every latent one in the middle of its range: a start that knows nothing."""
    return replace(params, **{name: (low + high) / 2 for name, (low, high) in LATENT.items()})


def fit(
    targets: Mapping[str, Mapping[str, float]],
    shape: SimulatorShape,
    start: SimulatorParams,
    settings: FitSettings | None = None,
    *,
    latent: Sequence[str] = tuple(LATENT),
) -> SimulatorParams:
    """Parameters whose simulated figures come nearest to the targets.

    Args:
        targets: of each policy of `SHARINGS` by name, figures by name; NaN where there is none.
        shape: sizes of the simulated rollouts.
        start: where the search begins; what is not `latent` stays as it is.
        settings: how hard to look.
        latent: names of the parameters to find, of `LATENT`.

    Raises:
        UserError: a policy without targets, an unknown figure or parameter.
    """
    settings = settings or FitSettings()
    target = _checked(targets, latent)
    low_f = np.array([LATENT[name][0] for name in latent])
    high_f = np.array([LATENT[name][1] for name in latent])
    prng_key = jax.random.key(settings.seed)
    shown = partial(simulated_figures, shape, num_tasks=settings.num_tasks, num_rollouts=settings.num_rollouts)

    def loss(place_f: Array) -> Array:
        value_f = low_f + (high_f - low_f) * jax.nn.sigmoid(place_f)
        params = replace(start, **dict(zip(latent, value_f, strict=True)))
        return mismatch(shown(params, prng_key), target)

    losses = jax.jit(jax.vmap(loss))
    place_f = (np.array([float(getattr(start, name)) for name in latent]) - low_f) / (high_f - low_f)
    place_f = np.clip(place_f, 0.02, 0.98)
    found_f = minimum(
        lambda place_pf: np.asarray(losses(jnp.asarray(place_pf, jnp.float32))),
        np.log(place_f / (1 - place_f)),
        spread=settings.spread,
        population=settings.population,
        generations=settings.generations,
        seed=settings.seed,
    )
    value_f = low_f + (high_f - low_f) / (1 + np.exp(-found_f))
    return replace(start, **{name: float(value) for name, value in zip(latent, value_f, strict=True)})


def _checked(targets: Mapping[str, Mapping[str, float]], latent: Sequence[str]) -> Figures:
    """The targets as arrays [S], in the order of `SHARINGS`, NaN where there is none."""
    unknown = [name for name in latent if name not in LATENT]
    if unknown:
        raise UserError(f"latent: expected some of {', '.join(LATENT)}, got {unknown[0]!r}")
    missing = [each.name for each in SHARINGS if each.name not in targets]
    if missing:
        raise UserError(f"targets: expected figures of {', '.join(each.name for each in SHARINGS)}; no {missing[0]!r}")
    for policy, figures_of in targets.items():
        strange = [name for name in figures_of if name not in Figures.names()]
        if strange:
            raise UserError(f"targets.{policy}: expected some of {', '.join(Figures.names())}, got {strange[0]!r}")
    return Figures(
        **{name: jnp.array([targets[each.name].get(name, jnp.nan) for each in SHARINGS]) for name in Figures.names()}
    )
