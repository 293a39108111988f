"""Tables: programmes of venues, house sales, league seasons, counts in parks, films, companies of a group."""

import json
import re
from functools import partial

from lts_jax.llm.simulated.pages import Document
from lts_jax.llm.simulated.topics.reading import column_of, fields_or_sentence
from lts_jax.llm.simulated.understanding import (
    Conclusion,
    Need,
    Reading,
    Understanding,
    Values,
    items,
    join_items,
    named_or_listed,
    names,
    numbers,
    print_number,
    weighted_sum,
)

_EVENTS = (
    re.compile(
        r"Which events of the type (?P<kind>\w+) in the current programme of (?P<venues>.+?) start at (?P<hour>\d+):00 "
        r"or later and cost less than \$(?P<price>\d+)\?"
    ),
    re.compile(
        r"List the names of all events of the type (?P<kind>\w+) that start at (?P<hour>\d+):00 or later and cost less "
        r"than \$(?P<price>\d+), according to the latest programme of (?P<venues>.+?)\. One name"
    ),
)
_SALES = (
    re.compile(
        r"According to the latest pages, what was the (?P<extreme>\w+) price paid in (?P<year>\d+) for a house with "
        r"(?P<bedrooms>\d+) bedrooms in (?P<streets>.+?)\? "
    ),
    re.compile(
        r"Looking at the current lists of house sales in (?P<streets>.+?), what is the (?P<extreme>\w+) price in "
        r"dollars at which a house with (?P<bedrooms>\d+) bedrooms was sold in (?P<year>\d+)\?"
    ),
)
_LEAGUE = (
    re.compile(
        r"According to the latest pages, how many more (?P<what>.+?) did (?P<club>.+?) have than (?P<other>.+?) in the "
        r"final tables of the (?P<league>.+?) in the seasons (?P<years>.+?) taken together\?"
    ),
    re.compile(
        r"According to the latest pages, how many (?P<what>.+?) did (?P<club>.+?) have in the final tables of the "
        r"(?P<league>.+?) in the seasons (?P<years>.+?) taken together\?"
    ),
    re.compile(
        r"Adding up the current final tables of the (?P<league>.+?) for the seasons (?P<years>.+?), (?:how many "
        r"(?P<what>.+?) did (?P<club>.+?) have in all|by how many (?P<what2>.+?) was (?P<club2>.+?) ahead of "
        r"(?P<other>.+?))\?"
    ),
)
_SPECIES = (
    re.compile(
        r"According to the latest counts, in which of (?:the parks of the (?P<region>.+?)|(?P<names>.+?)) was the "
        r"(?P<species>.+?) counted most often in (?P<year>\d+), and how often\?"
    ),
    re.compile(
        r"Compare the current wildlife counts of (?:all parks of the (?P<region>.+?)|(?P<names>.+?)): which park had "
        r"the most sightings of the (?P<species>.+?) in (?P<year>\d+)\?"
    ),
)
_FILMS = (
    re.compile(
        r"What is the total running time in minutes of (?:all films that (?P<director>.+?) directed in (?P<year>\d+) "
        r"or later|the films (?P<names>.+?)), according"
    ),
    re.compile(
        r"How many minutes does it take to watch (?:every film directed by (?P<director>.+?) in (?P<year>\d+) or later "
        r"once|the films (?P<names>.+?) once each), by"
    ),
)
_COMPANIES = (
    re.compile(
        r"How many people do (?:the companies of the (?P<group>.+?) that were founded before (?P<year>\d+)|"
        r"(?P<names>.+?)) currently employ\?"
    ),
    re.compile(
        r"Give the current number of employees of (?:every company of the (?P<group>.+?) founded before (?P<year>\d+)|"
        r"(?P<names>.+?))\. Answer"
    ),
)
FILM, STAFF = "running time", "number employed"


def events(question: str) -> Understanding | None:
    """The events of some venues that meet a filter, in the order of the programmes."""
    found = next((each for form in _EVENTS if (each := form.match(question))), None)
    if found is None:
        return None
    hour, price = int(found["hour"]), int(found["price"])

    def fits(row: dict[str, str]) -> bool:
        return (
            row.get("Type") == found["kind"]
            and numbers(row.get("Start", "0"))[0] >= hour
            and numbers(row.get("Price", "0"))[0] < price
        )

    attribute = f"{found['kind']} events from {hour}h on under ${price}"
    needs = tuple(Need(attribute, venue) for venue in names(found["venues"]))
    return Understanding(needs, {attribute: column_of("Event", title="Programme of {}", keep=fits)}, _event_names)


def _event_names(values: Values) -> Conclusion:
    return Conclusion(json.dumps([name for value in values.values() for name in items(value)]))


def sales(question: str) -> Understanding | None:
    """The highest or lowest price of the houses that meet a filter."""
    found = next((each for form in _SALES if (each := form.match(question))), None)
    if found is None:
        return None
    year, bedrooms = found["year"], found["bedrooms"]

    def read(document: Document) -> str | None:
        place = next((i for i, name in enumerate(document.table[0]) if "Price" in name), -1) if document.table else -1
        if place < 0 or not document.table_complete:
            return None
        unit = " k$" if "k$" in document.table[0][place] else ""
        rows = [row for row in document.table[1:] if row[1:3] == (year, bedrooms)]
        return join_items([row[place] + unit for row in rows])

    attribute = f"{year} prices with {bedrooms} bedrooms"
    needs = tuple(Need(attribute, street) for street in names(found["streets"]))
    reading = Reading(read, ("| ",), "House sales in {}", gathered=True)
    return Understanding(needs, {attribute: reading}, partial(_extreme_price, found["extreme"]))


def _extreme_price(extreme: str, values: Values) -> Conclusion:
    prices = [numbers(item)[0] * (1000 if "k$" in item else 1) for value in values.values() for item in items(value)]
    name = "max" if extreme == "highest" else "min"
    best = max(prices) if name == "max" else min(prices)
    return Conclusion(print_number(best, 0), f"{name}([{', '.join(print_number(price, 0) for price in prices)}])")


def league(question: str) -> Understanding | None:
    """What a club collected over some seasons, or by how much it was ahead of another."""
    found = next((each for form in _LEAGUE if (each := form.match(question))), None)
    if found is None:
        return None
    slots = found.groupdict()
    what, club = slots.get("what") or slots["what2"], slots.get("club") or slots["club2"]
    clubs = [club] + ([slots["other"]] if slots.get("other") else [])

    def read(document: Document) -> str | None:
        place, rows = document.column(what.capitalize()), [document.row(name, 1) for name in clubs]
        cells = [row[place] for row in rows if row is not None and place >= 0]
        return join_items(cells) if len(cells) == len(clubs) else None

    attribute = f"{what} by {' and '.join(clubs)}"
    needs = tuple(Need(attribute, f"{slots['league']} {year}") for year in names(slots["years"]))
    return Understanding(needs, {attribute: Reading(read, ("| ",), "{} final table")}, _season_sum)


def _season_sum(values: Values) -> Conclusion:
    signs = (1.0, -1.0)
    return weighted_sum(
        [(sign, n) for value in values.values() for sign, n in zip(signs, numbers(value), strict=False)]
    )


def species(question: str) -> Understanding | None:
    """In which park a species was counted most often."""
    found = next((each for form in _SPECIES if (each := form.match(question))), None)
    if found is None:
        return None

    def read(document: Document) -> str | None:
        place, row = document.column(found["year"]), document.row(found["species"])
        if place < 0 or (row is None and not document.table_complete):
            return None
        return "0" if row is None else row[place]

    attribute = f"{found['year']} count for the {found['species']}"
    readings = {attribute: Reading(read, ("| ",)), "parks": column_of("Park", title="Parks of the {}")}
    source = Need("parks", found["region"] or "")
    return named_or_listed(found["names"], attribute, source, readings, partial(_peak, attribute))


def _peak(attribute: str, values: Values) -> Conclusion:
    counts = {need.subject: int(numbers(value)[0]) for need, value in values.items() if need.attribute == attribute}
    park = max(counts, key=lambda name: counts[name])
    return Conclusion(json.dumps({"park": park, "count": counts[park]}))


def films(question: str) -> Understanding | None:
    """The minutes of some films together."""
    found = next((each for form in _FILMS if (each := form.match(question))), None)
    if found is None:
        return None
    year, listing = int(found["year"] or 0), f"films since {found['year']}"
    readings = {
        FILM: fields_or_sentence(
            "Running time", form="{}", sentence=r"The film runs for (\d+ minutes)\.", look_for=("minutes",)
        ),
        listing: column_of("Film", title="Films directed by {}", keep=lambda row: numbers(row["Year"])[0] >= year),
    }
    return named_or_listed(found["names"], FILM, Need(listing, found["director"] or ""), readings, _total_minutes)


def _total_minutes(values: Values) -> Conclusion:
    return weighted_sum([(1.0, numbers(value)[0]) for need, value in values.items() if need.attribute == FILM])


def companies(question: str) -> Understanding | None:
    """How many people some companies employ."""
    found = next((each for form in _COMPANIES if (each := form.match(question))), None)
    if found is None:
        return None
    year, listing = int(found["year"] or 0), f"companies before {found['year']}"
    readings = {
        STAFF: fields_or_sentence(
            "Employees", form="{}", sentence=r"The company employs ([\d,]+) people\.", look_for=("employ",)
        ),
        listing: column_of("Company", title="Companies of the {}", keep=lambda row: numbers(row["Founded"])[0] < year),
    }
    return named_or_listed(found["names"], STAFF, Need(listing, found["group"] or ""), readings, _company_records)


def _company_records(values: Values) -> Conclusion:
    staff = {need.subject: int(numbers(value)[0]) for need, value in values.items() if need.attribute == STAFF}
    if not staff:
        raise ValueError("no company")
    return Conclusion(json.dumps([{"company": name, "employees": count} for name, count in staff.items()]))
