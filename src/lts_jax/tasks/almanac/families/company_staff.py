"""Companies and groups: a record for each company. Held out of training."""

import json
from dataclasses import dataclass
from random import Random

from lts_jax.tasks.almanac.drafting import NUM_NAMED, make_draft
from lts_jax.tasks.almanac.names import Namer, list_names, near_miss, slug
from lts_jax.tasks.almanac.press import Body, Press
from lts_jax.tasks.almanac.records import Draft, Need

NAMED = (
    "How many people do {names} currently employ? Answer with one JSON object per line, one for each "
    "company, with the "
    'keys "company" and "employees".',
    "Give the current number of employees of {names}. Answer with one JSON object per line, one for each "
    "company, with "
    'the keys "company" and "employees".',
)
LISTED = (
    "How many people do the companies of the {group} that were founded before {year} currently employ? "
    "Answer with one "
    'JSON object per line, one for each company, with the keys "company" and "employees".',
    "Give the current number of employees of every company of the {group} founded before {year}. Answer "
    "with one JSON "
    'object per line, one for each company, with the keys "company" and "employees".',
)


@dataclass(frozen=True, slots=True)
class Company:
    """A company, its first year and its staff."""

    name: str
    url: str
    founded: int
    employees: int


@dataclass(frozen=True, slots=True)
class Group:
    """A group of companies and the page that lists them."""

    name: str
    listing: Need
    companies: tuple[Company, ...]


def build(press: Press, namer: Namer, towns: list[str], rng: Random) -> tuple[Group, ...]:
    """Publish 20 groups of seven companies."""
    groups = []
    for _ in range(20):
        name = namer.pair("Group")
        title, url = f"Companies of the {name}", f"https://www.{slug(name)}.example/companies"
        companies = tuple(_company(press, namer, (title, url), rng) for _ in range(7))
        rows = [("Company", "Founded", "Seat")]
        rows += [(company.name, str(company.founded), rng.choice(towns)) for company in companies]
        press.publish_listing(title, url, rows)
        groups.append(Group(name, Need(title, url), companies))
    return tuple(groups)


def _company(press: Press, namer: Namer, listing: tuple[str, str], rng: Random) -> Company:
    name = namer.pair(rng.choice(("Foundry", "Textiles", "Instruments", "Logistics")))
    founded, employees = rng.randrange(1890, 2015), rng.randrange(40, 9_000)
    form = rng.randrange(2)
    site = "https://www.tradebook.example/companies"
    stale = _body(employees + rng.randrange(20, 900), form)
    url = press.publish(name, f"{site}/{slug(name)}", _body(employees, form), stale=stale, see_also=[listing])
    if rng.random() < 0.15:
        other = near_miss(name)
        press.publish(other, f"{site}/{slug(other)}", _body(employees // 7 + 3, form))
    return Company(name, url, founded, employees)


def _body(employees: int, form: int) -> Body:
    if form == 0:
        return Body(fields=(("Employees", f"{employees:,}"),))
    return Body(prose=(f"The company employs {employees:,} people.",))


def draft(facts: tuple[Group, ...], difficulty: str, rng: Random) -> Draft | None:
    """One object per company; hard: four to six companies of a group that are older than a year."""
    group = rng.choice(facts)
    if difficulty == "hard":
        year = 10 * rng.randrange(192, 202)
        chosen = [company for company in group.companies if company.founded < year]
        wordings, needs = LISTED, [group.listing]
        slots: dict[str, object] = {"group": group.name, "year": year}
        if not 4 <= len(chosen) <= 6:
            return None
    else:
        chosen = rng.sample([company for each in facts for company in each.companies], NUM_NAMED[difficulty])
        wordings, needs, slots = NAMED, [], {"names": list_names([company.name for company in chosen])}
    needs += [Need(company.name, company.url) for company in chosen]
    rows = [json.dumps({"company": company.name, "employees": company.employees}) for company in chosen]
    return make_draft(rng, wordings, slots, "\n".join(rows), needs=needs)
