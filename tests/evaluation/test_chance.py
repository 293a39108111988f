"""Chance levels of reading: who was shown which key, by hand, and the indifferent reader against enumeration."""

import dataclasses
import itertools
import math

import pytest
from fake_rollouts import make_rollout, make_rollouts

from lts_jax.evaluation.chance import num_teams_shown, pull_rate, shown_pairs
from lts_jax.evaluation.measures import measure
from lts_jax.records import Coordinates, MemoryEntry, ModelCall, Pull, Rollout
from lts_jax.reports.report import ReportSettings, build_report, find_row


def selection(team: int, step: int, started: float, error: str = "") -> ModelCall:
    return ModelCall("select", "", 1, 1, "", team, step, started, 2.0, error=error)


# three teams; entry 3 comes last and is shown to team 1 alone, entry 2 to teams 0 and 1, entry 1 to 0 and 2
ENTRIES = tuple(
    MemoryEntry(number, "key", "value", team, 0, seconds)
    for number, (team, seconds) in enumerate([(0, 10.0), (1, 20.0), (2, 30.0), (0, 41.0)])
)
CALLS = (
    selection(1, 1, 15.0),  # sees 0
    selection(2, 1, 25.0),  # sees 0, 1
    selection(0, 1, 40.0),  # sees 1, 2; entry 3 is its own, and comes during the call
    selection(1, 2, 50.0),  # sees 0, 2, 3
    selection(2, 2, 60.0, error="model: gone"),  # sees nothing
)
PULLS = (Pull(0, 1, 0, 1, 17.0), Pull(0, 2, 0, 1, 27.0), Pull(0, 1, 0, 2, 52.0))
ROLLOUT = dataclasses.replace(make_rollout("all"), entries=ENTRIES, calls=CALLS, pulls=PULLS, policy="all")


def listing(window: int) -> Rollout:
    return dataclasses.replace(ROLLOUT, listing_window=window)


def rollout_of(entries: tuple[MemoryEntry, ...], calls: tuple[ModelCall, ...], pulls: tuple[Pull, ...]) -> Rollout:
    return dataclasses.replace(ROLLOUT, entries=entries, calls=calls, pulls=pulls)


def test_shown_pairs_by_hand() -> None:
    shown = shown_pairs(ROLLOUT, own_listed=False)
    assert shown == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (3, 1)}
    assert num_teams_shown(ENTRIES, shown) == (2, 2, 2, 1)
    assert shown_pairs(ROLLOUT, own_listed=True) - shown == {(0, 0), (1, 1)}  # team 2 never selects after entry 2


def test_a_window_lists_the_newest_keys_of_the_whole_bank() -> None:
    # at 15 s [0], at 25 s [0, 1], at 40 s [1, 2], at 50 s [2, 3]
    assert shown_pairs(listing(2), own_listed=False) == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (3, 1)}
    # at 15 s [0], at 25 s [1], at 40 s [2], at 50 s [3]; the pull of entry 0 at 27 s proves that it was shown
    assert shown_pairs(listing(1), own_listed=False) == {(0, 1), (0, 2), (1, 2), (2, 0), (3, 1)}
    assert (
        shown_pairs(dataclasses.replace(rollout_of(ENTRIES, CALLS, ()), listing_window=0), own_listed=False)
        == frozenset()
    )


def test_a_pull_without_a_recorded_selection_stands_for_a_listing() -> None:
    assert shown_pairs(rollout_of(ENTRIES, (), PULLS[:2]), own_listed=False) == {(0, 1), (0, 2), (1, 2)}


def test_levels_by_hand() -> None:
    got = measure(ROLLOUT)
    assert (got.num_shown, got.num_shown_to_others, got.num_shown_pulled) == (7, 7, 2)  # a second pull adds nothing
    assert pull_rate([got, got]) == pytest.approx(2 / 7)
    assert got.entries_pulled_at(0.5) == pytest.approx(3 * 0.75 + 0.5)
    assert got.readers_at(0.5) == 3.5
    assert got.readers_at(pull_rate([got])) == pytest.approx(got.num_readers) == 2.0
    assert measure(ROLLOUT, own_listed=True).num_shown_to_others == 7
    assert math.isnan(pull_rate([measure(rollout_of((), (), ()))]))


def test_the_indifferent_reader_against_enumeration() -> None:
    shown, rate = sorted(shown_pairs(ROLLOUT, own_listed=False)), 0.3
    entries, readers = 0.0, 0.0
    for pulled in itertools.product((False, True), repeat=len(shown)):
        probability = math.prod(rate if one else 1.0 - rate for one in pulled)
        entries += probability * len({entry for (entry, _), one in zip(shown, pulled, strict=True) if one})
        readers += probability * sum(pulled)
    got = measure(ROLLOUT)
    assert (got.entries_pulled_at(rate), got.readers_at(rate)) == pytest.approx((entries, readers))


def test_the_yardstick_is_the_policy_that_admits_all() -> None:
    # "lts" is shown the same keys and pulls twice as many: its level stays that of "all"
    more = (*PULLS, Pull(1, 0, 1, 1, 42.0), Pull(3, 1, 0, 2, 52.0))
    other = dataclasses.replace(ROLLOUT, pulls=more, policy="lts")
    report = build_report({"all": [ROLLOUT], "lts": [other]}, ReportSettings(reference="all"))
    assert (report.pull_rate.policy, report.pull_rate.rate) == ("all", pytest.approx(2 / 7))
    everything, learned = find_row(report, "all"), find_row(report, "lts")
    assert everything.reach == pytest.approx(everything.reach_chance) == 0.5
    assert (learned.reach, learned.reach_chance) == (1.0, pytest.approx(0.5))
    assert (learned.read_rate, learned.read_rate_chance) == (0.75, pytest.approx((3 * (1 - 25 / 49) + 2 / 7) / 4))
    assert any(
        "q = 0.29 = pulled / shown keys of all (the reach of all is its own chance)" in one for one in report.notes
    )


def test_the_chance_of_cross_share_is_that_of_what_was_shown() -> None:
    """Nine pairs are shown, two of them to the writer: 7 / 9, not 2 / 3."""
    report = build_report({"all": [ROLLOUT]}, ReportSettings(reference="all", own_listed=True))
    assert find_row(report, "all").cross_share_chance == pytest.approx(7 / 9)
    assert any("the part of shown keys that other teams wrote" in one for one in report.notes)
    hidden = build_report({"all": [ROLLOUT]}, ReportSettings(reference="all"))
    assert find_row(hidden, "all").cross_share_chance == 1.0
    # Pooled over rollouts by what each showed: a blind reader of both.
    other = dataclasses.replace(rollout_of(ENTRIES, CALLS[:1], ()), coordinates=Coordinates(9, 0, "task-000", 0))
    both = build_report({"all": [ROLLOUT, other]}, ReportSettings(reference="all", own_listed=True))
    assert find_row(both, "all").cross_share_chance == pytest.approx((7 + 1) / (9 + 1))


def test_without_it_all_policies_together_are() -> None:
    rollouts = {"lts": [ROLLOUT], "judge": [rollout_of(ENTRIES, CALLS, ())]}
    report = build_report(rollouts, ReportSettings(reference="judge"))
    assert (report.pull_rate.policy, report.pull_rate.rate) == ("", pytest.approx(1 / 7))
    assert find_row(report, "judge").reach_chance == pytest.approx(0.25)
    assert any("of all policies together; shown to n teams" in one for one in report.notes)


def test_the_listing_window_of_recency_reaches_the_table() -> None:
    short = dataclasses.replace(rollout_of(ENTRIES, CALLS, ()), listing_window=1)
    report = build_report({"all": [ROLLOUT], "recency": [short]}, ReportSettings(reference="all"))
    assert find_row(report, "recency").reach_chance == pytest.approx(2 / 7 * 4 / 4)  # 4 pairs, 4 entries


def test_nobody_was_shown_anything() -> None:
    report = build_report({"m1_parallel": make_rollouts(2, 1)["m1_parallel"]})
    assert math.isnan(report.pull_rate.rate)
    assert not any("q = " in note for note in report.notes)
