"""The three metrics of AssistantBench: numbers, texts (bags of words), records (key by key).

Source: Yoran et al. 2024, "AssistantBench: Can Web Agents Solve Realistic and Time-Consuming Tasks?", and the behaviour
of the leaderboard's scorer, which the bag-of-words metric inherits from DROP (Dua et al. 2019). These functions raise
where that scorer raises; `assistantbench.score` turns every exception into a score of 0.
"""

import math
import re
import string
from collections.abc import Callable
from typing import Any

from lts_jax.tasks.scoring.alignment import mean, mean_assigned

_ZERO_STAND_IN = 1e-4  # a zero facing a non-zero number is read as this
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_ARTICLES = frozenset({"a", "an", "the"})
_WORD_NUMBERS = {"nan": "nan", "inf": "inf", "infinity": "inf"}  # the only words of letters that read as floats
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_TOKEN_BREAK = re.compile("[ -]")

Bag = tuple[frozenset[str], frozenset[str]]  # all words; those of them that are numbers


def clean_number(value: Any, *, area_unit: bool = False) -> tuple[Any, bool]:
    """Read a number out of a text or an int: `$`, `%` and `sqft` dropped, comma read as the decimal point.

    Args: value: anything; area_unit: also drop " square kilometers" (whole answers, not values inside records).
    Returns: (float, True), or (value unchanged, False) for a text that is no number, or (value, True) for other types.
    Raises: OverflowError for an int too large for a float.
    """
    if type(value) is int:
        return float(value), True
    if type(value) is not str:
        return value, True
    text = value.replace("$", " ").replace("%", " ").replace("sqft", " ").strip().replace(",", ".")
    if area_unit:
        text = text.replace(" square kilometers", "")
    try:
        return float(text), True
    except ValueError:
        return value, False


def number_score(predicted: Any, gold: Any) -> float:
    """max(0, 1 - ln(larger / smaller)); 1 when both are 0; a text that is no number scores 0.

    Two negative numbers give more than 1 when they differ, as in the official scorer. Raises TypeError or
    OverflowError for values that `float` does not take.
    """
    predicted, gold = _float_or_none(predicted), _float_or_none(gold)
    if predicted is None or gold is None:
        return 0.0
    if predicted == gold == 0:
        return 1.0
    predicted = predicted or _ZERO_STAND_IN
    gold = gold or _ZERO_STAND_IN
    ratio = predicted / gold if predicted > gold else gold / predicted
    score = 1.0 - _natural_log(ratio)
    return score if score > 0.0 else 0.0  # NaN becomes 0 too


def _float_or_none(value: Any) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _natural_log(ratio: float) -> float:
    if 0.0 < ratio < math.inf:
        import numpy as np

        return float(np.log(ratio))  # differs from math.log in the last bit now and then
    if ratio == 0.0:
        return -math.inf
    return math.inf if ratio == math.inf else math.nan


def text_score(predicted: Any, gold: Any) -> float:
    """F1 of two bags of words, averaged over an optimal one-to-one assignment when either side is a list.

    Anything that is neither text nor list is compared as its `str`. A list with an item that is no text scores 0.
    Two empty lists give NaN.
    """
    predicted_texts = _texts(predicted)
    gold_texts = _texts(gold)
    try:
        predicted_bags = [bag_of_words(text) for text in predicted_texts]
        gold_bags = [bag_of_words(text) for text in gold_texts]
        return mean_assigned([[bag_f1(p, g) for p in predicted_bags] for g in gold_bags], len(predicted_bags))
    except Exception:
        return 0.0


def _texts(value: Any) -> list[Any]:
    if type(value) is list:
        return value
    return [value if type(value) is str else str(value)]


def bag_of_words(text: str) -> Bag:
    """The set of normalised words of a text, and the subset of them that parse as numbers.

    Tokens break at blank and hyphen; each is lower-cased, loses ASCII punctuation unless it is a number, is rewritten
    as `str(float)` if it is one then, and loses the articles a, an, the.
    """
    words: set[str] = set()
    for token in _TOKEN_BREAK.split(text):
        lowered = token.lower()
        if lowered.isalpha():  # a shortcut: no punctuation, no digits, one word
            if lowered not in _ARTICLES:
                words.add(_WORD_NUMBERS.get(lowered, lowered))
            continue
        bare = lowered if _is_number(lowered) else lowered.translate(_NO_PUNCTUATION)
        if _is_number(bare):
            bare = str(float(bare))
        words.update(_ARTICLE.sub(" ", bare).split())
    return frozenset(words), frozenset(word for word in words if _is_number(word))


def _is_number(text: str) -> bool:
    if text.isalpha():
        return text in _WORD_NUMBERS
    try:
        float(text)
        return True
    except ValueError:
        return False


def bag_f1(predicted: Bag, gold: Bag) -> float:
    """F1 of two bags; 0 if gold has numbers and the prediction has none of them; 1 for two empty bags."""
    predicted_words, predicted_numbers = predicted
    gold_words, gold_numbers = gold
    if gold_numbers and gold_numbers.isdisjoint(predicted_numbers):
        return 0.0
    num_shared = len(gold_words & predicted_words)
    precision = num_shared / len(predicted_words) if predicted_words else 1.0
    recall = num_shared / len(gold_words) if gold_words else 1.0
    return harmonic_mean(precision, recall)


def harmonic_mean(precision: float, recall: float) -> float:
    """2pr / (p + r); 0 when both are 0; NaN if either is NaN."""
    if precision + recall == 0:
        return 0.0
    return 2 * (precision * recall) / (precision + recall)


def records_score(predicted: list[Any], gold: list[Any]) -> float:
    """F1 of records (dicts), averaged over an optimal one-to-one assignment and the longer list.

    0 if the first prediction is no dict. Raises where a gold item is no dict, a record is empty, or a shared key has a
    gold value that is null or an object.
    """
    if predicted and type(predicted[0]) is not dict:
        return 0.0
    scores = [[_record_f1(p, g) for p in predicted] for g in gold]
    return mean_assigned(scores, len(predicted))


def _record_f1(predicted: Any, gold: Any) -> float:
    recall = mean([_value_score(predicted, gold, name, gold) for name in gold.keys()])  # noqa: SIM118
    precision = mean([_value_score(gold, predicted, name, gold) for name in predicted.keys()])  # noqa: SIM118
    return harmonic_mean(precision, recall)


def _value_score(candidate: dict[Any, Any], reference: dict[Any, Any], name: Any, gold: dict[Any, Any]) -> float:
    """Score of one key of `reference` in `candidate`; the metric follows the type of the value in `gold`."""
    reference_value, _ = clean_number(reference[name])
    candidate_value, _ = clean_number(candidate.get(name))
    if name not in candidate:
        return 0.0
    metric = _VALUE_METRICS[type(reference_value if reference is gold else candidate_value)]
    if type(candidate_value) is not type(reference_value):
        return 0.0
    return metric(candidate_value, reference_value)


_VALUE_METRICS: dict[type, Callable[[Any, Any], float]] = {
    str: text_score,
    float: number_score,
    bool: text_score,
    list: text_score,
}
