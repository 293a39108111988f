"""SRMT's core (arXiv 2501.13200) with a pool of entries beside it, and a gate that says which of the two is read.

Cross-attention reads an agent's own memory always; those of others who are active, where its gate is open; and, where
it is open for the pool, the `NUM_READ` entries nearest to what the agent sees and where it is. Memories end with the
episode, the pool with the block of episodes. What an action decides, a gate and whether to write, holds from the next
step on: an entry is what was seen and where, and whether the move that came with the decision reached a goal.

With every gate closed this is the core `rmt`; open for memories and without a pool it is `srmt`, both exactly.
"""

from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError
from lts_jax.models.actor_critic import ActorCritic
from lts_jax.models.episode_last import applied, init_linear, normed
from lts_jax.models.memory_pool import Pool, admitted, cleared, empty_pool, nearest
from lts_jax.models.policy_network import Params
from lts_jax.models.shared_memory import (
    Carry,
    CoreSettings,
    Sizes,
    attention,
    core_step,
    encoded,
    init_params,
    outputs,
    part_heads,
    start_carry,
)

GATES = ("none", "latent", "pool", "both")
"""What an agent reads of others."""
NUM_READ = 2  # entries
PLACE = 2  # numbers that say where an agent is: row and column from its start
_SMALL = 0.01  # as in `shared_memory`


class Told(NamedTuple):
    """What an agent is told beside what it sees, as the last numbers of its observation, in this order."""

    begins: Any  # 1 at an episode's first step
    finished: Any  # 1 of an agent that has reached its goal
    reached: Any  # 1 if the last move did
    writes: Any  # 1 if the last action was to write
    reads_latent: Any
    reads_pool: Any
    row: Any
    column: Any


NUM_TOLD = len(Told._fields)


class GatedCarry(NamedTuple):
    """What agents remember, what all of them have written, and what each would have written at the last step."""

    memory: Carry
    pool: Pool
    noted_fie: Array


def entry_width(settings: CoreSettings) -> int:
    """Numbers of an entry: what was seen, where, whether a goal was reached."""
    return settings.width + PLACE + 1


@lru_cache(maxsize=32)
def gated_actor_critic(
    settings: CoreSettings, observation: tuple[int, ...], num_moves: int, num_agents: int, num_entries: int
) -> ActorCritic:
    """The network; its actions are moves x write or not x gates, with logits that are sums of the three parts'.

    Raises:
        UserError: a core without memories to be read, or no entries.
    """
    if settings.core != "srmt":
        raise UserError(f"core: expected srmt, whose memories are read, got {settings.core!r}")
    if num_entries < NUM_READ:
        raise UserError(f"num_entries: expected at least {NUM_READ}, got {num_entries}")
    sizes = Sizes(settings, observation, num_moves + 2 + len(GATES), num_agents)
    return ActorCritic(
        init=partial(_init, sizes),
        start=partial(_start, sizes, num_entries),
        step=partial(_step, sizes),
        unroll=partial(_unroll, sizes),
        name=f"gated srmt(width={settings.width}), {num_entries} entries",
    )


def _init(sizes: Sizes, prng_key: Array) -> Params:
    width = sizes.settings.width
    reader = init_linear(jax.random.fold_in(prng_key, 1), entry_width(sizes.settings), width)
    return init_params(sizes, prng_key) | {"entry": reader}


def _start(sizes: Sizes, num_entries: int, num_episodes: int) -> GatedCarry:
    width = entry_width(sizes.settings)
    noted_fie = jnp.zeros((width - 1, sizes.num_agents, num_episodes))
    return GatedCarry(start_carry(sizes, num_episodes), empty_pool(width, num_entries, num_episodes), noted_fie)


def _step(
    sizes: Sizes, params: Params, carry: GatedCarry, seen_ieo: Array, begins_e: Array, active_ie: Array
) -> tuple[GatedCarry, Array, Array]:
    hidden_fie = encoded(sizes, params, seen_ieo[..., :-NUM_TOLD])
    told_kie = jnp.moveaxis(seen_ieo[..., -NUM_TOLD:], -1, 0)
    carry, out_fie = _core(sizes, params, carry, (hidden_fie, told_kie, begins_e, active_ie))
    logit_aie, value_ie = part_heads(params, out_fie, _parts(sizes))
    return carry, logit_aie, value_ie


def _unroll(
    sizes: Sizes, params: Params, carry: GatedCarry, seen_tieo: Array, begins_te: Array, active_tie: Array
) -> tuple[Array, Array]:
    hidden_tfie = jnp.moveaxis(encoded(sizes, params, seen_tieo[..., :-NUM_TOLD]), 1, 0)
    told_tkie = jnp.moveaxis(seen_tieo[..., -NUM_TOLD:], -1, 1)

    core, now = partial(_core, sizes, params), (hidden_tfie, told_tkie, begins_te, active_tie)
    logit_atie, value_tie = part_heads(params, outputs(sizes, core, carry, now), _parts(sizes))
    return jnp.moveaxis(logit_atie, 0, 1), value_tie


def _parts(sizes: Sizes) -> tuple[int, ...]:
    """Moves, to write or not, gates."""
    return sizes.num_actions - 2 - len(GATES), 2, len(GATES)


def _core(sizes: Sizes, params: Params, carry: GatedCarry, now: tuple[Array, ...]) -> tuple[GatedCarry, Array]:
    """One step: what was decided is written, then memories and entries are read. `begins_e` says where blocks begin."""
    hidden_fie, told_kie, begins_e, active_ie = now
    told = Told(*told_kie)
    entry_fie = jnp.concatenate([carry.noted_fie, told.reached[None]])
    pool = admitted(cleared(carry.pool, begins_e), entry_fie, told.writes > 0)
    noted_fie = jax.lax.stop_gradient(jnp.concatenate([hidden_fie, told.row[None], told.column[None]]))
    starts_e = begins_e | (told.begins[0] > 0)
    entries = nearest(pool, noted_fie, NUM_READ)
    there_jie = ~starts_e & active_ie[:, None]
    reads = (told.reads_latent > 0, told.reads_pool > 0)
    reading = partial(gated_reading, sizes.settings, params, reads, there_jie, entries)
    now_seen = (hidden_fie, starts_e, told.finished == 0)
    memory, out_fie = core_step(sizes.settings, params, carry.memory, now_seen, reading)
    return GatedCarry(memory, pool, noted_fie), out_fie


def gated_reading(
    settings: CoreSettings,
    params: Params,
    reads: tuple[Array, Array],
    there_jie: Array,
    entries: tuple[Array, Array],
    x_fqie: Array,
    memory_fie: Array,
) -> Array:
    """Cross-attention to what the gates leave open; nothing where nothing is.

    Args:
        settings: of the core.
        params: its parameters, and `entry` of the reader.
        reads: whose gate is open for memories, and for entries, bool[I, E] each.
        there_jie: whose memory there is, bool[J, I, E] or what becomes that.
        entries: f32[F, J, I, E], and whether there are so many bool[J, I, E].
        x_fqie: the tokens that read.
        memory_fie: of all agents.
    """
    entry_fjie, is_there_jie = entries
    own_jie = jnp.eye(memory_fie.shape[1], dtype=bool)[:, :, None]
    reads_memory_jie = (own_jie | reads[0]) & there_jie
    reads_jie = jnp.concatenate([reads_memory_jie, is_there_jie & reads[1]])
    of_memory_fjie = jnp.broadcast_to(
        applied(params["read_key_value"], memory_fie)[:, :, None],
        (2 * settings.width, *reads_memory_jie.shape),
    )
    of_entry_fjie = applied(params["read_key_value"], applied(params["entry"], entry_fjie))
    key_fjie, value_fjie = jnp.split(jnp.concatenate([of_memory_fjie, of_entry_fjie], axis=1), 2)
    query_fqie = applied(params["read_query"], normed(x_fqie), params["norm_read"])
    found_fqie = attention(
        settings.num_heads, query_fqie[:, :, None], key_fjie[:, None], value_fjie[:, None], reads_jie[None]
    )
    return jnp.where(jnp.any(reads_jie, axis=0), applied(params["read"], found_fqie), 0.0)
