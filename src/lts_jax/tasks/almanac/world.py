"""Builds the offline world of a seed: facts become pages and files, facts become questions with answers."""

from collections.abc import Callable
from functools import lru_cache
from random import Random
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
from lts_jax.tasks.almanac.records import DIFFICULTIES, Almanac, Draft, Need

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


@lru_cache(maxsize=4)
def build_almanac(seed: int = 0) -> Almanac:
    """The world of `seed`: the same bytes in every process; another seed has other facts and questions."""
    press = Press(seed)
    namer = Namer(Random(f"almanac/{seed}/names"))
    towns = [namer.town() for _ in range(_NUM_TOWNS)]
    tasks: list[Task] = []
    needs: dict[str, tuple[Need, ...]] = {}
    for name, family in FAMILIES.items():
        facts = family.build(press, namer, towns, Random(f"almanac/{seed}/facts/{name}"))
        splits = ("test",) if name in HELD_OUT else tuple(NUM_TASKS)
        for task, needed in _tasks(name, splits, facts, family.draft, Random(f"almanac/{seed}/tasks/{name}")):
            tasks.append(task)
            needs[task.task_id] = needed
    tasks.sort(key=lambda task: tuple(NUM_TASKS).index(task.split))  # stable: families stay in their order
    return Almanac(seed, press.pages, press.files, tuple(tasks), needs, press.stale_urls, press.mirror_urls)


def _tasks(
    family: str,
    splits: tuple[str, ...],
    facts: Any,
    draft: Callable[[Any, str, Random], Draft | None],
    rng: Random,
) -> list[tuple[Task, tuple[Need, ...]]]:
    """Distinct questions of one family, difficulties in turn within each split."""
    numbered: list[tuple[Task, tuple[Need, ...]]] = []
    seen: set[str] = set()
    for split in splits:
        for index in range(NUM_TASKS[split] * len(DIFFICULTIES)):
            difficulty = DIFFICULTIES[index % len(DIFFICULTIES)]
            found = _new_draft(facts, difficulty, draft, rng, seen)
            if found is None:
                raise RuntimeError(f"the family {family} cannot make enough {difficulty} questions")
            task_id = f"almanac-{family}-{len(numbered):03d}"
            task = Task(
                task_id,
                found.question,
                found.answer,
                split,
                family,
                difficulty,
                attachments=found.attachments,
            )
            numbered.append((task, found.needs))
    return numbered


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
