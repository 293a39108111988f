"""Texts as rows of one table: what is encoded once is remembered by its text."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

FIRST_ROWS = 1024


class TextEncoder(Protocol):
    """Texts to vectors. Anything with these three will do."""

    @property
    def dim(self) -> int:
        """Embedding width D."""
        ...

    @property
    def name(self) -> str:
        """Name and version, as it appears in records."""
        ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """f32[n, D], one row per text."""
        ...


class EncodedTexts:
    """An encoder that remembers: rows of one table, found by text. Itself usable wherever an encoder is expected.

    A step's texts are read once, but its key is read again at every later decision of the rollout. When `max_texts`
    are held the table starts anew; that costs time, never results.
    """

    def __init__(self, encoder: TextEncoder, *, max_texts: int = 50_000) -> None:
        if max_texts < 1:
            raise ValueError(f"EncodedTexts.max_texts: expected at least 1, got {max_texts}")
        self.encoder = encoder
        self.dim = encoder.dim
        self.name = encoder.name
        self._max_texts = max_texts
        self._row: dict[str, int] = {}
        self._table = np.empty((min(FIRST_ROWS, max_texts), encoder.dim), np.float32)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """f32[n, D], one row per text; a copy."""
        try:
            rows = [self._row[text] for text in texts]
        except KeyError:
            self._learn(texts)
            rows = [self._row[text] for text in texts]
        return self._table[rows] if rows else np.zeros((0, self.dim), np.float32)

    def _learn(self, texts: Sequence[str]) -> None:
        if len(self._row) + len(texts) > self._max_texts:
            self._row = {}
        new = [text for text in dict.fromkeys(texts) if text not in self._row]
        vectors = np.asarray(self.encoder.encode(new), np.float32)
        if vectors.shape != (len(new), self.dim):
            raise ValueError(f"encoder {self.name}: expected shape {(len(new), self.dim)}, got {vectors.shape}")
        used = len(self._row)
        if used + len(new) > len(self._table):
            grown = np.empty((max(2 * len(self._table), used + len(new)), self.dim), np.float32)
            grown[:used] = self._table[:used]
            self._table = grown
        self._table[used : used + len(new)] = vectors
        self._row.update((text, used + index) for index, text in enumerate(new))
