"""Texts to unit vectors: the `Encoder` protocol, the hashing encoder that needs no download, and a cache for any."""

import math
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol
from zlib import crc32

import numpy as np


class Encoder(Protocol):
    """A frozen map from texts to vectors of unit length; the empty text becomes the zero vector."""

    @property
    def dim(self) -> int:
        """Width D of the vectors."""
        ...

    @property
    def name(self) -> str:
        """Name with a digest of the weights or settings: equal names give equal vectors."""
        ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode n texts as float32[n, D], rows of unit L2 norm."""
        ...


_CHARACTERS = bytes(max(32, byte) + 32 * (65 <= byte <= 90) for byte in range(256))  # lower case, no control characters
_WORD_CHARACTERS = bytes(
    folded if folded >= 128 or chr(folded).isalnum() else 32 for folded in _CHARACTERS
)  # the same, with punctuation as spaces; bytes of other scripts belong to words
_MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 0xFF51AFD7ED558CCD], np.uint64)
_WORD_SALT = np.uint64(1 << 63)
_HALF = np.uint64(32)
_OPENING_WORDS = 24
_OPENING_WEIGHT = 2.0  # a reply says in its first words whether it worked
_PAIR_LENGTH = 0.7
_LAYOUT = 1  # raise when the vectors of the same settings change


class HashingEncoder:
    """Signed feature hashing (Weinberger et al., arXiv 0902.2206) of characters, words and word pairs.

    Three kinds of features share the D coordinates: runs of n bytes of the lower-case text for n in `ngrams`, words,
    and pairs of neighbouring words. A feature's hash picks a coordinate and a sign. Runs count as often as they occur,
    words and pairs once, those near the start double; each kind is scaled to unit length (runs, words) or 0.7 (pairs).
    So the few words that say whether a step worked are not drowned in a page. Only the first `max_characters` are read.

    The vectors depend on the text and the settings alone, not on process, platform or library version.
    """

    def __init__(self, dim: int = 256, max_characters: int = 1000, ngrams: tuple[int, ...] = (3, 4, 5)) -> None:
        if dim < 1 or max_characters < 1:
            raise ValueError(f"dim and max_characters: expected at least 1, got {dim} and {max_characters}")
        if not ngrams or not all(1 <= n <= 8 for n in ngrams):
            raise ValueError(f"ngrams: expected lengths between 1 and 8, got {ngrams}")
        self._dim = dim
        self._max_characters = max_characters
        self._ngrams = [(n, np.uint64((1 << 8 * n) - 1)) for n in ngrams]
        settings = repr((_LAYOUT, dim, max_characters, tuple(ngrams)))
        self._name = f"hashing-{dim}-{blake2b(settings.encode(), digest_size=4).hexdigest()}"

    @property
    def dim(self) -> int:
        """Width D of the vectors."""
        return self._dim

    @property
    def name(self) -> str:
        """Name with a digest of the settings."""
        return self._name

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode n texts as float32[n, D], rows of unit L2 norm; blank texts give zeros."""
        vectors = np.zeros((len(texts), self._dim), np.float32)
        for row, text in enumerate(texts):
            self._write(text, vectors[row])
        return vectors

    def _write(self, text: str, row: np.ndarray) -> None:
        raw = text[: self._max_characters].encode("utf-8", "replace")
        characters = b" ".join(raw.translate(_CHARACTERS).split())
        if not characters:
            return
        signed = self._signed_counts(self._runs(characters), None)
        signed /= _norm(signed) or 1.0
        features, weights = _words_and_pairs(characters)
        signed += self._signed_counts(features, weights)
        norm = _norm(signed)
        if norm == 0.0:  # the few features of a tiny text cancelled out
            row[0] = 1.0
        else:
            np.divide(signed, norm, row, casting="same_kind")

    def _runs(self, characters: bytes) -> np.ndarray:
        """Runs of n bytes as integers, uint64[F]."""
        padded = b" " + characters + b" "
        # Every 8-byte window of the text as one little-endian integer; a run of n bytes is its n low bytes.
        windows = np.ndarray(len(padded), "<u8", padded + bytes(8), strides=(1,))
        return np.concatenate([windows[: max(0, len(padded) + 1 - n)] & low_bytes for n, low_bytes in self._ngrams])

    def _signed_counts(self, features: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        counts = np.bincount(_buckets(features, 2 * self._dim), weights, 2 * self._dim)
        return np.subtract(counts[: self._dim], counts[self._dim :], dtype=np.float64)


class CachedEncoder:
    """Remembers the vectors of the last `max_entries` distinct texts of another encoder; `hits` and `misses` count."""

    def __init__(self, inner: Encoder, max_entries: int = 20_000) -> None:
        if max_entries < 1:
            raise ValueError(f"max_entries: expected at least 1, got {max_entries}")
        self._inner = inner
        self._max_entries = max_entries
        self._rows: dict[str, np.ndarray] = {}
        self.hits = 0
        self.misses = 0

    @property
    def dim(self) -> int:
        """Width D of the vectors."""
        return self._inner.dim

    @property
    def name(self) -> str:
        """The inner encoder's name: a cache changes no vector."""
        return self._inner.name

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode n texts as float32[n, D]; texts that are not remembered go to the inner encoder in one call."""
        vectors = np.empty((len(texts), self.dim), np.float32)
        missing: dict[str, list[int]] = {}
        for place, text in enumerate(texts):
            row = self._rows.pop(text, None)
            if row is None:
                missing.setdefault(text, []).append(place)
            else:
                self._rows[text] = row  # put back last: the order of the dictionary is the order of use
                vectors[place] = row
        self.hits += len(texts) - len(missing)
        self.misses += len(missing)
        if missing:
            new_rows = self._inner.encode([*missing])
            for (text, places), row in zip(missing.items(), new_rows, strict=True):
                vectors[places] = row
                self._remember(text, row)
        return vectors

    def _remember(self, text: str, row: np.ndarray) -> None:
        if len(self._rows) >= self._max_entries:
            self._rows.pop(next(iter(self._rows)), None)
        self._rows[text] = row.copy()


def _words_and_pairs(characters: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Distinct words and pairs of neighbouring words, in order: features uint64[F], weights float64[F]."""
    in_order = [*map(crc32, characters.translate(_WORD_CHARACTERS).split())]
    hashed = np.array(in_order, np.uint64)
    words = dict.fromkeys(in_order)
    pairs = dict.fromkeys((hashed[:-1] * _MULTIPLIERS[2] + hashed[1:]).tolist())
    features = np.array([*words, *pairs], np.uint64)
    features[: len(words)] |= _WORD_SALT
    return features, _weights(len(words), len(pairs))


@lru_cache(maxsize=4096)
def _weights(num_words: int, num_pairs: int) -> np.ndarray:
    """Weights of words, then pairs: the opening ones double, each kind scaled to its length."""
    return np.concatenate([_scaled_weights(num_words, 1.0), _scaled_weights(num_pairs, _PAIR_LENGTH)])


def _scaled_weights(num_features: int, length: float) -> np.ndarray:
    weights = np.ones(num_features)
    weights[:_OPENING_WORDS] = _OPENING_WEIGHT
    return weights * (length / (_norm(weights) or 1.0))


def _norm(vector: np.ndarray) -> float:
    return math.sqrt(vector.dot(vector))


def _buckets(features: np.ndarray, num_buckets: int) -> np.ndarray:
    """Hash features, uint64[F], to int64[F] in [0, num_buckets): two multiplications, then the high bits scaled."""
    hashed = features * _MULTIPLIERS[0]
    hashed ^= hashed >> _HALF
    hashed *= _MULTIPLIERS[1]
    hashed >>= _HALF
    hashed *= np.uint64(num_buckets)
    hashed >>= _HALF
    return hashed.view(np.int64)
