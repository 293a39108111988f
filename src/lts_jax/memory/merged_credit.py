"""Whose the use of a merged entry is: equal shares for everyone who wrote a part of it (SimpleMem; shares are ours).

A merge ends entries and puts a new one, with all of their lines, in their place. Who pulls it uses what m writers
found, so each is owed 1/m of that use. An edit that replaces an entry by a better one is no merge: the newer text
stands for the older, and both have the same share.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from lts_jax.actions import ADMIT
from lts_jax.records import EARLIER, Edit, Rollout


def shares_of(entry: int, edits: Sequence[Edit], merging: frozenset[int]) -> dict[int, Fraction]:
    """What a pull of an entry is worth to each entry that it was written in place of, and to itself.

    With m the number of entries that were merged into it, itself included, each has 1/m; an entry that an update
    replaced has the share of what replaced it.

    Args:
        entry: the one that was pulled.
        edits: of its rollout.
        merging: sequence numbers of the decisions whose edits are merges.
    """
    replaced: dict[int, list[Edit]] = {}
    for edit in edits:
        if edit.successor is not None:
            replaced.setdefault(edit.successor, []).append(edit)
    alike: list[list[int]] = []  # entries of one share: a part of the merged entry, and what it had replaced
    parts = [entry]
    while parts:
        waiting = [parts.pop()]
        alike.append([])
        while waiting:
            one = waiting.pop()
            alike[-1].append(one)
            for edit in replaced.get(one, ()):
                (parts if edit.sequence in merging else waiting).append(edit.entry)
    return {one: Fraction(1, len(alike)) for part in alike for one in part}


def use_shares(rollout: Rollout, *, include_writer: bool = False) -> Mapping[int, float]:
    """For each entry the largest share that any counted pull owes it; entries that nobody pulled are absent.

    Who pulled an entry before it was merged used it alone, which is a share of 1.

    Args:
        rollout: with its pulls and edits.
        include_writer: whether a team's pull of what it wrote itself counts.
    """
    merging = frozenset(taken.sequence for taken in rollout.decisions if taken.action == ADMIT)
    found: dict[int, Fraction] = {}
    for pull in rollout.pulls:
        for entry, share in shares_of(pull.entry, rollout.edits, merging).items():
            writer = rollout.entries[entry].team
            if writer != EARLIER and (include_writer or pull.reader != writer):
                found[entry] = max(share, found.get(entry, Fraction(0)))
    return {entry: float(share) for entry, share in found.items()}
