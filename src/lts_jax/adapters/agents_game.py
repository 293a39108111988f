"""A world of single steps in the functions that JAX learners expect, all agents at once, beginning anew by itself.

    observation, state = game.reset(prng_key, params)
    observation, state, reward, done, info = game.step(prng_key, state, action, params)

As in gymnax, what is seen after an episode's last step is the next one's start. The steps are those of
`environments.stepping` with the words of the key as seed words.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.adapters.stepwise import Box, Discrete
from lts_jax.environments.contract import Environment
from lts_jax.environments.randomness import place_words
from lts_jax.environments.stepping import BEGINNING
from lts_jax.errors import UserError


@dataclass(frozen=True, eq=False)
class AgentsGame:
    """One world as a game of I agents. It is made once and held: a program is compiled for each."""

    environment: Environment

    def __post_init__(self) -> None:
        """Refuse another world.

        Raises:
            UserError: it has no single steps.
        """
        if not self.environment.has_single_steps:
            name = self.environment.name
            raise UserError(f"environment: expected one of single steps of agents, as bottleneck, got {name}")

    @property
    def default_params(self) -> Any:
        """The environment's own numbers."""
        return self.environment.params

    @property
    def num_agents(self) -> int:
        """I."""
        return self.environment.shape.num_agents

    @property
    def num_actions(self) -> int:
        """A."""
        return self.environment.shape.num_actions

    def action_space(self, params: Any = None) -> Discrete:
        """Of one agent."""
        return Discrete(self.num_actions)

    def observation_space(self, params: Any = None) -> Box:
        """Of one agent, flattened."""
        seen, _ = jax.eval_shape(self.reset, jax.eval_shape(lambda: jax.random.key(0)))
        return Box(-jnp.inf, jnp.inf, seen.shape[1:])

    def reset(self, prng_key: Array, params: Any = None) -> tuple[Array, Any]:
        """An episode's start: f32[I, O], state."""
        params, shape = self._params(params), self.environment.shape
        state = self.environment.reset(shape, params, _words(prng_key))
        return self.environment.look(shape, params, state).observation_io, state

    def step(
        self, prng_key: Array, state: Any, action_i: Array, params: Any = None
    ) -> tuple[Array, Any, Array, Array, dict[str, Array]]:
        """Everybody's action.

        Returns:
            observation f32[I, O], state, reward f32[I], done bool[I], info: `is_over` bool[] of the episode,
            `is_truncated` bool[] because time was up, `active` bool[I] who decides next, and the episode's measures.
        """
        params, shape, seed_w = self._params(params), self.environment.shape, _words(prng_key)
        after, outcome = self.environment.act(shape, params, state, action_i, seed_w)
        fresh = self.environment.reset(shape, params, place_words(seed_w, jnp.asarray(BEGINNING)))
        state = jax.tree.map(lambda new, old: jnp.where(outcome.is_over, new, old), fresh, after)
        seen = self.environment.look(shape, params, state)
        told = {"is_over": outcome.is_over, "is_truncated": outcome.is_truncated, "active": seen.active_i}
        return seen.observation_io, state, outcome.reward_i, outcome.done_i, told | outcome.measures

    def _params(self, params: Any) -> Any:
        return self.environment.params if params is None else params


def _words(prng_key: Array) -> Array:
    """u32[2] of a key, typed or not."""
    raw = jax.random.key_data(prng_key) if jnp.issubdtype(prng_key.dtype, jax.dtypes.prng_key) else prng_key
    return raw[-2:]
