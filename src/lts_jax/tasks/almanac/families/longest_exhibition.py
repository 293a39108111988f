"""Exhibitions with opening and closing days: which one runs longest or shortest."""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from lts_jax.tasks.almanac.drafting import NUM_NAMED, make_draft
from lts_jax.tasks.almanac.names import Namer, list_names, near_miss, slug
from lts_jax.tasks.almanac.press import Body, Press
from lts_jax.tasks.almanac.records import Draft, Need

NAMED = (
    "Which of the exhibitions {names} runs for the {most} days, according to the latest pages?",
    "By their current dates, which of these exhibitions is open for the {longest} time: {names}?",
)
LISTED = (
    "Which of the 2025 exhibitions at {museum} runs for the {most} days, according to the latest pages?",
    "By their current dates, which of the exhibitions shown at {museum} in 2025 is open for the {longest} time?",
)
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exhibition:
    """An exhibition and the number of days between its first and its last day."""

    name: str
    url: str
    days: int


@dataclass(frozen=True, slots=True)
class Museum:
    """A museum, its programme page, and its exhibitions."""

    name: str
    listing: Need
    exhibitions: tuple[Exhibition, ...]


def build(press: Press, namer: Namer, towns: list[str], rng: Random) -> tuple[Museum, ...]:
    """Publish 30 museums with five or six exhibitions each."""
    museums = []
    for _ in range(30):
        name = namer.pair("Art House")
        title, url = f"Exhibitions 2025 at {name}", f"https://www.{slug(name)}.example/exhibitions-2025"
        shows = tuple(_exhibition(press, namer, (title, url), rng) for _ in range(rng.randrange(5, 7)))
        rows = [("Exhibition", "Curator", "Hall")]
        rows += [(show.name, namer.person(), f"Hall {rng.randrange(1, 9)}") for show in shows]
        press.publish_listing(title, url, rows)
        museums.append(Museum(name, Need(title, url), shows))
    return tuple(museums)


def _exhibition(press: Press, namer: Namer, listing: tuple[str, str], rng: Random) -> Exhibition:
    site = listing[1]
    name = namer.pair(rng.choice(("Portraits", "Sketches", "Visions", "Mosaics")))
    opens = date(2025, 1, 3) + timedelta(days=rng.randrange(0, 170))
    days = rng.randrange(20, 190)
    form = rng.randrange(2)
    stale = _body(opens, 20 + (days - 20 + rng.randrange(15, 150)) % 170, form)  # never the same number of days
    url = press.publish(name, f"{site}/{slug(name)}", _body(opens, days, form), stale=stale, see_also=[listing])
    if rng.random() < 0.15:
        other = near_miss(name)
        press.publish(other, f"{site}/{slug(other)}", _body(opens, 200 - days // 2, form))
    return Exhibition(name, url, days)


def _long_date(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _body(opens: date, days: int, form: int) -> Body:
    first, last = _long_date(opens), _long_date(opens + timedelta(days=days))
    if form == 0:
        return Body(fields=(("Opens", first), ("Closes", last)))
    return Body(prose=(f"The exhibition runs from {first} to {last}.",))


def draft(facts: tuple[Museum, ...], difficulty: str, rng: Random) -> Draft | None:
    """The exhibition with the most, or fewest, days; None where two are within three days."""
    museum = rng.choice(facts)
    longest = rng.random() < 0.5
    slots: dict[str, object] = {
        "most": "most" if longest else "fewest",
        "longest": "longest" if longest else "shortest",
    }
    if difficulty == "hard":
        chosen, wordings, needs = list(museum.exhibitions), LISTED, [museum.listing]
        slots["museum"] = museum.name
    else:
        shows = [show for each in facts for show in each.exhibitions]
        chosen, wordings, needs = rng.sample(shows, NUM_NAMED[difficulty]), NAMED, []
        slots["names"] = list_names([show.name for show in chosen])
    ranked = sorted(((show.days, show.name) for show in chosen), reverse=longest)
    if abs(ranked[0][0] - ranked[1][0]) <= 3:
        return None
    needs += [Need(show.name, show.url) for show in chosen]
    return make_draft(rng, wordings, slots, ranked[0][1], needs=needs)
