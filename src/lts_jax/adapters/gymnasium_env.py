"""An environment of rollouts as a `gymnasium.Env`: one decision a step, NumPy in and out."""

from functools import partial
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium import spaces

from lts_jax.adapters.stepwise import AdmissionGame
from lts_jax.environments.contract import Environment
from lts_jax.environments.known import environment_of


class AdmissionEnv(gymnasium.Env[np.ndarray, Any]):
    """Rollouts of fresh tasks, decision by decision; see `stepwise.AdmissionGame` for reward and observation.

    An episode's numbers come from the seed of `reset` alone: the same seed and actions give the same episode.
    """

    metadata = {"render_modes": []}  # noqa: RUF012, the library's own way

    def __init__(self, environment: str | Environment = "teams", *, seconds_price: float = 0.0) -> None:
        """Make the game.

        Args:
            environment: a text such as `mine.py:notes`, or an `Environment`.
            seconds_price: reward for one second, in units of score.

        Raises:
            UserError: one line: no such environment, or one that does not go decision by decision.
        """
        game = AdmissionGame(environment_of(environment), seconds_price)
        self._reset, self._step = (
            jax.jit(game.reset),
            jax.jit(partial(game.step, jax.random.key(0))),
        )  # of a key that nothing is drawn from
        own, seen = game.action_space(), game.observation_space()
        self.action_space = spaces.MultiDiscrete(list(own.sizes)) if own.sizes else spaces.Discrete(own.n)
        self.observation_space = spaces.Box(-np.inf, np.inf, seen.shape, np.float32)
        self._state: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A fresh task."""
        super().reset(seed=seed)
        prng_key = jax.random.key(int(self.np_random.integers(2**31)))
        seen, self._state = self._reset(prng_key)
        return np.asarray(seen), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Decide; `info` has score, seconds, and whether the action was asked for."""
        seen, self._state, reward, done, info = self._step(self._state, np.asarray(action, np.int32))
        told = {name: np.asarray(value).item() for name, value in info.items()}
        return np.asarray(seen), float(reward), bool(done), False, told
