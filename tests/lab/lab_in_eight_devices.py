"""Trainings for test_lab, which also runs this file in a process of its own with eight forced host devices."""

import hashlib
import json
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lts_jax.credit.schemes import scheme
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.lab.grid import stack_points
from lts_jax.lab.lab import numbers_at, plan_of
from lts_jax.lab.settings import LabSettings
from lts_jax.lab.sharding import over_points
from lts_jax.lab.training import train

SETTINGS = LabSettings(
    shape=SimulatorShape(num_teams=2, max_steps=5, num_nodes=5, num_entries=8, embedding_width=8),
    world=SimulatorParams(needed_low=2.0, needed_high=3.0, num_dead_ends=1.0),
    num_iterations=3,
    tasks_per_update=2,
    num_rollouts=2,
    num_evaluation_tasks=4,
)
SPARSITY = (0.0, 0.1, 0.25, 0.4, 0.5)


@lru_cache
def training() -> Any:
    """The whole training as one function; the same object, hence the same program, for every call."""
    return partial(train, plan_of(SETTINGS))


def trained(sparsity: tuple[float, ...], seeds: tuple[int, ...]) -> Any:
    """Strict trainings at these points: final states and curves [S, ...]."""
    points = [{"learning.sparsity_weight": weight} for weight in sparsity]
    numbers = [numbers_at(SETTINGS, (scheme(SETTINGS.credit),), point) for point in points]
    numbers_s = stack_points(numbers, 1)
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
    state, curves = over_points(training(), (numbers_s, keys), is_strict=True)
    return state.params, curves


def digest(tree: object) -> str:
    """Of every bit of every array."""
    joined = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        joined.update(np.asarray(leaf).tobytes())
    return joined.hexdigest()


if __name__ == "__main__":
    sharded = trained(SPARSITY * 2, (0,) * 5 + (1,) * 5)
    print(json.dumps({"devices": jax.device_count(), "digest": digest(sharded)}))
