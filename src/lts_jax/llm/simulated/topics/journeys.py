"""Train journeys with changes."""

import re
from functools import partial

from lts_jax.llm.simulated.pages import Document
from lts_jax.llm.simulated.topics.reading import fields_or_sentence
from lts_jax.llm.simulated.understanding import (
    Conclusion,
    Need,
    Reading,
    Understanding,
    Values,
    items,
    join_items,
    numbers,
)

CHANGE = "minimum change time"
_WORDINGS = (
    re.compile(
        r"By the current timetables, I take the first train of the (?P<first>.+?) that leaves (?P<start>.+?) at "
        r"(?P<time>\d\d:\d\d) or later, (?P<changes>.+?)\. Each time .+ do I arrive at (?P<end>.+?)\?"
    ),
    re.compile(
        r"Using the latest timetables: I board the first train of the (?P<first>.+?) leaving (?P<start>.+?) at or "
        r"after (?P<time>\d\d:\d\d), (?P<changes>.+?)\. Minimum .+ do I get to (?P<end>.+?)\?"
    ),
)
_CHANGE = re.compile(r"change at (.+?) to the next train of the (.+?)(?:, then |$)")


def journey(question: str) -> Understanding | None:
    """When a journey arrives."""
    found = next((each for form in _WORDINGS if (each := form.match(question))), None)
    changes = _CHANGE.findall(found["changes"]) if found else []
    if found is None or not changes:
        return None
    stations = [found["start"], *(station for station, _ in changes), found["end"]]
    lines = [found["first"], *(line for _, line in changes)]
    rides = [
        Need(f"train times from {start} to {end}", line)
        for line, start, end in zip(lines, stations[:-1], stations[1:], strict=True)
    ]
    waits = [Need(CHANGE, station) for station in stations[1:-1]]
    readings = {
        need.attribute: Reading(partial(_times, start, end), ("| ",), "{} timetable")
        for need, start, end in zip(rides, stations[:-1], stations[1:], strict=True)
    }
    readings[CHANGE] = fields_or_sentence(
        "Minimum change time",
        form="{}",
        sentence=r"Passengers need at least (\d+ minutes) to change trains here\.",
        look_for=("minutes",),
    )
    legs = [need for pair in zip(rides, [*waits, None], strict=True) for need in pair if need is not None]
    return Understanding(tuple(legs), readings, partial(_arrival, found["time"], rides, waits))


def _times(start: str, end: str, document: Document) -> str | None:
    first, last = document.row(start), document.row(end)
    if first is None or last is None:
        return None
    return join_items([f"{leave}-{arrive}" for leave, arrive in zip(first[1:], last[1:], strict=True)])


def _arrival(asked: str, rides: list[Need], waits: list[Need], values: Values) -> Conclusion:
    minute = _minute(asked)
    for leg, ride in enumerate(rides):
        trains = [tuple(_minute(each) for each in item.split("-")) for item in items(values[ride])]
        minute = min(arrive for leave, arrive in trains if leave >= minute)
        if leg < len(waits):
            minute += int(numbers(values[waits[leg]])[0])
    return Conclusion(f"{minute // 60:02d}:{minute % 60:02d}")


def _minute(clock: str) -> int:
    hours, minutes = clock.split(":")
    return 60 * int(hours) + int(minutes)
