"""Programmes of venues, split over pages: which events meet a filter."""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from lts_jax.tasks.almanac.drafting import make_draft
from lts_jax.tasks.almanac.names import Namer, list_names, slug
from lts_jax.tasks.almanac.press import Press
from lts_jax.tasks.almanac.records import Draft, Need

WORDINGS = (
    "Which events of the type {kind} in the current programme of {venues} start at {hour} or later and "
    "cost less than "
    "${price}? Give their names, one per line.",
    "List the names of all events of the type {kind} that start at {hour} or later and cost less than "
    "${price}, "
    "according to the latest programme of {venues}. One name per line.",
)
_KINDS = ("concert", "play", "reading", "talk", "film")
_NUM_VENUES = {"easy": 1, "medium": 2, "hard": 3}


@dataclass(frozen=True, slots=True)
class Event:
    """One evening: starting hour and price in dollars."""

    name: str
    day: str
    kind: str
    hour: int
    price: int


@dataclass(frozen=True, slots=True)
class Venue:
    """A venue and its programme."""

    name: str
    urls: tuple[str, ...]
    events: tuple[Event, ...]


def build(press: Press, namer: Namer, towns: list[str], rng: Random) -> tuple[Venue, ...]:
    """Publish 36 venues whose programmes run over two pages each."""
    venues = []
    for town in towns[:36]:
        name = namer.pair(rng.choice(("Theatre", "Hall", "Arena", "Playhouse")))
        first = date(2025, 1, 5) + timedelta(days=rng.randrange(0, 60))
        events = tuple(_event(namer, first + timedelta(days=7 * week), rng) for week in range(rng.randrange(22, 28)))
        url = f"https://www.{town.lower()}.example/venues/{slug(name)}"
        table, stale = _table(events, 0), _table(events, rng.randrange(5, 12))
        urls = press.publish_listing(f"Programme of {name}", url, table, num_parts=2, stale_table=stale)
        venues.append(Venue(name, urls, events))
    return tuple(venues)


def _event(namer: Namer, day: date, rng: Random) -> Event:
    return Event(
        namer.pair("Evening"),
        day.isoformat(),
        rng.choice(_KINDS),
        rng.randrange(14, 23),
        rng.randrange(8, 40),
    )


def _table(events: tuple[Event, ...], discount: int) -> list[tuple[str, ...]]:
    rows = [
        (event.day, event.name, event.kind, f"{event.hour}:00", f"${max(5, event.price - discount)}")
        for event in events
    ]
    return [("Date", "Event", "Type", "Start", "Price"), *rows]


def draft(facts: tuple[Venue, ...], difficulty: str, rng: Random) -> Draft | None:
    """Names of the matching events in the order of the programmes; None unless two to eight match."""
    venues = rng.sample(facts, _NUM_VENUES[difficulty])
    kind, hour, price = rng.choice(_KINDS), rng.randrange(15, 20), rng.randrange(15, 35)
    found = [
        event.name
        for venue in venues
        for event in venue.events
        if event.kind == kind and event.hour >= hour and event.price < price
    ]
    if not 2 <= len(found) <= 8:
        return None
    slots: dict[str, object] = {
        "kind": kind,
        "hour": f"{hour}:00",
        "price": price,
        "venues": list_names([venue.name for venue in venues]),
    }
    needs = [Need(f"Programme of {venue.name}", url) for venue in venues for url in venue.urls]
    return make_draft(rng, WORDINGS, slots, "\n".join(found), needs=needs)
