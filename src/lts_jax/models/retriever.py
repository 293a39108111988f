"""A retriever over frozen embeddings: f(x) = W phi(x) / |W phi(x)|, W from the identity (Memory Sharing, 2404.09982).

Untrained it is the cosine of the encoder itself. Axis letters other than the house's: C candidates of a question.
"""

import jax
import jax.numpy as jnp
from jax import Array

RetrieverParams = dict[str, Array]
"""`map` f32[D, D], which is W; `head` f32[2 D], the w of the released loss, which no search reads."""

_HIGHEST = jax.lax.Precision.HIGHEST


def init_retriever(embedding_width: int) -> RetrieverParams:
    """W the identity, the head zero; nothing is drawn."""
    return {"map": jnp.eye(embedding_width), "head": jnp.zeros(2 * embedding_width)}


def body(params: RetrieverParams, embedding: Array) -> Array:
    """f(x), f32[..., D], of embeddings f32[..., D]; a row of zeros stays one."""
    mapped = jnp.einsum("ed,...d->...e", params["map"], embedding, precision=_HIGHEST)
    square = jnp.sum(mapped * mapped, axis=-1, keepdims=True)
    return mapped * jnp.where(square > 0, jax.lax.rsqrt(jnp.where(square > 0, square, 1.0)), 0.0)


def cosines(params: RetrieverParams, query_d: Array, candidate_cd: Array) -> Array:
    """f(x) . f(m) for the candidates m of one question x: f32[C]."""
    return jnp.einsum("d,cd->c", body(params, query_d), body(params, candidate_cd), precision=_HIGHEST)


def head_scores(params: RetrieverParams, query_d: Array, candidate_cd: Array) -> Array:
    """s = sigmoid(w . [f(x); f(m)]) as released, f32[C]; a sum of a part of x and a part of m."""
    own, other = jnp.split(params["head"], 2)
    query = jnp.dot(body(params, query_d), own, precision=_HIGHEST)
    return jax.nn.sigmoid(query + jnp.dot(body(params, candidate_cd), other, precision=_HIGHEST))
