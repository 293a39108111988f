"""The laboratory trains by the value of an admission in one program, solved or by steps on past rollouts."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

from lts_jax.environments.teams.settings import SimulatorShape
from lts_jax.lab.lab import numbers_at, plan_of
from lts_jax.lab.settings import LabSettings
from lts_jax.lab.training import train

pytestmark = pytest.mark.slow
SETTINGS = LabSettings(
    shape=SimulatorShape(num_teams=2, max_steps=5, num_nodes=6, num_entries=10, embedding_width=8),
    objective="admission_value(num_steps=3)",
    num_iterations=2,
    tasks_per_update=2,
    num_rollouts=2,
)


@pytest.mark.parametrize(("network", "num_updates"), [("linear(texts='none')", 2), ("pooled(hidden_width=4)", 6)])
def test_it_trains_in_one_program(network: str, num_updates: int) -> None:
    settings = replace(SETTINGS, network=network)
    plan = plan_of(settings)
    numbers = numbers_at(settings, plan.credits, {"learning.runtime_weight": 0.9})
    state, curves = jax.jit(partial(train, plan))(numbers, jax.random.key(0))
    assert (int(state.num_updates), int(state.num_skipped)) == (num_updates, 0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((state.params, curves)))
    assert any(np.abs(leaf).max() > 0.0 for leaf in jax.tree.leaves(state.params))
    assert curves["learning/loss"].shape == (2,)
