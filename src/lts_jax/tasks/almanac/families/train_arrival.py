"""Timetables and stations: when a journey with changes arrives."""

from dataclasses import dataclass
from random import Random

from lts_jax.tasks.almanac.drafting import make_draft
from lts_jax.tasks.almanac.names import Namer, near_miss, slug
from lts_jax.tasks.almanac.press import Body, Press
from lts_jax.tasks.almanac.records import Draft, Need

WORDINGS = (
    "By the current timetables, I take the first train of the {first} that leaves {start} at {time} or "
    "later, {changes}. "
    "Each time I respect the minimum change time of the station. At what time do I arrive at {end}? "
    "Answer in 24-hour format, HH:MM.",
    "Using the latest timetables: I board the first train of the {first} leaving {start} at or after "
    "{time}, {changes}. "
    "Minimum change times of the stations are respected. When (HH:MM, 24-hour clock) do I get to {end}?",
)
CHANGE = "change at {station} to the next train of the {line}"
_NUM_LINES = {"easy": 2, "medium": 3, "hard": 4}


@dataclass(frozen=True, slots=True)
class Station:
    """A station and the minutes that a change needs there."""

    name: str
    url: str
    change_minutes: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its stations in order and, for each run, the minute of the day at each of them."""

    name: str
    url: str
    stations: tuple[Station, ...]
    runs: tuple[tuple[int, ...], ...]


def build(press: Press, namer: Namer, towns: list[str], rng: Random) -> tuple[Line, ...]:
    """Publish 36 stations and 40 lines of six stations each; return the lines."""
    stations = [_station(press, namer, rng) for _ in range(36)]
    return tuple(_line(press, namer, stations, rng) for _ in range(40))


def _station(press: Press, namer: Namer, rng: Random) -> Station:
    name = namer.pair(rng.choice(("Junction", "Cross", "Halt", "Quay")))
    minutes = rng.randrange(3, 16)
    site = "https://www.openrails.example/stations"
    url = press.publish(name, f"{site}/{slug(name)}", _station_body(minutes), stale=_station_body(minutes % 13 + 3))
    if rng.random() < 0.3:
        other = near_miss(name)
        press.publish(other, f"{site}/{slug(other)}", _station_body(minutes % 11 + 4))
    return Station(name, url, minutes)


def _station_body(minutes: int) -> Body:
    if minutes % 3 == 0:
        return Body(prose=(f"Passengers need at least {minutes} minutes to change trains here.",))
    return Body(fields=(("Minimum change time", f"{minutes} minutes"),))


def _line(press: Press, namer: Namer, stations: list[Station], rng: Random) -> Line:
    name = namer.pair("Line")
    stops = rng.sample(stations, 6)
    gaps = [rng.randrange(8, 26) for _ in range(5)]
    starts = [350 + 75 * run + rng.randrange(0, 60) for run in range(11)]
    runs = tuple(tuple(start + sum(gaps[:stop]) for stop in range(6)) for start in starts)
    shift = rng.choice((-1, 1)) * rng.randrange(11, 38)
    stale = _table(stops, tuple(tuple(minute + shift for minute in run) for run in runs))
    url = f"https://www.openrails.example/lines/{slug(name)}"
    urls = press.publish_listing(f"{name} timetable", url, _table(stops, runs), stale_table=stale)
    return Line(name, urls[0], tuple(stops), runs)


def clock(minute: int) -> str:
    """A minute of the day as HH:MM."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _table(stops: list[Station], runs: tuple[tuple[int, ...], ...]) -> list[tuple[str, ...]]:
    header = ("Station", *(f"Train {run + 1}" for run in range(len(runs))))
    return [header, *((stop.name, *(clock(run[i]) for run in runs)) for i, stop in enumerate(stops))]


def draft(facts: tuple[Line, ...], difficulty: str, rng: Random) -> Draft | None:
    """Ride, change, ride: always the first departure that can be caught; None where that fails."""
    lines, stops = [rng.choice(facts)], [rng.randrange(0, 3)]
    minute = asked = 5 * rng.randrange(75, 120)
    changes: list[str] = []
    needs = [Need(f"{lines[0].name} timetable", lines[0].url)]
    for leg in range(_NUM_LINES[difficulty]):
        line, board = lines[-1], stops[-1]
        run = next((run for run in line.runs if run[board] >= minute), None)
        if run is None:
            return None
        leave = rng.randrange(board + 1, 6)
        station = line.stations[leave]
        minute = run[leave]
        if leg + 1 == _NUM_LINES[difficulty]:
            break
        onward = [other for other in facts if other not in lines and station in other.stations[:5]]
        if not onward:
            return None
        lines.append(rng.choice(onward))
        stops.append(lines[-1].stations.index(station))
        changes.append(CHANGE.format(station=station.name, line=lines[-1].name))
        needs += [Need(station.name, station.url), Need(f"{lines[-1].name} timetable", lines[-1].url)]
        minute += station.change_minutes
    slots: dict[str, object] = {
        "first": lines[0].name,
        "start": lines[0].stations[stops[0]].name,
        "time": clock(asked),
        "changes": ", then ".join(changes),
        "end": station.name,
    }
    return make_draft(rng, WORDINGS, slots, clock(minute), needs=needs)
