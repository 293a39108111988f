"""Recurrent cores of SRMT (arXiv 2501.13200): agents that read each other's memories by attention, and its ablations.

Per agent and step, with h the encoded observation: X = [m; last 8 h; h] + positions; one pre-norm block of
self-attention, cross-attention to G = the memories of all agents, MLP; action and value from the last token, the next
memory W_mem x of the first. At an episode's first step there is no memory, and the next one is W_mem of the last token.
Two faults of the release are switches: `causal_memory`, so that the memory's token sees no observation; and
`unroll` = 1, so that what was carried is a constant at every step and W_mem gets no gradient.

Arrays are feature first, episode last: x_flie. Letters here: L tokens, Q queries, H heads, J the agents that are read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.bounds import check_bounds
from lts_jax.errors import UserError, show
from lts_jax.models.actor_critic import ActorCritic
from lts_jax.models.episode_last import applied, init_linear, init_norm, init_small, normed, summed_product
from lts_jax.models.grid_encoder import encode, init_encoder
from lts_jax.models.policy_network import Params

_SMALL = 0.01  # of the first weights of policy and value: all actions are alike, and nothing is expected yet; ours

Core = Literal["srmt", "rmt", "attention", "empty", "gru"]


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """Shape of the network: SRMT's for the bottleneck."""

    core: Core = "srmt"
    """srmt: reads all agents' memories; rmt: its own alone; attention: no memory, history only; empty: what is seen
    alone; gru: a recurrent layer."""
    width: int = 16  # F
    num_heads: int = 4
    num_filters: int = 8
    num_blocks: int = 1  # residual, of the encoder
    history: int = 8  # observations before
    mlp_ratio: int = 4
    causal_memory: bool = False  # the release's block masks causally with the memory first
    unroll: int = 8  # steps, and writes of memory, that a gradient goes back through; the release: 1
    finished_memory: Literal["keep", "zero", "hide"] = "keep"
    """Of an agent that has reached its goal; hide: as zero, and read by nobody, as of one that was never there."""
    hides_others: bool = False  # to take a trained network apart: other agents' memories read as zeros

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        check_bounds(self)
        for name in ("width", "num_heads", "num_filters", "num_blocks", "history", "mlp_ratio", "unroll"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name, known in (("core", get_args(Core)), ("finished_memory", ("keep", "zero", "hide"))):
            if getattr(self, name) not in known:
                raise UserError(f"{name}: expected one of {', '.join(known)}, got {show(getattr(self, name))}")
        if self.width % self.num_heads:
            raise UserError(f"width: expected a multiple of num_heads = {self.num_heads}, got {self.width}")


class Carry(NamedTuple):
    """What agents remember. Cores without a memory, or a history, leave it as it is."""

    memory_fie: Array
    history_flie: Any  # f32[F, L, I, E], oldest first; None without a history


@lru_cache(maxsize=32)
def actor_critic(
    settings: CoreSettings, observation: tuple[int, ...], num_actions: int, num_agents: int
) -> ActorCritic:
    """The network for agents that see so much; one object for equal settings."""
    sizes = Sizes(settings, observation, num_actions, num_agents)
    return ActorCritic(
        init=partial(init_params, sizes),
        start=partial(start_carry, sizes),
        step=partial(_step, sizes),
        unroll=partial(_unroll, sizes),
        name=f"{settings.core}(width={settings.width})",
    )


class Sizes(NamedTuple):
    """What shapes a network."""

    settings: CoreSettings
    observation: Sequence[int]
    num_actions: int
    num_agents: int


def init_params(sizes: Sizes, prng_key: Array) -> Params:
    """Fresh parameters."""
    settings, width = sizes.settings, sizes.settings.width
    key_p = iter(jax.random.split(prng_key, 16))
    params: dict[str, Any] = {
        "encoder": init_encoder(
            next(key_p),
            sizes.observation,
            num_filters=settings.num_filters,
            num_blocks=settings.num_blocks,
            width=width,
        ),
        "policy": init_linear(next(key_p), width, sizes.num_actions, scale=_SMALL),
        "value": init_linear(next(key_p), width, 1, scale=_SMALL),
    }
    if settings.core == "gru":
        gates = {name: init_linear(next(key_p), width, 3 * width) for name in ("input", "state")}
        return params | gates
    if settings.core == "empty":
        return params
    params |= {
        "positions": 0.02 * jax.random.normal(next(key_p), (width, _num_tokens(settings))),
        "query": init_small(next(key_p), width, width),
        "key_value": init_small(next(key_p), width, 2 * width),
        "attended": init_small(next(key_p), width, width),
        "mlp_in": init_small(next(key_p), width, settings.mlp_ratio * width),
        "mlp_out": init_small(next(key_p), settings.mlp_ratio * width, width),
    }
    norms = ["norm_self", "norm_mlp", "norm_last"]
    if settings.core != "attention":
        params |= {
            "read_query": init_small(next(key_p), width, width),
            "read_key_value": init_small(next(key_p), width, 2 * width),
            "read": init_small(next(key_p), width, width),
            "write": {"weight": init_linear(next(key_p), width, width)["weight"]},
        }
        norms.append("norm_read")
    return params | {name: init_norm(width) for name in norms}


def start_carry(sizes: Sizes, num_episodes: int) -> Carry:
    """Nothing remembered."""
    settings = sizes.settings
    side_by_side = (sizes.num_agents, num_episodes)
    memory_fie = jnp.zeros((settings.width, *side_by_side))
    if settings.core in ("gru", "empty"):
        return Carry(memory_fie, None)
    return Carry(memory_fie, jnp.zeros((settings.width, settings.history, *side_by_side)))


def _step(
    sizes: Sizes, params: Params, carry: Carry, seen_ieo: Array, begins_e: Array, active_ie: Array
) -> tuple[Carry, Array, Array]:
    hidden_fie = encoded(sizes, params, seen_ieo)
    carry, out_fie = core_step(sizes.settings, params, carry, (hidden_fie, begins_e, active_ie))
    norm = params.get("norm_last")
    return carry, applied(params["policy"], out_fie, norm), applied(params["value"], out_fie, norm)[0]


def _unroll(
    sizes: Sizes, params: Params, carry: Carry, seen_tieo: Array, begins_te: Array, active_tie: Array
) -> tuple[Array, Array]:
    """All observations are encoded at once; then the core, step by step."""
    hidden_tfie = jnp.moveaxis(encoded(sizes, params, seen_tieo), 1, 0)
    core = partial(core_step, sizes.settings, params)
    norm, out_ftie = params.get("norm_last"), outputs(sizes, core, carry, (hidden_tfie, begins_te, active_tie))
    logit_atie, value_ktie = (applied(params[head], out_ftie, norm) for head in ("policy", "value"))
    return jnp.moveaxis(logit_atie, 0, 1), value_ktie[0]


def outputs(sizes: Sizes, core: Callable[[Any, Any], tuple[Any, Array]], carry: Any, now_t: Any) -> Array:
    """f32[F, T, I, E] of a core that is led through T steps; a gradient goes back through at most `unroll` of them.

    Args:
        sizes: whose settings say how far.
        core: (carry, what is now) -> (carry, output f32[F, I, E]).
        carry: what is remembered at the first step.
        now_t: what is at each step, T first.
    """

    def step(carry: Any, now: tuple[Array, Any]) -> tuple[Any, Array]:
        time, rest = now
        is_cut = time % sizes.settings.unroll == 0
        carry = jax.tree.map(lambda leaf: jnp.where(is_cut, jax.lax.stop_gradient(leaf), leaf), carry)
        return core(carry, rest)

    times = jnp.arange(len(jax.tree.leaves(now_t)[0]))
    return jnp.moveaxis(jax.lax.scan(step, carry, (times, now_t))[1], 0, 1)


def part_heads(params: Params, out_f: Array, num_parts: tuple[int, ...]) -> tuple[Array, Array]:
    """(logits f32[A, ...], values): an action's logit is the sum of those of its parts, of which there are so many.

    An action's number runs through its last part first. `out_f` f32[F, ...] is a core's output.
    """
    part_p = applied(params["policy"], out_f, params["norm_last"])
    first, *rest = jnp.split(part_p, np.cumsum(num_parts)[:-1])
    for part in rest:
        first = (first[:, None] + part[None]).reshape(-1, *out_f.shape[1:])
    return first, applied(params["value"], out_f, params["norm_last"])[0]


def encoded(sizes: Sizes, params: Params, seen_xo: Array) -> Array:
    """f32[F, ...] of observations f32[..., O]."""
    flat = encode(params["encoder"], sizes.observation, seen_xo.reshape(-1, seen_xo.shape[-1]))
    return flat.reshape(-1, *seen_xo.shape[:-1])


Reading = Callable[[Array, Array], Array]
"""What cross-attention adds: (tokens f32[F, Q, I, E], memories f32[F, I, E]) -> f32[F, Q, I, E]."""


def core_step(
    settings: CoreSettings,
    params: Params,
    carry: Carry,
    now: tuple[Array, Array, Array],
    reading: Reading | None = None,
) -> tuple[Carry, Array]:
    """(carry, output f32[F, I, E] before the last norm's scale) of one step.

    Args:
        settings: of the core.
        params: its parameters.
        carry: what is remembered.
        now: what was encoded f32[F, I, E], whose episodes begin bool[E], and who is active bool[I, E].
        reading: in place of the core's own cross-attention, which finds nothing where an episode begins.
    """
    hidden_fie, begins_e, active_ie = now
    if settings.core == "empty":
        return carry, hidden_fie
    carry = jax.tree.map(lambda leaf: jnp.where(begins_e, 0.0, leaf), carry)
    if settings.core == "gru":
        new_fie = _gated(params, hidden_fie, carry.memory_fie)
        return _remembering(settings, carry, new_fie, active_ie), new_fie
    has_memory = settings.core != "attention"
    token_flie = jnp.concatenate(
        [carry.memory_fie[:, None]] * has_memory + [carry.history_flie, hidden_fie[:, None]], axis=1
    )
    token_flie = token_flie + params["positions"][:, :, None, None]
    query = [0, token_flie.shape[1] - 1] if has_memory else [token_flie.shape[1] - 1]
    x_fqie = _self_attention(settings, params, token_flie, query, begins_e)
    if has_memory:
        if reading is None:
            found_fqie = jnp.where(begins_e, 0.0, _reading(settings, params, x_fqie, carry.memory_fie, active_ie))
        else:
            found_fqie = reading(x_fqie, carry.memory_fie)
        x_fqie = x_fqie + found_fqie
    inner = jax.nn.gelu(applied(params["mlp_in"], normed(x_fqie), params["norm_mlp"]))
    x_fqie = normed(x_fqie + applied(params["mlp_out"], inner))
    history_flie = jnp.concatenate([carry.history_flie[:, 1:], hidden_fie[:, None]], axis=1)
    carry = carry._replace(history_flie=history_flie)
    if has_memory:
        written_fie = jnp.where(begins_e, x_fqie[:, -1], x_fqie[:, 0])
        new_fie = applied(params["write"], written_fie, params["norm_last"])
        carry = _remembering(settings, carry, new_fie, active_ie)
    return carry, x_fqie[:, -1]


def _remembering(settings: CoreSettings, carry: Carry, new_fie: Array, active_ie: Array) -> Carry:
    """The carry with new memories of those who are active; others keep theirs, or have none."""
    old_fie = carry.memory_fie if settings.finished_memory == "keep" else 0.0
    return carry._replace(memory_fie=jnp.where(active_ie, new_fie, old_fie))


def _self_attention(
    settings: CoreSettings, params: Params, token_flie: Array, query: list[int], begins_e: Array
) -> Array:
    """Of the block's first and last token alone, since no other is looked at afterwards: f32[F, Q, I, E]."""
    norm, plain = params["norm_self"], normed(token_flie)
    key_flie, value_flie = jnp.split(applied(params["key_value"], plain, norm), 2)
    place = jnp.asarray(query)
    query_fqie = applied(params["query"], jnp.stack([plain[:, one] for one in query], axis=1), norm)
    sees_ql = jnp.ones((len(query), token_flie.shape[1]), bool)
    if settings.causal_memory:
        sees_ql = jnp.arange(token_flie.shape[1]) <= place[:, None]
    sees_qlie = jnp.broadcast_to(sees_ql[:, :, None, None], (*sees_ql.shape, 1, token_flie.shape[-1]))
    if len(query) > 1:  # at the first step there is no memory to be seen, except by itself, which is not read then
        is_memory = (jnp.arange(token_flie.shape[1]) == 0)[:, None, None] & (place != 0)[:, None, None, None]
        sees_qlie = sees_qlie & ~(is_memory & begins_e)
    attended = attention(settings.num_heads, query_fqie[:, :, None], key_flie[:, None], value_flie[:, None], sees_qlie)
    tokens = jnp.stack([token_flie[:, one] for one in query], axis=1)
    return tokens + applied(params["attended"], attended)


def _reading(settings: CoreSettings, params: Params, x_fqie: Array, memory_fie: Array, active_ie: Array) -> Array:
    """Cross-attention to the memories of all agents, the own among them; or to the own alone."""
    key_value = applied(params["read_key_value"], memory_fie)
    key_fie, value_fie = jnp.split(key_value, 2)
    if settings.core == "rmt":  # one key takes all the attention
        return jnp.broadcast_to(applied(params["read"], value_fie)[:, None], x_fqie.shape)
    query_fqie = applied(params["read_query"], normed(x_fqie), params["norm_read"])
    key_fjie, value_fjie = key_fie[:, :, None], value_fie[:, :, None]  # read by every agent i
    if settings.hides_others:
        own_jie = jnp.eye(memory_fie.shape[1], dtype=bool)[:, :, None]
        hidden = applied(params["read_key_value"], jnp.zeros_like(memory_fie))
        hidden_key, hidden_value = (one[:, :, None] for one in jnp.split(hidden, 2))
        key_fjie = jnp.where(own_jie, key_fjie, hidden_key)
        value_fjie = jnp.where(own_jie, value_fjie, hidden_value)
    sees = jnp.ones((1, 1, 1, 1), bool)
    if settings.finished_memory == "hide":
        sees = jnp.eye(memory_fie.shape[1], dtype=bool)[:, :, None] | active_ie[:, None]
        sees = sees[None]
    return applied(
        params["read"],
        attention(settings.num_heads, query_fqie[:, :, None], key_fjie[:, None], value_fjie[:, None], sees),
    )


def attention(num_heads: int, query: Array, key: Array, value: Array, sees: Array) -> Array:
    """f32[F, Q, I, E] of queries [F, Q, 1, I, E], keys and values [F, 1, L, I, E], what is seen bool[Q, L, I, E]."""
    width = query.shape[0]

    def by_head(array: Array) -> Array:
        return array.reshape(num_heads, width // num_heads, *array.shape[1:])

    score_hqlie = summed_product(by_head(query), by_head(key), (1,))[:, 0] / (width // num_heads) ** 0.5
    weight_hqlie = jax.nn.softmax(jnp.where(sees, score_hqlie, -1e9), axis=2)
    found = summed_product(weight_hqlie[:, None], by_head(value), (3,))[:, :, :, 0]
    return found.reshape(width, *found.shape[2:])


def _gated(params: Params, hidden_fie: Array, memory_fie: Array) -> Array:
    """A gated recurrent unit."""
    input_reset, input_keep, input_new = jnp.split(applied(params["input"], hidden_fie), 3)
    state_reset, state_keep, state_new = jnp.split(applied(params["state"], memory_fie), 3)
    keep = jax.nn.sigmoid(input_keep + state_keep)
    new = jnp.tanh(input_new + jax.nn.sigmoid(input_reset + state_reset) * state_new)
    return (1.0 - keep) * new + keep * memory_fie


def _num_tokens(settings: CoreSettings) -> int:
    return settings.history + (2 if settings.core != "attention" else 1)
