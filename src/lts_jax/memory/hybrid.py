"""Retrieval by need (SimpleMem, arXiv 2601.02553): three views of the entries, one score, as deep as a question is.

S(q, m) = l1 cos(q, m) + l2 BM25(q, m) + gamma [metadata of m matches q]. Candidates are the best of each view: 25 by
cosine, 5 by words, 5 by metadata, merged by id. The k = floor(k_base (1 + delta C_q)) best of them are read, C_q from
the parts of the question. Where a model is asked, it may name what is missing, in at most two rounds.

BM25 counts relative to the best entry's, so that the weights of a sum mean the same for any question; metadata are the
names in an entry. The weights are ours.
"""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import floor

import numpy as np

from lts_jax import prompts
from lts_jax.errors import UserError
from lts_jax.llm.chat import Ask
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.memory.encoders import Encoder
from lts_jax.memory.facts import names_in
from lts_jax.memory.reading_policy import ReadableEntry, Reading, ReadingPolicy, ReadingRequest
from lts_jax.tasks.word_search import WordIndex, index_words, word_scores

_WORD = re.compile(r"[a-z0-9]+")
_MOST_PARTS = 6  # names in a question from which on C_q is 1
_MAX_QUERIES = 8  # of one round of reflection
_NUM_INDEXED = 16  # sets of entries whose index is kept


@dataclass(frozen=True, slots=True)
class HybridSettings:
    """Weights, views and depth. Views, k_base, delta and rounds are the paper's; the weights are ours."""

    cosine_weight: float = 1.0  # l1
    bm25_weight: float = 1.0  # l2
    metadata_weight: float = 0.5  # gamma
    num_semantic: int = 25
    num_keyword: int = 5
    num_structured: int = 5
    depth_base: int = 3  # k_base
    depth_growth: float = 2.0  # delta
    max_reflections: int = 2  # rounds in which a model names what is missing; 0 asks none
    reflection_depth: int = 2  # entries of each search that it names

    def __post_init__(self) -> None:
        for name, value in ((name, getattr(self, name)) for name in self.__slots__):
            if not value >= 0:
                raise UserError(f"simplemem({name}): expected at least 0, got {value}")
        if self.depth_base < 1:
            raise UserError(f"simplemem(depth_base): expected at least 1, got {self.depth_base}")


def depth(complexity: float, *, base: int = 3, growth: float = 2.0) -> int:
    """k = floor(k_base (1 + delta C_q)). k_base 3, delta 2 and C_q .5 give 6."""
    return floor(base * (1.0 + growth * complexity) + 1e-9)


def complexity(question: str) -> float:
    """C_q in [0, 1]: names of more than one word in a question, over six. Three give .5."""
    return min(1.0, len(_long_names(question)) / _MOST_PARTS)


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """The views of some entries, in the order of their ids."""

    vector_nd: np.ndarray
    words: WordIndex
    names: tuple[str, ...]  # of each entry, in one text


class HybridReader:
    """A `ReadingPolicy` that reads by the score above."""

    def __init__(self, encoder: Encoder, settings: HybridSettings, name: str = "simplemem") -> None:
        self._encoder, self._settings, self._name = encoder, settings, name
        self._indices: dict[tuple[str, ...], _Index] = {}

    @property
    def name(self) -> str:
        """As it appears in records."""
        return self._name

    def named(self, name: str) -> "HybridReader":
        """The same reader under another name."""
        return HybridReader(self._encoder, self._settings, name)

    async def choose(self, request: ReadingRequest, ask: Ask) -> Reading:
        """The best entries for question and instruction, then for what a model says is missing; see the module."""
        settings = self._settings
        started, asked = time.perf_counter(), 0.0
        entries = sorted(request.entries, key=lambda entry: entry.entry)
        if not entries:
            return Reading(())
        index = self._index(tuple(_text_of(entry) for entry in entries))
        wanted = depth(complexity(request.question), base=settings.depth_base, growth=settings.depth_growth)
        chosen: dict[int, float] = {}
        for query in dict.fromkeys((request.question, request.instruction)):
            self._take(chosen, self.ranked(query, index), wanted)
        for _ in range(settings.max_reflections):
            texts = [entries[place].value for place in chosen]
            before = time.perf_counter()
            call = await ask("reflect", [prompts.reflect_request(request.question, texts, _MAX_QUERIES)])
            asked += time.perf_counter() - before
            queries = [] if call.error else parse_queries(call.reply)
            num_before = len(chosen)
            for query in queries[:_MAX_QUERIES]:
                self._take(chosen, self.ranked(query, index), settings.reflection_depth)
            if len(chosen) == num_before:
                break
        places = _within(chosen, entries, request)
        seconds = time.perf_counter() - started - asked
        return Reading(
            tuple(entries[place].entry for place in places), tuple(chosen[place] for place in places), 0.0, seconds
        )

    def _take(self, chosen: dict[int, float], ranked: Sequence[tuple[int, float]], most: int) -> None:
        for place, score in ranked[:most]:
            chosen.setdefault(place, score)

    def ranked(self, query: str, index: _Index) -> list[tuple[int, float]]:
        """Candidates of the three views as (place, score), best first; equal scores keep the order of ids."""
        settings = self._settings
        if not query.strip():
            return []
        cosine_n = index.vector_nd @ self._encoder.encode([query])[0]
        bm25_n = word_scores(index.words, _WORD.findall(query.lower()))
        asked = _long_names(query) or names_in(query)
        matches_n = np.array([sum(name in held for name in asked) for held in index.names], float)
        places = {
            *_best(cosine_n, settings.num_semantic),
            *_best(bm25_n, settings.num_keyword, above=0.0),
            *_best(matches_n + 0.01 * cosine_n, settings.num_structured, above=0.5),
        }
        score_n = (
            settings.cosine_weight * cosine_n
            + settings.bm25_weight * bm25_n / max(float(bm25_n.max()), 1e-9)
            + settings.metadata_weight * (matches_n > 0)
        )
        found = [(place, float(score_n[place])) for place in places]
        return sorted(found, key=lambda each: (-each[1], each[0]))

    def _index(self, texts: tuple[str, ...]) -> _Index:
        index = self._indices.pop(texts, None)
        if index is None:
            index = _Index(
                self._encoder.encode(texts),
                index_words(_WORD.findall(text.lower()) for text in texts),
                tuple(_names_text(text) for text in texts),
            )
        while len(self._indices) >= _NUM_INDEXED:
            self._indices.pop(next(iter(self._indices)))
        self._indices[texts] = index
        return index


def simplemem(
    *,
    encoder: str | Encoder = "hashing",
    cosine_weight: float = 1.0,
    bm25_weight: float = 1.0,
    metadata_weight: float = 0.5,
    depth_base: int = 3,
    depth_growth: float = 2.0,
    max_reflections: int = 0,
) -> ReadingPolicy:
    """Hybrid retrieval as deep as the question needs (SimpleMem, arXiv 2601.02553); asks no model by default.

    Args:
        encoder: of keys and questions.
        cosine_weight: l1.
        bm25_weight: l2, of BM25 over the best entry's.
        metadata_weight: gamma, where a name of the question is one of the entry.
        depth_base: k_base, entries read for a question without parts.
        depth_growth: delta; three parts give k_base (1 + delta / 2).
        max_reflections: rounds in which the model names what is missing.
    """
    settings = HybridSettings(
        cosine_weight, bm25_weight, metadata_weight,
        depth_base=depth_base, depth_growth=depth_growth, max_reflections=max_reflections,
    )  # fmt: skip
    return HybridReader(make_encoder(encoder), settings)


def parse_queries(reply: str) -> list[str]:
    """The searches in a reply to `prompts.reflect_request`. Never raises; what cannot be read is no search."""
    start = reply.find("{")
    try:
        found = json.JSONDecoder(strict=False).raw_decode(reply, start)[0] if start >= 0 else {}
    except (ValueError, RecursionError):
        return []
    queries = found.get("queries") if isinstance(found, dict) else None
    texts = (each.strip()[:300] for each in queries if isinstance(each, str)) if isinstance(queries, list) else ()
    return list(dict.fromkeys(text for text in texts if text))


def _text_of(entry: ReadableEntry) -> str:
    """What an entry is found by."""
    return entry.value if entry.value.startswith(entry.key[:40]) else f"{entry.key}\n{entry.value}"


def _within(chosen: dict[int, float], entries: Sequence[ReadableEntry], request: ReadingRequest) -> list[int]:
    """The chosen places that fit number and budget, in the order in which they were chosen."""
    left = float("inf") if request.budget_tokens is None else request.budget_tokens
    places: list[int] = []
    for place in chosen:
        if len(places) < request.max_values and entries[place].num_tokens <= left:
            left -= entries[place].num_tokens
            places.append(place)
    return places


def _best(score_n: np.ndarray, num: int, above: float = -np.inf) -> list[int]:
    order = np.argsort(-score_n, kind="stable")[:num]
    return [int(place) for place in order if score_n[place] > above]


@lru_cache(maxsize=4096)
def _long_names(text: str) -> frozenset[str]:
    return frozenset(name for name in names_in(text) if " " in name)


@lru_cache(maxsize=16384)
def _names_text(text: str) -> str:
    return " | ".join(sorted(names_in(text)))
