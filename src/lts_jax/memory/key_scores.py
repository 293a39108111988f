"""How well keys answer a text: by cosine of vectors, and by BM25 over words."""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from lts_jax.memory.encoded_texts import TextEncoder
from lts_jax.tasks.word_search import WordIndex, index_words, word_scores

_WORD = re.compile(r"[^\W_]+")


def cosines(texts: TextEncoder, text: str, keys: Sequence[str]) -> np.ndarray:
    """f64[n]: cosine of each key with a text; 0 where either has no vector."""
    vector_nd = texts.encode([*keys, text]).astype(np.float64)
    length_n = np.linalg.norm(vector_nd, axis=1)
    unit_nd = vector_nd / np.where(length_n > 0.0, length_n, 1.0)[:, None]
    return np.asarray(unit_nd[:-1] @ unit_nd[-1])


def bm25_scores(text: str, keys: Sequence[str]) -> np.ndarray:
    """f64[n]: BM25 of each key for the words of a text, among these keys; each word of the text counts once.

    score = sum_w log(1 + (n - n_w + .5) / (n_w + .5)) f_w / (f_w + k1 (1 - b + b L / mean L)), k1 1.5, b .75: n keys,
    n_w of them with the word, f_w times in a key of L words. It is the "lucene" form of the `bm25s` library.
    """
    return word_scores(_index(tuple(keys)), dict.fromkeys(words_of(text)))


def over_largest(scores: np.ndarray) -> np.ndarray:
    """Scores over the largest of them; zeros stay zeros."""
    largest = float(scores.max(initial=0.0))
    return scores / largest if largest > 0.0 else scores


def words_of(text: str) -> list[str]:
    """Its words, lower case."""
    return _WORD.findall(text.lower())


@lru_cache(maxsize=256)
def _index(keys: tuple[str, ...]) -> WordIndex:
    return index_words([words_of(key) for key in keys])
