"""The training loop, as short as the paper's algorithm box: collect -> credit and update -> save."""

from collections.abc import Callable

import jax
from jax import Array

from lts_jax.learning.state import TrainState
from lts_jax.learning.update import Metrics, Update
from lts_jax.models.policy_network import Params
from lts_jax.trajectory import DecisionContext, Trajectory

Collect = Callable[[int, Params], tuple[Trajectory, DecisionContext]]
"""(iteration, parameters) -> arrays [B, G, ...] of rollouts under these parameters."""

Finish = Callable[[int, TrainState, Metrics, Array], None]
"""(iteration, state after it, metrics, credit f32[B, G, K, T]): log and save."""


def train(
    state: TrainState, collect: Collect, update: Update, finish: Finish, *, first: int, num_iterations: int
) -> TrainState:
    """Run iterations `first` .. `num_iterations` - 1 and return the last state.

    An iteration depends on its number and the state alone, so a run that is stopped after any of them, and started
    again from the state saved there, ends with the same bits.
    """
    for iteration in range(first, num_iterations):
        trajectory, context = collect(iteration, state.params)
        state, metrics, credit_bgkt = update(state, trajectory, context)
        finish(iteration, state, jax.device_get(metrics), credit_bgkt)
    return state
