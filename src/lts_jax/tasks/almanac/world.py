"""Builds the offline world of a seed: facts become pages and files, facts become questions with answers."""

from collections.abc import Callable
from functools import lru_cache
from random import Random
from types import MappingProxyType
from typing import Any

from lts_jax.records import Task
from lts_jax.tasks.almanac.families import (
    branch_population,
    company_staff,
    district_turnout,
    event_list,
    film_minutes,
    house_price,
    league_total,
    longest_exhibition,
    nearest_pool,
    recipe_cost,
    species_peak,
    ticket_total,
    train_arrival,
    trip_cost,
)
from lts_jax.tasks.almanac.names import Namer
from lts_jax.tasks.almanac.press import Press
from lts_jax.tasks.almanac.records import DIFFICULTIES, SPLITS, Almanac, Draft

FAMILIES: dict[str, Any] = {
    "ticket_total": ticket_total,
    "nearest_pool": nearest_pool,
    "train_arrival": train_arrival,
    "event_list": event_list,
    "house_price": house_price,
    "league_total": league_total,
    "species_peak": species_peak,
    "recipe_cost": recipe_cost,
    "branch_population": branch_population,
    "district_turnout": district_turnout,
    "longest_exhibition": longest_exhibition,
    "film_minutes": film_minutes,
    "company_staff": company_staff,
    "trip_cost": trip_cost,
}
HELD_OUT = ("company_staff", "trip_cost")  # in the test split only, so that transfer can be measured
NUM_TASKS = {"train": 14, "validation": 5, "test": 9}  # of each family and difficulty
_NUM_TOWNS = 40
_MAX_DRAFTS = 20_000  # a family that cannot fill its share raises instead of searching for ever


def build_almanac(seed: int = 0) -> Almanac:
    """The world of `seed`: the same bytes in every process; another seed has other facts and questions.

    Tasks are ordered by split; inside a split families and difficulties take turns, so any first n tasks are mixed.
    """
    return _build(seed)


@lru_cache(maxsize=4)
def _build(seed: int) -> Almanac:
    press = Press(seed)
    namer = Namer(Random(f"almanac/{seed}/names"))
    towns = [namer.town() for _ in range(_NUM_TOWNS)]
    drawn: list[tuple[int, Task, Draft]] = []
    for number, (name, family) in enumerate(FAMILIES.items()):
        facts = family.build(press, namer, towns, Random(f"almanac/{seed}/facts/{name}"))
        drawn += _tasks(name, facts, family.draft, Random(f"almanac/{seed}/tasks/{name}"), first_difficulty=number)
    drawn.sort(key=lambda each: (SPLITS.index(each[1].split), each[0]))  # stable: families keep their order
    return Almanac(
        seed,
        pages=MappingProxyType(press.pages),
        files=MappingProxyType(press.files),
        tasks=tuple(task for _, task, _ in drawn),
        needs=MappingProxyType({task.task_id: draft.needs for _, task, draft in drawn}),
        stale_urls=MappingProxyType(press.stale_urls),
        mirror_urls=MappingProxyType(press.mirror_urls),
    )


def _tasks(
    family: str,
    facts: Any,
    draft: Callable[[Any, str, Random], Draft | None],
    rng: Random,
    *,
    first_difficulty: int,
) -> list[tuple[int, Task, Draft]]:
    """Distinct questions of one family with their place inside the split, difficulties in turn."""
    drawn: list[tuple[int, Task, Draft]] = []
    seen: set[str] = set()
    splits = ("test",) if family in HELD_OUT else SPLITS
    places = [(split, place) for split in splits for place in range(NUM_TASKS[split] * len(DIFFICULTIES))]
    for split, place in places:
        difficulty = DIFFICULTIES[(first_difficulty + place) % len(DIFFICULTIES)]
        found = _new_draft(facts, difficulty, draft, rng, seen)
        if found is None:
            raise RuntimeError(f"the family {family} cannot make enough {difficulty} questions")
        task_id = f"almanac-{family}-{len(drawn):03d}"
        task = Task(task_id, found.question, found.answer, split, family, difficulty, attachments=found.attachments)
        drawn.append((place, task, found))
    return drawn


def _new_draft(
    facts: Any,
    difficulty: str,
    draft: Callable[[Any, str, Random], Draft | None],
    rng: Random,
    seen: set[str],
) -> Draft | None:
    for _ in range(_MAX_DRAFTS):
        found = draft(facts, difficulty, rng)
        if found is not None and found.identity not in seen:
            seen.add(found.identity)
            return found
    return None
