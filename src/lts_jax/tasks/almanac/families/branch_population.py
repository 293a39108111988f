"""A table file of branches and census pages: how many people live where a chain has large branches."""

from dataclasses import dataclass
from random import Random

from lts_jax.tasks.almanac.drafting import make_draft
from lts_jax.tasks.almanac.names import Namer, near_miss, slug
from lts_jax.tasks.almanac.press import Body, Press
from lts_jax.tasks.almanac.records import Draft, Need

WORDINGS = (
    "The attached file {file} lists the branches of {chain}. By the latest figures of the 2024 census, how "
    "many people "
    "live in all in the towns where it has a branch with at least {staff} staff?",
    "Take the branches of {chain} with at least {staff} staff from the attached file {file}. What is the "
    "combined "
    "population of their towns, by the latest figures of the 2024 census?",
)
_NUM_TOWNS = {"easy": (1, 2), "medium": (3, 4), "hard": (5, 7)}


@dataclass(frozen=True, slots=True)
class Town:
    """A town and its inhabitants in 2024."""

    name: str
    url: str
    population: int


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of shops, its file, and the staff of its branch in each town."""

    name: str
    file: str
    staff: dict[str, int]


@dataclass(frozen=True, slots=True)
class Census:
    """Towns by name, and the chains."""

    towns: dict[str, Town]
    chains: tuple[Chain, ...]


def build(press: Press, namer: Namer, towns: list[str], rng: Random) -> Census:
    """Publish a page for every town and 60 files of branches."""
    census = {town: _town(press, town, rng) for town in towns}
    return Census(census, tuple(_chain(press, namer, towns, rng) for _ in range(60)))


def _town(press: Press, name: str, rng: Random) -> Town:
    population = rng.randrange(2_000, 90_000)
    before = population - rng.randrange(-800, 1_900)
    form = rng.randrange(3)
    stale = _town_body(population + rng.randrange(400, 3_000), before, form)
    url = f"https://www.{name.lower()}.example/about"
    press.publish(f"About {name}", url, _town_body(population, before, form), stale=stale)
    other = near_miss(name)
    press.publish(
        f"About {other}",
        f"https://www.{slug(other)}.example/about",
        _town_body(before // 3, before // 4, form),
    )
    return Town(name, url, population)


def _town_body(population: int, before: int, form: int) -> Body:
    if form < 2:
        return Body(
            fields=(
                ("Population (2024 census)", f"{population:,}"),
                ("Population (2014 census)", f"{before:,}"),
            )
        )
    return Body(prose=(f"The 2024 census counted {population:,} inhabitants, against {before:,} in 2014.",))


def _chain(press: Press, namer: Namer, towns: list[str], rng: Random) -> Chain:
    name = namer.pair(rng.choice(("Bakeries", "Pharmacies", "Opticians", "Bookshops")))
    staff = {town: rng.randrange(3, 40) for town in rng.sample(towns, rng.randrange(8, 15))}
    file = f"branches-{slug(name)}.csv"
    rows = [f"{town},{count},{rng.randrange(1970, 2024)},{rng.randrange(80, 900)}" for town, count in staff.items()]
    press.files[file] = "\n".join(["town,staff,opened,area_m2", *rows]) + "\n"
    return Chain(name, file, staff)


def draft(facts: Census, difficulty: str, rng: Random) -> Draft | None:
    """Sum of the populations of the towns that pass the filter; None unless the level's number passes."""
    chain = rng.choice(facts.chains)
    staff = rng.randrange(8, 38)
    chosen = [facts.towns[town] for town, count in chain.staff.items() if count >= staff]
    least, most = _NUM_TOWNS[difficulty]
    if not least <= len(chosen) <= most:
        return None
    slots: dict[str, object] = {"file": chain.file, "chain": chain.name, "staff": staff}
    needs = [Need(f"About {town.name}", town.url) for town in chosen]
    return make_draft(
        rng, WORDINGS, slots, str(sum(town.population for town in chosen)), needs=needs, attachments=(chain.file,)
    )
