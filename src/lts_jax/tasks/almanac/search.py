"""Ranked search over the pages of a world: BM25 on words, titles counted three times."""

import re
from dataclasses import dataclass
from functools import lru_cache

from lts_jax.tasks.almanac.records import Almanac, Page
from lts_jax.tasks.word_search import WordIndex, best, index_words

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
    """Pages in a fixed order, and the index of their words."""

    urls: tuple[str, ...]
    results: tuple[str, ...]  # title, address and snippet of each page, ready to print
    index: WordIndex


@lru_cache(maxsize=4)
def search_index(almanac: Almanac) -> SearchIndex:
    """The index of a world, built on first use (about a second)."""
    pages = tuple(almanac.pages.values())
    index = index_words(_words(page.title) * _TITLE_WEIGHT + _words(page.text[:_INDEXED_CHARACTERS]) for page in pages)
    return SearchIndex(tuple(page.url for page in pages), tuple(_page_text(page) for page in pages), index)


def rank(index: SearchIndex, query: str, *, num_results: int = NUM_RESULTS) -> list[int]:
    """Numbers of the best pages for a query, best first; equal scores keep the order of the pages."""
    return best(index.index, _words(query), num_results)


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS]


def _page_text(page: Page) -> str:
    snippet = next(line for line in page.text.split("\n")[3:] if line)
    if len(snippet) > SNIPPET_CHARACTERS:
        snippet = snippet[: SNIPPET_CHARACTERS - 3] + "..."
    return f"{page.title}\n   <{page.url}>\n   {snippet}"
