"""Memory that outlives a task: entries that earlier tasks left, with which the bank of a later one begins.

The paper's bank dies with its task (arXiv 2602.05965); a pool that outlives tasks is Memory Sharing's idea (arXiv
2404.09982). An entry keeps its origin, what its writer had read, and its trust, so that guards and revocations reach
it in every later task. No team of the later rollout wrote it: all of them may be shown it, and its use pays nobody.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lts_jax.errors import UserError
from lts_jax.memory.bank import KeyRefused
from lts_jax.memory.remote_bank import Bank
from lts_jax.memory.trust import Provenance, falls, label
from lts_jax.records import EARLIER, MemoryEntry, Origin, Rollout, Step, Task, Trust


@dataclass(frozen=True, slots=True)
class EarlierEntry:
    """What an earlier task left: key and value, and where they came from. `seen` as in `MemoryEntry`."""

    key: str
    value: str
    origin: Origin = Origin.UNKNOWN
    source: str = ""
    trust: Trust = Trust.UNTRUSTED
    seen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.key.strip():
            raise UserError("earlier entry: expected a key, got a blank one")


EarlierEntries = Callable[[Task], Sequence[EarlierEntry]]
"""What a task's bank begins with, in order; the task is given without its answer. The same for the same task, always:
replays of a rollout begin with it again."""


def left_by(rollout: Rollout) -> tuple[EarlierEntry, ...]:
    """What a finished rollout leaves for later tasks: its teams' living entries, in order of admission.

    Parents stay behind; where they came from does not. What has ended, what came from a revoked origin, and what the
    rollout itself began with are left out.
    """
    ended = {edit.entry for edit in rollout.edits}
    revoked = [int(name) if name.isdecimal() else name for name in rollout.revoked]  # an entry, or an origin
    fallen: set[int] = set()
    origins: dict[int, tuple[str, ...]] = {}  # of an entry and of all it was derived from
    found = []
    for entry in rollout.entries:
        if falls(entry, revoked, fallen):
            fallen.add(entry.entry)
        inherited = (one for parent in entry.parents for one in origins[parent])
        seen = tuple(dict.fromkeys((*entry.seen, *inherited)))
        origins[entry.entry] = (label(entry.origin, entry.source), *seen)
        if entry.team != EARLIER and entry.entry not in ended and entry.entry not in fallen:
            found.append(EarlierEntry(entry.key, entry.value, entry.origin, entry.source, entry.trust, seen))
    return tuple(found)


def begin_with(
    bank: Bank, earlier: Sequence[EarlierEntry], redact: Callable[[str], str] = str
) -> tuple[MemoryEntry, ...]:
    """Put what earlier tasks left into an empty bank; a key that the guards refuse is left out.

    Args:
        bank: of the new task.
        earlier: in the order in which they are to stand.
        redact: takes secrets out of keys and values.
    """
    stored = []
    for one in earlier:
        step = Step(EARLIER, EARLIER, "", "", "", redact(one.value), redact(one.key))
        try:
            stored.append(bank.add(step, 0.0, Provenance(one.origin, one.source, one.seen), trust=one.trust))
        except KeyRefused:
            continue
    return tuple(stored)
