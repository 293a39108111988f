"""Admission prices: what several visits cost together."""

from dataclasses import dataclass
from random import Random

from lts_jax.tasks.almanac.drafting import NUM_NAMED, amount, make_draft, money
from lts_jax.tasks.almanac.names import Namer, list_names, near_miss, slug
from lts_jax.tasks.almanac.press import Body, Press
from lts_jax.tasks.almanac.records import Draft, Need

NAMED = (
    "What would {adults} adults and {children} children currently pay in all for one visit each to {names}? "
    "Give the amount in dollars.",
    "We are {adults} adults and {children} children and want to visit {names} once each. "
    "What is the total of the current ticket prices, in dollars?",
)
LISTED = (
    "What would {adults} adults and {children} children currently pay in all to visit every attraction on "
    "the {trail} "
    "once? Give the amount in dollars.",
    "We are {adults} adults and {children} children and want to visit every attraction of the {trail} once. "
    "What is the total of the current ticket prices, in dollars?",
)
_TYPES = ("Museum", "Gardens", "Observatory", "Aquarium", "Castle", "Gallery", "Zoo", "Mill")


@dataclass(frozen=True, slots=True)
class Attraction:
    """A place with an entrance fee, in cents."""

    name: str
    url: str
    adult: int
    child: int


@dataclass(frozen=True, slots=True)
class Trail:
    """A listing page that names five or six attractions."""

    name: str
    url: str
    attractions: tuple[Attraction, ...]


def build(press: Press, namer: Namer, towns: list[str], rng: Random) -> tuple[Trail, ...]:
    """Publish attractions, near-miss shops and one trail a town; return the trails."""
    trails = []
    for town in towns[:24]:
        site = f"https://www.{town.lower()}.example"
        attractions = tuple(_attraction(press, namer, site, rng) for _ in range(rng.randrange(5, 7)))
        name = namer.pair("Trail")
        rows = [("Stop", "Attraction", "Town")]
        rows += [(str(stop), place.name, town) for stop, place in enumerate(attractions, 1)]
        trails.append(Trail(name, press.publish_listing(name, f"{site}/trails/{slug(name)}", rows)[0], attractions))
    return tuple(trails)


def _attraction(press: Press, namer: Namer, site: str, rng: Random) -> Attraction:
    name = namer.pair(rng.choice(_TYPES))
    adult = 50 * rng.randrange(16, 60)
    child = 50 * rng.randrange(6, adult // 50)
    form = rng.randrange(3)
    stale = _body(adult - 50 * rng.randrange(1, 8), child + 50 * rng.randrange(1, 6), form)
    url = press.publish(name, f"{site}/visit/{slug(name)}", _body(adult, child, form), stale=stale)
    if rng.random() < 0.2:
        other = near_miss(name)
        press.publish(other, f"{site}/visit/{slug(other)}", _body(adult + 250, child + 150, 0))
    return Attraction(name, url, adult, child)


def _body(adult: int, child: int, form: int) -> Body:
    if form < 2:
        return Body(fields=(("Adult ticket", money(adult)), ("Child ticket", money(child))))
    return Body(prose=(f"Admission costs {money(adult)} for adults and {money(child)} for children.",))


def draft(facts: tuple[Trail, ...], difficulty: str, rng: Random) -> Draft | None:
    """Sum of adults x adult price + children x child price over the attractions."""
    adults, children = rng.randrange(2, 6), rng.randrange(2, 7)
    trail = rng.choice(facts)
    slots: dict[str, object] = {"adults": adults, "children": children}
    if difficulty == "hard":
        chosen = list(trail.attractions)
        wordings, slots["trail"], needs = LISTED, trail.name, [Need(trail.name, trail.url)]
    else:
        chosen = rng.sample([place for each in facts for place in each.attractions], NUM_NAMED[difficulty])
        wordings, slots["names"], needs = NAMED, list_names([place.name for place in chosen]), []
    total = sum(adults * place.adult + children * place.child for place in chosen)
    needs += [Need(place.name, place.url) for place in chosen]
    return make_draft(rng, wordings, slots, amount(total), needs=needs)
