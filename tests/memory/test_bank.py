"""The bank: ids, keys as a view, who is listed what, and the usage log."""

import threading

import pytest

from lts_jax.memory.bank import MemoryBank
from lts_jax.records import MemoryEntry, Pull, Step


def _step(team: int, step: int, summary: str, output: str = "output") -> Step:
    return Step(team, step, "WebSurfer", "find it", "", output, summary)


def _bank(*teams: int) -> MemoryBank:
    bank = MemoryBank()
    for number, team in enumerate(teams):
        bank.add(_step(team, number, f"key {number}", f"value {number}"), float(number))
    return bank


def test_entries_are_numbered_and_keep_their_origin() -> None:
    bank = MemoryBank()
    first = bank.add(_step(2, 5, "opens\n at nine \n", "raw\noutput"), 12.5)
    second = bank.add(_step(0, 1, "closed"), 13.0)
    assert first == MemoryEntry(0, "opens at nine", "raw\noutput", 2, 5, 12.5)
    assert second.entry == 1
    assert bank.entries == (first, second)
    assert len(bank) == 2


@pytest.mark.parametrize("summary", ["", " \n\t "])
def test_a_step_without_summary_is_refused_and_nothing_is_stored(summary: str) -> None:
    bank = MemoryBank()
    with pytest.raises(ValueError, match="step 4 of team 1 has no summary"):
        bank.add(_step(1, 4, summary), 0.0)
    assert len(bank) == 0
    assert len(bank.keys) == 0


def test_keys_are_a_live_view_and_a_prefix_stays_as_it_is() -> None:
    bank = _bank(0, 1)
    live, prefix = bank.keys, bank.keys[:2]
    bank.add(_step(0, 9, "late"), 9.0)
    assert list(live) == ["key 0", "key 1", "late"]
    assert list(prefix) == ["key 0", "key 1"]
    assert len(prefix) == 2
    assert (live[-1], prefix[-1], live[1]) == ("late", "key 1", "key 1")
    assert list(live[1:]) == ["key 1", "late"]
    assert list(live[:99]) == ["key 0", "key 1", "late"]
    assert list(prefix[:1]) == ["key 0"]
    assert list(live[::-1]) == ["late", "key 1", "key 0"]
    assert "late" in live
    assert "late" not in prefix


@pytest.mark.parametrize("index", [2, -3])
def test_a_prefix_does_not_reach_beyond_its_end(index: int) -> None:
    bank = _bank(0, 1, 2)
    with pytest.raises(IndexError, match="of a bank of 2 keys"):
        bank.keys[:2][index]


def test_listing_hides_own_and_excluded_entries() -> None:
    bank = _bank(0, 1, 0, 2, 1)
    assert [e.entry for e in bank.list_entries(0)] == [1, 3, 4]
    assert [e.entry for e in bank.list_entries(0, include_own=True)] == [0, 1, 2, 3, 4]
    assert [e.entry for e in bank.list_entries(0, exclude={3})] == [1, 4]
    assert [e.entry for e in bank.list_entries(7)] == [0, 1, 2, 3, 4]


def test_the_window_counts_the_newest_of_the_whole_bank() -> None:
    bank = _bank(0, 1, 0, 2, 1)
    assert [e.entry for e in bank.list_entries(0, window=2)] == [3, 4]
    assert [e.entry for e in bank.list_entries(1, window=2)] == [
        3
    ]  # 4 is its own: an older one does not take its place
    assert [e.entry for e in bank.list_entries(0, window=2, exclude={3, 4})] == []
    assert bank.list_entries(0, window=0) == []
    assert len(bank.list_entries(0, window=99)) == 3
    with pytest.raises(ValueError, match="window: expected None or at least 0, got -1"):
        bank.list_entries(0, window=-1)


def test_a_pull_gives_the_value_and_is_logged() -> None:
    bank = _bank(0, 1)
    assert bank.pull(2, 1, step=4, seconds=30.0) == "value 1"
    assert bank.pull(1, 1, step=2, seconds=31.0) == "value 1"
    assert bank.pulls == (Pull(1, 2, 1, 4, 30.0), Pull(1, 1, 1, 2, 31.0))


@pytest.mark.parametrize("entry", [-1, 2, 99])
def test_an_unknown_id_is_refused_and_not_logged(entry: int) -> None:
    bank = _bank(0, 1)
    with pytest.raises(ValueError, match=f"no memory entry {entry}: the bank holds 2"):
        bank.pull(0, entry, 0, 0.0)
    assert bank.pulls == ()


def test_ids_are_unique_when_threads_add() -> None:
    bank = MemoryBank()

    def add_many(team: int) -> None:
        for number in range(300):
            bank.add(_step(team, number, f"{team} {number}"), 0.0)

    threads = [threading.Thread(target=add_many, args=(team,)) for team in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.entry for entry in bank.entries] == list(range(1200))
    assert list(bank.keys) == [entry.key for entry in bank.entries]
    assert [e.step for e in bank.entries if e.team == 3] == list(range(300))


def test_two_banks_share_nothing() -> None:
    one, other = _bank(0), _bank()
    one.pull(1, 0, 0, 0.0)
    assert (len(other), other.pulls, list(other.keys)) == (0, (), [])
