"""Scores of plain answers by their words: the same text, or the words that both texts have in common."""

import unicodedata
from collections import Counter

from lts_jax.records import Outcome

_ARTICLES = frozenset(("a", "an", "the"))


def exact(prediction: str, gold: str) -> Outcome:
    """1 where both texts are the same but for case, white space and a full stop at the end; else 0."""
    return Outcome(float(_fold(prediction) == _fold(gold)), bool(prediction.strip()), "exact")


def f1(prediction: str, gold: str) -> Outcome:
    """Harmonic mean of the shares of words that are in the other text too (Rajpurkar et al. 2016, SQuAD).

    Case, punctuation at the ends of words, and articles do not count; a word counts as often as it stands in both. 1
    where neither text has a word, 0 where one has none.
    """
    said, wanted = Counter(_words(prediction)), Counter(_words(gold))
    common = (said & wanted).total()
    whole = said.total() + wanted.total()
    return Outcome(2 * common / whole if whole else 1.0, bool(prediction.strip()), "f1")


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).removesuffix(".").rstrip()


def _words(text: str) -> list[str]:
    bare = (word.strip("\"'`.,;:!?()[]{}<>*_") for word in _fold(text).split())
    return [word for word in bare if word and word not in _ARTICLES]
