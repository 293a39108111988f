"""A game of agreement: agents with private noisy bits vote at once, again and again, until all votes are alike.

They should then be what most bits are. What an agent can know of the others is their last symbols, if they are shown,
or their memories, if its network reads them; nobody sees a vote. With neither, whoever is in the minority has no sign
of it but that the game goes on. If only right votes ended it, all could vote 0 and then 1, and nobody had to know
anything; so a wrong agreement ends it too.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.bounds import check_bounds
from lts_jax.environments.contract import Environment, Outcome, Seen
from lts_jax.environments.randomness import uniforms, words
from lts_jax.errors import UserError


@dataclass(frozen=True, slots=True)
class ConsensusShape:
    """Sizes. Another value compiles another program."""

    num_agents: int = 3  # I, odd, so that there is a majority
    num_symbols: int = 8

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be built."""
        check_bounds(self)
        if self.num_agents < 3 or self.num_agents % 2 == 0:
            raise UserError(f"num_agents: expected an odd number of at least 3, got {self.num_agents}")
        if self.num_symbols < 2:
            raise UserError(f"num_symbols: expected at least 2, got {self.num_symbols}")

    @property
    def num_actions(self) -> int:
        """A: vote * num_symbols + symbol."""
        return 2 * self.num_symbols

    @property
    def observation(self) -> tuple[int, ...]:
        """Own bit, own last vote, whether it is the first step, and of each other agent a place for each symbol."""
        return (3 + (self.num_agents - 1) * self.num_symbols,)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ConsensusParams:
    """All numbers are ours."""

    noise: Any = 0.3  # probability that an agent's bit is not the drawn one
    shows_symbols: Any = 1.0  # 0: the first symbol is the only one, and nobody sees it
    limit: Any = 16  # steps of a game
    right_reward: Any = 1.0  # of an agreement, to everybody
    wrong_reward: Any = -1.0
    step_reward: Any = -0.1  # of any other step


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ConsensusState:
    """Bits, and what was said last."""

    bit_i: Array  # bool[I]
    vote_i: Array  # bool[I]
    symbol_i: Array  # i32[I]
    time: Array  # i32[]


def begin(shape: ConsensusShape, params: ConsensusParams, seed_w: Array) -> ConsensusState:
    """A fair coin, and each agent's copy of it, turned with probability `noise`."""
    uniform_p = uniforms(words(seed_w, 1 + shape.num_agents))
    bit_i = (uniform_p[0] < 0.5) ^ (uniform_p[1:] < params.noise)
    nothing_i = jnp.zeros(shape.num_agents, jnp.int32)
    return ConsensusState(bit_i, nothing_i > 0, nothing_i, jnp.zeros((), jnp.int32))


def act(
    shape: ConsensusShape, params: ConsensusParams, state: ConsensusState, action_i: Array, seed_w: Array
) -> tuple[ConsensusState, Outcome]:
    """All vote and send a symbol; it is over where all vote alike. `agreed`: on what most bits are.

    `steps` are those until then; `limit` where it never came to that.
    """
    vote_i, symbol_i = action_i // shape.num_symbols == 1, action_i % shape.num_symbols
    majority = 2 * jnp.sum(state.bit_i) > shape.num_agents
    is_alike, time = jnp.all(vote_i == vote_i[0]), state.time + 1
    is_right = is_alike & (vote_i[0] == majority)
    is_over = is_alike | (time >= params.limit)
    paid = jnp.where(is_right, params.right_reward, params.wrong_reward)
    reward = jnp.where(is_alike, paid, params.step_reward).astype(jnp.float32)
    state = replace(state, vote_i=vote_i, symbol_i=symbol_i, time=time)
    return state, Outcome(
        reward_i=jnp.broadcast_to(reward, vote_i.shape),
        done_i=jnp.broadcast_to(is_over, vote_i.shape),
        is_over=is_over,
        is_truncated=is_over & ~is_alike,
        measures={
            "agreed": is_right.astype(jnp.float32),
            "steps": jnp.where(is_over & ~is_right, params.limit, time).astype(jnp.float32),
        },
    )


def look(shape: ConsensusShape, params: ConsensusParams, state: ConsensusState) -> Seen:
    """Own bit and vote as -1 or 1, and the others' last symbols, the next agent's first; neither at the begin."""
    number, is_first = shape.num_agents, state.time == 0
    others_ij = (np.arange(number)[:, None] + np.arange(1, number)) % number
    heard_ijs = state.symbol_i[others_ij][:, :, None] == jnp.arange(shape.num_symbols)
    heard_ijs = heard_ijs & ~is_first & (jnp.asarray(params.shows_symbols) > 0)
    own_i3 = jnp.stack(
        [
            jnp.where(state.bit_i, 1.0, -1.0),
            jnp.where(is_first, 0.0, jnp.where(state.vote_i, 1.0, -1.0)),
            jnp.broadcast_to(is_first, (number,)).astype(jnp.float32),
        ],
        axis=1,
    )
    symbol_a = jnp.arange(shape.num_actions) % shape.num_symbols
    legal_a = (jnp.asarray(params.shows_symbols) > 0) | (symbol_a == 0)
    return Seen(
        observation_io=jnp.concatenate([own_i3, heard_ijs.reshape(number, -1).astype(jnp.float32)], axis=1),
        legal_ia=jnp.broadcast_to(legal_a, (number, shape.num_actions)),
        active_i=jnp.ones(number, bool),
        central_f=state.bit_i.astype(jnp.float32),
    )


def consensus(
    *, num_agents: int = 3, num_symbols: int = 8, noise: float = 0.3, shows_symbols: bool = True, limit: int = 16
) -> Environment:
    """The game.

    Raises:
        UserError: an even number of agents, a noise outside 0..0.5, no step.
    """
    params = ConsensusParams(noise, float(shows_symbols), limit)
    _check(params, shape := ConsensusShape(num_agents, num_symbols))
    return Environment(name="consensus", shape=shape, params=params, check=_check, reset=begin, act=act, look=look)


def _check(params: Any, shape: Any) -> None:
    if not 0.0 <= params.noise <= 0.5:
        raise UserError(f"noise: expected from 0 to 0.5, got {params.noise:g}")
    if params.limit < 1:
        raise UserError(f"limit: expected at least 1, got {params.limit}")
