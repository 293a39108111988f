"""A small network for memories that are edited: what it holds and what lies before it, matched with each other.

Every key and every vector of a decision's own is a token x. Beside it stand its largest cosines to the other keys that
the decision sees, to the other own vectors (0 if all are below), and its cosine to the last own vector, which says what
is going on: whether something is new lies between vectors, not in them (`models.key_cosines`), and these numbers need
no gradient. One hidden layer makes a state h of each token; j is pointed at by <w, h_j>, and logits are read from mean
and maximum of h over the keys, over the own vectors, and from what is going on. Nothing depends on the order of keys. A
vector of zeros is an empty place. All of it is ours.
"""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError
from lts_jax.models.key_cosines import living_keys, unit, visible_keys
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.trajectory import DecisionContext

_NUM_RELATIONS = 3  # to keys, to own vectors, to what is going on
_SCALE = 5.0  # of the cosines: a tenth of one decides what a tenth of a component never does
_NUM_POOLED = 4  # mean and maximum over keys and over own vectors


@dataclass(frozen=True, slots=True)
class MatchingSettings:
    """Shape of the network; all values are ours."""

    embedding_width: int = 32  # D
    hidden_width: int = 24
    num_actions: int = 2
    num_step_tokens: int = 3  # S, vectors of a decision's own; the last says what is going on
    key_window: int = 96  # a decision sees the newest this many keys
    value_head: bool = False  # a further output: the expected return before the decision

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        least = {"num_actions": 2, "num_step_tokens": 2}
        for name in ("embedding_width", "hidden_width", "key_window", *least):
            if getattr(self, name) < least.get(name, 1):
                raise UserError(f"matching: {name}: expected at least {least.get(name, 1)}, got {getattr(self, name)}")


def init(settings: MatchingSettings, prng_key: Array) -> Params:
    """Parameters as a dict of f32 arrays. Output layers are zero: untrained, everything legal is equally likely."""
    hidden_key, state_key = jax.random.split(prng_key)
    hidden, inside = settings.hidden_width, settings.embedding_width
    features = 2 * inside + _NUM_RELATIONS
    pooled = _NUM_POOLED * hidden + inside
    params = {
        "hidden": jax.random.normal(hidden_key, (features, hidden)) * (2.0 / features) ** 0.5,
        "hidden_bias": jnp.zeros(hidden),
        "point": jnp.zeros(hidden),
        "state": jax.random.normal(state_key, (pooled, hidden)) * (2.0 / pooled) ** 0.5,
        "state_bias": jnp.zeros(hidden),
        "logits": jnp.zeros((hidden, settings.num_actions)),
        "logits_bias": jnp.zeros(settings.num_actions),
    }
    return params | ({"value": jnp.zeros(hidden), "value_bias": jnp.zeros(())} if settings.value_head else {})


def decision_targets(
    settings: MatchingSettings, params: Params, query: Array, key: Array, num_keys: Array, step: Array, alive: Array
) -> tuple[Array, Array]:
    """Logits f32[..., A] and pointers f32[..., N + S] of single decisions; of their keys those `alive` bool[..., N].

    Args:
        settings: shape of the network.
        params: as made by `init`.
        query: not looked at.
        key: f32[..., N, D], padded; rows from `num_keys` on do not count.
        num_keys: i32[...].
        step: f32[..., S, D], the own vectors.
        alive: bool[..., N].
    """
    lead = num_keys.shape
    visible = visible_keys(num_keys, key.shape[-2], settings.key_window) & alive
    read = _read(
        params,
        key.reshape(-1, *key.shape[-2:]),
        visible.reshape(-1, 1, visible.shape[-1]),
        step.reshape(-1, 1, *step.shape[-2:]),
    )
    logits = read.state_rxh @ params["logits"] + params["logits_bias"]
    return logits.reshape(*lead, -1), read.point_rxj.reshape(*lead, -1)


def decision_logits(
    settings: MatchingSettings, params: Params, query: Array, key: Array, num_keys: Array, step: Array
) -> Array:
    """f32[..., A], where every key is alive."""
    return decision_targets(settings, params, query, key, num_keys, step, jnp.ones(key.shape[:-1], bool))[0]


def packed_logits(settings: MatchingSettings, params: Params, context: DecisionContext) -> Array:
    """f32[(B,) G, K, T, A], equal to those of every decision."""
    logits = _packed(settings, params, context).state_rxh @ params["logits"] + params["logits_bias"]
    return logits.reshape(*context.num_keys_gkt.shape, settings.num_actions)


def packed_targets(settings: MatchingSettings, params: Params, context: DecisionContext) -> Array:
    """f32[(B,) G, K, T, N + S], equal to those of every decision."""
    return _packed(settings, params, context).point_rxj.reshape(*context.num_keys_gkt.shape, -1)


def packed_values(settings: MatchingSettings, params: Params, context: DecisionContext) -> Array:
    """f32[(B,) G, K, T]: the value head."""
    value = _packed(settings, params, context).state_rxh @ params["value"] + params["value_bias"]
    return value.reshape(context.num_keys_gkt.shape)


@lru_cache(maxsize=64)
def matching(settings: MatchingSettings) -> PolicyNetwork:
    """The network behind the common interface. Equal settings give the same object, hence the same compiled code."""
    return PolicyNetwork(
        init=partial(init, settings),
        decision_logits=partial(decision_logits, settings),
        packed_logits=partial(packed_logits, settings),
        key_window=settings.key_window,
        name=f"matching_{settings.hidden_width}",
        packed_values=partial(packed_values, settings) if settings.value_head else None,
        packed_targets=partial(packed_targets, settings),
        decision_targets=partial(decision_targets, settings),
        knows_lives=True,
        num_actions=settings.num_actions,
    )


class _Read(NamedTuple):
    """What the heads give, or read."""

    state_rxh: Array  # f32[R, X, H] before the logits
    point_rxj: Array  # f32[R, X, N + S]


def _packed(settings: MatchingSettings, params: Params, context: DecisionContext) -> _Read:
    decisions = context.num_keys_gkt.shape  # (B,) G, K, T
    per_row, (num_entries, width) = decisions[-1] * decisions[-2], context.key_gnd.shape[-2:]
    visible_rxn = visible_keys(context.num_keys_gkt.reshape(-1, per_row), num_entries, settings.key_window)
    if context.died_gn is not None and context.sequence_gkt is not None:
        sequence_rx = context.sequence_gkt.reshape(-1, per_row)
        visible_rxn &= living_keys(context.died_gn.reshape(-1, num_entries), sequence_rx)
    own_rxsd = context.step_gktsd.reshape(-1, per_row, *context.step_gktsd.shape[-2:])
    return _read(params, context.key_gnd.reshape(-1, num_entries, width), visible_rxn, own_rxsd)


def _read(params: Params, key_rnd: Array, visible_rxn: Array, own_rxsd: Array) -> _Read:
    """R rollouts with N keys each, X decisions of each with S vectors of their own."""
    is_there_rxs = jnp.any(own_rxsd != 0.0, axis=-1).at[..., -1].set(False)  # the last is no place
    of_key_rxnf, of_own_rxsf = _relations(key_rnd, visible_rxn, own_rxsd, is_there_rxs)
    now_rxd, inside = own_rxsd[..., -1, :], key_rnd.shape[-1]
    own, related, now = jnp.split(params["hidden"], (inside, inside + _NUM_RELATIONS))
    told_rx1h = (now_rxd @ now + params["hidden_bias"])[..., None, :]
    # What a key is by itself is the same for all decisions of its rollout.
    key_rxnh = jax.nn.relu((key_rnd @ own)[:, None] + of_key_rxnf @ related + told_rx1h)
    own_rxsh = jax.nn.relu(own_rxsd @ own + of_own_rxsf @ related + told_rx1h)
    pooled = [*_pool(key_rxnh, visible_rxn), *_pool(own_rxsh, is_there_rxs), now_rxd]
    state_rxh = jax.nn.relu(jnp.concatenate(pooled, axis=-1) @ params["state"] + params["state_bias"])
    point_rxj = jnp.concatenate([key_rxnh @ params["point"], own_rxsh @ params["point"]], axis=-1)
    return _Read(state_rxh, point_rxj)


def _relations(key_rnd: Array, visible_rxn: Array, own_rxsd: Array, is_there_rxs: Array) -> tuple[Array, Array]:
    """f32[R, X, N, 3] of the keys and f32[R, X, S, 3] of the own vectors: scaled cosines, the largest at least 0."""
    key, own = unit(key_rnd), unit(own_rxsd)
    not_itself_nn, not_itself_ss = (1.0 - jnp.eye(vectors.shape[-2]) for vectors in (key, own))
    between = jnp.einsum("rxsd,rnd->rxsn", own, key)
    among_keys = jnp.einsum("rnd,rmd->rnm", key, key) * not_itself_nn
    among_own = jnp.einsum("rxsd,rxqd->rxsq", own, own) * not_itself_ss
    is_key, is_own = visible_rxn[..., None, :], is_there_rxs[..., None, :]
    of_keys = (
        jnp.max(jnp.where(is_key, among_keys[:, None], 0.0), axis=-1),
        jnp.max(jnp.where(is_there_rxs[..., None], between, 0.0), axis=-2),
        between[..., -1, :],
    )
    of_owns = (
        jnp.max(jnp.where(is_key, between, 0.0), axis=-1, initial=0.0),  # in a full log too, as behind padding
        jnp.max(jnp.where(is_own, among_own, 0.0), axis=-1),
        among_own[..., -1],
    )
    return _SCALE * jnp.stack(of_keys, axis=-1), _SCALE * jnp.stack(of_owns, axis=-1)


def _pool(hidden: Array, where: Array) -> tuple[Array, Array]:
    """Mean and maximum of states that are not below 0, f32[..., I, H], over the places bool[..., I]; 0 without any."""
    kept = jnp.where(where[..., None], hidden, 0.0)
    number = jnp.maximum(jnp.sum(where, axis=-1), 1)[..., None]
    return jnp.sum(kept, axis=-2) / number, jnp.max(kept, axis=-2)
