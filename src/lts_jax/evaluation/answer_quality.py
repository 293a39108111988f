"""The quality of an answer from 1 to 5, by rule from its official score, or by what a judge replies.

The rubric is that of `prompts.QUALITY_RUBRIC`. RCR-Router (arXiv 2508.04903) reports such a score; its rubric was not
to be seen, so this one is ours.
"""

import math
import re

UNANSWERED = ("unable to determine", "unknown", "n/a")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
_BARE = re.compile(r"([1-5])\.?")


def quality_by_rule(text: str, reference: str, score: float) -> float:
    """5 for the full official score, 4 from half of it on, 3 for any of it, else 2 or 1; NaN where there is no score.

    2 is an answer of the kind that was asked for: a number where the reference is one, else any words but the
    `UNANSWERED` ones.
    """
    if math.isnan(score):
        return math.nan
    if score > 0.0:
        return 5.0 if score >= 1.0 else 4.0 if score >= 0.5 else 3.0
    said = text.strip()
    if not said or any(words in said.lower() for words in UNANSWERED):
        return 1.0
    return 1.0 if _is_number(reference) and not _NUMBER.search(said) else 2.0


def parse_quality(reply: str) -> float | None:
    """The number of a reply that is a bare one from 1 to 5; None for any other. Never raises."""
    found = _BARE.fullmatch(reply.strip())
    return float(found[1]) if found else None


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text.strip().removeprefix("$")) is not None
