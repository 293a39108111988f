"""How the retriever learns from what a teacher thought of BM25's candidates (Memory Sharing, arXiv 2404.09982).

Axis letters other than the house's: B stored pairs of a batch, C candidates of each.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from lts_jax.errors import UserError
from lts_jax.models.retriever import RetrieverParams, cosines, head_scores, init_retriever


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """How it is trained. Defaults are the paper's where it has one."""

    loss: Literal["contrastive", "bce_head"] = "contrastive"
    """Ours; `bce_head` is what the release trains, whose search reads the bodies alone."""
    temperature: float = 0.05
    """t of the contrastive loss, in units of cosine; ours."""
    learning_rate: float = 1e-3
    """Of AdamW. The paper's 5e-5 moves a whole BERT; W alone moves too little by it: 20 times as much, ours."""
    weight_decay: float = 0.01
    """Of AdamW; ours, the paper names none."""
    num_epochs: int = 2
    """Passes over the pairs that were stored; the paper's."""
    batch_size: int = 8
    """Stored pairs of an update; the paper's."""

    def __post_init__(self) -> None:
        if self.loss not in ("contrastive", "bce_head"):
            raise UserError(f"retrieval.loss: expected contrastive or bce_head, got {self.loss!r}")
        for name, is_right in (
            ("temperature", self.temperature > 0),
            ("learning_rate", self.learning_rate > 0),
            ("num_epochs", self.num_epochs >= 1),
            ("batch_size", self.batch_size >= 1),
        ):
            if not is_right:
                raise UserError(f"retrieval.{name}: expected more than 0, got {getattr(self, name)}")
        if self.weight_decay < 0:
            raise UserError(f"retrieval.weight_decay: expected at least 0, got {self.weight_decay}")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Lessons:
    """Stored pairs with their candidates; a row without a positive or without a negative teaches nothing."""

    query_bd: Array  # f32, embedding of the pair as it will be looked for
    candidate_bcd: Array  # f32, embeddings of the candidates; zeros are padding
    is_positive_bc: Array  # bool, the teacher's best
    is_negative_bc: Array  # bool, the teacher's worst


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RetrieverState:
    """Parameters and AdamW's moments."""

    params: RetrieverParams
    optimizer: optax.OptState


def new_state(settings: RetrievalSettings, embedding_width: int) -> RetrieverState:
    """The untrained retriever."""
    params = init_retriever(embedding_width)
    return RetrieverState(params, _optimizer(settings).init(params))


def bce_head(score_c: Array, is_positive_c: Array, is_negative_c: Array) -> Array:
    """-sum over m of [y log s + (1 - y) log(1 - s)], as released; candidates that are neither are left out.

    Scores .8 for y = 1 and .3 for y = 0 give -log .8 - log .7 = .5798.
    """
    return -jnp.sum(
        jnp.where(is_positive_c, jnp.log(score_c), 0.0) + jnp.where(is_negative_c, jnp.log1p(-score_c), 0.0)
    )


def contrastive(cosine_c: Array, is_positive_c: Array, is_negative_c: Array, temperature: float | Array) -> Array:
    """Mean over positives of -log exp(c+ / t) / (exp(c+ / t) + sum over negatives of exp(c / t)); 0 without either.

    Cosines .9 for the positive, .5 and .1 for negatives, t = .05: log(1 + e^-8 + e^-16) = 3.355e-4.
    """
    logit_c = cosine_c / temperature
    against = jax.nn.logsumexp(jnp.where(is_negative_c, logit_c, -jnp.inf))
    loss_c = jnp.where(is_positive_c & jnp.isfinite(against), jax.nn.softplus(against - logit_c), 0.0)
    return jnp.sum(loss_c) / jnp.maximum(jnp.sum(is_positive_c), 1)


def retrieval_loss(settings: RetrievalSettings, params: RetrieverParams, lessons: Lessons) -> Array:
    """Mean loss of the stored pairs that teach something."""
    teaches_b = lessons.is_positive_bc.any(-1) & lessons.is_negative_bc.any(-1)
    if settings.loss == "bce_head":
        score_bc = jax.vmap(partial(head_scores, params))(lessons.query_bd, lessons.candidate_bcd)
        loss_b = jax.vmap(bce_head)(score_bc, lessons.is_positive_bc, lessons.is_negative_bc)
    else:
        cosine_bc = jax.vmap(partial(cosines, params))(lessons.query_bd, lessons.candidate_bcd)
        # A row without negatives would give a gradient of infinities times zero: it looks at finite numbers instead.
        is_negative_bc = lessons.is_negative_bc | ~teaches_b[:, None]
        one = partial(contrastive, temperature=settings.temperature)
        loss_b = jax.vmap(one)(cosine_bc, lessons.is_positive_bc, is_negative_bc)
    return jnp.sum(jnp.where(teaches_b, loss_b, 0.0)) / jnp.maximum(jnp.sum(teaches_b), 1)


@partial(jax.jit, static_argnums=0)
def update(settings: RetrievalSettings, state: RetrieverState, lessons: Lessons) -> tuple[RetrieverState, Array]:
    """One step of AdamW on a batch, and the loss before it. A batch that teaches nothing changes nothing."""
    loss, gradient = jax.value_and_grad(partial(retrieval_loss, settings))(state.params, lessons)
    change, optimizer = _optimizer(settings).update(gradient, state.optimizer, state.params)
    teaches = jnp.any(lessons.is_positive_bc.any(-1) & lessons.is_negative_bc.any(-1))
    made = RetrieverState(optax.apply_updates(state.params, change), optimizer)
    return jax.tree.map(lambda new, old: jnp.where(teaches, new, old), made, state), loss


def train(
    settings: RetrievalSettings, state: RetrieverState, batches: Iterable[Lessons]
) -> tuple[RetrieverState, list[float]]:
    """Updates over batches of one shape in order, which are one compiled program. Returns the loss before each."""
    losses = []
    for lessons in batches:
        state, loss = update(settings, state, lessons)
        losses.append(loss)
    return state, [float(loss) for loss in losses]


def _optimizer(settings: RetrievalSettings) -> optax.GradientTransformation:
    return optax.adamw(settings.learning_rate, weight_decay=settings.weight_decay)
