"""Ranked search by words: BM25 weights of each word in each document, made once, added up for a query."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class WordIndex:
    """For each word the numbers of the documents that hold it, with their BM25 weights."""

    num_documents: int
    postings: dict[str, tuple[NDArray[np.int32], NDArray[np.float32]]]


def index_words(documents: Iterable[Sequence[str]]) -> WordIndex:
    """The index of documents, each given as its words."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it turns on its own debug log when imported

    vocabulary: dict[str, int] = {}
    numbered = [[vocabulary.setdefault(word, len(vocabulary)) for word in words] for words in documents]
    if not vocabulary:
        return WordIndex(len(numbered), {})
    ranking = bm25s.BM25(method="lucene")
    ranking.index((numbered, vocabulary), create_empty_token=False, show_progress=False)
    weights, places, starts = (ranking.scores[name] for name in ("data", "indices", "indptr"))
    postings = {
        word: (places[starts[number] : starts[number + 1]], weights[starts[number] : starts[number + 1]])
        for word, number in vocabulary.items()
    }
    return WordIndex(len(numbered), postings)


def word_scores(index: WordIndex, words: Iterable[str], dtype: type = np.float64) -> NDArray[Any]:
    """BM25 of every document, n numbers: the sum of its weights over the words, as often as each is given."""
    scores: NDArray[Any] = np.zeros(index.num_documents, dtype)
    for word in words:
        places, weights = index.postings.get(word, (None, None))
        if places is not None and weights is not None:
            scores[places] += weights
    return scores


def best(index: WordIndex, words: Iterable[str], num_results: int) -> list[int]:
    """Numbers of the documents that fit these words best, best first; equal ones keep the order of the documents."""
    scores = word_scores(index, words, np.float32)
    found = np.flatnonzero(scores)
    if len(found) > num_results:
        least = np.partition(scores[found], len(found) - num_results)[len(found) - num_results]
        found = found[scores[found] >= least]
    order = np.argsort(-scores[found], kind="stable")[:num_results]
    return [int(place) for place in found[order]]
