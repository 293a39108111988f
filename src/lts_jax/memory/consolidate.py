"""Merging stored facts, and their upkeep (SimpleMem, arXiv 2601.02553). Pure functions; nothing is ever deleted.

omega_ij = beta cos(v_i, v_j) + (1 - beta) exp(-lambda |t_i - t_j|). Facts joined by pairs above a threshold become one
entry, whose text holds every line of its members and whose parents they are. What counts are the facts as they were
first stored, the leaves, so that merging twice changes nothing, and merging as facts come gives what merging at the
end gives.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from lts_jax.errors import UserError
from lts_jax.memory.facts import Fact, FactDraft

DAY_SECONDS = 86_400.0
NO_MERGING = 2.0  # a threshold above every affinity


@dataclass(frozen=True, slots=True)
class MergeSettings:
    """When facts become one entry. beta and lambda are the paper's form; their values and the threshold are ours."""

    cosine_weight: float = 0.7
    """beta."""
    decay: float = 0.1
    """lambda, per unit of time."""
    unit_seconds: float = 60.0
    """One unit of time, in seconds of the memory's clock."""
    threshold: float = 0.8
    """Pairs above it are joined. Chosen on validation tasks; above 1 merges nothing."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.cosine_weight <= 1.0:
            raise UserError(f"merge.cosine_weight: expected in [0, 1], got {self.cosine_weight}")
        for name in ("decay", "threshold"):
            if not getattr(self, name) >= 0.0:
                raise UserError(f"merge.{name}: expected at least 0, got {getattr(self, name)}")
        if not self.unit_seconds > 0.0:
            raise UserError(f"merge.unit_seconds: expected above 0, got {self.unit_seconds}")


@dataclass(frozen=True, slots=True)
class UpkeepSettings:
    """What a pass of upkeep does. The numbers are those of the authors' code."""

    max_age_days: float = 90.0
    """Older entries lose importance."""
    aging: float = 0.9
    """Factor on their importance."""
    same_cosine: float = 0.95
    """From this cosine on an entry supersedes the less important one."""
    least_importance: float = 0.05
    """Entries below it are hidden."""
    max_entries: int = 1_000
    """Looked at in one pass, oldest first."""

    def __post_init__(self) -> None:
        for name in ("aging", "same_cosine", "least_importance"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UserError(f"upkeep.{name}: expected in [0, 1], got {getattr(self, name)}")
        if not self.max_age_days >= 0.0:
            raise UserError(f"upkeep.max_age_days: expected at least 0, got {self.max_age_days}")
        if self.max_entries < 1:
            raise UserError(f"upkeep.max_entries: expected at least 1, got {self.max_entries}")


class MergeCycle(ValueError):
    """An entry would be among its own parents."""


def affinity(
    cosine: np.ndarray | float, gap: np.ndarray | float, *, cosine_weight: float = 0.7, decay: float = 0.1
) -> np.ndarray:
    """omega = beta cos + (1 - beta) exp(-lambda |gap|). beta .7, cosine .9, lambda .1, gap 5 give .8120."""
    return np.asarray(cosine_weight * cosine + (1.0 - cosine_weight) * np.exp(-decay * np.abs(gap)))


def components(omega_nn: np.ndarray, threshold: float) -> list[tuple[int, ...]]:
    """Groups of indices joined by pairs above the threshold, in order of their first member."""
    size = len(omega_nn)
    root = list(range(size))

    def find(node: int) -> int:
        while root[node] != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    for i, j in np.argwhere(np.triu(omega_nn > threshold, 1)):
        first, second = sorted((find(int(i)), find(int(j))))
        root[second] = first
    groups: dict[int, list[int]] = {}
    for node in range(size):
        groups.setdefault(find(node), []).append(node)
    return [tuple(group) for group in groups.values()]


def groups_of(leaves: Sequence[Fact], vector_nd: np.ndarray, settings: MergeSettings) -> list[tuple[int, ...]]:
    """Which leaves belong together, as indices. `vector_nd`: f32[n, D] of unit rows, one a leaf."""
    if settings.threshold > 1.0 or len(leaves) < 2:
        return [(index,) for index in range(len(leaves))]
    unit_n = np.array([leaf.seconds for leaf in leaves]) / settings.unit_seconds
    omega_nn = affinity(
        vector_nd @ vector_nd.T,
        unit_n[:, None] - unit_n[None, :],
        cosine_weight=settings.cosine_weight,
        decay=settings.decay,
    )
    return components(omega_nn, settings.threshold)


def merged(members: Sequence[Fact], fact: int) -> Fact:
    """Entries as one, number `fact`: every line of theirs once, lines under one heading together; they are its parents.

    Times: the newest; importance: the largest. The writer is the last one, whose fact joined them.
    """
    if any(member.fact == fact or fact in member.parents for member in members):
        raise MergeCycle(f"merge: entry {fact} would be among its own parents")
    ordered = sorted(members, key=lambda member: member.fact)
    last = max(ordered, key=lambda member: (member.seconds, member.fact))
    drafts = [member.draft for member in ordered]
    draft = FactDraft(
        text=joined_lines([one.text for one in drafts]),
        keywords=_union(one.keywords for one in drafts),
        persons=_union(one.persons for one in drafts),
        entities=_union(one.entities for one in drafts),
        time=max(one.time for one in drafts),
        place=last.draft.place,
        topic=last.draft.topic,
        importance=max(one.importance for one in drafts),
    )
    leaves = tuple(sorted({leaf for member in ordered for leaf in member.leaves}))
    parents = tuple(member.fact for member in ordered)
    return Fact(fact, draft, last.seconds, last.source, last.team, last.step, parents, leaves)


def joined_lines(texts: Sequence[str]) -> str:
    """Texts as one. A line that ends in a colon is a heading; what stands under equal headings is put together.

    No line is lost, none stands twice under a heading.
    """
    under: dict[str, dict[str, None]] = {}
    for text in texts:
        heading = ""
        for line in text.split("\n"):
            if line.endswith(":"):
                heading = line
                under.setdefault(heading, {})
            else:
                under.setdefault(heading, {})[line] = None
    return "\n".join("\n".join((*([heading] if heading else ()), *lines)) for heading, lines in under.items())


def check_lineage(entries: Mapping[int, Fact]) -> None:
    """See that every parent is there and no entry descends from itself.

    Raises:
        MergeCycle: one line that names the entries of the cycle.
        ValueError: a parent that is not there.
    """
    done: set[int] = set()
    for start in entries:
        path: list[int] = []  # from `start` down; what is on it has not been left
        waiting = [start]
        while waiting:
            entry = waiting[-1]
            if entry in done or (path and path[-1] == entry):
                waiting.pop()
                if path and path[-1] == entry:
                    done.add(path.pop())
                continue
            if entry in path:
                told = " -> ".join(map(str, (*path[path.index(entry) :], entry)))
                raise MergeCycle(f"merge: expected no entry among its own parents, got {told}")
            if entry not in entries:
                raise ValueError(f"merge: expected entry {entry} among the entries, as {path[-1]} has it as a parent")
            path.append(entry)
            waiting += entries[entry].parents


def upkeep(
    entries: Sequence[Fact],
    vector_nd: np.ndarray,
    seconds: float,
    settings: UpkeepSettings,
    hidden: Set[int] = frozenset(),
) -> tuple[list[Fact], frozenset[int]]:
    """One pass: aged importance, and the ids that are hidden now. Nothing is deleted, and what is hidden stays so.

    Of two entries of cosine >= `same_cosine` the less important is superseded; of equal ones that of the older time,
    then the earlier stored. `vector_nd`: f32[n, D], one a row of `entries`. Entries beyond `max_entries`, counted from
    the oldest that is not hidden, are left alone.
    """
    gone = set(hidden)
    looked_at = [index for index, entry in enumerate(entries) if entry.fact not in gone][: settings.max_entries]
    kept = list(entries)
    for index in looked_at:
        if seconds - kept[index].seconds > settings.max_age_days * DAY_SECONDS:
            draft = kept[index].draft
            kept[index] = replace(kept[index], draft=replace(draft, importance=draft.importance * settings.aging))
    rank = {index: (kept[index].draft.importance, kept[index].draft.time, kept[index].fact) for index in looked_at}
    chosen_nd = vector_nd[looked_at]
    same_nn = np.triu(chosen_nd @ chosen_nd.T >= settings.same_cosine, 1)
    pairs = [(looked_at[int(i)], looked_at[int(j)]) for i, j in np.argwhere(same_nn)]
    for first, second in sorted(pairs, key=lambda pair: max(rank[pair[0]], rank[pair[1]]), reverse=True):
        if kept[first].fact not in gone and kept[second].fact not in gone:
            gone.add(kept[min(first, second, key=lambda index: rank[index])].fact)
    gone |= {kept[index].fact for index in looked_at if kept[index].draft.importance < settings.least_importance}
    return kept, frozenset(gone)


def _union(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for each in lists for item in each))
