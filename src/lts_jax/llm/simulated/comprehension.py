"""From the words of a question to what it needs: the topics are tried one after the other."""

from functools import lru_cache

from lts_jax.llm.simulated.topics import files, journeys, listings, places, shopping
from lts_jax.llm.simulated.understanding import Conclusion, Need, Understanding, Values

_TOPICS = (
    places.tickets,
    places.pools,
    places.exhibitions,
    journeys.journey,
    listings.events,
    listings.sales,
    listings.league,
    listings.species,
    listings.films,
    listings.companies,
    shopping.recipe,
    files.branches,
    files.districts,
    files.trip,
)


@lru_cache(maxsize=4096)
def understand(question: str) -> Understanding:
    """What the question needs. A question of no known topic becomes one need that no page satisfies."""
    for topic in _TOPICS:
        understood = topic(question)
        if understood is not None:
            return understood
    words = " ".join(question.replace(":", " ").split()[:12]) or "the request"
    return Understanding((Need("answer", words),), {}, _no_idea)


def _no_idea(values: Values) -> Conclusion:
    raise ValueError("nothing follows")
