"""The bank inside the simulator: an admission, what a full bank evicts, and what a team reads."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.once import once
from lts_jax.environments.randomness import pair_uniform
from lts_jax.environments.teams.settings import SimulatorParams
from lts_jax.environments.teams.state import NOTHING, RIGHT, Scene, State
from lts_jax.environments.teams.working import Outcome

_LOOK = 64  # times the steps a reader has done, added to its number: each look at a key is drawn anew
_DETECTION = 1 << 20  # added to a reader's number: what it makes of the value, drawn apart from its interest


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Looker:
    """The team that may look at the listing."""

    team: Array  # i32[]
    num_steps: Array  # i32[] that it has done before this one
    num_seen: Array  # i32[] entries admitted when it last looked
    known_bits: Array  # i32[]
    variant_m: Array  # i32[M]
    salt: Array | int = 0  # u32[] changes every draw of the look; a forked rollout has its own


@dataclass(frozen=True)
class Reading:
    """What one look at the listing gave a team."""

    state: State
    num_seen: Array  # i32[] entries admitted when the team last looked
    known_bits: Array  # i32[]
    dropped_bits: Array  # i32[] nodes given up because of a pulled failure
    variant_m: Array  # i32[M]
    seconds: Array  # f32[]


@dataclass(frozen=True)
class Entry:
    """What one admission puts into the bank."""

    outcome: Outcome
    writer: Array  # i32[]
    word: Array  # u32[] its own random word
    seconds: Array  # f32[] when readers can see it
    logit: Array  # f32[]
    key_d: Array  # f32[D]


def admit(state: State, entry: Entry, is_in: Array) -> State:
    """Append an entry at the next free number where `is_in`; a bank whose numbers are used up takes nothing."""
    number_n = jnp.arange(state.node_n.shape[0])
    here_n = (number_n == state.num_entries) & is_in

    def put(old: Array, new: Array) -> Array:
        return jnp.where(here_n, new, old)

    return replace(
        state,
        num_entries=state.num_entries + is_in,
        node_n=put(state.node_n, entry.outcome.offered_node),
        variant_n=put(state.variant_n, entry.outcome.offered_variant),
        writer_n=put(state.writer_n, entry.writer),
        commit_seconds_n=put(state.commit_seconds_n, entry.seconds),
        word_n=put(state.word_n, entry.word),
        is_alive_n=state.is_alive_n | here_n,
        wanted_n=put(state.wanted_n, entry.logit),
        key_nd=jnp.where(here_n[:, None], entry.key_d, state.key_nd),
    )


def evict(state: State, params: SimulatorParams) -> State:
    """Take one entry out where the bank holds more than `capacity`: the oldest, least read, or least wanted."""
    number_n = jnp.arange(state.node_n.shape[0])
    readers_n = jnp.sum(jax.lax.population_count(state.reader_bits_nw), axis=1)
    by_age_n = number_n.astype(jnp.float32)
    by_use_n = readers_n + 1e-3 * by_age_n  # among equals the oldest
    ranked_n = once(
        jnp.where(params.evict_rule == 0.0, by_age_n, jnp.where(params.evict_rule == 1.0, by_use_n, state.wanted_n))
    )
    lowest = jnp.min(jnp.where(state.is_alive_n, ranked_n, jnp.inf))
    first = jnp.min(jnp.where(state.is_alive_n & (ranked_n == lowest), number_n, number_n.shape[0]))
    is_over = jnp.sum(state.is_alive_n) > params.capacity
    return replace(state, is_alive_n=state.is_alive_n & ~((number_n == first) & is_over))


def read(scene: Scene, state: State, looker: Looker, now: Array, does_read: Array) -> Reading:
    """A look at the keys of other teams' entries that the team has not pulled, and the pulls that come of it.

    It looks only if the listing holds an entry that was admitted since its last look. An entry is pulled with
    `pull_probability` if the team has use for it, else with `idle_pull_probability`, both times
    attention_keys / (attention_keys + listed keys); of more than `max_pulls` the newest. The draws are the team's own
    for each entry and each of its steps.
    """
    params, team, known_bits, variant_m = scene.params, looker.team, looker.known_bits, looker.variant_m
    number_n = jnp.arange(state.node_n.shape[0])
    word_at, bit = team // 32, jnp.uint32(1) << (team % 32).astype(jnp.uint32)
    bits_n = state.reader_bits_nw[:, 0] if state.reader_bits_nw.shape[1] == 1 else state.reader_bits_nw[:, word_at]
    listed_n = state.is_alive_n & (state.writer_n != team) & (state.commit_seconds_n <= now) & does_read
    listed_n = listed_n & (number_n.astype(jnp.float32) >= state.num_entries - params.listing_window)
    listed_n = listed_n & ((bits_n & bit) == 0)
    looks = jnp.any(listed_n & (number_n >= looker.num_seen))
    num_listed = jnp.sum(listed_n).astype(jnp.float32)
    attention = params.attention_keys / (params.attention_keys + num_listed)
    has_use_n = (state.variant_n != NOTHING) & (((known_bits >> state.node_n) & 1) == 0)
    chance_n = attention * jnp.where(has_use_n, params.pull_probability, params.idle_pull_probability)
    draw_n = pair_uniform(state.word_n ^ looker.salt, team + _LOOK * looker.num_steps)
    is_wanted_n = listed_n & looks & (draw_n < chance_n)
    wanted_n = once(jnp.where(is_wanted_n, number_n, -1))
    num_pulls, last = jnp.zeros((), jnp.int32), jnp.asarray(number_n.shape[0])
    dropped_bits = jnp.zeros_like(known_bits)
    for _ in range(scene.shape.max_pulls):
        newest = jnp.max(jnp.where(wanted_n < last, wanted_n, -1))
        is_pulled = newest >= 0
        knower = replace(looker, known_bits=known_bits, variant_m=variant_m)
        known_bits, dropped, variant_m = once(_take_over(params, state, number_n == newest, is_pulled, knower))
        dropped_bits, num_pulls = dropped_bits | dropped, num_pulls + is_pulled
        last = jnp.where(is_pulled, newest, last)
    pulled_n = wanted_n >= last
    state = replace(
        state,
        reader_bits_nw=_set_bit(state.reader_bits_nw, pulled_n, word_at, bit),
        first_pull_seconds_n=jnp.where(
            pulled_n, jnp.minimum(state.first_pull_seconds_n, now), state.first_pull_seconds_n
        ),
    )
    seconds = jnp.where(looks, params.selection_seconds + params.key_seconds * num_listed, 0.0)
    return Reading(
        state=state,
        num_seen=jnp.where(looks, state.num_entries, looker.num_seen),
        known_bits=known_bits,
        dropped_bits=dropped_bits,
        variant_m=variant_m,
        seconds=seconds + params.pull_seconds * num_pulls,
    )


def _take_over(
    params: SimulatorParams, state: State, at_n: Array, is_pulled: Array, looker: Looker
) -> tuple[Array, Array, Array]:
    """Known and given up nodes and values after one pull.

    A value that the team lacked is taken over, unless the team sees that it is wrong. A failure about a node that the
    team knows nothing of may make it give up the node.
    """
    team, known_bits, variant_m = looker.team, looker.known_bits, looker.variant_m
    node = jnp.max(jnp.where(at_n, state.node_n, 0))
    variant = jnp.max(jnp.where(at_n, state.variant_n, NOTHING))
    draw = pair_uniform(jnp.max(jnp.where(at_n, state.word_n, 0)) ^ looker.salt, team + _DETECTION)
    is_lacking = is_pulled & (((known_bits >> node) & 1) == 0)
    learns = is_lacking & (variant != NOTHING) & ~((variant > RIGHT) & (draw < params.detect_probability))
    drops = is_lacking & (variant == NOTHING) & (draw < params.discourage_probability)
    is_here_m = jnp.arange(variant_m.shape[0]) == node
    return (
        known_bits | (learns.astype(jnp.int32) << node),
        drops.astype(jnp.int32) << node,
        jnp.where(learns & is_here_m, variant, variant_m),
    )


def _set_bit(reader_bits_nw: Array, pulled_n: Array, word_at: Array, bit: Array) -> Array:
    here_w = jnp.arange(reader_bits_nw.shape[1]) == word_at
    return reader_bits_nw | jnp.where(pulled_n[:, None] & here_w, bit, jnp.uint32(0))
