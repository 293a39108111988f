"""The laboratory trains by the value of an admission in one program, solved or by steps on past rollouts."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from lts_jax.environments.teams.settings import SimulatorShape
from lts_jax.lab.lab import run_points
from lts_jax.lab.settings import LabSettings

SETTINGS = LabSettings(
    shape=SimulatorShape(num_teams=2, max_steps=5, num_nodes=6, num_entries=10, embedding_width=8),
    objective="admission_value(num_steps=2)",
    num_iterations=2,
    tasks_per_update=3,
    num_rollouts=2,
    num_evaluation_tasks=2,
)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["linear(texts='none')", "pooled(hidden_width=4)"])
def test_it_trains_in_one_program(network: str) -> None:
    points = [{"learning.runtime_weight": 0.0}, {"learning.runtime_weight": 0.9}]
    result = run_points(replace(SETTINGS, network=network), points, (0,))
    assert all(np.isfinite(curve).all() for curve in jax.tree.leaves((result.curves, result.params)))
    assert result.curves["learning/loss"].shape[-1] == 2
    assert any(np.abs(leaf[0] - leaf[1]).max() > 0.0 for leaf in jax.tree.leaves(result.params))
