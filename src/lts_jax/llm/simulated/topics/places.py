"""Places to visit: tickets, pools near a landmark, exhibitions."""

import re
from datetime import date
from functools import partial
from math import hypot

from lts_jax.llm.simulated.topics.reading import column_of, fields_or_sentence
from lts_jax.llm.simulated.understanding import (
    Conclusion,
    Need,
    Understanding,
    Values,
    items,
    named_or_listed,
    names,
    numbers,
    weighted_sum,
)

TICKETS, TRAIL = "ticket prices", "attractions"
POSITION, HOURS, POOLS = "position", "weekday hours", "pools"
DATES, PROGRAMME = "opening dates", "exhibitions"
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

_TICKETS = (
    re.compile(
        r"What would (?P<adults>\d+) adults and (?P<children>\d+) children currently pay in all "
        r"(?:for one visit each to (?P<names>.+?)|to visit every attraction on the (?P<trail>.+?) once)\? "
    ),
    re.compile(
        r"We are (?P<adults>\d+) adults and (?P<children>\d+) children and want to visit "
        r"(?:every attraction of the (?P<trail>.+?) once|(?P<names>.+?) once each)\. "
    ),
)
_POOLS = (
    re.compile(
        r"Which swimming pool in (?P<town>\S+) that currently stays open until (?P<hour>\d+):00 or later on weekdays "
        r"is closest to the (?P<landmark>.+?) in a straight line\?"
    ),
    re.compile(
        r"Of the swimming pools in (?P<town>\S+) that currently close at (?P<hour>\d+):00 or later on weekdays, "
        r"which one is closest in a straight line to the (?P<landmark>.+?)\?"
    ),
    re.compile(r"Which of (?P<names>.+?) is currently closest to the (?P<landmark>.+?) in a straight line\?"),
    re.compile(
        r"Going by the latest pages, which of these swimming pools lies closest in a straight line to the "
        r"(?P<landmark>.+?): (?P<names>.+?)\?"
    ),
)
_EXHIBITIONS = (
    re.compile(
        r"Which of the (?:2025 exhibitions at (?P<museum>.+?)|exhibitions (?P<names>.+?)) runs for the "
        r"(?P<most>most|fewest) days"
    ),
    re.compile(
        r"By their current dates, which of these exhibitions is open for the (?P<most>\w+) time: (?P<names>.+?)\?"
    ),
    re.compile(
        r"By their current dates, which of the exhibitions shown at (?P<museum>.+?) in 2025 is open for the "
        r"(?P<most>\w+) time\?"
    ),
)


def tickets(question: str) -> Understanding | None:
    """What several visits cost."""
    found = next((each for form in _TICKETS if (each := form.match(question))), None)
    if found is None:
        return None
    readings = {
        TICKETS: fields_or_sentence(
            "Adult ticket",
            "Child ticket",
            form="adult {}; child {}",
            sentence=r"Admission costs (\$[\d.]+) for adults and (\$[\d.]+) for children\.",
            look_for=("$",),
        ),
        TRAIL: column_of("Attraction"),
    }
    prices = (float(found["adults"]), float(found["children"]))
    conclude = partial(_total_price, prices)
    return named_or_listed(found["names"], TICKETS, Need(TRAIL, found["trail"] or ""), readings, conclude)


def _total_price(prices: tuple[float, float], values: Values) -> Conclusion:
    terms = [
        (people, cost)
        for need, value in values.items()
        if need.attribute == TICKETS
        for people, cost in zip(prices, numbers(value), strict=True)
    ]
    return weighted_sum(terms, digits=2)


def pools(question: str) -> Understanding | None:
    """Which pool is closest to a landmark."""
    found = next((each for form in _POOLS if (each := form.match(question))), None)
    if found is None:
        return None
    slots = found.groupdict()
    readings = {
        POSITION: fields_or_sentence(
            "Position", form="{}", sentence=r"It stands (.+? of the town hall)\.", look_for=("of the town hall",)
        ),
        HOURS: fields_or_sentence("Weekday hours", form="{}", sentence=r"(?!)", look_for=("Weekday hours",)),
        POOLS: column_of("Pool", title="Swimming pools in {}"),
    }
    landmark = Need(POSITION, slots["landmark"])
    conclude = partial(_closest, landmark, float(slots.get("hour") or 0))
    if slots.get("names"):
        needs = tuple(Need(POSITION, name) for name in names(slots["names"]))
        return Understanding((landmark, *needs), readings, conclude)
    source = Need(POOLS, slots["town"])
    return Understanding((landmark, source), readings, conclude, source, _pool_needs)


def _pool_needs(value: str) -> tuple[Need, ...]:
    return tuple(Need(attribute, pool) for pool in items(value) for attribute in (HOURS, POSITION))


def _closest(landmark: Need, hour: float, values: Values) -> Conclusion:
    here = _metres(values[landmark])
    distances = [
        (hypot(there[0] - here[0], there[1] - here[1]), need.subject)
        for need, value in values.items()
        if need.attribute == POSITION and need != landmark and _open_until(values, need.subject) >= hour
        for there in (_metres(value),)
    ]
    return Conclusion(min(distances)[1])


def _open_until(values: Values, pool: str) -> float:
    hours = values.get(Need(HOURS, pool))
    return 24.0 if hours is None else numbers(hours.replace(":", " "))[-2]


def _metres(position: str) -> tuple[float, float]:
    east, north = numbers(position)
    return (-east if " west" in position else east, -north if " south" in position else north)


def exhibitions(question: str) -> Understanding | None:
    """Which exhibition is open for the most or the fewest days."""
    found = next((each for form in _EXHIBITIONS if (each := form.match(question))), None)
    if found is None:
        return None
    slots = found.groupdict()
    readings = {
        DATES: fields_or_sentence(
            "Opens",
            "Closes",
            form="{} to {}",
            sentence=r"The exhibition runs from (\d+ \w+ \d{4}) to (\d+ \w+ \d{4})\.",
            look_for=(" 20",),
        ),
        PROGRAMME: column_of("Exhibition", title="Exhibitions 2025 at {}"),
    }
    conclude = partial(_by_days, slots["most"] in ("most", "longest"))
    return named_or_listed(slots.get("names"), DATES, Need(PROGRAMME, slots.get("museum") or ""), readings, conclude)


def _by_days(longest: bool, values: Values) -> Conclusion:
    days = {need.subject: _days(value) for need, value in values.items() if need.attribute == DATES}
    return Conclusion((max if longest else min)(days, key=lambda name: days[name]))


def _days(value: str) -> int:
    first, last = (_date(each) for each in value.split(" to "))
    return (last - first).days


def _date(text: str) -> date:
    day, month, year = text.split()
    return date(int(year), _MONTHS.index(month) + 1, int(day))
