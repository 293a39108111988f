"""The official score of GAIA: right or wrong, by one of three rules that the gold answer chooses.

Source: Mialon et al. 2023, "GAIA: a benchmark for general AI assistants", and the behaviour of the leaderboard's
scorer.
"""

import re
import string
from typing import Any

from lts_jax.records import Outcome

_SEPARATOR = re.compile("[,;]")
_DROPPED_FROM_NUMBERS = str.maketrans("", "", "$%,")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def score(prediction: Any, gold: Any, *, strict: bool = False) -> Outcome:
    """Score an answer by the official GAIA rules. Never raises.

    Number, if gold reads as a float: equal floats, after dropping `$`, `%` and `,` from the answer. List, if gold has a
    comma or semicolon: equal item by item, punctuation kept. Text otherwise: equal without white space, case and ASCII
    punctuation.

    Args:
        prediction: the answer's text. None is read as the text "None", as the leaderboard does.
        gold: the reference answer.
        strict: accepted so that all scorers are called alike; the raw official value is 0 or 1 anyway.
    Returns:
        `score` 1.0 or 0.0, and 0.0 where the official scorer raises (an answer that is no text), strict or not;
        `answered` false for None and for the empty text; `detail` the rule, or the error of an unscorable pair.
    """
    del strict
    answered = prediction is not None and not (isinstance(prediction, str) and prediction == "")
    try:
        correct, rule = _compare("None" if prediction is None else prediction, gold)
    except Exception as error:
        return Outcome(0.0, answered, f"unscorable: {type(error).__name__}")
    return Outcome(1.0 if correct else 0.0, answered, rule)


def _compare(prediction: Any, gold: Any) -> tuple[bool, str]:
    if not isinstance(prediction, str):
        raise TypeError(f"expected the answer as text, got {type(prediction).__name__}")
    if _is_number(gold):
        return _read_number(prediction) == float(gold), "number"
    if "," in gold or ";" in gold:
        return _lists_match(_SEPARATOR.split(prediction), _SEPARATOR.split(gold)), "list"
    return _condense(prediction).translate(_PUNCTUATION) == _condense(gold).translate(_PUNCTUATION), "text"


def _lists_match(predicted: list[str], gold: list[str]) -> bool:
    return len(predicted) == len(gold) and all(map(_items_match, predicted, gold))


def _items_match(predicted: str, gold: str) -> bool:
    if _is_number(gold):
        return _read_number(predicted) == float(gold)
    return _condense(predicted) == _condense(gold)


def _is_number(value: Any) -> bool:
    try:
        float(value)
        return True
    except ValueError:
        return False


def _read_number(text: str) -> float:
    """The number in an answer; plus infinity if there is none, so gold `inf` accepts anything unreadable."""
    try:
        return float(text.translate(_DROPPED_FROM_NUMBERS))
    except ValueError:
        return float("inf")


def _condense(text: str) -> str:
    """Lower case without any white space. White space goes first: a final sigma is lowered by what follows it."""
    return "".join(text.split()).lower()
