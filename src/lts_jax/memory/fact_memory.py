"""A memory of facts: sources are cut into windows, gated, read for facts, and merged. It may outlive a task.

Entries are never removed. What was merged has ended, as an edited entry of a bank has; what upkeep hides stays in the
record. Every living entry can be read, and every fact that was stored is in exactly one entry that has not ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lts_jax import prompts
from lts_jax.llm.chat import Ask
from lts_jax.memory.consolidate import MergeSettings, UpkeepSettings, check_lineage, groups_of, merged, upkeep
from lts_jax.memory.encoders import Encoder
from lts_jax.memory.facts import Fact, FactCounts, accepted, parse_facts
from lts_jax.memory.gate import GateSettings, Window, entities_of, window_score, windows_of
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.reading_policy import ReadableEntry
from lts_jax.memory.text import one_line
from lts_jax.records import Origin, Trust


@dataclass(frozen=True, slots=True)
class FactSettings:
    """How sources become facts and facts become entries."""

    gate: GateSettings = field(default_factory=GateSettings)
    merge: MergeSettings = field(default_factory=MergeSettings)
    upkeep: UpkeepSettings = field(default_factory=UpkeepSettings)
    keeps_output: bool = False
    """In a bank of teams: what states a fact is stored with its raw output, as a control for choosing without
    compressing."""
    keeps_rest: bool = False
    """In a bank of teams: what states no fact is stored as it is; otherwise it is not stored."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a text comes from: whose step it is of, when, and what it is called."""

    seconds: float
    team: int = -1
    step: int = -1
    name: str = ""


class FactMemory:
    """Facts as they were stored, the entries that they became, and counts of what was dropped on the way."""

    def __init__(
        self, encoder: Encoder, settings: FactSettings | None = None, guards: GuardSettings | None = None
    ) -> None:
        self._encoder = encoder
        self._settings = FactSettings() if settings is None else settings
        self._guards = GuardSettings() if guards is None else guards
        self._leaf_ids: list[int] = []  # ids of the facts as first stored
        self._vectors: list[np.ndarray] = []  # of these
        self._known: set[str] = set()
        self._before: np.ndarray | None = None  # the window before, as a vector
        self.entries: list[Fact] = []  # all that ever were, by id
        self.ended: set[int] = set()  # those that were merged into another
        self.hidden: frozenset[int] = frozenset()
        self.counts = FactCounts()
        self.num_windows = 0
        self.num_dropped = 0

    @property
    def living(self) -> list[Fact]:
        """The entries that can be read, in order of storing."""
        return [entry for entry in self.entries if entry.fact not in self.ended and entry.fact not in self.hidden]

    @property
    def leaves(self) -> list[Fact]:
        """The facts as they were first stored."""
        return [self.entries[leaf] for leaf in self._leaf_ids]

    async def read(self, text: str, source: Source, ask: Ask, question: str = "") -> list[Fact]:
        """Store the facts of a text; with a question only those that bear on it. A window whose call fails gives none.

        Returns:
            what was stored, before any merging.
        """
        stored: list[Fact] = []
        for window in windows_of(text, self._settings.gate):
            self.num_windows += 1
            if not self._opens(window):
                self.num_dropped += 1
                continue
            call = await ask("extract", [prompts.extract_request(window.text, question)])
            if call.error:
                self.counts.noted["failed call"] += 1
                continue
            drafts, num_unreadable = parse_facts(call.reply)
            self.counts.refused["unreadable"] += num_unreadable
            for draft in accepted(drafts, window.text, self.counts, self._guards):
                number = len(self.entries)
                fact = Fact(number, draft, source.seconds, source.name, source.team, source.step, (), (number,))
                self.entries.append(fact)
                self._leaf_ids.append(number)
                stored.append(fact)
        if stored:
            self._vectors += list(self._encoder.encode([fact.text for fact in stored]))
        return stored

    def _near(self, text: str) -> float:
        """Cosine to the window before; 0 for the first."""
        vector = self._encoder.encode([text])[0]
        cosine = 0.0 if self._before is None else float(self._before @ vector)
        self._before = vector
        return cosine

    def _opens(self, window: Window) -> bool:
        gate = self._settings.gate
        if gate.threshold <= 0.0:
            return True
        if window_score(window, self._near(window.text), self._known, gate) < gate.threshold:
            return False
        self._known |= entities_of(window)
        return True

    def consolidate(self) -> list[Fact]:
        """Merge what belongs together. A second time changes nothing. Returns the entries that came."""
        if len(self._leaf_ids) < 2:
            return []
        leaves = self.leaves
        entry_of = {leaf: entry for entry in self.entries if entry.fact not in self.ended for leaf in entry.leaves}
        made: list[Fact] = []
        for group in groups_of(leaves, np.stack(self._vectors), self._settings.merge):
            members = {entry_of[leaves[index].fact].fact for index in group}
            if len(members) < 2:
                continue
            entry = merged([self.entries[member] for member in sorted(members)], len(self.entries))
            self.entries.append(entry)
            self.ended |= members
            made.append(entry)
        if made:
            check_lineage({entry.fact: entry for entry in self.entries})
        return made

    def keep_up(self, seconds: float) -> None:
        """One pass of upkeep over the living entries, at a time of the memory's clock."""
        living = self.living
        if not living:
            return
        vector_nd = self._encoder.encode([entry.text for entry in living])
        kept, self.hidden = upkeep(living, vector_nd, seconds, self._settings.upkeep, self.hidden)
        for entry in kept:
            self.entries[entry.fact] = entry


def readable(entries: Sequence[Fact]) -> list[ReadableEntry]:
    """Facts as a reader gets them."""
    return [
        ReadableEntry(
            entry.fact, entry.key, entry.text, count_tokens(entry.text), entry.team, entry.step, entry.seconds,
            Origin.UNKNOWN, Trust.UNTRUSTED, 0,
        )
        for entry in entries
    ]  # fmt: skip


def raw_entry(entry: int, text: str, seconds: float) -> ReadableEntry:
    """A text that is stored as it is; its first line is the key."""
    key = one_line(text.strip().partition("\n")[0])[:160]
    return ReadableEntry(entry, key, text, count_tokens(text), -1, -1, seconds, Origin.UNKNOWN, Trust.UNTRUSTED, 0)


def count_tokens(text: str) -> int:
    """Tokens by length, as the simulated model counts them: 4 characters are one."""
    return len(text) // 4
