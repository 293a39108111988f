"""A world of single steps as a PettingZoo `ParallelEnv`: all agents act at once, NumPy in and out."""

from functools import partial
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from lts_jax.environments.contract import Environment
from lts_jax.environments.known import environment_of
from lts_jax.environments.randomness import place_words
from lts_jax.errors import UserError

IDLE = 0
"""The action of an agent that is not there any more; nobody looks at it."""


class AgentsEnv(ParallelEnv[str, np.ndarray, int]):
    """Agents `agent_0`, ... of one episode; one whose part is over is terminated, time that is up truncates the rest.

    An episode's numbers come from its two `seed_words` alone, which the seed of `reset` gives: the same seed and
    actions give the episode of the environment's own loop, `environments.stepping`, from the same words. `infos` have
    what is legal as `action_mask`, as PettingZoo's own environments do, and what the episode came to where it ends.
    """

    metadata = {"render_modes": [], "name": "lts_jax_agents_v0"}  # noqa: RUF012, the library's own way

    def __init__(self, environment: str | Environment = "bottleneck") -> None:
        """Make the world.

        Args:
            environment: a text such as `bottleneck(reward=dense)`, or an `Environment`.

        Raises:
            UserError: one line: no such environment, or one without single steps.
        """
        world = environment if isinstance(environment, Environment) else environment_of(environment)
        if not world.has_single_steps:
            raise UserError(f"environment: expected one of single steps of agents, as bottleneck, got {world.name}")
        shape, params = world.shape, world.params
        self.possible_agents = [f"agent_{number}" for number in range(shape.num_agents)]
        self.agents: list[str] = []
        self.seed_words = np.zeros(2, np.uint32)
        self._shape = tuple(shape.observation)
        self._reset = jax.jit(partial(world.reset, shape, params))
        self._act = jax.jit(lambda state, action_i, seed_w, time: world.act(
            shape, params, state, action_i, place_words(seed_w, time)
        ))  # fmt: skip
        self._look = jax.jit(partial(world.look, shape, params))
        self._seen_space = {
            agent: spaces.Box(-np.inf, np.inf, self._shape, np.float32) for agent in self.possible_agents
        }
        self._action_space = {agent: spaces.Discrete(shape.num_actions) for agent in self.possible_agents}
        self._random = np.random.default_rng()
        self._state: Any = None
        self._seen: Any = None
        self._time = 0

    def observation_space(self, agent: str) -> gymnasium.Space[Any]:
        """Of every agent: what the environment shows, unflattened."""
        return self._seen_space[agent]

    def action_space(self, agent: str) -> gymnasium.Space[Any]:
        """0 .. A - 1."""
        return self._action_space[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """A fresh episode. Without a seed it goes on from the last one that was given."""
        if seed is not None:
            self._random = np.random.default_rng(seed)
        self.seed_words = self._random.integers(2**32, size=2, dtype=np.uint32)
        self.agents, self._time = list(self.possible_agents), 0
        self._state = self._reset(self.seed_words)
        self._seen = self._look(self._state)
        return self._shown(self.agents), {agent: self._info(agent) for agent in self.agents}

    def step(self, actions: dict[str, int]) -> tuple[Any, Any, Any, Any, Any]:
        """What became of everybody's action; of agents that were still there before it."""
        before = self.agents
        action_i = np.array([actions.get(agent, IDLE) for agent in self.possible_agents], np.int32)
        self._state, outcome = self._act(self._state, action_i, self.seed_words, self._time)
        self._time += 1
        self._seen = self._look(self._state)
        cut_i = np.asarray(outcome.is_truncated & self._seen.active_i)
        over_i = np.asarray((outcome.done_i | outcome.is_over) & ~cut_i)
        terminated = {agent: bool(over_i[self._place(agent)]) for agent in before}
        truncated = {agent: bool(cut_i[self._place(agent)]) for agent in before}
        reward_i = np.asarray(outcome.reward_i)
        rewards = {agent: float(reward_i[self._place(agent)]) for agent in before}
        infos = {agent: self._info(agent) for agent in before}
        if bool(outcome.is_over):
            told = {name: float(value) for name, value in outcome.measures.items()}
            infos = {agent: info | told for agent, info in infos.items()}
        self.agents = [agent for agent in before if not (terminated[agent] or truncated[agent])]
        return self._shown(before), rewards, terminated, truncated, infos

    def state(self) -> np.ndarray:
        """The whole of it, for a critic that may know it: f32[F].

        Raises:
            UserError: the world has no such view.
        """
        if self._seen is None or self._seen.central_f is None:
            raise UserError("state: expected a world that has begun and tells its whole state, got none")
        return np.asarray(self._seen.central_f)

    def _place(self, agent: str) -> int:
        return self.possible_agents.index(agent)

    def _shown(self, agents: list[str]) -> dict[str, np.ndarray]:
        seen_io = np.asarray(self._seen.observation_io, np.float32)
        return {agent: seen_io[self._place(agent)].reshape(self._shape) for agent in agents}

    def _info(self, agent: str) -> dict[str, Any]:
        return {"action_mask": np.asarray(self._seen.legal_ia, np.int8)[self._place(agent)]}
