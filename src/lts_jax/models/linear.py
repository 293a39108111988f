"""A linear controller: the log-odds of an admission are a weighted sum of numbers that anybody can name.

Features: a constant, which is the first; then, each times the novelty of the step, one; whether any key is visible;
log(1 + number of visible keys); the six products among query, instruction, summary and output; the largest cosine of
instruction, summary and output to the keys (3); the embedding of the summary (D), or of all three texts (3 D). With c
the largest cosine of the summary to the keys,

    novelty = 1 - max(0, c)^novelty_power,

so that a repeat is worth nothing whatever it says, and what a new step is worth is linear in what it says. That is for
`admission_value`, which admits what is worth more than a threshold; a policy gradient moves the log-odds of repeats by
the small constant alone, and had better go without. Without novelty (a power of 0, or inputs without cosines) the
features stand alone, and the second is left out. Since they are fixed, the objective `admission_value` fits the weights
in closed form (`learning.ridge`).

Shrinkage treats all features alike, so their scale says how much each is expected to matter: a constant next to
nothing and one half, the named numbers a quarter and the cosines once of what an embedding of unit length counts;
without novelty the constant and the numbers half, the cosines double.
"""

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError
from lts_jax.models.key_cosines import NUM_COSINES, check_inputs, largest_cosines, visible_keys
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.trajectory import DecisionContext

COSINE_SCALE, NUMBER_SCALE = 2.0, 0.5  # without novelty; half as much with it
CONSTANT_SCALE = 0.02  # where novelty has a constant of its own
SUMMARY = 1  # of a step's three texts
_PAIRS = ((0, 1), (0, 2), (0, 3), (1, 2), (2, 3), (1, 3))  # of query, instruction, summary, output


@dataclass(frozen=True, slots=True)
class LinearSettings:
    """Which features there are; all choices are ours."""

    embedding_width: int = 256  # D, of the text encoder
    texts: Literal["none", "summary", "all"] = "summary"  # of the step, whose embeddings are features themselves
    key_window: int = 96  # a decision sees the newest this many keys
    inputs: Literal["cosines", "paper"] = "cosines"  # "paper" leaves out the largest cosines, hence novelty
    novelty_power: float = 8.0  # of the summary's largest cosine; 0: features are not multiplied by novelty

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        for name in ("embedding_width", "key_window"):
            if getattr(self, name) < 1:
                raise UserError(f"linear: {name}: expected at least 1, got {getattr(self, name)}")
        if self.texts not in ("none", "summary", "all"):
            raise UserError(f'linear: texts: expected "none", "summary" or "all", got {self.texts!r}')
        check_inputs("linear", self.inputs)
        if not 0.0 <= self.novelty_power < math.inf:
            raise UserError(f"linear: novelty_power: expected a number of at least 0, got {self.novelty_power}")

    @property
    def has_novelty(self) -> bool:
        """Whether features are multiplied by the novelty of the step."""
        return self.novelty_power > 0.0 and self.inputs == "cosines"

    @property
    def constant(self) -> float:
        """The first feature, of every decision."""
        return CONSTANT_SCALE if self.has_novelty else NUMBER_SCALE

    @property
    def num_features(self) -> int:
        """F."""
        embedded = {"none": 0, "summary": 1, "all": 3}[self.texts]
        named = 3 + len(_PAIRS) + NUM_COSINES * (self.inputs == "cosines")
        return self.has_novelty + named + embedded * self.embedding_width


def init(settings: LinearSettings, prng_key: Array) -> Params:
    """Weights of zero: untrained, both actions are equally likely. Nothing is drawn."""
    return {"weight": jnp.zeros(settings.num_features)}


def decision_logits(
    settings: LinearSettings, params: Params, query: Array, key: Array, num_keys: Array, step: Array
) -> Array:
    """f32[..., 2] from query f32[..., D], padded keys f32[..., N, D], num_keys i32[...], step f32[..., 3, D]."""
    lead, width = query.shape[:-1], query.shape[-1]
    features = _features(
        settings,
        query.reshape(-1, width),
        key.reshape(-1, *key.shape[-2:]),
        num_keys.reshape(-1, 1),
        step.reshape(-1, 1, 3, width),
    )
    return _logits(params, features[:, 0]).reshape(*lead, 2)


def packed_features(settings: LinearSettings, context: DecisionContext) -> Array:
    """f32[(B,) G, K, T, F] of every decision of a group or of B groups. Padded decisions get finite values."""
    decisions = context.num_keys_gkt.shape  # (B,) G, K, T
    per_row = decisions[-1] * decisions[-2]
    num_entries, width = context.key_gnd.shape[-2:]
    query = jnp.broadcast_to(context.query_d[..., None, :], (*decisions[:-2], width))
    features = _features(
        settings,
        query.reshape(-1, width),
        context.key_gnd.reshape(-1, num_entries, width),
        context.num_keys_gkt.reshape(-1, per_row),
        context.step_gktsd.reshape(-1, per_row, 3, width),
    )
    return features.reshape(*decisions, settings.num_features)


def packed_logits(settings: LinearSettings, params: Params, context: DecisionContext) -> Array:
    """f32[(B,) G, K, T, 2], equal to `decision_logits` of every decision."""
    return _logits(params, packed_features(settings, context))


@lru_cache(maxsize=64)
def linear(settings: LinearSettings) -> PolicyNetwork:
    """The network behind the common interface. Equal settings give the same object, hence the same compiled code."""
    return PolicyNetwork(
        init=partial(init, settings),
        decision_logits=partial(decision_logits, settings),
        packed_logits=partial(packed_logits, settings),
        key_window=settings.key_window,
        name=f"linear_{settings.num_features}",
        packed_features=partial(packed_features, settings),
    )


def _logits(params: Params, features: Array) -> Array:
    admit = jnp.matmul(features, params["weight"], precision=jax.lax.Precision.HIGHEST)
    return jnp.stack([jnp.zeros_like(admit), admit], axis=-1)


def _features(settings: LinearSettings, query_rd: Array, key_rnd: Array, num_keys_rc: Array, step_rc3d: Array) -> Array:
    """f32[R, C, F] of C decisions in each of R rows."""
    visible = visible_keys(num_keys_rc, key_rnd.shape[1], settings.key_window)
    seen = jnp.sum(visible, axis=-1).astype(jnp.float32)
    query = jnp.broadcast_to(query_rd[:, None, None], step_rc3d[:, :, :1].shape)
    text = jnp.concatenate([query, step_rc3d], axis=2)  # query, instruction, summary, output
    products = [jnp.sum(text[:, :, one] * text[:, :, other], axis=-1) for one, other in _PAIRS]
    numbers = jnp.stack([(seen > 0).astype(jnp.float32), jnp.log1p(seen), *products], axis=-1)
    one = jnp.ones_like(seen)[..., None]
    scale = 0.5 if settings.has_novelty else 1.0
    parts = [NUMBER_SCALE * one, scale * NUMBER_SCALE * numbers]
    cosines = largest_cosines(key_rnd, visible, step_rc3d) if settings.inputs == "cosines" else None
    if cosines is not None:
        parts.append(scale * COSINE_SCALE * cosines)
    if settings.texts == "summary":
        parts.append(step_rc3d[:, :, SUMMARY])
    elif settings.texts == "all":
        parts.append(step_rc3d.reshape(*step_rc3d.shape[:2], -1))
    features = jnp.concatenate(parts, axis=-1)
    if not settings.has_novelty:
        return features
    assert cosines is not None
    novelty = 1.0 - jnp.clip(cosines[..., SUMMARY, None], 0.0, 1.0) ** settings.novelty_power
    return jnp.concatenate([settings.constant * one, novelty * features], axis=-1)
