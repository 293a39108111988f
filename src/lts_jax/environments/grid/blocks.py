"""Episodes of the grid in blocks that share a hidden fact: whether goals lie in the rooms where agents begin or not.

Learning takes a block as one episode, so what is found out in one of its episodes may pay in a later one: a block's
state draws the fact, and begins its next episode itself. Where an agent has reached its goal, it waits. Letters as in
`environment`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.bounds import check_bounds
from lts_jax.environments.contract import Environment, Outcome, Seen
from lts_jax.environments.grid import environment as grid
from lts_jax.environments.grid.settings import GridParams, GridShape
from lts_jax.environments.randomness import place_words, uniforms, words
from lts_jax.errors import UserError, show

_FACT, _NEXT = 0x7FFFFFFC, 0x7FFFFFFD  # purposes of their own


@dataclass(frozen=True, slots=True)
class BlockShape:
    """Sizes. Another value compiles another program."""

    grid: GridShape = field(default_factory=GridShape)
    num_episodes: int = 4  # M, of a block

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be built."""
        check_bounds(self)
        if self.num_episodes < 1:
            raise UserError(f"num_episodes: expected at least 1, got {self.num_episodes}")

    @property
    def num_agents(self) -> int:
        """I."""
        return self.grid.num_agents

    @property
    def num_actions(self) -> int:
        """A: moves."""
        return self.grid.num_actions

    @property
    def observation(self) -> tuple[int, ...]:
        """Planes, rows and columns."""
        return self.grid.observation


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class BlockParams:
    """What a block is drawn from, and what is seen of it."""

    grid: GridParams
    own_fraction: Any = 0.5  # of the blocks whose goals lie in the rooms in which agents begin
    together: Any = 1.0  # 1: all begin in one room; 0: each in another one, as in SRMT
    shows_path: Any = 0.0  # 1: agents see their shortest path, as in SRMT; 0: their goal alone, where it is in view


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class BlockState:
    """An episode, and the block that it is one of."""

    grid: grid.GridState
    number: Array  # i32[] episodes of the block that are over
    is_own: Array  # bool[] the fact
    reached_i: Array  # bool[I] the last move reached a goal
    csr: Array  # f32[] sums over episodes that are over
    isr: Array
    soc: Array
    first_soc: Array  # of the first episode alone


def begin(shape: BlockShape, params: BlockParams, seed_w: Array) -> BlockState:
    """A block's first episode, with a new fact."""
    uniform = uniforms(words(place_words(seed_w, jnp.asarray(_FACT)), 1))[0]
    is_own, nothing = uniform < params.own_fraction, jnp.zeros(())
    return BlockState(
        grid=_episode(shape, params, is_own, seed_w),
        number=jnp.zeros((), jnp.int32),
        is_own=is_own,
        reached_i=jnp.zeros(shape.num_agents, bool),
        csr=nothing,
        isr=nothing,
        soc=nothing,
        first_soc=nothing,
    )


def act(
    shape: BlockShape, params: BlockParams, state: BlockState, action_i: Array, seed_w: Array
) -> tuple[BlockState, Outcome]:
    """A step of the episode; where it is over, the block's next one begins. Over is the block, after its last one.

    Measures are means over the block's episodes: csr, isr, soc as the grid's, and soc of the first and of later ones.
    """
    after, outcome = grid.act(shape.grid, params.grid, state.grid, action_i, seed_w)
    ends = outcome.is_over
    fresh = _episode(shape, params, state.is_own, place_words(seed_w, jnp.asarray(_NEXT)))
    ended = {name: jnp.where(ends, outcome.measures[name], 0.0) for name in ("csr", "isr", "soc")}
    number = state.number + ends
    is_over = number == shape.num_episodes
    state = BlockState(
        grid=jax.tree.map(lambda new, old: jnp.where(ends, new, old), fresh, after),
        number=number,
        is_own=state.is_own,
        reached_i=state.grid.active_i & ~after.active_i,
        csr=state.csr + ended["csr"],
        isr=state.isr + ended["isr"],
        soc=state.soc + ended["soc"],
        first_soc=state.first_soc + jnp.where(state.number == 0, ended["soc"], 0.0),
    )
    count = jnp.maximum(number, 1).astype(jnp.float32)
    return state, Outcome(
        reward_i=outcome.reward_i,
        done_i=jnp.broadcast_to(is_over, outcome.done_i.shape),
        is_over=is_over,
        is_truncated=jnp.zeros((), bool),
        measures={
            "csr": state.csr / count,
            "isr": state.isr / count,
            "soc": state.soc / count,
            "first_soc": state.first_soc,
            "later_soc": (state.soc - state.first_soc) / jnp.maximum(count - 1, 1),
        },
    )


def look(shape: BlockShape, params: BlockParams, state: BlockState) -> Seen:
    """The grid's view, with the own path or, in its place, the own goal; the place is told from the start."""
    seen = grid.look(shape.grid, params.grid, state.grid)
    radius, side = shape.grid.radius, 2 * shape.grid.radius + 1
    assert seen.place_if is not None
    own_i2, goal_i2 = seen.place_if[:, :2], seen.place_if[:, 2:]
    row_i, column_i = ((goal_i2 - own_i2).astype(jnp.int32) + radius).T
    is_near_i = (row_i >= 0) & (row_i < side) & (column_i >= 0) & (column_i < side)
    bit_i = jnp.where(is_near_i, row_i * side + column_i, -1)
    goal_iv = (bit_i[:, None] == jnp.arange(side * side)).astype(jnp.float32)
    plain_iv = seen.observation_io[:, : side * side]
    hidden_iv = jnp.minimum(plain_iv, 0.0) + goal_iv
    first_iv = jnp.where(jnp.asarray(params.shows_path) > 0, plain_iv, hidden_iv)
    observation_io = jnp.concatenate([first_iv, seen.observation_io[:, side * side :]], axis=1)
    everybody_i = grid.present(params.grid, shape.num_agents)
    return replace(seen, observation_io=observation_io, active_i=everybody_i, place_if=own_i2)


def blocks(
    lengths: Sequence[int] = (2,),
    *,
    num_episodes: int = 4,
    limit: int = 24,
    own_fraction: float = 0.5,
    together: bool = True,
    shows_path: bool = False,
    step_cost: float = 0.02,
    progress_reward: float = 0.03,
) -> Environment:
    """Corridors of these lengths in blocks; `limit` steps of an episode.

    With an `own_fraction` of 0, not `together` and paths shown it is SRMT's bottleneck, and nothing has to be found
    out. Where agents begin in one room, they go through the corridor one behind the other. Rewards are ours: 1 at the
    goal; any other step costs `step_cost`, and `progress_reward` is added where it leads on along the own shortest path
    and taken off where it does not: unpaid, nobody would learn to leave a room within a small budget.

    Raises:
        UserError: what `bottlenecks` refuses, a fraction outside 0..1, or a cost or a reward below 0.
    """
    if not 0.0 <= own_fraction <= 1.0:
        raise UserError(f"own_fraction: expected from 0 to 1, got {own_fraction:g}")
    for name, value in (("step_cost", step_cost), ("progress_reward", progress_reward)):
        if not value >= 0:
            raise UserError(f"{name}: expected at least 0, got {value:g}")
    inner = grid.bottlenecks(lengths, limits=limit)
    other = -step_cost - progress_reward
    rewards = {"path_reward": progress_reward - step_cost, "step_reward": other, "stay_reward": other}
    params = BlockParams(replace(inner.params, **rewards), own_fraction, float(together), float(shows_path))
    check_blocks(params, BlockShape(inner.shape, num_episodes))
    return Environment(
        name="blocks",
        shape=BlockShape(inner.shape, num_episodes),
        params=params,
        check=check_blocks,
        reset=begin,
        act=act,
        look=look,
    )


def check_blocks(params: Any, shape: Any) -> None:
    """Refuse agents that do not finish on their goals, and rooms that are too small for all of them.

    Raises:
        UserError: in one line.
    """
    if shape.grid.on_goal != "finish":
        raise UserError(f"shape.on_goal: expected finish, got {show(shape.grid.on_goal)}")
    smallest = int(params.grid.maps.num_places_ur.min())
    if shape.num_agents >= smallest:
        raise UserError(f"shape.num_agents: expected fewer than a room's {smallest} places, got {shape.num_agents}")


def _episode(shape: BlockShape, params: BlockParams, is_own: Array, seed_w: Array) -> grid.GridState:
    """The grid's, with starts moved to the first agent's room, goals to that of the start; nowhere two in one place."""
    state, maps = grid.begin(shape.grid, params.grid, seed_w), params.grid.maps
    num_rooms, size = maps.place_urs.shape[1:]
    count_r, place_rs = maps.num_places_ur[state.map], maps.place_urs[state.map]
    aim_i, room_i = state.goal_i // size, (state.goal_i // size + num_rooms - 1) % num_rooms
    start_i = jnp.argmax(place_rs[room_i] == state.cell_i[:, None], axis=1).astype(jnp.int32)
    is_moved = jnp.asarray(params.together) > 0
    room_i, aim_i = (jnp.where(is_moved, one[0], one) for one in (room_i, aim_i))
    aim_i = jnp.where(is_own, room_i, aim_i)
    starts: list[Array] = []
    goals: list[Array] = []
    for agent in range(shape.num_agents):
        room, aim = room_i[agent] * size, aim_i[agent] * size
        starts.append(_free(room, start_i[agent], count_r[room_i[agent]], starts))
        own = [*goals, starts[agent]]
        goals.append(_free(aim, state.goal_i[agent] % size, count_r[aim_i[agent]], own))
    cell_i = place_rs.reshape(-1)[jnp.stack(starts)]
    return replace(state, cell_i=cell_i, start_i=cell_i, goal_i=jnp.stack(goals))


def _free(room: Array, place: Array, count: Array, taken: Sequence[Array]) -> Array:
    """room + place, or the next place of the room's `count` that is not among those taken."""
    for _ in taken:
        place = (place + jnp.any(jnp.stack(taken) == room + place)) % count
    return room + place
