"""Shares of a merged entry's use, worked by hand."""

from dataclasses import dataclass, field
from fractions import Fraction

from lts_jax.actions import ADMIT, UPDATE
from lts_jax.memory.merged_credit import shares_of, use_shares
from lts_jax.records import EARLIER, Decision, Edit, MemoryEntry, Pull


@dataclass
class Log:
    """Of a rollout, what is looked at: entry n is what decision n of team n wrote at n seconds."""

    edits: tuple[Edit, ...]
    pulls: tuple[Pull, ...]
    actions: tuple[int, ...]
    writers: tuple[int, ...]
    decisions: list[Decision] = field(init=False)
    entries: list[MemoryEntry] = field(init=False)

    def __post_init__(self):
        self.decisions = [
            Decision(n, 0, action, -0.5, 0.5, n, n, float(n), n, target=0 if action == UPDATE else -1)
            for n, action in enumerate(self.actions)
        ]
        self.entries = [MemoryEntry(n, "key", "value", team, 0, float(n)) for n, team in enumerate(self.writers)]


def edit(entry, successor):
    return Edit("update", entry, successor, successor, 0, float(successor), successor)


def test_an_entry_of_its_own_is_owed_all_of_its_use():
    assert shares_of(4, [edit(1, 2)], frozenset({2})) == {4: 1}


def test_what_was_merged_is_owed_equal_shares_near_and_far():
    # 0 and 1 are merged with 2; then 2 with 3 and 4: five admissions stand in entry 4, three in entry 2.
    edits = [edit(0, 2), edit(1, 2), edit(2, 4), edit(3, 4)]
    merging = frozenset({2, 4})
    assert shares_of(4, edits, merging) == dict.fromkeys(range(5), Fraction(1, 5))
    assert shares_of(2, edits, merging) == dict.fromkeys(range(3), Fraction(1, 3))


def test_what_an_update_replaced_has_the_share_of_what_replaced_it():
    # 1 replaces 0 by an update; 1 is merged with 2: two parts, and 0 stands behind the first of them.
    edits = [edit(0, 1), edit(1, 2)]
    assert shares_of(2, edits, frozenset({2})) == {0: Fraction(1, 2), 1: Fraction(1, 2), 2: Fraction(1, 2)}
    assert shares_of(2, edits, frozenset()) == {0: 1, 1: 1, 2: 1}


def test_the_largest_share_that_a_counted_pull_owes_is_what_an_entry_has():
    # Team 2 pulls entry 0 before it is merged with 1, so team 0 is owed all of that; team 0 pulls what was merged.
    pulls = (Pull(0, 2, 0, 0, 0.5), Pull(1, 0, 1, 0, 1.5))
    log = Log((edit(0, 1),), pulls, (ADMIT, ADMIT), (0, 1))
    assert use_shares(log) == {0: 1.0, 1: 0.5}
    assert use_shares(Log(log.edits, pulls[1:], log.actions, log.writers)) == {1: 0.5}  # nobody is owed by itself
    assert use_shares(Log(log.edits, pulls[1:], log.actions, log.writers), include_writer=True) == {0: 0.5, 1: 0.5}
    # The same edit, but chosen: the newer text stands for the older, and both are owed all.
    assert use_shares(Log(log.edits, pulls[1:], (ADMIT, UPDATE), log.writers), include_writer=True) == {0: 1.0, 1: 1.0}


def test_what_an_earlier_task_wrote_is_owed_to_nobody_of_this_one():
    pulls = (Pull(1, 2, 1, 0, 1.5),)
    assert use_shares(Log((edit(0, 1),), pulls, (ADMIT, ADMIT), (EARLIER, 1))) == {1: 0.5}
