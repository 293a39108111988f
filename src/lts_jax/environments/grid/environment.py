"""The grid as an environment of single steps: SRMT's bottleneck (arXiv 2501.13200) by POGEMA's rules.

An agent on its goal gets the reward, disappears and blocks nothing. One that is padding (`GridParams.num_present`) was
never there: the others draw, move and see what they would without it. Letters here: as in `maps`, and V cells in view.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.environments.contract import Environment, Outcome, Seen
from lts_jax.environments.grid.maps import TRAINING_LENGTHS, GridMap, Maps, bottleneck, tabulate
from lts_jax.environments.grid.moving import RULES
from lts_jax.environments.grid.settings import MOVES, REWARDS, STAY, GridParams, GridShape, check_params
from lts_jax.environments.randomness import uniforms, words
from lts_jax.errors import UserError, show


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GridState:
    """Where everybody is."""

    map: Array  # i32[] U
    time: Array  # i32[] steps done
    cell_i: Array  # i32[I] X
    goal_i: Array  # i32[I] Y
    start_i: Array  # i32[I] X, what positions are told relative to
    active_i: Array  # bool[I]
    steps_i: Array  # i32[I] steps until the goal, so far
    num_reached_i: Array  # i32[I] goals


def begin(shape: GridShape, params: GridParams, seed_w: Array) -> GridState:
    """A map at random; agents at random, different places, each with its goal in the next region."""
    maps, num_agents = params.maps, shape.num_agents
    num_maps, num_regions, size = maps.place_urs.shape
    uniform_p = uniforms(words(seed_w, 2 + 2 * num_agents))
    wanted = jnp.where(params.num_maps > 0, params.num_maps, num_maps - params.first_map)
    number = params.first_map + _below(uniform_p[0], wanted)
    turn = _below(uniform_p[1], num_regions)
    region_i = (jnp.arange(num_agents) + turn) % num_regions
    count_i = maps.num_places_ur[number, region_i]
    start_i = _distinct(uniform_p[2 : 2 + num_agents], count_i, num_regions)
    aim_i = (region_i + 1) % num_regions
    goal_i = _distinct(_second(params, uniform_p[2:]), maps.num_places_ur[number, aim_i], num_regions)
    cell_i = maps.place_urs.reshape(num_maps, -1)[number, region_i * size + start_i]
    nothing_i, present_i = jnp.zeros(num_agents, jnp.int32), present(params, num_agents)
    return GridState(
        number, jnp.zeros((), jnp.int32), cell_i, aim_i * size + goal_i, cell_i, present_i, nothing_i, nothing_i
    )


def act(
    shape: GridShape, params: GridParams, state: GridState, action_i: Array, seed_w: Array
) -> tuple[GridState, Outcome]:
    """Everybody's move at once; one outside 0..4 stays."""
    maps, middle = params.maps, _middle(shape)
    move_i = jnp.where((action_i >= 0) & (action_i < len(MOVES)), action_i, STAY)
    row_i, column_i = (_chosen(move_i, [move[axis] for move in MOVES]) for axis in (0, 1))
    bit_i = middle + row_i * (2 * shape.radius + 1) + column_i  # of the cell aimed at, among those in view
    is_blocked_i = _bit(_view(maps, state), bit_i) != 0
    target_i = jnp.where(is_blocked_i, state.cell_i, state.cell_i + row_i * maps.width + column_i)
    moves_i = RULES[shape.collision](state.cell_i, target_i, state.active_i)
    cell_i = jnp.where(moves_i, target_i, state.cell_i)
    reached_i = state.active_i & (cell_i == _goal_cell(maps, state))
    follows_i = moves_i & (_bit(_path(maps, state), bit_i) != 0)
    otherwise_i = jnp.where(move_i == STAY, params.stay_reward, params.step_reward)
    reward_i = jnp.where(reached_i, params.goal_reward, jnp.where(follows_i, params.path_reward, otherwise_i))
    time = state.time + 1
    is_lifelong = shape.on_goal == "restart"
    state = replace(
        state,
        time=time,
        cell_i=cell_i,
        goal_i=_next_goals(params, state, reached_i, seed_w) if is_lifelong else state.goal_i,
        active_i=state.active_i if is_lifelong else state.active_i & ~reached_i,
        steps_i=state.steps_i + (state.num_reached_i == 0),
        num_reached_i=state.num_reached_i + reached_i,
    )
    is_late = time >= maps.limit_u[state.map]
    all_done = ~jnp.any(state.active_i)
    return state, Outcome(
        reward_i=jnp.where(_was_active(state, reached_i), reward_i, 0.0).astype(jnp.float32),
        done_i=~state.active_i | is_late,
        is_over=all_done | is_late,
        is_truncated=is_late & ~all_done,
        measures=_measures(state, present(params, shape.num_agents)),
    )


def look(shape: GridShape, params: GridParams, state: GridState) -> Seen:
    """What each agent sees: obstacles (-1) and its own path (1); agents (1); the others' goals (1), around itself.

    Where an agent is, and where its goal, is told relative to its start: nobody knows absolute places.
    """
    maps, num_view = params.maps, (2 * shape.radius + 1) ** 2
    plain = _unpacked(_path(maps, state), num_view) - _unpacked(_view(maps, state), num_view)
    goal_cell_i = _goal_cell(maps, state)
    agents = _seen_of(shape, maps.width, state.cell_i, state.cell_i, state.active_i, sees_own=True)
    there_j = present(params, shape.num_agents)
    goals = _seen_of(shape, maps.width, state.cell_i, goal_cell_i, there_j, sees_own=False)
    legal_ia = state.active_i[:, None] | (jnp.arange(len(MOVES)) == STAY)
    start_i2 = _place(maps.width, state.start_i)
    places = [_place(maps.width, cell_i) for cell_i in (state.cell_i, goal_cell_i)]
    everything = [one.reshape(-1) / maps.width for one in places] + [state.active_i.astype(jnp.float32)]
    return Seen(
        observation_io=jnp.concatenate([plain, agents, goals], axis=-1),
        legal_ia=legal_ia,
        active_i=state.active_i,
        place_if=jnp.concatenate([one - start_i2 for one in places], axis=-1),
        central_f=jnp.concatenate([*everything, state.time[None] / 512.0]),
    )


def present(params: GridParams, num_agents: int) -> Array:
    """bool[I]: who is no padding."""
    return (jnp.arange(num_agents) < params.num_present) | (jnp.asarray(params.num_present) == 0)


def grid(
    maps: Maps | Sequence[GridMap], *, reward: str = "sparse", shape: GridShape | None = None, name: str = "grid"
) -> Environment:
    """An environment on these maps.

    Raises:
        UserError: an unknown reward, maps that have no room or no path.
    """
    if reward not in REWARDS:
        raise UserError(f"reward: expected one of {', '.join(REWARDS)}, got {show(reward)}")
    sizes = shape or GridShape()
    tables = maps if isinstance(maps, Maps) else tabulate(maps, radius=sizes.radius)
    params = GridParams(jax.tree.map(jnp.asarray, tables), **REWARDS[reward])
    check_params(params, sizes)
    return Environment(name=name, shape=sizes, params=params, check=check_params, reset=begin, act=act, look=look)


def bottlenecks(
    lengths: Sequence[int] = TRAINING_LENGTHS, *, reward: str = "sparse", num_agents: int = 2, limits: int = 512
) -> Environment:
    """Corridors of these lengths; `limits` are the steps of an episode, 0 for 2 * length + 100 as in SRMT's tests."""
    ends = [limits or 2 * length + 100 for length in lengths]
    tables = tabulate([bottleneck(length) for length in lengths], limits=ends)
    return grid(tables, reward=reward, shape=GridShape(num_agents), name="bottleneck")


def bottleneck_world(
    lengths: str = "", *, reward: str = "sparse", num_agents: int = 2, limits: int = 512
) -> Environment:
    """SRMT's bottleneck (arXiv 2501.13200) as a part by name; `lengths` as "3,4,5", or none for its 16.

    Raises:
        UserError: lengths that are no whole numbers, and what `bottlenecks` refuses.
    """
    words = lengths.replace(",", " ").split()
    if not all(word.isdigit() for word in words):
        raise UserError(f"lengths: expected whole numbers, as 3,4,5, got {show(lengths)}")
    chosen = tuple(map(int, words)) or TRAINING_LENGTHS
    return bottlenecks(chosen, reward=reward, num_agents=num_agents, limits=limits)


def _was_active(state: GridState, reached_i: Array) -> Array:
    return state.active_i | reached_i


def _measures(state: GridState, present_i: Array) -> dict[str, Array]:
    """Of an episode that is over: shares of agents that reached a goal, and steps until then, or until the end."""
    reached_i, steps_i = state.num_reached_i > 0, jnp.where(present_i, state.steps_i, 0)
    return {
        "csr": jnp.all(reached_i | ~present_i).astype(jnp.float32),
        "isr": jnp.sum(reached_i.astype(jnp.float32)) / jnp.sum(present_i),
        "soc": jnp.sum(steps_i).astype(jnp.float32),
        "makespan": jnp.max(steps_i).astype(jnp.float32),
        "goals": jnp.sum(state.num_reached_i).astype(jnp.float32),
    }


def _below(uniform: Array, count: Array | int) -> Array:
    """i32: a whole number below `count`."""
    return jnp.minimum((uniform * count).astype(jnp.int32), jnp.asarray(count, jnp.int32) - 1)


def _distinct(uniform_i: Array, count_i: Array, num_regions: int) -> Array:
    """i32[I] places, no two alike within a region: the n-th of those that earlier agents left."""
    chosen: list[Array] = []
    for agent in range(len(uniform_i)):
        earlier = chosen[agent % num_regions :: num_regions]
        place = _below(uniform_i[agent], count_i[agent] - len(earlier))
        for taken in jnp.sort(jnp.stack(earlier)) if earlier else ():
            place = place + (place >= taken)
        chosen.append(place)
    return jnp.stack(chosen)


def _second(params: GridParams, uniform_p: Array) -> Array:
    """f32[I]: of 2 I numbers those that come after one for each agent who is no padding."""
    num_agents = len(uniform_p) // 2
    first = jnp.sum(present(params, num_agents))
    return jax.lax.dynamic_slice_in_dim(uniform_p, first, num_agents)


def _next_goals(params: GridParams, state: GridState, reached_i: Array, seed_w: Array) -> Array:
    """A new goal at random where one was reached, anywhere that a goal may be."""
    maps = params.maps
    size = maps.place_urs.shape[-1]
    count_r = maps.num_places_ur[state.map]
    uniform_p = uniforms(words(seed_w, 2 * len(reached_i)))
    region_i = _below(uniform_p[: len(reached_i)], len(count_r))
    fresh_i = region_i * size + _below(_second(params, uniform_p), count_r[region_i])
    return jnp.where(reached_i, fresh_i, state.goal_i)


def _middle(shape: GridShape) -> int:
    return shape.radius * (2 * shape.radius + 1) + shape.radius


def _chosen(action_i: Array, values: Sequence[int]) -> Array:
    """The value of each action, without a lookup."""
    return sum((jnp.where(action_i == number, value, 0) for number, value in enumerate(values) if value), 0 * action_i)


def _view(maps: Maps, state: GridState) -> Array:
    """u32[I, Z]: obstacles in view."""
    return maps.view_uxz[state.map, state.cell_i]


def _path(maps: Maps, state: GridState) -> Array:
    """u32[I, Z]: each agent's own path in view."""
    return maps.path_uyxz[state.map, state.goal_i, state.cell_i]


def _goal_cell(maps: Maps, state: GridState) -> Array:
    return maps.place_urs.reshape(len(maps.limit_u), -1)[state.map, state.goal_i]


def _bit(word_iz: Array, bit_i: Array) -> Array:
    """u32[I]: one bit of each."""
    found_iz = jnp.where(jnp.arange(word_iz.shape[-1]) == bit_i[:, None] // 32, word_iz, 0)
    return (jnp.sum(found_iz, axis=-1, dtype=jnp.uint32) >> (bit_i % 32).astype(jnp.uint32)) & 1


def _unpacked(word_iz: Array, num_view: int) -> Array:
    """f32[I, V] of the bits."""
    bit_v = np.arange(num_view)
    return ((word_iz[:, bit_v // 32] >> (bit_v % 32).astype(np.uint32)) & 1).astype(jnp.float32)


def _place(width: int, cell_i: Array) -> Array:
    """f32[I, 2]: row and column."""
    return jnp.stack([cell_i // width, cell_i % width], axis=-1).astype(jnp.float32)


def _seen_of(shape: GridShape, width: int, cell_i: Array, cell_j: Array, there_j: Array, *, sees_own: bool) -> Array:
    """f32[I, V]: which cells in view of each agent are among some cells of all agents."""
    side, radius = 2 * shape.radius + 1, shape.radius
    row_ij = cell_j // width - (cell_i // width)[:, None]
    column_ij = cell_j % width - (cell_i % width)[:, None]
    is_near_ij = there_j & (jnp.abs(row_ij) <= radius) & (jnp.abs(column_ij) <= radius)
    if not sees_own:
        is_near_ij &= ~np.eye(len(there_j), dtype=bool)
    bit_ij = jnp.where(is_near_ij, (row_ij + radius) * side + column_ij + radius, -1)
    return jnp.any(bit_ij[:, :, None] == np.arange(side * side), axis=1).astype(jnp.float32)
