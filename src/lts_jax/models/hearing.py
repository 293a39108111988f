"""SRMT's core with a memory of its own alone (`rmt`, arXiv 2501.13200), which hears the symbols that others sent.

What was heard is added to what was seen: h = encoded observation + W_heard s, s a place for each symbol of each other
agent. Logits of an action are sums of those of its move and of the symbol that it sends. Where all are silent and the
bias of W_heard is 0 it is the core `rmt` exactly.
"""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError
from lts_jax.models.actor_critic import ActorCritic
from lts_jax.models.episode_last import applied, init_linear
from lts_jax.models.policy_network import Params
from lts_jax.models.shared_memory import (
    Carry,
    CoreSettings,
    Sizes,
    core_step,
    encoded,
    init_params,
    outputs,
    part_heads,
    start_carry,
)

NUM_FLAGS = 2  # last numbers of an observation: an episode begins; the agent has reached its goal


@lru_cache(maxsize=32)
def hearing_actor_critic(
    settings: CoreSettings, observation: tuple[int, ...], num_moves: int, num_agents: int, num_symbols: int
) -> ActorCritic:
    """The network; its actions are moves x (silence, or one of the symbols).

    An observation's numbers are the planes, what was heard of each other agent, and `NUM_FLAGS` flags.

    Raises:
        UserError: another core, fewer than two agents, or fewer than two symbols.
    """
    if settings.core != "rmt":
        raise UserError(f"core: expected rmt, which reads nobody's memory, got {settings.core!r}")
    for name, number in (("num_agents", num_agents), ("num_symbols", num_symbols)):
        if number < 2:
            raise UserError(f"{name}: expected at least 2, got {number}")
    sizes = Sizes(settings, observation, num_moves + 1 + num_symbols, num_agents)
    return ActorCritic(
        init=partial(_init, sizes, (num_agents - 1) * num_symbols),
        start=partial(start_carry, sizes),
        step=partial(_step, sizes, num_moves),
        unroll=partial(_unroll, sizes, num_moves),
        name=f"hearing rmt(width={settings.width}), {num_symbols} symbols",
    )


def _init(sizes: Sizes, num_heard: int, prng_key: Array) -> Params:
    heard = init_linear(jax.random.fold_in(prng_key, 1), num_heard, sizes.settings.width)
    return init_params(sizes, prng_key) | {"heard": heard}


def _step(
    sizes: Sizes, num_moves: int, params: Params, carry: Carry, seen_ieo: Array, begins_e: Array, active_ie: Array
) -> tuple[Carry, Array, Array]:
    carry, out_fie = core_step(sizes.settings, params, carry, _taken_in(sizes, params, seen_ieo, begins_e))
    logit_aie, value_ie = part_heads(params, out_fie, _parts(sizes, num_moves))
    return carry, logit_aie, value_ie


def _unroll(
    sizes: Sizes, num_moves: int, params: Params, carry: Carry, seen_tieo: Array, begins_te: Array, active_tie: Array
) -> tuple[Array, Array]:
    hidden_ftie, starts_te, active_tie = _taken_in(sizes, params, seen_tieo, begins_te)

    now = (jnp.moveaxis(hidden_ftie, 1, 0), starts_te, active_tie)
    out_ftie = outputs(sizes, partial(core_step, sizes.settings, params), carry, now)
    logit_atie, value_tie = part_heads(params, out_ftie, _parts(sizes, num_moves))
    return jnp.moveaxis(logit_atie, 0, 1), value_tie


def _taken_in(sizes: Sizes, params: Params, seen_xieo: Array, begins_xe: Array) -> tuple[Array, Array, Array]:
    """Of one step or all: what was seen and heard f32[F, ..., I, E], whose episodes begin, who is under way."""
    num_planes = 1
    for length in sizes.observation:
        num_planes *= length
    heard = jnp.moveaxis(seen_xieo[..., num_planes:-NUM_FLAGS], -1, 0)
    hidden = encoded(sizes, params, seen_xieo[..., :num_planes]) + applied(params["heard"], heard)
    starts, finished = seen_xieo[..., -2] > 0, seen_xieo[..., -1] > 0
    return hidden, begins_xe | starts[..., 0, :], ~finished


def _parts(sizes: Sizes, num_moves: int) -> tuple[int, ...]:
    """Moves; silence and symbols."""
    return num_moves, sizes.num_actions - num_moves
