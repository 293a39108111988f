"""Train the controllers of a variant at every ratio and seed, and probe them; sums per ratio, seed and kind of step."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from config import LawSettings, Variant
from probes import KINDS, Probes, make_probe

from lts_jax.lab.lab import results
from lts_jax.lab.settings import LabSettings, network_of, world_of
from lts_jax.lab.sharding import over_points

PROBE_SEED = 1000  # added to a run's seed: probes are on tasks that no controller was trained on
SUMS = ("count", "admit_probability", "is_paid", "advantage_effect", "reward_effect", "seconds_effect")


def lab_of(law: LawSettings, variant: Variant) -> LabSettings:
    """The laboratory's settings for a variant; its own evaluation is not used, so it is kept to one task."""
    learning = replace(law.lab.learning, learning_rate=law.learning_rate, loss_temperature=1.2)
    return replace(
        law.lab, credit=variant.credit, learning=learning, num_iterations=law.num_iterations, num_evaluation_tasks=1
    )


def probed(law: LawSettings, variant: Variant) -> dict[str, np.ndarray]:
    """Sums over probes, f64[ratios, seeds, kinds] by name of SUMS; ratios outermost."""
    settings = lab_of(law, variant)
    points = variant.points(law.ratios)
    trained = results(settings, points, range(law.num_seeds))
    keys = jnp.tile(jax.vmap(jax.random.key)(jnp.arange(law.num_seeds) + PROBE_SEED), len(points))
    temperature_s = jnp.full(len(points) * law.num_seeds, settings.learning.temperature)
    found = over_points(_probe(settings, law), (trained.params, temperature_s, keys))
    shape = (len(points), law.num_seeds)
    return summed(jax.tree.map(lambda array: np.asarray(array).reshape(*shape, -1), found))


@lru_cache
def _probe(settings: LabSettings, law: LawSettings) -> Any:
    static = replace(settings, credit="usage_bonus")  # the scheme does not matter here: one program for all
    return _probe_of(static, law)


@lru_cache
def _probe_of(settings: LabSettings, law: LawSettings) -> Any:
    return make_probe(world_of(settings), network_of(settings), law.probes)


def summed(probes: Probes) -> dict[str, np.ndarray]:
    """Weighted sums over the last axis by kind of step."""
    is_kind = np.stack([probes.is_real & (probes.kind == kind) for kind in range(len(KINDS))], axis=-2)

    def total(value: np.ndarray) -> np.ndarray:
        weighed = (value * probes.weight)[..., None, :]
        return np.sum(np.where(is_kind, weighed, 0.0), axis=-1, dtype=np.float64)

    sums = {"count": total(np.ones_like(probes.admit_probability))}
    return sums | {name: total(getattr(probes, name)) for name in SUMS[1:]}
