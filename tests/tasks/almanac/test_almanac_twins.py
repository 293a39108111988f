"""Every answer of the offline world, computed a second time: slowly, from questions, pages and files alone."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import datetime
from functools import cache
from math import dist

import pytest

from lts_jax.tasks.almanac import build_almanac
from lts_jax.tasks.scoring import assistantbench

ALMANAC = build_almanac(0)
NAME = r"[A-Z][a-z]+ [A-Z][a-z]+(?: [A-Z][a-z]+)*"
NAMES = rf"{NAME}(?:, {NAME})*(?: and {NAME})?"


@cache
def newest_by_title() -> dict[str, str]:
    """For each title the text of the newest page that can be read, its parts joined."""
    newest: dict[str, tuple[str, str]] = {}
    for page in ALMANAC.pages.values():
        if page.refusal:
            continue
        date, text = newest.get(page.title, ("", ""))
        if page.updated > date:
            newest[page.title] = (page.updated, page.text)
        elif page.updated == date:
            newest[page.title] = (date, text + "\n" + page.text)
    return {title: text for title, (_, text) in newest.items()}


def facts(title: str, *patterns: str) -> tuple[str, ...]:
    """Groups of the first pattern found on the newest page; several patterns joined by " + " must all be found."""
    for pattern in patterns:
        found = [re.search(part, newest_by_title()[title], re.MULTILINE) for part in pattern.split(" + ")]
        if all(found):
            return tuple(group.replace(",", "") for match in found if match for group in match.groups())
    raise AssertionError(f"{title} states none of {patterns}")


def rows(title: str) -> list[dict[str, str]]:
    """The table of the newest page, repeated headers left out."""
    lines = [line[2:-2].split(" | ") for line in newest_by_title()[title].split("\n") if line.startswith("| ")]
    return [dict(zip(lines[0], line, strict=True)) for line in lines if line != lines[0]]


def names(text: str) -> list[str]:
    return text.replace(" and ", ", ").split(", ")


def asked(question: str, *patterns: str) -> dict[str, str]:
    found = next(match for match in (re.search(pattern, question) for pattern in patterns) if match)
    return found.groupdict()


def csv_rows(question: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(ALMANAC.files[asked(question, r"(?P<file>\S+\.csv)")["file"]])))


def ticket_total(question: str) -> str:
    want = asked(question, r"(?P<a>\d) adults and (?P<c>\d) children")
    if "Trail" in question:
        trail = asked(question, rf"the (?P<trail>{NAME})\b")["trail"]
        places = [row["Attraction"] for row in rows(trail)]
    else:
        places = names(asked(question, rf"(?:each to|to visit) (?P<n>{NAMES})")["n"])
    total = 0.0
    for place in places:
        fields = r"^Adult ticket: \$([\d.]+)$ + ^Child ticket: \$([\d.]+)$"
        adult, child = facts(place, fields, r"costs \$([\d.]+) for adults and \$([\d.]+) for children")
        total += int(want["a"]) * float(adult) + int(want["c"]) * float(child)
    return f"{total:.2f}"


def position(title: str) -> tuple[float, float]:
    east, side, north, up = facts(title, r"([\d.]+) km (east|west) and ([\d.]+) km (north|south) of the town hall")
    return float(east) * (1 if side == "east" else -1), float(north) * (1 if up == "north" else -1)


def nearest_pool(question: str) -> str:
    landmark = asked(question, r"to the (?P<l>[A-Z]\w+ [A-Z]\w+ (?:Fountain|Clock Tower|Monument|Arch))")["l"]
    if "weekdays" in question:
        want = asked(question, r"in (?P<town>[A-Z][a-z]+) that currently .*? (?P<hour>\d\d):00")
        pools = [row["Pool"] for row in rows(f"Swimming pools in {want['town']}")]
        pools = [pool for pool in pools if facts(pool, r"^Weekday hours: .*-(\d\d):00$")[0] >= want["hour"]]
    else:
        pools = re.findall(r"[A-Z]\w+ [A-Z]\w+ Pool\b", question)
    return min(pools, key=lambda pool: dist(position(pool), position(landmark)))


def train_arrival(question: str) -> str:
    want = asked(
        question, rf"of the (?P<line>{NAME}) (?:that leaves|leaving) (?P<start>{NAME}) at .*?(?P<time>\d\d:\d\d)"
    )
    end = asked(question, rf"arrive at (?P<end>{NAME})\?", rf"get to (?P<end>{NAME})\?")["end"]
    legs = [(want["line"], want["start"])]
    legs += [(line, s) for s, line in re.findall(rf"change at ({NAME}) to the next train of the ({NAME})", question)]
    now = want["time"]
    for number, (line, board) in enumerate(legs):
        if number:
            wait = int(facts(board, r"^Minimum change time: (\d+) min", r"at least (\d+) minutes to change")[0])
            minutes = int(now[:2]) * 60 + int(now[3:]) + wait
            now = f"{minutes // 60:02d}:{minutes % 60:02d}"
        stops = {row.pop("Station"): row for row in rows(f"{line} timetable")}
        train = min((train for train, time in stops[board].items() if time >= now), key=lambda t: stops[board][t])
        now = stops[legs[number + 1][1] if number + 1 < len(legs) else end][train]
    return now


def event_list(question: str) -> str:
    want = asked(question, r"type (?P<kind>\w+).* (?P<hour>\d\d:00) or later .*less than \$(?P<price>\d+)")
    venues = names(asked(question, rf"programme of (?P<v>{NAMES})")["v"])
    events = [row for venue in venues for row in rows(f"Programme of {venue}")]
    return "\n".join(
        row["Event"]
        for row in events
        if row["Type"] == want["kind"] and row["Start"] >= want["hour"] and int(row["Price"][1:]) < int(want["price"])
    )


def house_price(question: str) -> str:
    want = asked(question, r"the (?P<e>highest|lowest) price")
    want |= asked(question, r"in (?P<year>20\d\d)") | asked(question, r"with (?P<b>\d) bedrooms")
    streets = names(asked(question, rf"in (?P<s>{NAMES})")["s"])
    sales = [row for street in streets for row in rows(f"House sales in {street}")]
    prices = [float(s["Price (k$)*"]) for s in sales if s["Year"] == want["year"] and s["Bedrooms"] == want["b"]]
    return str(round(1000 * (max if want["e"] == "highest" else min)(prices)))


def league_total(question: str) -> str:
    league = asked(question, rf"tables of the (?P<l>{NAME})")["l"]
    column = asked(question, r"(?P<c>points|goals for|goals against)")["c"].capitalize()
    clubs = [name for name in re.findall(NAME, question) if name.split()[-1] != "League" and len(name.split()) == 3]
    total = 0
    for year in re.findall(r"20\d\d", question):
        table = {row["Club"]: int(row[column]) for row in rows(f"{league} {year} final table")}
        total += table[clubs[0]] - (table[clubs[1]] if len(clubs) > 1 else 0)
    return str(total)


def species_peak(question: str) -> str:
    want = asked(question, r"the (?P<s>[a-z]+ [a-z]+) (?:counted|in 20).*", r"sightings of the (?P<s>[a-z]+ [a-z]+)")
    year = asked(question, r"in (?P<y>20\d\d)")["y"]
    if "Region" in question:
        parks = [row["Park"] for row in rows(f"Parks of the {asked(question, rf'the (?P<r>{NAME})')['r']}")]
    else:
        parks = names(asked(question, rf"(?P<p>{NAME}(?:, {NAME})* and {NAME})")["p"])
    counts = {p: max((int(r[year]) for r in rows(p) if r["Species"] == want["s"]), default=0) for p in parks}
    park = max(parks, key=lambda park: counts[park])
    return json.dumps({"park": park, "count": counts[park]})


def recipe_cost(question: str) -> str:
    recipe = asked(question, rf"(?:of|cook) (?P<r>{NAME}) for (?P<p>\d+) people")
    shop = asked(question, r"(?P<s>[A-Z]\w+ [A-Z]\w+ Grocery)")["s"]
    cost = 0.0
    for row in rows(recipe["r"]):
        fields = r"^Pack size: (\d+ k?g)$ + ^Price: \$([\d.]+)$"
        pack, price = facts(
            f"{row['Ingredient'].capitalize()} at {shop}", fields, r"pack of (\d+ k?g) .*?\$(\d+\.\d\d)"
        )
        grams = 1000 if pack == "1 kg" else int(pack.split()[0])
        cost += int(row["Grams"]) / grams * float(price)
    serves = int(facts(recipe["r"], r"^Serves: (\d+) people")[0])
    return f"{cost * int(recipe['p']) / serves:.2f}"


def branch_population(question: str) -> str:
    staff = int(asked(question, r"at least (?P<s>\d+) staff")["s"])
    patterns = (r"^Population \(2024 census\): ([\d,]+)$", r"2024 census counted ([\d,]+) inhabitants")
    towns = [row["town"] for row in csv_rows(question) if int(row["staff"]) >= staff]
    return str(sum(int(facts(f"About {town}", *patterns)[0]) for town in towns))


def district_turnout(question: str) -> str:
    want = asked(question, r"(?P<file>\S+\.json)") | asked(question, r"district (?P<d>[A-Z]\w+)")
    districts = json.loads(ALMANAC.files[want["file"]])["districts"]
    votes = voters = 0
    for ward in next(each["wards"] for each in districts if each["district"] == want["d"]):
        fields = r"^Registered voters: ([\d,]+)$ + ^Votes cast: ([\d,]+)$"
        found = facts(f"{ward} council election 2024", fields, r"Of ([\d,]+) registered voters, ([\d,]+) cast")
        voters, votes = voters + int(found[0]), votes + int(found[1])
    return f"{100 * votes / voters:.1f}"


def longest_exhibition(question: str) -> str:
    if "Art House" in question:
        museum = asked(question, r"at (?P<m>[A-Z]\w+ [A-Z]\w+ Art House)")["m"]
        shows = [row["Exhibition"] for row in rows(f"Exhibitions 2025 at {museum}")]
    else:
        shows = names(asked(question, rf"(?P<n>{NAME}(?:, {NAME})* and {NAME})")["n"])

    def days(show: str) -> int:
        fields, prose = r"^Opens: (.*)$ + ^Closes: (.*)$", r"runs from (\d+ \w+ \d+) to (\d+ \w+ \d+)\."
        first, last = (datetime.strptime(day, "%d %B %Y") for day in facts(show, fields, prose))
        return (last - first).days

    return (max if "most days" in question or "longest" in question else min)(shows, key=days)


def film_minutes(question: str) -> str:
    if " directed" in question:
        person = asked(question, r"directed by (?P<p>\w+ \w+)", r"films that (?P<p>\w+ \w+) directed")["p"]
        year = asked(question, r"in (?P<y>\d{4}) or later")["y"]
        films = [row["Film"] for row in rows(f"Films directed by {person}") if row["Year"] >= year]
    else:
        films = names(asked(question, rf"films (?P<n>{NAMES})")["n"])
    return str(sum(int(facts(film, r"^Running time: (\d+)", r"film runs for (\d+) minutes")[0]) for film in films))


def company_staff(question: str) -> str:
    if "Group" in question:
        want = asked(question, r"the (?P<g>[A-Z]\w+ [A-Z]\w+ Group)") | asked(question, r"before (?P<y>\d+)")
        firms = [row["Company"] for row in rows(f"Companies of the {want['g']}") if row["Founded"] < want["y"]]
    else:
        firms = names(asked(question, rf"(?P<n>{NAME}(?:, {NAME})* and {NAME})")["n"])
    staff = {firm: int(facts(firm, r"^Employees: ([\d,]+)$", r"company employs ([\d,]+) people")[0]) for firm in firms}
    return "\n".join(json.dumps({"company": firm, "employees": staff[firm]}) for firm in firms)


def trip_cost(question: str) -> str:
    total = 0
    for stay in csv_rows(question):
        fields = r"^Single room: \$(\d+) a night$ + ^Double room: \$(\d+) a night$"
        single, double = facts(stay["hotel"], fields, r"single room costs \$(\d+) a night and a double room \$(\d+)")
        total += int(stay["nights"]) * int(single if stay["room"] == "single" else double)
    return str(total)


TWINS: tuple[Callable[[str], str], ...] = (
    ticket_total, nearest_pool, train_arrival, event_list, house_price, league_total, species_peak, recipe_cost,
    branch_population, district_turnout, longest_exhibition, film_minutes, company_staff, trip_cost,
)  # fmt: skip


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.__name__)
def test_every_answer_follows_from_the_newest_pages(twin: Callable[[str], str]) -> None:
    tasks = [task for task in ALMANAC.tasks if task.family == twin.__name__]
    assert len(tasks) >= 27
    for task in tasks:
        assert twin(task.question) == task.answer, task.question


def test_the_twins_cover_every_family() -> None:
    assert {twin.__name__ for twin in TWINS} == {task.family for task in ALMANAC.tasks}


def test_every_reference_answer_scores_one_against_itself() -> None:
    for task in ALMANAC.tasks:
        assert task.answer is not None
        lines = task.answer.split("\n")
        # a list is answered as a JSON array of its lines, everything else as it stands
        given = json.dumps(lines) if len(lines) > 1 and not lines[0].startswith("{") else task.answer
        outcome = assistantbench.score(given, task.answer)
        assert (outcome.score, outcome.answered) == (1.0, True), task.task_id


def test_every_family_has_the_type_of_answer_it_promises() -> None:
    metrics = {task.family: assistantbench.score(task.answer, task.answer).detail for task in ALMANAC.tasks}
    number = (
        "ticket_total house_price league_total recipe_cost branch_population district_turnout film_minutes trip_cost"
    )
    text = "nearest_pool train_arrival longest_exhibition"
    expected = dict.fromkeys(number.split(), "number") | dict.fromkeys(text.split(), "string")
    assert metrics == expected | {"event_list": "string list", "species_peak": "json", "company_staff": "json"}
