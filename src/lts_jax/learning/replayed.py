"""Many optimiser steps an iteration, each on the rollouts of one iteration so far: for off-policy objectives."""

import jax
from jax import Array

from lts_jax.learning.state import TrainState
from lts_jax.learning.update import Metrics, Update
from lts_jax.seeds import uniform
from lts_jax.trajectory import DecisionContext, Trajectory


class ReplayedUpdate:
    """An `Update` that keeps the rollouts it was given. Its first step is on the newest, the others on any of them.

    Which they are follows from (seed, iteration, step) alone, so a run that goes on after a stop ends with the same
    bits, once `remember` has been given the rollouts before it.
    """

    def __init__(self, update: Update, *, num_steps: int, seed: int) -> None:
        self._update, self._num_steps, self._seed = update, num_steps, seed
        self._past: list[tuple[Trajectory, DecisionContext]] = []

    def remember(self, trajectory: Trajectory, context: DecisionContext) -> None:
        """Keep the rollouts of one more iteration, in host memory."""
        self._past.append(jax.device_get((trajectory, context)))

    def __call__(
        self, state: TrainState, trajectory: Trajectory, context: DecisionContext
    ) -> tuple[TrainState, Metrics, Array]:
        """State after all steps; metrics and credit are of the first, which is on the newest rollouts."""
        self.remember(trajectory, context)
        iteration = len(self._past) - 1
        state, metrics, credit_bgkt = self._update(state, trajectory, context)
        for step in range(1, self._num_steps):
            place = int(uniform(self._seed, iteration, step, "replayed") * len(self._past))
            state, _, _ = self._update(state, *self._past[place])
        return state, metrics, credit_bgkt
