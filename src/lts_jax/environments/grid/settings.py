"""What a grid depends on: sizes that shape the program, and numbers that are traced through it."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax

from lts_jax.bounds import check_bounds
from lts_jax.environments.grid.maps import Maps
from lts_jax.errors import UserError, show

Collision = Literal["block_both", "priority", "soft"]
OnGoal = Literal["finish", "restart"]

STAY, UP, DOWN, LEFT, RIGHT = range(5)
MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
"""POGEMA's actions, as (rows, columns)."""


@dataclass(frozen=True, slots=True)
class GridShape:
    """Sizes of arrays and rules. Another value compiles another program. POGEMA's and SRMT's (arXiv 2501.13200)."""

    num_agents: int = 2  # I
    radius: int = 2  # cells that an agent sees in each direction
    collision: Collision = "block_both"
    on_goal: OnGoal = "finish"  # the agent disappears; restart: it gets another goal

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be built."""
        check_bounds(self)
        for name in ("num_agents", "radius"):
            if getattr(self, name) < 1:
                raise UserError(f"shape.{name}: expected at least 1, got {getattr(self, name)}")
        for name, known in (("collision", get_args(Collision)), ("on_goal", get_args(OnGoal))):
            if getattr(self, name) not in known:
                raise UserError(f"shape.{name}: expected one of {', '.join(known)}, got {show(getattr(self, name))}")

    @property
    def num_actions(self) -> int:
        """A: stay, up, down, left, right."""
        return len(MOVES)

    @property
    def observation(self) -> tuple[int, ...]:
        """Planes, rows and columns of what an agent sees; flattened they are O numbers."""
        return (3, 2 * self.radius + 1, 2 * self.radius + 1)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GridParams:
    """Maps and rewards: the goal pays `goal_reward`, any other step one of the other three."""

    maps: Maps
    goal_reward: float = 1.0
    step_reward: float = 0.0
    path_reward: float = 0.0  # of a step to the next cell of the agent's own shortest path
    stay_reward: float = 0.0  # of choosing to stay
    first_map: Any = 0  # episodes are drawn from this map on,
    num_maps: Any = 0  # so many; 0 for all that follow
    num_present: Any = 0  # agents from this number on are padding; 0 for none


REWARDS = {
    "sparse": {},
    "dense": {"step_reward": -0.01, "path_reward": -0.01, "stay_reward": -0.01},
    "directional": {"path_reward": 0.005},
    "directional_negative": {"step_reward": -0.01, "path_reward": -0.005, "stay_reward": -0.01},
    "moving_negative": {"step_reward": -0.01, "path_reward": -0.01, "stay_reward": -0.005},
}
"""Rewards of SRMT (arXiv 2501.13200) as numbers of `GridParams`."""


def check_params(params: Any, shape: Any) -> None:
    """Refuse maps that were made for another radius, or that have no room for the agents.

    Raises:
        UserError: in one line.
    """
    maps = params.maps
    if not 0 <= params.num_present <= shape.num_agents:
        expected = f"at most shape.num_agents = {shape.num_agents}"
        raise UserError(f"params.num_present: expected {expected}, got {params.num_present}")
    if maps.radius != shape.radius:
        raise UserError(f"shape.radius: the maps were made for {maps.radius}, got {shape.radius}")
    num_regions = maps.num_places_ur.shape[1]
    wanted, room = -(-shape.num_agents // num_regions), int(maps.num_places_ur.min())
    if wanted > room:
        raise UserError(f"shape.num_agents: a map has room for {room * num_regions}, got {shape.num_agents}")
