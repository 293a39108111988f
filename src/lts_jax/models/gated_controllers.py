"""Controllers of several teams that read each other's memories, entries of a bank, or neither (`gated_memory`'s gates).

SRMT's core (arXiv 2501.13200) whose time is the agent's own: history and memory go on at its decisions alone, so that
others' events leave it as it is. The entries that may be read stand in the observation. Logits of an action are sums of
those of its decision and of its gate. With every gate shut it is the core `rmt` at the agent's decisions.
"""

from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError
from lts_jax.models.actor_critic import ActorCritic
from lts_jax.models.episode_last import init_linear
from lts_jax.models.gated_memory import GATES, NUM_READ, gated_reading
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


class Told(NamedTuple):
    """What an agent is told beside what it sees, as the last numbers of its observation, in this order."""

    decides: Any  # 1 of the agent whose step has ended
    has_memory: Any  # 1 of an agent that has decided before
    reads_latent: Any
    reads_pool: Any
    first_is_there: Any  # 1 if there is a nearest entry
    second_is_there: Any


NUM_TOLD = len(Told._fields)
PARTS = (2, len(GATES))  # of an action: decisions, gates


@lru_cache(maxsize=32)
def gated_controllers(settings: CoreSettings, num_own: int, entry_width: int, num_agents: int) -> ActorCritic:
    """The network for agents that see `num_own` numbers and entries of `entry_width`; actions: 2 decisions x 4 gates.

    Raises:
        UserError: a core without memories to be read.
    """
    if settings.core != "srmt":
        raise UserError(f"core: expected srmt, whose memories are read, got {settings.core!r}")
    sizes = Sizes(settings, (num_own,), 2 + len(GATES), num_agents)
    return ActorCritic(
        init=partial(_init, sizes, entry_width),
        start=partial(start_carry, sizes),
        step=partial(_step, sizes),
        unroll=partial(_unroll, sizes),
        name=f"gated controllers(width={settings.width})",
    )


def _unseeing(params: Params, carry: Any, seen_ieo: Array, begins_e: Array, active_ie: Array) -> tuple[Any, ...]:
    share_a = jnp.repeat(jnp.stack([1.0 - params, params]), len(GATES))
    logit_a = jnp.where(share_a > 0, jnp.log(jnp.maximum(share_a, 1e-9)), -1e3)
    logit_aie = jnp.broadcast_to(logit_a[:, None, None], (len(logit_a), *active_ie.shape))
    return carry, logit_aie, jnp.zeros(active_ie.shape)


def _refuse(*_: Any) -> Any:
    raise ValueError("a rule has no gradient")


COIN = ActorCritic(lambda prng_key: jnp.asarray(0.5), lambda num_episodes: (), _unseeing, _refuse, "coin")
"""A rule: every step is admitted with a probability, its only parameter, whatever is seen; any legal gate."""


def _init(sizes: Sizes, entry_width: int, prng_key: Array) -> Params:
    reader = init_linear(jax.random.fold_in(prng_key, 1), entry_width, sizes.settings.width)
    return init_params(sizes, prng_key) | {"entry": reader}


def _step(
    sizes: Sizes, params: Params, carry: Carry, seen_ieo: Array, begins_e: Array, active_ie: Array
) -> tuple[Carry, Array, Array]:
    carry, out_fie = _core(sizes, params, carry, (*_taken_in(sizes, params, seen_ieo), begins_e))
    logit_aie, value_ie = part_heads(params, out_fie, PARTS)
    return carry, logit_aie, value_ie


def _unroll(
    sizes: Sizes, params: Params, carry: Carry, seen_tieo: Array, begins_te: Array, active_tie: Array
) -> tuple[Array, Array]:
    seen = [jnp.moveaxis(one, -3, 0) for one in _taken_in(sizes, params, seen_tieo)]

    out_ftie = outputs(sizes, partial(_core, sizes, params), carry, (*seen, begins_te))
    logit_atie, value_tie = part_heads(params, out_ftie, PARTS)
    return jnp.moveaxis(logit_atie, 0, 1), value_tie


def _taken_in(sizes: Sizes, params: Params, seen_xo: Array) -> tuple[Array, Array, Array]:
    """What was seen f32[F, ...], entries f32[D, J, ...] and what is told f32[told, ...], of one step or all."""
    num_own = sizes.observation[0]
    entry_xo = seen_xo[..., num_own:-NUM_TOLD]
    entry_xjd = entry_xo.reshape(*entry_xo.shape[:-1], NUM_READ, -1)
    entry_djx = jnp.moveaxis(entry_xjd, (-1, -2), (0, 1))
    told_x = jnp.moveaxis(seen_xo[..., -NUM_TOLD:], -1, 0)
    return encoded(sizes, params, seen_xo[..., :num_own]), entry_djx, told_x


def _core(sizes: Sizes, params: Params, carry: Carry, now: tuple[Array, ...]) -> tuple[Carry, Array]:
    """One event; who does not decide remembers what it did."""
    hidden_fie, entry_djie, told_kie, begins_e = now
    told = Told(*told_kie)
    decides_ie = told.decides > 0
    is_there_jie = jnp.stack([told.first_is_there, told.second_is_there]) > 0
    there_jie = ((told.has_memory > 0) & ~begins_e)[:, None]
    reads = (told.reads_latent > 0, told.reads_pool > 0)
    reading = partial(gated_reading, sizes.settings, params, reads, there_jie, (entry_djie, is_there_jie))
    carry = jax.tree.map(lambda leaf: jnp.where(begins_e, 0.0, leaf), carry)
    after, out_fie = core_step(sizes.settings, params, carry, (hidden_fie, begins_e, decides_ie), reading)
    history_flie = jnp.where(decides_ie, after.history_flie, carry.history_flie)
    return after._replace(history_flie=history_flie), out_fie
