"""Final tables of sports seasons: what a club collected over several of them."""

from dataclasses import dataclass
from random import Random

from lts_jax.tasks.almanac.drafting import make_draft
from lts_jax.tasks.almanac.names import Namer, list_names, slug
from lts_jax.tasks.almanac.press import Press
from lts_jax.tasks.almanac.records import Draft, Need

ONE_CLUB = (
    "According to the latest pages, how many {what} did {club} have in the final tables of the {league} in "
    "the seasons "
    "{years} taken together?",
    "Adding up the current final tables of the {league} for the seasons {years}, how many {what} did "
    "{club} have in all?",
)
TWO_CLUBS = (
    "According to the latest pages, how many more {what} did {club} have than {other} in the final tables "
    "of the "
    "{league} in the seasons {years} taken together?",
    "Adding up the current final tables of the {league} for the seasons {years}, by how many {what} was "
    "{club} ahead of "
    "{other}?",
)
COLUMNS = ("Points", "Goals for", "Goals against", "Won", "Drawn")
_YEARS = range(2015, 2025)
_NUM_SEASONS = {"easy": 2, "medium": 4, "hard": 6}


@dataclass(frozen=True, slots=True)
class League:
    """A league: for each season its page, and for each club the numbers of `COLUMNS`."""

    name: str
    urls: dict[int, str]
    clubs: tuple[str, ...]
    numbers: dict[tuple[int, str], dict[str, int]]


def build(press: Press, namer: Namer, towns: list[str], rng: Random) -> tuple[League, ...]:
    """Publish ten seasons of ten leagues."""
    return tuple(_league(press, namer, rng) for _ in range(10))


def _league(press: Press, namer: Namer, rng: Random) -> League:
    name = namer.pair("League")
    clubs = tuple(namer.pair(rng.choice(("Rovers", "Athletic", "Wanderers", "Rangers"))) for _ in range(9))
    urls: dict[int, str] = {}
    numbers: dict[tuple[int, str], dict[str, int]] = {}
    for year in _YEARS:
        season = {club: _numbers(rng) for club in clubs}
        stale = {club: {column: n + rng.randrange(1, 5) for column, n in row.items()} for club, row in season.items()}
        title, url = f"{name} {year} final table", f"https://www.{slug(name)}.example/tables/{year}"
        urls[year] = press.publish_listing(title, url, _table(season), stale_table=_table(stale))[0]
        numbers |= {(year, club): row for club, row in season.items()}
    return League(name, urls, clubs, numbers)


def _numbers(rng: Random) -> dict[str, int]:
    won, drawn = rng.randrange(2, 14), rng.randrange(1, 8)
    goals = (rng.randrange(12, 60), rng.randrange(12, 60))
    return {
        "Points": 3 * won + drawn,
        "Goals for": goals[0],
        "Goals against": goals[1],
        "Won": won,
        "Drawn": drawn,
    }


def _table(season: dict[str, dict[str, int]]) -> list[tuple[str, ...]]:
    order = sorted(season, key=lambda club: -season[club]["Points"])
    rows = [
        (str(place), club, *(str(season[club][column]) for column in COLUMNS)) for place, club in enumerate(order, 1)
    ]
    return [("Place", "Club", *COLUMNS), *rows]


def draft(facts: tuple[League, ...], difficulty: str, rng: Random) -> Draft | None:
    """Sum over the seasons, for the hard ones the (positive) difference of two clubs' sums."""
    league = rng.choice(facts)
    years = sorted(rng.sample(_YEARS, _NUM_SEASONS[difficulty]))
    column = rng.choice(COLUMNS[:3])
    club, other = rng.sample(league.clubs, 2)
    totals = {name: sum(league.numbers[year, name][column] for year in years) for name in (club, other)}
    slots: dict[str, object] = {
        "what": {"Points": "points", "Goals for": "goals for", "Goals against": "goals against"}[column],
        "club": club,
        "league": league.name,
        "years": list_names([str(year) for year in years]),
    }
    answer = totals[club]
    if difficulty == "hard":
        slots["other"] = other
        answer -= totals[other]
        if answer <= 0:
            return None
    needs = [Need(f"{league.name} {year} final table", league.urls[year]) for year in years]
    return make_draft(rng, TWO_CLUBS if difficulty == "hard" else ONE_CLUB, slots, str(answer), needs=needs)
