"""Elections by ward and a JSON file that groups the wards: the turnout of a district."""

import json
from dataclasses import dataclass
from fractions import Fraction
from random import Random

from lts_jax.tasks.almanac.drafting import make_draft, round_clearly
from lts_jax.tasks.almanac.names import Namer, slug
from lts_jax.tasks.almanac.press import Body, Press
from lts_jax.tasks.almanac.records import Draft, Need

WORDINGS = (
    "The attached file {file} groups the wards of {town} into districts. By the latest pages on the 2024 "
    "council "
    "election, what was the turnout in the district {district}, that is all votes cast divided by all "
    "registered voters, "
    "in percent? Round to 1 decimal.",
    "Using the wards of the district {district} of {town} in the attached file {file}, and the current "
    "results of the "
    "2024 council election, what percentage of the registered voters cast a vote there? Round to 1 decimal.",
)
_PURPOSES = ("school", "water", "police", "library")
_DISTRICTS = ("North", "South", "East", "West", "Harbour", "Station")
_NUM_WARDS = {"easy": (1, 2), "medium": (3, 4), "hard": (5, 6)}
_SHAPES = ((2, 2, 6), (1, 3, 6), (4, 6), (2, 3, 5), (1, 4, 5))  # wards of each district; ten in all


@dataclass(frozen=True, slots=True)
class Ward:
    """A ward's registered voters and votes."""

    title: str
    url: str
    voters: int
    votes: int


@dataclass(frozen=True, slots=True)
class Grouping:
    """One file: the wards of each district of a town."""

    file: str
    town: str
    districts: dict[str, tuple[Ward, ...]]


def build(press: Press, namer: Namer, towns: list[str], rng: Random) -> tuple[Grouping, ...]:
    """Publish ten wards for each of 20 towns, and four files a town that group them."""
    groupings = []
    for town in towns[:20]:
        wards = {name: _ward(press, town, name, rng) for name in (namer.pair("Ward") for _ in range(10))}
        groupings += [_grouping(press, town, wards, purpose, rng) for purpose in _PURPOSES]
    return tuple(groupings)


def _ward(press: Press, town: str, name: str, rng: Random) -> Ward:
    voters = rng.randrange(1_200, 9_800)
    votes = voters * rng.randrange(280, 810) // 1000
    form = rng.randrange(3)
    title, url = (
        f"{name} council election 2024",
        f"https://www.{town.lower()}.example/elections/2024/{slug(name)}",
    )
    stale = _ward_body(voters, votes - rng.randrange(60, 300), form)
    return Ward(title, press.publish(title, url, _ward_body(voters, votes, form), stale=stale), voters, votes)


def _ward_body(voters: int, votes: int, form: int) -> Body:
    if form < 2:
        return Body(fields=(("Registered voters", f"{voters:,}"), ("Votes cast", f"{votes:,}")))
    return Body(prose=(f"Of {voters:,} registered voters, {votes:,} cast a vote.",))


def _grouping(press: Press, town: str, wards: dict[str, Ward], purpose: str, rng: Random) -> Grouping:
    names = rng.sample(list(wards), len(wards))
    districts: dict[str, tuple[Ward, ...]] = {}
    listing = []
    for district, size in zip(rng.sample(_DISTRICTS, 3), rng.choice(_SHAPES), strict=False):
        members, names = names[:size], names[size:]
        districts[district] = tuple(wards[name] for name in members)
        listing.append({"district": district, "wards": members})
    file = f"{purpose}-districts-{town.lower()}.json"
    press.files[file] = json.dumps({"town": town, "purpose": purpose, "districts": listing}, indent=1) + "\n"
    return Grouping(file, town, districts)


def draft(facts: tuple[Grouping, ...], difficulty: str, rng: Random) -> Draft | None:
    """100 x votes / voters of the district; None unless it has as many wards as the level asks."""
    grouping = rng.choice(facts)
    district = rng.choice(list(grouping.districts))
    wards = grouping.districts[district]
    least, most = _NUM_WARDS[difficulty]
    answer = round_clearly(Fraction(100 * sum(w.votes for w in wards), sum(w.voters for w in wards)), 1)
    if not least <= len(wards) <= most or answer is None:
        return None
    slots: dict[str, object] = {"file": grouping.file, "town": grouping.town, "district": district}
    return make_draft(
        rng, WORDINGS, slots, answer, needs=[Need(w.title, w.url) for w in wards], attachments=(grouping.file,)
    )
