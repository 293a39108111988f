"""Run by test_lab in a process of its own, with eight forced host devices: prints one digest per way of running."""

import hashlib
import json

import jax
import numpy as np

from lts_jax.simulator.lab import LabSettings, results
from lts_jax.simulator.settings import SimulatorParams, SimulatorShape

SETTINGS = LabSettings(
    shape=SimulatorShape(num_teams=2, max_steps=5, num_nodes=5, num_entries=8, embedding_width=8),
    world=SimulatorParams(needed_low=2.0, needed_high=3.0, num_dead_ends=1.0),
    num_iterations=2,
    tasks_per_update=2,
    num_rollouts=2,
    num_evaluation_tasks=4,
    is_strict=True,
)
POINTS = [{"learning.sparsity_weight": value} for value in (0.0, 0.1, 0.25, 0.4, 0.5)]


def digest(tree: object) -> str:
    """Of every bit of every array."""
    joined = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        joined.update(np.asarray(leaf).tobytes())
    return joined.hexdigest()


if __name__ == "__main__":
    sharded = results(SETTINGS, POINTS, (0, 1))
    print(json.dumps({"devices": jax.device_count(), "digest": digest((sharded.measures, sharded.params))}))
