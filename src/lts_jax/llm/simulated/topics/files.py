"""Questions that start from an attached file: branches, districts, trips."""

import re
from functools import partial

from lts_jax.llm.simulated.pages import read_json, read_rows
from lts_jax.llm.simulated.topics.reading import fields_or_sentence
from lts_jax.llm.simulated.understanding import (
    Conclusion,
    Need,
    Reading,
    Understanding,
    Values,
    items,
    join_items,
    numbers,
    print_number,
    weighted_sum,
)

PEOPLE, VOTES, STAYS, RATES = "2024 population", "voters and votes", "hotel stays", "room rates"
_BRANCHES = (
    re.compile(r"The attached file (?P<file>\S+) lists the branches of .+ branch with at least (?P<staff>\d+) staff\?"),
    re.compile(r"Take the branches of .+? with at least (?P<staff>\d+) staff from the attached file (?P<file>\S+)\. "),
)
_DISTRICTS = (
    re.compile(
        r"The attached file (?P<file>\S+) groups the wards of .+ in the district (?P<district>.+?), that is all"
    ),
    re.compile(
        r"Using the wards of the district (?P<district>.+?) of \S+ in the attached file (?P<file>\S+), and the current"
    ),
)
_TRIPS = (
    re.compile(r"The attached file (?P<file>\S+) lists the hotel stays of a trip\."),
    re.compile(r"How much is the trip in the attached file (?P<file>\S+), in dollars"),
)


def branches(question: str) -> Understanding | None:
    """How many people live in the towns with a large branch."""
    found = next((each for form in _BRANCHES if (each := form.match(question))), None)
    if found is None:
        return None
    least = int(found["staff"])
    source = Need(f"towns with at least {least} staff", found["file"])
    readings = {
        source.attribute: Reading(in_file=partial(_large_branches, least)),
        PEOPLE: fields_or_sentence(
            "Population (2024 census)",
            form="{}",
            sentence=r"The 2024 census counted ([\d,]+) inhabitants",
            look_for=("2024 census",),
            title="About {}",
        ),
    }
    return Understanding((source,), readings, partial(_sum_of, PEOPLE), source, partial(_one_each, PEOPLE))


def _large_branches(least: int, text: str) -> str | None:
    rows = [row for row in read_rows(text) if row.get("town") and row.get("staff")]
    return join_items([row["town"] for row in rows if int(row["staff"]) >= least]) if rows else None


def _one_each(attribute: str, value: str) -> tuple[Need, ...]:
    return tuple(Need(attribute, name) for name in items(value))


def _sum_of(attribute: str, values: Values) -> Conclusion:
    return weighted_sum([(1.0, numbers(value)[0]) for need, value in values.items() if need.attribute == attribute])


def districts(question: str) -> Understanding | None:
    """The turnout of a district."""
    found = next((each for form in _DISTRICTS if (each := form.match(question))), None)
    if found is None:
        return None
    source = Need(f"wards in district {found['district']}", found["file"])
    readings = {
        source.attribute: Reading(in_file=partial(_wards, found["district"])),
        VOTES: fields_or_sentence(
            "Registered voters",
            "Votes cast",
            form="{} voters; {} votes",
            sentence=r"Of ([\d,]+) registered voters, ([\d,]+) cast a vote\.",
            look_for=("vote",),
            title="{} council election 2024",
        ),
    }
    return Understanding((source,), readings, _turnout, source, partial(_one_each, VOTES))


def _wards(district: str, text: str) -> str | None:
    value = read_json(text)
    for each in value.get("districts", ()) if isinstance(value, dict) else ():
        if each.get("district") == district:
            return join_items([str(ward) for ward in each.get("wards", ())])
    return None


def _turnout(values: Values) -> Conclusion:
    wards = [numbers(value) for need, value in values.items() if need.attribute == VOTES]
    voters, votes = (sum(ward[place] for ward in wards) for place in (0, 1))
    if not voters:
        raise ValueError("no voters")
    written = [" + ".join(print_number(ward[place], 0) for ward in wards) for place in (0, 1)]
    return Conclusion(print_number(100 * votes / voters, 1), f"round(100 * ({written[1]}) / ({written[0]}), 1)")


def trip(question: str) -> Understanding | None:
    """What the hotel stays of a trip cost."""
    found = next((each for form in _TRIPS if (each := form.match(question))), None)
    if found is None:
        return None
    source = Need(STAYS, found["file"])
    readings = {
        STAYS: Reading(in_file=_stays),
        RATES: fields_or_sentence(
            "Single room",
            "Double room",
            form="single {}; double {}",
            sentence=r"A single room costs (\$\d+ a night) and a double room (\$\d+ a night)\.",
            look_for=("a night",),
        ),
    }
    return Understanding((source,), readings, partial(_trip_cost, source), source, _hotels)


def _stays(text: str) -> str | None:
    rows = [row for row in read_rows(text) if row.get("hotel") and row.get("room") and row.get("nights")]
    return join_items([f"{row['hotel']}, {row['room']}, {row['nights']}" for row in rows]) if rows else None


def _hotels(value: str) -> tuple[Need, ...]:
    return tuple(Need(RATES, item.split(", ")[0]) for item in items(value))


def _trip_cost(source: Need, values: Values) -> Conclusion:
    terms = []
    for item in items(values[source]):
        hotel, room, nights = item.split(", ")
        rates = numbers(values[Need(RATES, hotel)])
        terms.append((float(nights), rates[0] if room == "single" else rates[1]))
    return weighted_sum(terms)
