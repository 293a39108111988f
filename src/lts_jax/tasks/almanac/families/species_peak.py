"""Counts of species in parks: where one was counted most often, and how often."""

import json
from dataclasses import dataclass
from random import Random

from lts_jax.tasks.almanac.drafting import NUM_NAMED, make_draft
from lts_jax.tasks.almanac.names import Namer, list_names, near_miss, slug
from lts_jax.tasks.almanac.press import Body, Press
from lts_jax.tasks.almanac.records import Draft, Need

NAMED = (
    "According to the latest counts, in which of {names} was the {species} counted most often in {year}, "
    "and how often? "
    'Answer with one JSON object with the keys "park" and "count".',
    "Compare the current wildlife counts of {names}: which park had the most sightings of the {species} in "
    "{year}? "
    'Answer with one JSON object with the keys "park" and "count".',
)
LISTED = (
    "According to the latest counts, in which of the parks of the {region} was the {species} counted most "
    "often in "
    '{year}, and how often? Answer with one JSON object with the keys "park" and "count".',
    "Compare the current wildlife counts of all parks of the {region}: which park had the most sightings "
    "of the "
    '{species} in {year}? Answer with one JSON object with the keys "park" and "count".',
)
SPECIES = (
    "marsh lark", "ridge owl", "striped newt", "dusk moth", "reed finch", "stone toad", "river vole",
    "spotted hawk",
    "blue darter", "field shrew",
)  # fmt: skip
_YEARS = (2021, 2022, 2023, 2024)


@dataclass(frozen=True, slots=True)
class Park:
    """A park and its counts by species and year."""

    name: str
    url: str
    counts: dict[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class Region:
    """A listing page and its five or six parks."""

    name: str
    listing: Need
    parks: tuple[Park, ...]


def build(press: Press, namer: Namer, towns: list[str], rng: Random) -> tuple[Region, ...]:
    """Publish 16 regions with their parks."""
    regions = []
    for _ in range(16):
        name = namer.pair("Region")
        title, url = f"Parks of the {name}", f"https://www.{slug(name)}.example/parks"
        parks = tuple(_park(press, namer, (title, url), rng) for _ in range(rng.randrange(5, 7)))
        rows = [("Park", "Area (ha)", "Opened")]
        rows += [(park.name, str(rng.randrange(40, 900)), str(rng.randrange(1900, 2015))) for park in parks]
        press.publish_listing(title, url, rows)
        regions.append(Region(name, Need(title, url), parks))
    return tuple(regions)


def _park(press: Press, namer: Namer, listing: tuple[str, str], rng: Random) -> Park:
    site = listing[1]
    name = namer.pair("Park")
    species = rng.sample(SPECIES, 8)
    counts = {(each, year): rng.randrange(3, 400) for each in species for year in _YEARS}
    stale = {place: count + rng.randrange(5, 120) for place, count in counts.items()}
    url = f"{site}/{slug(name)}"
    body, old_body = (Body(table=_table(species, each)) for each in (counts, stale))
    press.publish(name, url, body, stale=old_body, see_also=[listing])
    if rng.random() < 0.15:
        other = near_miss(name)
        press.publish(other, f"{site}/{slug(other)}", Body(table=_table(species, stale)))
    return Park(name, url, counts)


def _table(species: list[str], counts: dict[tuple[str, int], int]) -> tuple[tuple[str, ...], ...]:
    header = ("Species", *(str(year) for year in _YEARS))
    return (header, *((each, *(str(counts[each, year]) for year in _YEARS)) for each in species))


def draft(facts: tuple[Region, ...], difficulty: str, rng: Random) -> Draft | None:
    """The park with the largest count (a park whose table lacks the species counts 0); None on a tie."""
    region = rng.choice(facts)
    species, year = rng.choice(SPECIES), rng.choice(_YEARS)
    slots: dict[str, object] = {"species": species, "year": year}
    if difficulty == "hard":
        chosen, wordings, needs = list(region.parks), LISTED, [region.listing]
        slots["region"] = region.name
    else:
        chosen, wordings, needs = rng.sample(region.parks, NUM_NAMED[difficulty]), NAMED, []
        slots["names"] = list_names([park.name for park in chosen])
    counts = sorted((park.counts.get((species, year), 0), park.name) for park in chosen)
    if counts[-1][0] == counts[-2][0]:
        return None
    needs += [Need(park.name, park.url) for park in chosen]
    answer = json.dumps({"park": counts[-1][1], "count": counts[-1][0]})
    return make_draft(rng, wordings, slots, answer, needs=needs)
