"""Blocks of episodes in which agents decide, beside their moves, what they write to a pool and read of others.

An action is a move, to write or not, and a gate: of others nothing, their memories, the pool, or both is read at the
next step. Every number that is sent has a price, which is taken from the reward of the one who reads or writes it: the
memories of all others, the entries that are found, an entry that is written. So PPO learns gate and writing with the
same return as the moves. Which gates there are is a matter of numbers: one alone is a mode that nobody chooses.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import Environment, Outcome, Seen
from lts_jax.environments.gates import BOTH, POOL, check_gates, check_price, gates_of, is_gate, open_gates, read_by
from lts_jax.environments.grid import blocks
from lts_jax.environments.grid.blocks import BlockParams, BlockShape, BlockState
from lts_jax.environments.grid.environment import present
from lts_jax.models.gated_memory import GATES, NUM_READ, NUM_TOLD, Told

_FAR = 4.0  # cells; places are told in units of it


@dataclass(frozen=True, slots=True)
class GatedShape:
    """Sizes. Another value compiles another program."""

    block: BlockShape = field(default_factory=BlockShape)

    @property
    def num_agents(self) -> int:
        """I."""
        return self.block.num_agents

    @property
    def num_moves(self) -> int:
        """Moves of an agent, apart from what it writes and reads."""
        return self.block.num_actions

    @property
    def num_actions(self) -> int:
        """A: (move * 2 + write) * 4 + gate."""
        return self.num_moves * 2 * len(GATES)

    @property
    def observation(self) -> tuple[int, ...]:
        """One row of numbers: planes, then what an agent is told (`models.gated_memory.Told`)."""
        planes, rows, columns = self.block.observation
        return (planes * rows * columns + NUM_TOLD,)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GatedParams:
    """Gates and prices."""

    block: BlockParams
    gate_open_g: Any  # bool[4] gates that may be chosen, of `GATES`
    price: Any = 0.0  # of a number sent, in units of reward; infinite: what costs is not to be had
    memory_numbers: Any = 16  # of one agent's memory
    entry_numbers: Any = 19  # of an entry


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GatedState:
    """A block, what its agents decided last, and sums over the block."""

    block: BlockState
    gate_i: Array  # i32[I] what is read now
    writes_i: Array  # bool[I] an entry is written now, of what was seen a step ago
    num_entries: Array  # i32[] written in the block so far
    paid: Array  # f32[] reward of all agents, price taken off
    num_sent: Array  # f32[] numbers
    num_written: Array  # f32[] entries
    steps_g: Array  # f32[4] steps of agents under way, by gate


def begin(shape: GatedShape, params: GatedParams, seed_w: Array) -> GatedState:
    """A block's begin: the first gate that is open."""
    nothing = jnp.zeros(())
    return GatedState(
        block=blocks.begin(shape.block, params.block, seed_w),
        gate_i=jnp.full(shape.num_agents, jnp.argmax(open_gates(params.gate_open_g, params.price)), jnp.int32),
        writes_i=jnp.zeros(shape.num_agents, bool),
        num_entries=jnp.zeros((), jnp.int32),
        paid=nothing,
        num_sent=nothing,
        num_written=nothing,
        steps_g=jnp.zeros(len(GATES)),
    )


def act(
    shape: GatedShape, params: GatedParams, state: GatedState, action_i: Array, seed_w: Array
) -> tuple[GatedState, Outcome]:
    """Moves are made, what was read now and is written next is paid for.

    To the block's measures come, of an agent and episode: `return`, price taken off; `sent`, numbers; `written`,
    entries; and shares of its steps by gate.
    """
    gate_i, rest_i = action_i % len(GATES), action_i // len(GATES)
    writes_i, move_i = rest_i % 2 == 1, rest_i // 2
    under_way_i = state.block.grid.active_i
    inner, outcome = blocks.act(shape.block, params.block, state.block, move_i, seed_w)
    writes_i &= under_way_i
    sent_i = jnp.where(under_way_i, _read(shape, params, state), 0.0) + writes_i * params.entry_numbers
    reward_i = outcome.reward_i - jnp.where(sent_i > 0, params.price * sent_i, 0.0)
    is_gate_ig = under_way_i[:, None] & is_gate(state.gate_i)
    state = GatedState(
        block=inner,
        gate_i=gate_i,
        writes_i=writes_i,
        num_entries=state.num_entries + jnp.sum(writes_i),
        paid=state.paid + jnp.sum(reward_i),
        num_sent=state.num_sent + jnp.sum(sent_i),
        num_written=state.num_written + jnp.sum(writes_i),
        steps_g=state.steps_g + jnp.sum(is_gate_ig, axis=0),
    )
    num_lives = _num_present(shape, params) * jnp.maximum(inner.number, 1).astype(jnp.float32)
    share_g = state.steps_g / jnp.maximum(jnp.sum(state.steps_g), 1.0)
    more = {"return": state.paid / num_lives, "sent": state.num_sent / num_lives}
    more |= {"written": state.num_written / num_lives}
    more |= {f"share_{name}": share_g[number] for number, name in enumerate(GATES)}
    return state, replace(outcome, reward_i=reward_i.astype(jnp.float32), measures=outcome.measures | more)


def look(shape: GatedShape, params: GatedParams, state: GatedState) -> Seen:
    """The block's view and what agents are told; who has reached its goal stays and writes nothing."""
    seen = blocks.look(shape.block, params.block, state.block)
    assert seen.place_if is not None
    under_way_i = state.block.grid.active_i
    reads_latent_i, reads_pool_i = read_by(state.gate_i)
    told = Told(
        begins=jnp.broadcast_to(state.block.grid.time == 0, under_way_i.shape),
        finished=~under_way_i,
        reached=state.block.reached_i,
        writes=state.writes_i,
        reads_latent=reads_latent_i,
        reads_pool=reads_pool_i,
        row=seen.place_if[:, 0] / _FAR,
        column=seen.place_if[:, 1] / _FAR,
    )
    open_g = open_gates(params.gate_open_g, params.price)
    may_write_i = under_way_i & (open_g[POOL] | open_g[BOTH])
    legal_write_iw = jnp.stack([jnp.ones_like(may_write_i), may_write_i], axis=1)
    legal = seen.legal_ia[:, :, None, None] & legal_write_iw[:, None, :, None] & open_g
    told_it = jnp.stack([jnp.asarray(one, jnp.float32) for one in told], axis=1)
    return replace(
        seen,
        observation_io=jnp.concatenate([seen.observation_io, told_it], axis=1),
        legal_ia=legal.reshape(shape.num_agents, -1),
    )


def gated(
    world: Environment, mode: str = "switch", *, price: float = 0.0, memory_numbers: int = 16, entry_numbers: int = 19
) -> Environment:
    """Blocks of episodes (`blocks`) in a mode.

    Raises:
        UserError: an unknown mode, a price below 0, or an infinite one where there is nothing that is free.
    """
    params = GatedParams(world.params, gates_of(mode), check_price(price), memory_numbers, entry_numbers)
    _check(params, GatedShape(world.shape))
    return Environment(
        name="gated", shape=GatedShape(world.shape), params=params, check=_check, reset=begin, act=act, look=look
    )


def _check(params: Any, shape: Any) -> None:
    blocks.check_blocks(params.block, shape.block)
    check_gates(params.gate_open_g, params.price)


def _num_present(shape: GatedShape, params: GatedParams) -> Array:
    return jnp.sum(present(params.block.grid, shape.num_agents))


def _read(shape: GatedShape, params: GatedParams, state: GatedState) -> Array:
    """f32[I]: numbers that each agent reads now. At an episode's first step nobody has a memory."""
    has_memory = state.block.grid.time > 0
    of_memories = has_memory * (_num_present(shape, params) - 1) * params.memory_numbers
    of_entries = jnp.minimum(state.num_entries, NUM_READ) * params.entry_numbers
    reads_latent_i, reads_pool_i = read_by(state.gate_i)
    return (reads_latent_i * of_memories + reads_pool_i * of_entries).astype(jnp.float32)
