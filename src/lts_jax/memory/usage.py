"""What became of the entries of a bank: pure functions of the entries and of the usage log.

Whether a team's pull of its own entry counts as use is an open choice of the method, so both readings are given.
"""

import math
from collections.abc import Iterable, Sequence

from lts_jax.records import MemoryEntry, Pull, Step


def used_by_any(pulls: Iterable[Pull]) -> frozenset[int]:
    """Ids of the entries that any team pulled, the writer included."""
    return frozenset(pull.entry for pull in pulls)


def used_by_others(pulls: Iterable[Pull]) -> frozenset[int]:
    """Ids of the entries that a team other than the writer pulled."""
    return frozenset(pull.entry for pull in pulls if pull.reader != pull.writer)


def readers_of_entries(pulls: Iterable[Pull], *, include_writer: bool = False) -> dict[int, frozenset[int]]:
    """For each pulled entry the teams that pulled it; entries without such a reader are absent."""
    readers: dict[int, set[int]] = {}
    for pull in pulls:
        if include_writer or pull.reader != pull.writer:
            readers.setdefault(pull.entry, set()).add(pull.reader)
    return {entry: frozenset(teams) for entry, teams in readers.items()}


def spared_readers(
    steps: Iterable[Step], entries: Iterable[MemoryEntry], pulls: Iterable[Pull]
) -> dict[int, frozenset[int]]:
    """For each entry the other teams that it spared its step: they pulled it, and never took such a step themselves.

    Such a step has the same agent and the same action, or the same instruction where there is no action. Not before the
    pull either: then nothing was left to spare. Of several such entries that a team pulled, the earliest admitted
    spared it. A team that comes to the same thing by another action counts as spared. Entries that spared nobody are
    absent.
    """
    kind_of = {(step.team, step.step): (step.agent, step.action or step.instruction) for step in steps}
    taken = {(team, kind) for (team, _), kind in kind_of.items()}
    made_by = {entry.entry: kind_of.get((entry.team, entry.step)) for entry in entries}
    readers: dict[int, set[int]] = {}
    for pull in sorted(pulls, key=lambda one: one.entry):
        kind = made_by.get(pull.entry)
        if kind is not None and pull.reader != pull.writer and (pull.reader, kind) not in taken:
            taken.add((pull.reader, kind))
            readers.setdefault(pull.entry, set()).add(pull.reader)
    return {entry: frozenset(teams) for entry, teams in readers.items()}


def first_pull_seconds(pulls: Iterable[Pull], *, include_writer: bool = True) -> dict[int, float]:
    """For each pulled entry the time of its first pull, in seconds on the rollout's clock."""
    first: dict[int, float] = {}
    for pull in pulls:
        if include_writer or pull.reader != pull.writer:
            first[pull.entry] = min(pull.seconds, first.get(pull.entry, math.inf))
    return first


def read_rate(entries: Sequence[MemoryEntry], pulls: Iterable[Pull]) -> float:
    """Read rate: entries pulled at least once, by any team, over entries. NaN for an empty bank."""
    return len(used_by_any(pulls)) / len(entries) if entries else math.nan


def cross_share(pulls: Sequence[Pull]) -> float:
    """Cross share: pulls whose reader is not the writer, over pulls. NaN without pulls."""
    return sum(pull.reader != pull.writer for pull in pulls) / len(pulls) if pulls else math.nan


def mean_reach(entries: Sequence[MemoryEntry], pulls: Iterable[Pull]) -> float:
    """Reach: distinct other teams that pulled an entry, averaged over all entries, in [0, K-1]. NaN if none."""
    if not entries:
        return math.nan
    return sum(len(teams) for teams in readers_of_entries(pulls).values()) / len(entries)
