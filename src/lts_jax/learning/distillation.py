"""Learners that teach each other, as in KnowSR (arXiv 2105.11611): whom each listens to, how much, on which contexts.

What is added to learner i's loss is alpha_t sum_j w_ij KL(softmax(z_j / tau) || softmax(z_i / tau)) over contexts that
all learners met lately (`learning.losses.peer_distillation_loss`). The paper's schedule, teacher rule and numbers were
not to be read: those here are ours. Letters: K learners, J teachers, here all K of them, N contexts kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.errors import UserError, show
from lts_jax.learning.losses import action_log_probs, peer_distillation_loss

Teachers = Literal["all", "best"]


@dataclass(frozen=True, slots=True)
class SharingSettings:
    """When and how learners teach each other; all of it ours."""

    weight: float = 1.0  # alpha at the first update
    temperature: float = 1.0  # tau
    period: int = 10  # P, updates between two lessons
    num_decay_updates: int = 1000  # alpha falls to 0 in a line over so many
    teachers: Teachers = "all"  # or the one with the best recent return
    num_contexts: int = 4096  # N that the buffer holds

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name in ("period", "num_decay_updates", "num_contexts"):
            if getattr(self, name) < 1:
                raise UserError(f"sharing.{name}: expected at least 1, got {getattr(self, name)}")
        if not self.weight >= 0:
            raise UserError(f"sharing.weight: expected at least 0, got {self.weight}")
        if not self.temperature > 0:
            raise UserError(f"sharing.temperature: expected more than 0, got {self.temperature}")
        if self.teachers not in ("all", "best"):
            raise UserError(f"sharing.teachers: expected all or best, got {show(self.teachers)}")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Contexts:
    """A ring of what learners met: the newest overwrite the oldest."""

    kept_n: Any  # a pytree of arrays [N, ...]
    num_added: Array  # i32[] ever


def empty_contexts(like: Any, num_contexts: int) -> Contexts:
    """A ring for contexts that look like `like`, without N."""
    kept_n = jax.tree.map(lambda leaf: jnp.zeros((num_contexts, *leaf.shape), leaf.dtype), like)
    return Contexts(kept_n, jnp.zeros((), jnp.int32))


def add_contexts(contexts: Contexts, some: Any) -> Contexts:
    """The ring with some contexts [M, ...] more, M at most N."""
    size, count = (jax.tree.leaves(tree)[0].shape[0] for tree in (contexts.kept_n, some))
    if count > size:
        raise UserError(f"sharing.num_contexts: expected at least {count}, which are added at once, got {size}")
    place = (contexts.num_added + jnp.arange(count)) % size
    kept_n = jax.tree.map(lambda kept, new: kept.at[place].set(new), contexts.kept_n, some)
    return Contexts(kept_n, contexts.num_added + count)


def drawn_contexts(contexts: Contexts, prng_key: Array, count: int) -> Any:
    """`count` of the contexts that are there, each equally likely, with replacement."""
    size = jax.tree.leaves(contexts.kept_n)[0].shape[0]
    there = jnp.clip(contexts.num_added, 1, size)
    place = jax.random.randint(prng_key, (count,), 0, there)
    return jax.tree.map(lambda kept: kept[place], contexts.kept_n)


def sharing_weight(settings: SharingSettings, num_updates: Array, weight: Array | float | None = None) -> Array:
    """alpha_t f32[]: in a line from the settings' weight, or one that is traced, to 0; and 0 between lessons."""
    weight = settings.weight if weight is None else weight
    left = jnp.maximum(0.0, 1.0 - num_updates / settings.num_decay_updates)
    return jnp.where(num_updates % settings.period == 0, weight * left, 0.0)


def peers(role_k: Sequence[int]) -> np.ndarray:
    """bool[K, J]: who can teach whom: others with the same role."""
    role = np.asarray(role_k)
    return (role[:, None] == role) & ~np.eye(len(role), dtype=bool)


def teacher_weights(settings: SharingSettings, return_k: Array, is_peer_kj: Array | np.ndarray) -> Array:
    """w f32[K, J]: of learner k for each of its peers; one over their number each, or 1 for the best of them."""
    if settings.teachers == "all":
        return jnp.asarray(is_peer_kj) / jnp.maximum(jnp.sum(is_peer_kj, axis=1, keepdims=True), 1)
    best_k = jnp.argmax(jnp.where(is_peer_kj, return_k, -jnp.inf), axis=1)
    return ((jnp.arange(return_k.shape[0]) == best_k[:, None]) & is_peer_kj).astype(jnp.float32)


def lesson(
    logit_na: Array, teacher_kna: Array, weight_j: Array, counted_n: Array, *, alpha: Array, temperature: float
) -> Array:
    """What a lesson adds to one learner's loss, f32[]: mean over the contexts that count, bool[N], of the module's sum.

    `weight_j` f32[K] is the learner's row of `teacher_weights`; no gradient reaches `teacher_kna`.
    """
    loss_n = peer_distillation_loss(
        logit_na, teacher_kna, distillation_weight=alpha, temperature=temperature, teacher_weights=weight_j
    )
    return jnp.sum(jnp.where(counted_n, loss_n, 0.0)) / jnp.maximum(jnp.sum(counted_n), 1)


def diversity(logit_kna: Array, is_peer_kj: Array | np.ndarray, counted_n: Array | None = None) -> Array:
    """f32[]: mean KL between the policies of two peers, over ordered pairs and contexts, or those that count."""
    log_prob_kna = action_log_probs(logit_kna, temperature=1.0)
    difference_kjna = log_prob_kna[:, None] - log_prob_kna[None]
    divergence_kjn = jnp.sum(jnp.exp(log_prob_kna)[:, None] * difference_kjna, axis=-1)
    counted_n = jnp.ones(logit_kna.shape[1]) if counted_n is None else counted_n.astype(jnp.float32)
    pair_kj = divergence_kjn @ counted_n / jnp.maximum(jnp.sum(counted_n), 1.0)
    return jnp.sum(jnp.where(is_peer_kj, pair_kj, 0.0)) / jnp.maximum(jnp.sum(is_peer_kj), 1)
