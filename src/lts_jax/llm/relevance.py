"""How much a piece of memory matters to an agent in a stage: the score of RCR-Router (arXiv 2508.04903), rebuilt.

The paper names the signals: role, stage, recency. Its weights were not to be seen; those here are ours.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass

from lts_jax.errors import UserError

RECENCY_RATE = 0.1  # per round
KEYWORD_WORTH, MOST_FOR_KEYWORDS = 0.1, 0.5
OTHER_STAGE = 0.5


@dataclass(frozen=True, slots=True)
class RelevanceWeights:
    """alpha = role * w_role + stage * w_stage + exp(-.1 age) * w_recency + cosine * w_similarity. Ours."""

    role: float = 0.3
    stage: float = 0.1
    recency: float = 0.3
    similarity: float = 0.3

    def __post_init__(self) -> None:
        for name in ("role", "stage", "recency", "similarity"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1000.0:
                raise UserError(f"weights.{name}: expected from 0 to 1000, got {value!r}")


def role_score(text: str, tags: Collection[str], wanted_tags: Collection[str], keywords: Collection[str]) -> float:
    """1 where a tag fits, and .1 for every keyword of the role in the text, at most .5 of these."""
    lower = text.lower()
    found = sum(word in lower for word in keywords)
    return float(not set(tags).isdisjoint(wanted_tags)) + min(MOST_FOR_KEYWORDS, KEYWORD_WORTH * found)


def stage_score(stages: Collection[str], stage: str) -> float:
    """1 in a stage that the piece belongs to, .5 in another."""
    return 1.0 if stage in stages else OTHER_STAGE


def relevance(weights: RelevanceWeights, *, role: float, stage: float, age: float, similarity: float) -> float:
    """alpha of a piece that is `age` rounds old. A cosine below 0 counts as 0, so that alpha is never negative."""
    recency = math.exp(-RECENCY_RATE * max(0.0, age))
    return (
        weights.role * role
        + weights.stage * stage
        + weights.recency * recency
        + weights.similarity * max(0.0, similarity)
    )
