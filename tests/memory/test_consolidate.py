"""Gate, affinity, merging, upkeep: numbers by hand, and what merging promises."""

import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.memory.consolidate import (
    DAY_SECONDS,
    MergeCycle,
    MergeSettings,
    UpkeepSettings,
    affinity,
    check_lineage,
    components,
    groups_of,
    joined_lines,
    merged,
    upkeep,
)
from lts_jax.memory.facts import Fact, FactDraft
from lts_jax.memory.gate import GateSettings, density, windows_of


def fact(number, text="Mill Pond is deep.", seconds=0.0, team=0, step=0, importance=0.5, time="2025-01-01"):
    return Fact(number, FactDraft(text, time=time, importance=importance), seconds, "", team, step, (), (number,))


def test_affinity_by_hand():
    # .7 * .9 + .3 * exp(-.5) = .63 + .3 * .60653 = .81196
    assert affinity(0.9, 5.0) == pytest.approx(0.8120, abs=5e-5)
    assert affinity(0.9, -5.0) == affinity(0.9, 5.0)
    assert affinity(1.0, 0.0) == pytest.approx(1.0)


def test_density_by_hand():
    assert density(2, 40, 0.5, 0.5) == pytest.approx(0.5 * 0.05 + 0.5 * 0.5)
    assert density(0, 0, 1.0, 0.9) == pytest.approx(0.0)


def test_windows_of_40_lines_overlap_by_two_and_carry_heading_and_table_header():
    lines = ["Title", "<where>", "| A | B |", *(f"| {row} | x |" for row in range(90))]
    windows = windows_of("\n\n".join(lines), GateSettings())
    assert [len(window.lines) for window in windows] == [40, 40, 15]
    assert windows[0].heading == ("Title", "<where>")
    assert windows[1].heading == ("Title", "<where>", "| A | B |")
    assert windows[0].lines[-2:] == windows[1].lines[:2]
    assert windows_of("", GateSettings()) == []
    assert windows_of("one line", GateSettings())[0].text == "one line"


def test_components_join_through_a_middle():
    omega_nn = np.array([[1, 0.9, 0.1, 0], [0.9, 1, 0.9, 0], [0.1, 0.9, 1, 0], [0, 0, 0, 1]])
    assert components(omega_nn, 0.8) == [(0, 1, 2), (3,)]
    assert components(omega_nn, 0.95) == [(0,), (1,), (2,), (3,)]


def test_a_merged_entry_holds_every_line_once_and_its_members_are_its_parents():
    one = fact(0, "Mill Pond (2025):\nDepth: 3 m", 10.0, team=0, step=4)
    two = fact(1, "Mill Pond (2025):\nDepth: 3 m\nFish: 7", 20.0, team=2, step=1, importance=0.9, time="2025-02-02")
    entry = merged([two, one], 2)
    assert entry.text == "Mill Pond (2025):\nDepth: 3 m\nFish: 7"
    assert (entry.parents, entry.leaves, entry.team, entry.step, entry.seconds) == ((0, 1), (0, 1), 2, 1, 20.0)
    assert (entry.draft.importance, entry.draft.time) == (0.9, "2025-02-02")


def test_lines_without_a_heading_stay():
    assert joined_lines(["A is 1.", "B:\nx", "A is 1.", "B:\ny"]) == "A is 1.\nB:\nx\ny"


def test_merge_cycles_are_refused_by_name():
    with pytest.raises(MergeCycle, match="entry 1"):
        merged([fact(0), fact(1)], 1)
    loop = {
        0: fact(0),
        1: Fact(1, FactDraft("a"), 0.0, parents=(0, 2)),
        2: Fact(2, FactDraft("b"), 0.0, parents=(1,)),
    }
    with pytest.raises(MergeCycle, match=r"1 -> 2 -> 1|2 -> 1 -> 2"):
        check_lineage(loop)
    with pytest.raises(ValueError, match="entry 7"):
        check_lineage({1: Fact(1, FactDraft("a"), 0.0, parents=(7,))})
    check_lineage({0: fact(0), 1: fact(1), 2: merged([fact(0), fact(1)], 2)})
    check_lineage({n: Fact(n, FactDraft("a"), 0.0, parents=(n - 1,) if n else ()) for n in range(5000)})  # a long line


def test_groups_are_far_apart_in_time_or_in_words():
    vector_nd = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    leaves = [fact(0), fact(1, seconds=60.0), fact(2, seconds=6000.0), fact(3)]
    assert groups_of(leaves, vector_nd, MergeSettings()) == [(0, 1), (2,), (3,)]
    assert groups_of(leaves, vector_nd, MergeSettings(threshold=1.5)) == [(0,), (1,), (2,), (3,)]


def test_upkeep_ages_hides_and_supersedes_softly():
    vector_nd = np.array([[1, 0, 0], [0.96, 0.28, 0], [0, 0, 1], [0, 1, 0]], np.float32)
    entries = [
        fact(0, importance=0.5, time="2024-01-01", seconds=0.0),
        fact(1, importance=0.5, time="2025-01-01", seconds=0.0),  # cosine .96 to the first, and newer
        fact(2, importance=0.05, seconds=0.0),
        fact(3, importance=0.8, seconds=99 * DAY_SECONDS),
    ]
    kept, hidden = upkeep(entries, vector_nd, 100 * DAY_SECONDS, UpkeepSettings())
    assert [entry.draft.importance for entry in kept] == pytest.approx([0.45, 0.45, 0.045, 0.8])
    assert hidden == {0, 2}
    assert [entry.text for entry in kept] == [entry.text for entry in entries]
    assert upkeep(kept, vector_nd, 100 * DAY_SECONDS, UpkeepSettings(), hidden)[1] == hidden
    assert upkeep(entries, vector_nd, 0.0, UpkeepSettings(max_entries=1))[1] == frozenset()


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        (GateSettings, {"overlap_turns": 40}),
        (GateSettings, {"window_turns": 0}),
        (GateSettings, {"threshold": 1.5}),
        (MergeSettings, {"cosine_weight": 2.0}),
        (MergeSettings, {"unit_seconds": 0.0}),
        (UpkeepSettings, {"aging": -1.0}),
        (UpkeepSettings, {"max_entries": 0}),
    ],
)
def test_wrong_settings_are_refused_in_one_line(settings, values):
    with pytest.raises(UserError, match=next(iter(values))) as refused:
        settings(**values)
    assert "\n" not in str(refused.value)
