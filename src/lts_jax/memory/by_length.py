"""Texts in batches of like length, for encoders that pad."""

from collections.abc import Callable, Sequence

import numpy as np

Tokens = list[int]


def encode_by_length(
    texts: Sequence[str],
    dim: int,
    tokenize: Callable[[list[str]], list[Tokens]],
    encode_batch: Callable[[list[Tokens]], np.ndarray],
    batch_size: int,
) -> np.ndarray:
    """Vectors f32[n, dim] of n texts; blank ones give zeros.

    Args:
        texts: in any order.
        dim: width D of the vectors.
        tokenize: tokens of each text that is not blank.
        encode_batch: f32[m, dim] of m <= `batch_size` token lists, which come sorted by length and so pad little.
        batch_size: texts of one batch.
    """
    vectors = np.zeros((len(texts), dim), np.float32)
    places = [place for place, text in enumerate(texts) if text.strip()]
    tokens = tokenize([texts[place] for place in places])
    order = sorted(range(len(places)), key=lambda row: len(tokens[row]))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        vectors[[places[row] for row in rows]] = encode_batch([tokens[row] for row in rows])
    return vectors
