"""Hotel rates and a table file of stays: what a trip costs. Held out of training."""

from dataclasses import dataclass
from random import Random

from lts_jax.tasks.almanac.drafting import make_draft
from lts_jax.tasks.almanac.names import Namer, near_miss, slug
from lts_jax.tasks.almanac.press import Body, Press
from lts_jax.tasks.almanac.records import Draft, Need

WORDINGS = (
    "The attached file {file} lists the hotel stays of a trip. At the current nightly rates of the hotels, "
    "what do all "
    "stays cost together, in dollars?",
    "How much is the trip in the attached file {file}, in dollars, if every stay is paid at the hotel's "
    "current nightly "
    "rate for the room in question?",
)
_NUM_HOTELS = {"easy": 2, "medium": 4, "hard": 6}


@dataclass(frozen=True, slots=True)
class Hotel:
    """A hotel and its rates in dollars a night."""

    name: str
    url: str
    single: int
    double: int


@dataclass(frozen=True, slots=True)
class Trip:
    """One file: hotel, room and nights of each stay."""

    file: str
    stays: tuple[tuple[Hotel, str, int], ...]


def build(press: Press, namer: Namer, towns: list[str], rng: Random) -> tuple[Trip, ...]:
    """Publish 100 hotels and 60 files of trips."""
    hotels = [_hotel(press, namer, rng.choice(towns), rng) for _ in range(100)]
    return tuple(_trip(press, namer, hotels, 2 + 2 * (index % 3), rng=rng) for index in range(60))


def _hotel(press: Press, namer: Namer, town: str, rng: Random) -> Hotel:
    name = namer.pair(rng.choice(("Hotel", "Inn", "Lodge")))
    single = rng.randrange(48, 190)
    double = single + rng.randrange(15, 70)
    form = rng.randrange(2)
    site = f"https://www.{town.lower()}.example/stay"
    stale = _body(single - rng.randrange(3, 25), double - rng.randrange(3, 25), form)
    url = press.publish(name, f"{site}/{slug(name)}", _body(single, double, form), stale=stale)
    if rng.random() < 0.2:
        other = near_miss(name)
        press.publish(other, f"{site}/{slug(other)}", _body(single + 31, double + 42, form))
    return Hotel(name, url, single, double)


def _body(single: int, double: int, form: int) -> Body:
    if form == 0:
        return Body(fields=(("Single room", f"${single} a night"), ("Double room", f"${double} a night")))
    return Body(prose=(f"A single room costs ${single} a night and a double room ${double} a night.",))


def _trip(press: Press, namer: Namer, hotels: list[Hotel], num_stays: int, *, rng: Random) -> Trip:
    stays = tuple(
        (hotel, rng.choice(("single", "double")), rng.randrange(1, 6)) for hotel in rng.sample(hotels, num_stays)
    )
    file = f"trip-{slug(namer.pair())}.csv"
    rows = [f"{hotel.name},{room},{nights}" for hotel, room, nights in stays]
    press.files[file] = "\n".join(["hotel,room,nights", *rows]) + "\n"
    return Trip(file, stays)


def draft(facts: tuple[Trip, ...], difficulty: str, rng: Random) -> Draft | None:
    """Sum of nights x rate of the room."""
    trip = rng.choice([trip for trip in facts if len(trip.stays) == _NUM_HOTELS[difficulty]])
    total = sum(nights * (hotel.single if room == "single" else hotel.double) for hotel, room, nights in trip.stays)
    needs = [Need(hotel.name, hotel.url) for hotel, _, _ in trip.stays]
    return make_draft(rng, WORDINGS, {"file": trip.file}, str(total), needs=needs, attachments=(trip.file,))
