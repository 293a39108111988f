"""Lives of a memory's entries, from the log of its edits: who saw what, and whom the use of an entry is owed to.

Edits are numbered 0, 1, 2, ... in their order. A decision that came after e of them sees entry n if n is among its
first `num_keys` entries and none of these e edits ended it. Decisions overlap in time, so the order in which they were
taken does not say what each saw: `Decision.num_edits` does.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from lts_jax.records import Decision, Edit, MemoryEntry, Pull


def check_lives(entries: Sequence[MemoryEntry], edits: Sequence[Edit]) -> None:
    """See that every edit ends a living entry, after it came, and that what replaces it is there.

    Raises:
        ValueError: one line that says which edit, what was expected, and what was found.
    """
    ended: set[int] = set()
    for number, edit in enumerate(edits):
        for entry in (edit.entry, edit.successor):
            if entry is not None and entry >= len(entries):
                raise ValueError(f"edit {number}: expected an entry below {len(entries)}, got {entry}")
        if edit.entry in ended:
            raise ValueError(f"edit {number}: expected a living entry, got {edit.entry}, which had ended")
        if edit.seconds < (born := entries[edit.entry].seconds):
            raise ValueError(
                f"edit {number}: expected entry {edit.entry} to end after it came at {born:g} s, got {edit.seconds:g} s"
            )
        ended.add(edit.entry)


def death_of(edits: Sequence[Edit]) -> dict[int, int]:
    """For each entry that ended the number of the edit that ended it."""
    return {edit.entry: number for number, edit in enumerate(edits)}


def num_edits_before(decision: Decision, edits: Sequence[Edit]) -> int:
    """How many edits a decision came after: as recorded, or those of decisions with a lower sequence.

    Raises:
        ValueError: more than there are.
    """
    if decision.num_edits < 0:
        return sum(edit.sequence < decision.sequence for edit in edits)
    if decision.num_edits > len(edits):
        raise ValueError(
            f"decision {decision.sequence}: expected at most the {len(edits)} edits of its rollout before it, "
            f"got {decision.num_edits}"
        )
    return decision.num_edits


def places_in_order(decisions: Sequence[Decision], edits: Sequence[Edit]) -> tuple[list[int], dict[int, int]]:
    """Decisions in an order in which nobody sees more than who comes later ended: their places, and ends of entries.

    Decision i is at `places[i]`, and sees of its first `num_keys` entries those n with `died.get(n, inf) > places[i]`.
    One after the other, decisions keep their own order, and an entry that decision s ended has died at s + 1.

    Returns:
        place of each decision, 0, 1, 2, ...; for each entry that ended, the place of the first that no longer sees it.
    """
    after = [num_edits_before(decision, edits) for decision in decisions]
    order = sorted(range(len(decisions)), key=lambda index: (after[index], decisions[index].sequence))
    places = [0] * len(decisions)
    for place, index in enumerate(order):
        places[index] = place
    counts = sorted(after)
    died = {entry: bisect_left(counts, number + 1) for entry, number in death_of(edits).items()}
    return places, died


def owed_pulls(pulls: Sequence[Pull], entries: Sequence[MemoryEntry], edits: Sequence[Edit]) -> Sequence[Pull]:
    """The pulls, and one more for each entry that the pulled one was written in place of, near or far.

    Whoever pulls what replaced an entry uses what its first writer found.
    """
    older = _older(edits)
    if not older:
        return pulls
    owed: list[Pull] = []
    for pull in pulls:
        owed.append(pull)
        owed += [
            Pull(entry, pull.reader, entries[entry].team, pull.step, pull.seconds)
            for entry in older.get(pull.entry, ())
        ]
    return owed


def _older(edits: Iterable[Edit]) -> Mapping[int, tuple[int, ...]]:
    """For each entry that replaced others: these, the ones before them, and so on."""
    older: dict[int, tuple[int, ...]] = {}
    for edit in edits:
        if edit.successor is not None:
            found = (*older.get(edit.successor, ()), edit.entry, *older.get(edit.entry, ()))
            older[edit.successor] = tuple(dict.fromkeys(found))
    return older
