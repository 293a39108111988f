"""Sales of houses, street by street, split over pages: the highest or lowest price that meets a filter."""

from dataclasses import dataclass
from random import Random

from lts_jax.tasks.almanac.drafting import make_draft
from lts_jax.tasks.almanac.names import Namer, list_names, slug
from lts_jax.tasks.almanac.press import Press
from lts_jax.tasks.almanac.records import Draft, Need

WORDINGS = (
    "According to the latest pages, what was the {extreme} price paid in {year} for a house with "
    "{bedrooms} bedrooms in "
    "{streets}? Answer in dollars.",
    "Looking at the current lists of house sales in {streets}, what is the {extreme} price in dollars at "
    "which a house "
    "with {bedrooms} bedrooms was sold in {year}?",
)
_NUM_STREETS = {"easy": 1, "medium": 2, "hard": 3}


@dataclass(frozen=True, slots=True)
class Sale:
    """One sale; the price is in hundreds of dollars, the page shows thousands."""

    number: int
    year: int
    bedrooms: int
    price: int


@dataclass(frozen=True, slots=True)
class Street:
    """A street and its sales in the order of house numbers."""

    name: str
    urls: tuple[str, ...]
    sales: tuple[Sale, ...]


def build(press: Press, namer: Namer, towns: list[str], rng: Random) -> tuple[Street, ...]:
    """Publish the sales of 60 streets, two pages each."""
    streets = []
    for index in range(60):
        name = namer.pair(rng.choice(("Lane", "Row", "Walk", "Hill", "Close")))
        sales = tuple(
            Sale(number, rng.randrange(2021, 2025), rng.randrange(2, 6), rng.randrange(1200, 9000))
            for number in sorted(rng.sample(range(1, 200), rng.randrange(24, 34)))
        )
        url = f"https://www.{towns[index % len(towns)].lower()}.example/sales/{slug(name)}"
        title = f"House sales in {name}"
        table, stale = _table(name, sales, 0), _table(name, sales, rng.randrange(100, 400))
        urls = press.publish_listing(
            title, url, table, num_parts=2, note="Prices in thousands of dollars (k$).", stale_table=stale
        )
        streets.append(Street(name, urls, sales))
    return tuple(streets)


def _table(name: str, sales: tuple[Sale, ...], shift: int) -> list[tuple[str, ...]]:
    rows = [
        (f"{sale.number} {name}", str(sale.year), str(sale.bedrooms), f"{(sale.price - shift) / 10:.1f}")
        for sale in sales
    ]
    return [("Address", "Year", "Bedrooms", "Price (k$)*"), *rows]


def draft(facts: tuple[Street, ...], difficulty: str, rng: Random) -> Draft | None:
    """Extreme price over both pages of each street; None unless at least two sales match."""
    streets = rng.sample(facts, _NUM_STREETS[difficulty])
    year, bedrooms = rng.randrange(2021, 2025), rng.randrange(2, 6)
    extreme = rng.choice(("highest", "lowest"))
    prices = [s.price for street in streets for s in street.sales if s.year == year and s.bedrooms == bedrooms]
    if len(prices) < 2:
        return None
    answer = max(prices) if extreme == "highest" else min(prices)
    slots: dict[str, object] = {
        "extreme": extreme,
        "year": year,
        "bedrooms": bedrooms,
        "streets": list_names([street.name for street in streets]),
    }
    needs = [Need(f"House sales in {street.name}", url) for street in streets for url in street.urls]
    return make_draft(rng, WORDINGS, slots, str(answer * 100), needs=needs)
