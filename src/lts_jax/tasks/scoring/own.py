"""A scorer of one's own: `mine.py:function`, called as function(answer, reference), gives a number from 0 to 1."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from lts_jax.loading import load_function
from lts_jax.records import Outcome

FAILED = "unscorable: "
"""How the detail of an outcome begins where its scorer failed. Such an answer scores 0."""


def score_by(name: str, prediction: str, gold: str) -> Outcome:
    """Score an answer by the function that `name` means. What the function does wrong is a score of 0 that says so.

    NaN is kept: the function's way to say that this answer cannot be scored, so that it stays out of every mean.

    Raises:
        UserError: there is no such function.
    """
    function, answered = load_scorer(name), bool(prediction.strip())
    try:
        given = function(prediction, gold)
    except Exception as error:
        told = " ".join(f"{type(error).__name__} {error}".split())
        return Outcome(0.0, answered, f"{FAILED}{name} raised {told}"[:300])
    score = _number(given)
    if score is None or not (math.isnan(score) or 0.0 <= score <= 1.0):
        told = type(given).__name__ if score is None else f"{score:g}"
        return Outcome(0.0, answered, f"{FAILED}{name} gave {told}, expected a number from 0 to 1"[:300])
    return Outcome(score, answered, f"{name} gave NaN" if math.isnan(score) else name)


@lru_cache(maxsize=64)
def load_scorer(name: str) -> Callable[..., Any]:
    """The function, looked up once a process: a file that is edited meanwhile does not change a run's scores.

    Raises:
        UserError: there is no such function.
    """
    return load_function(name, where="scorer")


def _number(given: Any) -> float | None:
    """A number as a float, whatever library it is of; None for what is none."""
    if isinstance(given, (str, bytes)):
        return None
    try:
        return float(given)
    except Exception:
        return None
