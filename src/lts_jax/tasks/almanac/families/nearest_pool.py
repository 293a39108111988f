"""Swimming pools with positions and hours: which one is closest to a landmark."""

from dataclasses import dataclass
from math import hypot
from random import Random

from lts_jax.tasks.almanac.drafting import make_draft
from lts_jax.tasks.almanac.names import Namer, list_names, near_miss, slug
from lts_jax.tasks.almanac.press import Body, Press
from lts_jax.tasks.almanac.records import Draft, Need

NAMED = (
    "Which of {names} is currently closest to the {landmark} in a straight line?",
    "Going by the latest pages, which of these swimming pools lies closest in a straight line to the "
    "{landmark}: "
    "{names}?",
)
LISTED = (
    "Which swimming pool in {town} that currently stays open until {hour} or later on weekdays is closest "
    "to the "
    "{landmark} in a straight line?",
    "Of the swimming pools in {town} that currently close at {hour} or later on weekdays, which one is "
    "closest in a "
    "straight line to the {landmark}?",
)


@dataclass(frozen=True, slots=True)
class Spot:
    """A landmark or a pool: metres east and north of the town hall; closing hour on weekdays (0 for a landmark)."""

    name: str
    url: str
    east: int
    north: int
    closes: int = 0


@dataclass(frozen=True, slots=True)
class PoolTown:
    """The pools and landmarks of one town, and the page that lists the pools."""

    town: str
    directory: Need
    pools: tuple[Spot, ...]
    landmarks: tuple[Spot, ...]


def build(press: Press, namer: Namer, towns: list[str], rng: Random) -> tuple[PoolTown, ...]:
    """Publish pools, landmarks and a directory for each of 24 towns."""
    facts = []
    for town in towns[:24]:
        site = f"https://www.{town.lower()}.example"
        title, url = f"Swimming pools in {town}", f"{site}/pools"
        pools = tuple(_pool(press, namer, (title, url), rng) for _ in range(rng.randrange(5, 7)))
        landmarks = tuple(_landmark(press, namer, site, rng) for _ in range(3))
        rows = [("Pool", "Lanes", "Opened")]
        rows += [(pool.name, str(rng.randrange(4, 11)), str(rng.randrange(1920, 2020))) for pool in pools]
        press.publish_listing(title, url, rows)
        facts.append(PoolTown(town, Need(title, url), pools, landmarks))
    return tuple(facts)


def _pool(press: Press, namer: Namer, directory: tuple[str, str], rng: Random) -> Spot:
    site = directory[1]
    name = namer.pair("Pool")
    east, north = _metres(rng), _metres(rng)
    closes = rng.randrange(17, 23)
    stale = _pool_body(_metres(rng), _metres(rng), 17 + (closes - 15) % 6, rng)
    url = press.publish(
        name, f"{site}/{slug(name)}", _pool_body(east, north, closes, rng), stale=stale, see_also=[directory]
    )
    if rng.random() < 0.2:
        other = near_miss(name)
        press.publish(other, f"{site}/{slug(other)}", _pool_body(_metres(rng), _metres(rng), 18, rng))
    return Spot(name, url, east, north, closes)


def _landmark(press: Press, namer: Namer, site: str, rng: Random) -> Spot:
    name = namer.pair(rng.choice(("Fountain", "Clock Tower", "Monument", "Arch")))
    east, north = _metres(rng), _metres(rng)
    body = Body(prose=(f"It stands {_position(east, north)} of the town hall.",))
    return Spot(name, press.publish(name, f"{site}/landmarks/{slug(name)}", body), east, north)


def _metres(rng: Random) -> int:
    return rng.choice((-1, 1)) * 10 * rng.randrange(5, 600)


def _position(east: int, north: int) -> str:
    sideways = f"{abs(east) / 1000:.2f} km {'east' if east > 0 else 'west'}"
    return f"{sideways} and {abs(north) / 1000:.2f} km {'north' if north > 0 else 'south'}"


def _pool_body(east: int, north: int, closes: int, rng: Random) -> Body:
    return Body(
        fields=(
            ("Position", f"{_position(east, north)} of the town hall"),
            ("Weekday hours", f"{rng.randrange(6, 10):02d}:00-{closes:02d}:00"),
            ("Weekend hours", f"{rng.randrange(8, 11):02d}:00-{rng.randrange(16, 20):02d}:00"),
        )
    )


def draft(facts: tuple[PoolTown, ...], difficulty: str, rng: Random) -> Draft | None:
    """The pool with the smallest distance; None where two are within a tenth of each other."""
    place = rng.choice(facts)
    landmark = rng.choice(place.landmarks)
    slots: dict[str, object] = {"landmark": landmark.name}
    needs = [Need(landmark.name, landmark.url)]
    if difficulty == "hard":
        hour = rng.randrange(18, 21)
        read, wordings = list(place.pools), LISTED
        chosen = [pool for pool in read if pool.closes >= hour]
        needs.append(place.directory)
        slots |= {"town": place.town, "hour": f"{hour}:00"}
        if not 2 <= len(chosen) < len(read):
            return None
    else:
        read = chosen = rng.sample(place.pools, 2 if difficulty == "easy" else 4)
        wordings, slots["names"] = NAMED, list_names([pool.name for pool in chosen])
    ranked = sorted((hypot(p.east - landmark.east, p.north - landmark.north), p.name) for p in chosen)
    if ranked[0][0] > 0.9 * ranked[1][0]:
        return None
    needs += [Need(pool.name, pool.url) for pool in read]
    return make_draft(rng, wordings, slots, ranked[0][1], needs=needs)
