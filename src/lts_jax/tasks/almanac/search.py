"""Ranked search over the pages of a world: BM25 on words, titles counted three times."""

import logging
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lts_jax.tasks.almanac.records import Almanac, Page

NUM_RESULTS = 6
SNIPPET_CHARACTERS = 160
_INDEXED_CHARACTERS = 1_500  # of a page's text; an engine does not weigh the end of a long page
_TITLE_WEIGHT = 3
_WORD = re.compile(r"[a-z0-9]+")
_STOP_WORDS = frozenset(
    ("a", "an", "and", "are", "at", "by", "for", "from", "in", "is", "it", "of", "on", "the", "to", "with")
)


@dataclass(frozen=True, slots=True, eq=False)
class SearchIndex:
    """Documents in a fixed order, and for each word the documents that hold it with their BM25 weights."""

    urls: tuple[str, ...]
    results: tuple[str, ...]  # title, address and snippet of each document, ready to print
    postings: dict[str, tuple[NDArray[np.int32], NDArray[np.float32]]]


@lru_cache(maxsize=4)
def search_index(almanac: Almanac) -> SearchIndex:
    """The index of a world, built on first use (about a second)."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it turns on its own debug log when imported

    pages = tuple(almanac.pages.values())
    vocabulary: dict[str, int] = {}
    documents = []
    for page in pages:
        words = _words(page.title) * _TITLE_WEIGHT + _words(page.text[:_INDEXED_CHARACTERS])
        documents.append([vocabulary.setdefault(word, len(vocabulary)) for word in words])
    ranking = bm25s.BM25(method="lucene")
    ranking.index((documents, vocabulary), create_empty_token=False, show_progress=False)
    weights, places, starts = (ranking.scores[name] for name in ("data", "indices", "indptr"))
    postings = {
        word: (places[starts[number] : starts[number + 1]], weights[starts[number] : starts[number + 1]])
        for word, number in vocabulary.items()
    }
    return SearchIndex(tuple(page.url for page in pages), tuple(_printed(page) for page in pages), postings)


def ranked(index: SearchIndex, query: str, *, num_results: int = NUM_RESULTS) -> list[int]:
    """Numbers of the best documents for a query, best first; equal scores keep the order of the pages."""
    scores = np.zeros(len(index.urls), np.float32)
    for word in _words(query):
        places, weights = index.postings.get(word, (None, None))
        if places is not None and weights is not None:
            scores[places] += weights
    found = np.flatnonzero(scores)
    if len(found) > num_results:
        least = np.partition(scores[found], len(found) - num_results)[len(found) - num_results]
        found = found[scores[found] >= least]
    order = np.argsort(-scores[found], kind="stable")[:num_results]
    return [int(place) for place in found[order]]


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS]


def _printed(page: Page) -> str:
    snippet = next(line for line in page.text.split("\n")[3:] if line)
    if len(snippet) > SNIPPET_CHARACTERS:
        snippet = snippet[: SNIPPET_CHARACTERS - 3] + "..."
    return f"{page.title}\n   <{page.url}>\n   {snippet}"
