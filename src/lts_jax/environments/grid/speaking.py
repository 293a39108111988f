"""Blocks of episodes in which agents, beside their moves, may send one of some symbols, which the others hear next.

An action is a move and silence or a symbol. A symbol is one number, and costs the one who sends it as much as any other
number that is sent (`gated`); silence is free. So PPO learns what to say with the same return as the moves. What was
said is heard at the next step of the same episode, and never again; who has reached its goal is silent.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.bounds import check_bounds
from lts_jax.environments.contract import Environment, Outcome, Seen
from lts_jax.environments.gates import check_price
from lts_jax.environments.grid import blocks
from lts_jax.environments.grid.blocks import BlockParams, BlockShape, BlockState
from lts_jax.environments.grid.environment import present
from lts_jax.errors import UserError
from lts_jax.models.hearing import NUM_FLAGS

SILENCE = 0


@dataclass(frozen=True, slots=True)
class SpeakingShape:
    """Sizes. Another value compiles another program."""

    block: BlockShape = field(default_factory=BlockShape)
    num_symbols: int = 8

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be built."""
        check_bounds(self)
        if self.num_symbols < 2:
            raise UserError(f"num_symbols: expected at least 2, got {self.num_symbols}")

    @property
    def num_agents(self) -> int:
        """I."""
        return self.block.num_agents

    @property
    def num_moves(self) -> int:
        """Moves of an agent, apart from what it says."""
        return self.block.num_actions

    @property
    def num_actions(self) -> int:
        """A: move * (1 + num_symbols) + what is said, 0 for silence."""
        return self.num_moves * (1 + self.num_symbols)

    @property
    def observation(self) -> tuple[int, ...]:
        """One row of numbers: planes, a place for each symbol of each other agent, flags (`models.hearing`)."""
        planes, rows, columns = self.block.observation
        return (planes * rows * columns + (self.num_agents - 1) * self.num_symbols + NUM_FLAGS,)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SpeakingParams:
    """The price."""

    block: BlockParams
    price: Any = 0.0  # of a symbol, in units of reward; infinite: nobody may speak


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SpeakingState:
    """A block, what its agents said last, and sums over the block."""

    block: BlockState
    symbol_i: Array  # i32[I] that others hear now; 0 is silence
    paid: Array  # f32[] reward of all agents, price taken off
    num_sent: Array  # f32[] symbols
    num_steps: Array  # f32[] steps of agents under way


def begin(shape: SpeakingShape, params: SpeakingParams, seed_w: Array) -> SpeakingState:
    """A block's begin, in silence."""
    silence_i, nothing = jnp.full(shape.num_agents, SILENCE, jnp.int32), jnp.zeros(())
    return SpeakingState(blocks.begin(shape.block, params.block, seed_w), silence_i, nothing, nothing, nothing)


def act(
    shape: SpeakingShape, params: SpeakingParams, state: SpeakingState, action_i: Array, seed_w: Array
) -> tuple[SpeakingState, Outcome]:
    """Moves are made, what is said is paid for.

    To the block's measures come, of an agent and episode: `return`, price taken off; `sent`, symbols; and
    `share_none`, of its steps those in silence.
    """
    move_i, symbol_i = action_i // (1 + shape.num_symbols), action_i % (1 + shape.num_symbols)
    under_way_i = state.block.grid.active_i
    inner, outcome = blocks.act(shape.block, params.block, state.block, move_i, seed_w)
    says_i = under_way_i & (symbol_i != SILENCE)
    reward_i = outcome.reward_i - jnp.where(says_i, params.price, 0.0)
    state = SpeakingState(
        block=inner,
        symbol_i=jnp.where(says_i & (inner.grid.time > 0), symbol_i, SILENCE),
        paid=state.paid + jnp.sum(reward_i),
        num_sent=state.num_sent + jnp.sum(says_i),
        num_steps=state.num_steps + jnp.sum(under_way_i),
    )
    num_present = jnp.sum(present(params.block.grid, shape.num_agents))
    num_lives = num_present * jnp.maximum(inner.number, 1).astype(jnp.float32)
    more = {
        "return": state.paid / num_lives,
        "sent": state.num_sent / num_lives,
        "share_none": 1.0 - state.num_sent / jnp.maximum(state.num_steps, 1.0),
    }
    return state, replace(outcome, reward_i=reward_i.astype(jnp.float32), measures=outcome.measures | more)


def look(shape: SpeakingShape, params: SpeakingParams, state: SpeakingState) -> Seen:
    """The block's view, what others said, the next agent's first, and flags."""
    seen = blocks.look(shape.block, params.block, state.block)
    number, under_way_i = shape.num_agents, state.block.grid.active_i
    others_ij = (np.arange(number)[:, None] + np.arange(1, number)) % number
    heard_ijs = state.symbol_i[others_ij][:, :, None] == 1 + jnp.arange(shape.num_symbols)
    flag_in = jnp.stack([jnp.broadcast_to(state.block.grid.time == 0, (number,)), ~under_way_i], axis=1)
    parts = [one.reshape(number, -1).astype(jnp.float32) for one in (heard_ijs, flag_in)]
    may_speak_i = under_way_i & jnp.isfinite(params.price)
    legal_is = may_speak_i[:, None] | (jnp.arange(1 + shape.num_symbols) == SILENCE)
    return replace(
        seen,
        observation_io=jnp.concatenate([seen.observation_io, *parts], axis=1),
        legal_ia=(seen.legal_ia[:, :, None] & legal_is[:, None]).reshape(number, -1),
    )


def speaking(world: Environment, *, num_symbols: int = 8, price: float = 0.0) -> Environment:
    """Blocks of episodes (`blocks`) whose agents may speak.

    Raises:
        UserError: a price below 0, fewer than two symbols.
    """
    shape, params = SpeakingShape(world.shape, num_symbols), SpeakingParams(world.params, check_price(price))
    return Environment(name="speaking", shape=shape, params=params, check=_check, reset=begin, act=act, look=look)


def _check(params: Any, shape: Any) -> None:
    blocks.check_blocks(params.block, shape.block)
