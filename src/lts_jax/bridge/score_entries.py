"""A network as a reader of shared values: what is offered is scored here, in arrays, for a reader of the text side."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import Array

from lts_jax.memory.encoded_texts import EncodedTexts, TextEncoder
from lts_jax.memory.reading_policy import ReadingRequest

EntryScores = Callable[[Any, Array, Array], Array]
"""(parameters, query f32[D], keys f32[N, D]) -> f32[N]; the score of a key depends on the query and that key."""

PADDING = 32  # keys are padded to multiples of it, so that few programs are compiled


class EntryScorer:
    """Scores of the entries of a request, as `memory.readers.ScoringReader` asks for them."""

    def __init__(self, apply: EntryScores, params: Any, encoder: TextEncoder) -> None:
        """Score with `apply(params, query, keys)` on vectors of `encoder`."""
        self._apply = jax.jit(apply)
        self._params = params
        self._texts = EncodedTexts(encoder)

    def __call__(self, request: ReadingRequest) -> Sequence[float]:
        """One number an entry, in the request's order."""
        num_entries = len(request.entries)
        if not num_entries:
            return []
        size = -(-num_entries // PADDING) * PADDING
        key_nd = np.zeros((size, self._texts.dim), np.float32)
        key_nd[:num_entries] = self._texts.encode([each.key for each in request.entries])
        query_d = self._texts.encode([request.instruction])[0]
        scores: list[float] = np.asarray(self._apply(self._params, query_d, key_nd))[:num_entries].tolist()
        return scores
