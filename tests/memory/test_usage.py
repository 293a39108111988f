"""Usage of one small bank, counted by hand.

Four entries: 0 and 3 by team 0, 1 by team 1, 2 by team 2. Pulls: team 1 takes 0 twice, team 2 takes 0, team 1 takes its
own 1, team 0 takes 2. Entry 3 is never read.
"""

import math

from lts_jax.memory import usage
from lts_jax.records import MemoryEntry, Pull, Step

ENTRIES = [MemoryEntry(n, f"k{n}", f"v{n}", team, 0, 0.0) for n, team in enumerate([0, 1, 2, 0])]
PULLS = [
    Pull(0, 1, 0, 3, 50.0),
    Pull(0, 2, 0, 1, 20.0),
    Pull(0, 1, 0, 5, 90.0),
    Pull(1, 1, 1, 6, 95.0),
    Pull(2, 0, 2, 2, 40.0),
]


def test_used_sets() -> None:
    assert usage.used_by_any(PULLS) == {0, 1, 2}
    assert usage.used_by_others(PULLS) == {0, 2}


def test_readers() -> None:
    assert usage.readers_of_entries(PULLS) == {0: {1, 2}, 2: {0}}
    assert usage.readers_of_entries(PULLS, include_writer=True) == {0: {1, 2}, 1: {1}, 2: {0}}


def test_first_pull_is_the_earliest_not_the_first_logged() -> None:
    assert usage.first_pull_seconds(PULLS) == {0: 20.0, 1: 95.0, 2: 40.0}
    assert usage.first_pull_seconds(PULLS, include_writer=False) == {0: 20.0, 2: 40.0}


def test_fractions() -> None:
    assert usage.read_rate(ENTRIES, PULLS) == 0.75
    assert usage.cross_share(PULLS) == 0.8
    assert usage.mean_reach(ENTRIES, PULLS) == 0.75  # (2 + 0 + 1 + 0) / 4


def test_nothing_stored_or_pulled_is_nan_not_zero() -> None:
    assert math.isnan(usage.read_rate([], []))
    assert math.isnan(usage.cross_share([]))
    assert math.isnan(usage.mean_reach([], []))
    assert usage.read_rate(ENTRIES, []) == 0.0
    assert usage.mean_reach(ENTRIES, []) == 0.0


def test_whom_an_entry_spared_its_step() -> None:
    """Entry 0 and 3: the same search by teams 0 and 1. Entry 1: a page that team 1 read. Entry 2: words of team 2."""
    search, page = 'web_search {"query": "tower"}', 'visit_url {"url": "https://tower.example"}'
    steps = [
        Step(0, 0, "WebSurfer", "find it", search, "..."),
        Step(1, 0, "WebSurfer", "look it up", search, "..."),
        Step(1, 1, "WebSurfer", "read it", page, "..."),
        Step(2, 0, "Coder", "write a program", "", "..."),
        Step(0, 1, "Coder", "write a program", "", "..."),
        Step(3, 0, "FileSurfer", "read it", page, "..."),
    ]
    places = [(0, 0), (1, 1), (2, 0), (1, 0)]
    entries = [MemoryEntry(n, f"k{n}", f"v{n}", team, step, 0.0) for n, (team, step) in enumerate(places)]
    pulls = [
        Pull(3, 2, 1, 4, 90.0),  # team 2 never searched, but entry 0 had spared it that
        Pull(0, 2, 0, 3, 80.0),
        Pull(0, 1, 0, 2, 50.0),  # team 1 had searched itself
        Pull(0, 3, 0, 1, 40.0),
        Pull(1, 0, 1, 2, 60.0),
        Pull(1, 3, 1, 2, 60.0),  # the same page by another agent is another step
        Pull(1, 1, 1, 2, 60.0),  # its own
        Pull(2, 0, 2, 3, 70.0),  # the same instruction, without an action
        Pull(2, 1, 2, 3, 70.0),
        Pull(2, 1, 2, 4, 75.0),  # twice
    ]
    assert usage.spared_readers(steps, entries, pulls) == {0: {2, 3}, 1: {0, 3}, 2: {1}}
    assert usage.spared_readers([], entries, pulls) == {}
