"""The memory bank of one task: append-only key/value entries, and the logs of every pull and every edit.

Text only, as in "Learning to Share" (arXiv 2602.05965): no capacity limit, and the bank dies with the task. Whoever
needs vectors derives them from the keys. Entries carry where they came from; `revoke` hides an origin's entries and all
that was derived from them. Where a memory is edited, as in AgeMem (arXiv 2601.01885), an entry's life ends: it stays in
the log, and is neither listed nor pulled any more. An entry in place of another has that one as a parent, so that
trust, revocation and the credit for its use reach back.
"""

from collections.abc import Iterator, Sequence, Set
from threading import Lock
from typing import Literal, overload

from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.key_schema import admissible_key, template_key
from lts_jax.memory.trust import UNKNOWN, Provenance, falls, revoked_entries, trust_of
from lts_jax.records import Edit, MemoryEntry, Pull, Step, Trust


class KeyView(Sequence[str]):
    """A view of the first `stop` keys of an append-only list, or of all of them as it grows. Taking one is O(1).

    `view[:n]` is again a view; as entries are never changed or removed, it reads the same for ever.
    """

    __slots__ = ("_keys", "_stop")

    def __init__(self, keys: list[str], stop: int | None = None) -> None:
        self._keys = keys
        self._stop = stop

    def __len__(self) -> int:
        return len(self._keys) if self._stop is None else self._stop

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        size = len(self)
        if isinstance(index, slice):
            start, stop, stride = index.indices(size)
            if (start, stride) == (0, 1):
                return KeyView(self._keys, stop)
            return tuple(self._keys[place] for place in range(start, stop, stride))
        place = index + size if index < 0 else index
        if not 0 <= place < size:
            raise IndexError(f"key {index} of a bank of {size} keys")
        return self._keys[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys[: len(self)])

    def __repr__(self) -> str:
        return f"KeyView({list(self)!r})"


class KeyRefused(ValueError):
    """A step's summary breaks the schema of keys, and the guards say that such an entry is not stored."""


class EditRefused(ValueError):
    """There is no such entry, it has ended, or it fell with a revoked origin: nothing is edited."""


class MemoryBank:
    """Entries in order of admission with ids 0, 1, 2, ..., and the usage log. Every method is safe from any thread."""

    __slots__ = (
        "_edits",
        "_ended",
        "_entries",
        "_guards",
        "_hidden",
        "_joint",
        "_keys",
        "_lock",
        "_pulled",
        "_pulls",
        "_revoked",
    )

    def __init__(self, guards: GuardSettings | None = None) -> None:
        """An empty bank. `guards`: which keys it takes, which entries it shows, and which origins are revoked."""
        self._guards = GuardSettings() if guards is None else guards
        self._entries: list[MemoryEntry] = []
        self._keys: list[str] = []
        self._pulls: list[Pull] = []
        self._pulled: dict[int, dict[int, None]] = {}  # by reader: the entries that it pulled, in order
        self._revoked: list[str | int] = list(self._guards.revoked)
        self._hidden: set[int] = set()
        self._edits: list[Edit] = []
        self._ended: frozenset[int] = frozenset()
        self._joint: set[int] = set()  # entries that several teams wrote
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> tuple[MemoryEntry, ...]:
        """All entries, in order of admission."""
        return tuple(self._entries)

    @property
    def pulls(self) -> tuple[Pull, ...]:
        """The usage log, in order."""
        return tuple(self._pulls)

    @property
    def keys(self) -> Sequence[str]:
        """Live view of the keys, in order of admission; `bank.keys[:n]` is a prefix that stays as it is. O(1)."""
        return KeyView(self._keys)

    @property
    def hidden(self) -> frozenset[int]:
        """Ids of the entries that fell with a revoked origin."""
        return frozenset(self._hidden)

    def is_hidden(self, entry: int) -> bool:
        """Whether an entry fell with a revoked origin, or has ended: no team may pull it."""
        return entry in self._hidden or entry in self._ended

    @property
    def edits(self) -> tuple[Edit, ...]:
        """Which entries ended, and what came in their place, in order."""
        return tuple(self._edits)

    @property
    def ended(self) -> frozenset[int]:
        """Ids of the entries that have ended. The set that is handed out stays as it is."""
        return self._ended

    @property
    def revoked(self) -> tuple[str | int, ...]:
        """What was revoked, in order."""
        return tuple(self._revoked)

    def add(
        self, step: Step, seconds: float, provenance: Provenance = UNKNOWN, *, trust: Trust = Trust.TRUSTED
    ) -> MemoryEntry:
        """Store a step as the next entry: its summary, line breaks folded, is the key; its raw output is the value.

        The entry's parents are the entries that its team has pulled so far; its trust is the lowest over its own
        origin, what its team had read, and its parents, and never above `trust`. `seconds` is the time of the admission
        on the rollout's clock.

        Raises:
            KeyRefused: the summary breaks the schema of keys and cannot be, or is not to be, repaired.
            ValueError: the step has no summary.
        """
        key = self._admissible(step)
        with self._lock:
            return self._append(key, step, seconds, provenance, trust=trust)

    def update(
        self, entry: int, step: Step, seconds: float, provenance: Provenance = UNKNOWN, *, sequence: int | None = None
    ) -> MemoryEntry:
        """Put a step in the place of an entry, whose life ends: the new entry, with the old one among its parents.

        Its trust is the lowest of what `add` would give it and that of the old one. `sequence` is that of the decision
        that edits; by default the edit's place among the bank's.

        Raises:
            EditRefused: no living entry has this id.
            KeyRefused, ValueError: as of `add`. The old entry then lives on.
        """
        key = self._admissible(step)
        with self._lock:
            self._check_living(entry)
            made = self._append(key, step, seconds, provenance, replaced=(entry,))
            self._end("update", entry, made.entry, (step.team, step.step), seconds, sequence)
        return made

    def join(
        self,
        entries: Sequence[int],
        step: Step,
        seconds: float,
        provenance: Provenance = UNKNOWN,
        *,
        sequence: int | None = None,
    ) -> MemoryEntry:
        """Put a step in the place of several entries, whose lives end: the new entry, with them among its parents.

        As `update`, for each of them. Where other teams than the step's wrote any of them, all teams may be shown the
        new entry, its last writer too.

        Raises:
            EditRefused: one of them is not living; then none has ended.
            KeyRefused, ValueError: as of `add`.
        """
        key = self._admissible(step)
        with self._lock:
            for entry in entries:
                self._check_living(entry)
            made = self._append(key, step, seconds, provenance, replaced=tuple(entries))
            if any(self._entries[entry].team != step.team or entry in self._joint for entry in entries):
                self._joint.add(made.entry)
            for entry in entries:
                self._end("update", entry, made.entry, (step.team, step.step), seconds, sequence)
        return made

    def delete(self, entry: int, team: int, step: int, seconds: float, *, sequence: int | None = None) -> Edit:
        """End the life of an entry, as team `team` after its step `step`. `sequence` as in `update`.

        Raises:
            EditRefused: no living entry has this id.
        """
        with self._lock:
            self._check_living(entry)
            return self._end("delete", entry, None, (team, step), seconds, sequence)

    def _admissible(self, step: Step) -> str:
        key = admissible_key(step.summary, self._guards)
        if key is None:
            raise KeyRefused(f"step {step.step} of team {step.team}: its summary breaks the schema of keys")
        if not key:
            raise ValueError(f"step {step.step} of team {step.team} has no summary: summarise a step before adding it")
        return key

    def _append(
        self,
        key: str,
        step: Step,
        seconds: float,
        provenance: Provenance,
        replaced: tuple[int, ...] = (),
        trust: Trust = Trust.TRUSTED,
    ) -> MemoryEntry:
        parents = tuple(dict.fromkeys((*self._pulled.get(step.team, ()), *replaced)))
        inherited = (trust, *(self._entries[each].trust for each in parents))
        trust = trust_of(provenance.origin, provenance.seen, inherited)
        if self._guards.template_keys and trust == Trust.UNTRUSTED:
            key = template_key(step.team, step.step, provenance.origin)
        entry = MemoryEntry(
            len(self._entries), key, step.output, step.team, step.step, seconds,
            provenance.origin, provenance.source, trust, parents, provenance.seen,
        )  # fmt: skip
        self._keys.append(key)
        self._entries.append(entry)
        if self._revoked and falls(entry, self._revoked, self._hidden):  # older entries stay as they are
            self._hidden.add(entry.entry)
        return entry

    def _end(
        self,
        kind: Literal["update", "delete"],
        entry: int,
        successor: int | None,
        place: tuple[int, int],
        seconds: float,
        sequence: int | None,
    ) -> Edit:
        edit = Edit(kind, entry, successor, *place, seconds, len(self._edits) if sequence is None else sequence)
        self._edits.append(edit)
        self._ended |= {entry}
        return edit

    def _check_living(self, entry: int) -> None:
        size = len(self._entries)
        if not 0 <= entry < size:
            raise EditRefused(f"no memory entry {entry}: the bank holds {size} entries, numbered from 0")
        if entry in self._ended or entry in self._hidden:
            raise EditRefused(f"memory entry {entry} {'has ended' if entry in self._ended else 'was revoked'}")

    def revoke(self, origin: str | int) -> frozenset[int]:
        """Hide what came from an origin, or one entry by its id, and all that was derived from it, now and later.

        `origin` is a name as `trust.is_named` reads it: a URL, a host, a file, a tool, or a kind such as "web". Hidden
        entries are neither listed nor pulled; the record keeps them. Returns the ids that are hidden now and were not
        before.
        """
        with self._lock:
            self._revoked.append(origin)
            fallen = revoked_entries(self._entries, origin) - self._hidden
            self._hidden |= fallen
            return fallen

    def entry(self, entry: int) -> MemoryEntry:
        """The entry with this id. Raises `ValueError` for an id that was not given out yet."""
        if not 0 <= entry < len(self._entries):
            raise ValueError(f"no memory entry {entry}: the bank holds {len(self._entries)} entries, numbered from 0")
        return self._entries[entry]

    def list_entries(
        self, reader: int, *, window: int | None = None, include_own: bool = False, exclude: Set[int] = frozenset()
    ) -> list[MemoryEntry]:
        """The entries whose keys a team may be shown, in order of admission.

        `window` keeps only the newest that many entries of the whole bank, before anything else is left out, so that
        an old entry does not come back when newer ones were read. `include_own` keeps the entries that `reader` wrote.
        `exclude` are ids to leave out. Entries that have ended or were revoked, and those below the guards'
        `min_trust`, are never listed.
        """
        if window is not None and window < 0:
            raise ValueError(f"window: expected None or at least 0, got {window}")
        entries = self._entries
        start = 0 if window is None else max(0, len(entries) - window)
        left_out = exclude | self._hidden | self._ended if self._hidden or self._ended else exclude
        return [
            e
            for e in entries[start:]
            if (include_own or e.team != reader or e.entry in self._joint)
            and e.entry not in left_out
            and self._guards.shows(e.trust)
        ]

    def pull(self, reader: int, entry: int, step: int, seconds: float) -> str:
        """Give team `reader` the value of an entry before it takes its step number `step`, and log the pull.

        Raises:
            ValueError: no entry has this id, it fell with a revoked origin, or it has ended.
        """
        found = self.entry(entry)
        if entry in self._hidden or entry in self._ended:
            raise ValueError(f"memory entry {entry} {'has ended' if entry in self._ended else 'was revoked'}")
        with self._lock:
            self._pulls.append(Pull(entry, reader, found.team, step, seconds))
            self._pulled.setdefault(reader, {})[entry] = None
        return found.value
