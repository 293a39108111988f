"""Films and their directors: total running times."""

from dataclasses import dataclass
from random import Random

from lts_jax.tasks.almanac.drafting import NUM_NAMED, make_draft
from lts_jax.tasks.almanac.names import Namer, list_names, near_miss, slug
from lts_jax.tasks.almanac.press import Body, Press
from lts_jax.tasks.almanac.records import Draft, Need

NAMED = (
    "What is the total running time in minutes of the films {names}, according to the latest pages?",
    "How many minutes does it take to watch the films {names} once each, by their current pages?",
)
LISTED = (
    "What is the total running time in minutes of all films that {director} directed in {year} or later, "
    "according to "
    "the latest pages?",
    "How many minutes does it take to watch every film directed by {director} in {year} or later once, by "
    "their current "
    "pages?",
)


@dataclass(frozen=True, slots=True)
class Film:
    """A film, its year and its minutes."""

    name: str
    url: str
    year: int
    minutes: int


@dataclass(frozen=True, slots=True)
class Director:
    """A director, the page that lists the films, and the films."""

    name: str
    listing: Need
    films: tuple[Film, ...]


def build(press: Press, namer: Namer, towns: list[str], rng: Random) -> tuple[Director, ...]:
    """Publish 36 directors with seven or eight films each."""
    directors = []
    for _ in range(36):
        name = namer.person()
        years = sorted(rng.sample(range(1985, 2024), rng.randrange(7, 9)))
        title, url = f"Films directed by {name}", f"https://www.filmindex.example/directors/{slug(name)}"
        films = tuple(_film(press, namer, name, year, listing=(title, url), rng=rng) for year in years)
        rows = [("Year", "Film", "Genre")]
        rows += [(str(film.year), film.name, rng.choice(("drama", "comedy", "thriller"))) for film in films]
        press.publish_listing(title, url, rows)
        directors.append(Director(name, Need(title, url), films))
    return tuple(directors)


def _film(press: Press, namer: Namer, director: str, year: int, *, listing: tuple[str, str], rng: Random) -> Film:
    name = namer.pair(rng.choice(("Story", "Affair", "Crossing", "Winter")))
    minutes = rng.randrange(74, 190)
    form = rng.randrange(3)
    site = "https://www.filmindex.example/films"
    stale = _body(director, year, minutes + rng.choice((-9, -6, 7, 12)), form)
    url = press.publish(
        name, f"{site}/{slug(name)}", _body(director, year, minutes, form), stale=stale, see_also=[listing]
    )
    if rng.random() < 0.15:
        other = near_miss(name)
        press.publish(other, f"{site}/{slug(other)}", _body(namer.person(), year + 1, minutes - 17, form))
    return Film(name, url, year, minutes)


def _body(director: str, year: int, minutes: int, form: int) -> Body:
    about = (("Director", director), ("Year", str(year)))
    if form < 2:
        return Body(fields=(*about, ("Running time", f"{minutes} minutes")))
    return Body(fields=about, prose=(f"The film runs for {minutes} minutes.",))


def draft(facts: tuple[Director, ...], difficulty: str, rng: Random) -> Draft | None:
    """Sum of minutes; for the hard ones of the director's films from a year on, four to seven of them."""
    director = rng.choice(facts)
    if difficulty == "hard":
        year = rng.randrange(1987, 2015)
        chosen = [film for film in director.films if film.year >= year]
        wordings, needs = LISTED, [director.listing]
        slots: dict[str, object] = {"director": director.name, "year": year}
        if not 4 <= len(chosen) <= 7:
            return None
    else:
        chosen = rng.sample([film for each in facts for film in each.films], NUM_NAMED[difficulty])
        wordings, needs, slots = NAMED, [], {"names": list_names([film.name for film in chosen])}
    needs += [Need(film.name, film.url) for film in chosen]
    return make_draft(rng, wordings, slots, str(sum(film.minutes for film in chosen)), needs=needs)
