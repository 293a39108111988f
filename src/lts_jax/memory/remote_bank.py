"""A bank across hosts: one owner holds the log of what was done to it, readers elsewhere keep a bank of their own.

Only the owner gives out sequence numbers: what was done first stands first, for everybody. A reader does to its own
bank what the log says, in that order, so that it holds, record for record, what one bank in one process would hold; a
reader that lags holds a prefix. Reading asks nobody; writing asks the owner, and brings the reader up to date.
Whatever is derived from keys, such as an index, is each reader's own: keys are only ever appended.

Who carries the messages is not known here (`distributed/ray_bank.py` does).
"""

import asyncio
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from threading import Lock, RLock
from typing import Any, Protocol, TypeVar

from lts_jax.errors import UserError
from lts_jax.memory.bank import MemoryBank
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.trust import UNKNOWN, Provenance
from lts_jax.records import Edit, MemoryEntry, Pull, Step, Trust

Result = TypeVar("Result")


class BankLost(UserError):
    """The owner of a bank is gone, or does not answer: nothing is told of the team that needed it."""


DEEDS = ("add", "update", "join", "delete", "revoke", "pull")


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that is done to a bank: a method of `MemoryBank` that changes it, and its arguments."""

    method: str
    arguments: tuple[Any, ...]
    options: tuple[tuple[str, Any], ...] = ()

    def on(self, bank: MemoryBank) -> Any:
        """Do it. Returns and raises what the method does."""
        return getattr(bank, self.method)(*self.arguments, **dict(self.options))


class BankOwner(Protocol):
    """Whoever owns the log, here or elsewhere."""

    def guards(self) -> GuardSettings:
        """The guards of the bank.

        Raises:
            BankLost: the owner is gone.
        """
        ...

    def write(self, deed: Deed, known: int) -> tuple[Deed, ...]:
        """Do it, and return the log from number `known` on, which ends with it.

        Raises:
            ValueError: the bank refuses it, see `MemoryBank`; then it is not in the log.
            BankLost: the owner is gone.
        """
        ...

    def since(self, known: int) -> tuple[Deed, ...]:
        """The log from number `known` on. Raises `BankLost` if the owner is gone."""
        ...


class BankLog:
    """A `BankOwner` in this process. Every method is safe from any thread."""

    def __init__(self, guards: GuardSettings | None = None) -> None:
        """An empty bank, and nothing done to it."""
        self._guards = GuardSettings() if guards is None else guards
        self._bank, self._log, self._lock = MemoryBank(self._guards), list[Deed](), Lock()

    def guards(self) -> GuardSettings:
        """See `BankOwner`."""
        return self._guards

    def write(self, deed: Deed, known: int) -> tuple[Deed, ...]:
        """See `BankOwner`."""
        if deed.method not in DEEDS:
            raise ValueError(f"deed: expected one of {', '.join(DEEDS)}, got {deed.method!r}")
        with self._lock:
            deed.on(self._bank)
            self._log.append(deed)
            return tuple(self._log[known:])

    def since(self, known: int) -> tuple[Deed, ...]:
        """See `BankOwner`."""
        with self._lock:
            return tuple(self._log[known:])


class RemoteBank:
    """A `MemoryBank` whose log lies with an owner. Every method is safe from any thread.

    Reading gives what was known at the last `catch_up` or writing. Writing raises what `MemoryBank` raises, and
    `BankLost` once the owner is gone; what was known until then can still be read, and `lost` says so.
    """

    def __init__(self, owner: BankOwner) -> None:
        """A reader that has caught up. Raises `BankLost` if the owner is gone."""
        self._owner, self._bank, self._lock = owner, MemoryBank(owner.guards()), RLock()
        self._sequence = 0
        self.lost: BankLost | None = None  # once the owner is
        self.catch_up()

    @property
    def sequence(self) -> int:
        """How much of the log this reader knows: the number of the first deed that it does not."""
        return self._sequence

    def catch_up(self) -> int:
        """Learn what others have done; returns how many deeds are new. Raises `BankLost` if the owner is gone."""
        with self._lock:
            before = self._sequence
            self._take(self._ask(self._owner.since, before))
            return self._sequence - before

    def _ask(self, method: Callable[..., tuple[Deed, ...]], *arguments: Any) -> tuple[Deed, ...]:
        try:
            return method(*arguments)
        except BankLost as loss:
            self.lost = loss
            raise

    def _write(self, method: str, *arguments: Any, **options: Any) -> Any:
        with self._lock:
            deed = Deed(method, arguments, tuple(options.items()))
            return self._take(self._ask(self._owner.write, deed, self._sequence))

    def _take(self, deeds: Sequence[Deed]) -> Any:
        """Do what the log says; what the last of it returned."""
        result = None
        for deed in deeds:
            result = deed.on(self._bank)
            self._sequence += 1
        return result

    def add(
        self, step: Step, seconds: float, provenance: Provenance = UNKNOWN, *, trust: Trust = Trust.TRUSTED
    ) -> MemoryEntry:
        """See `MemoryBank.add`."""
        entry: MemoryEntry = self._write("add", step, seconds, provenance, trust=trust)
        return entry

    def update(
        self, entry: int, step: Step, seconds: float, provenance: Provenance = UNKNOWN, *, sequence: int | None = None
    ) -> MemoryEntry:
        """See `MemoryBank.update`."""
        made: MemoryEntry = self._write("update", entry, step, seconds, provenance, sequence=sequence)
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
        """See `MemoryBank.join`."""
        made: MemoryEntry = self._write("join", tuple(entries), step, seconds, provenance, sequence=sequence)
        return made

    def delete(self, entry: int, team: int, step: int, seconds: float, *, sequence: int | None = None) -> Edit:
        """See `MemoryBank.delete`."""
        edit: Edit = self._write("delete", entry, team, step, seconds, sequence=sequence)
        return edit

    def revoke(self, origin: str | int) -> frozenset[int]:
        """See `MemoryBank.revoke`."""
        fallen: frozenset[int] = self._write("revoke", origin)
        return fallen

    def pull(self, reader: int, entry: int, step: int, seconds: float) -> str:
        """See `MemoryBank.pull`. Refused by what the owner knows: also where it was revoked a moment ago."""
        value: str = self._write("pull", reader, entry, step, seconds)
        return value

    def __len__(self) -> int:
        return len(self._bank)

    @property
    def entries(self) -> tuple[MemoryEntry, ...]:
        """See `MemoryBank.entries`."""
        return self._bank.entries

    @property
    def pulls(self) -> tuple[Pull, ...]:
        """See `MemoryBank.pulls`."""
        return self._bank.pulls

    @property
    def keys(self) -> Sequence[str]:
        """See `MemoryBank.keys`."""
        return self._bank.keys

    @property
    def hidden(self) -> frozenset[int]:
        """See `MemoryBank.hidden`."""
        return self._bank.hidden

    @property
    def edits(self) -> tuple[Edit, ...]:
        """See `MemoryBank.edits`."""
        return self._bank.edits

    @property
    def ended(self) -> frozenset[int]:
        """See `MemoryBank.ended`."""
        return self._bank.ended

    @property
    def revoked(self) -> tuple[str | int, ...]:
        """See `MemoryBank.revoked`."""
        return self._bank.revoked

    def is_hidden(self, entry: int) -> bool:
        """See `MemoryBank.is_hidden`."""
        return self._bank.is_hidden(entry)

    def entry(self, entry: int) -> MemoryEntry:
        """See `MemoryBank.entry`."""
        return self._bank.entry(entry)

    def list_entries(
        self, reader: int, *, window: int | None = None, include_own: bool = False, exclude: Set[int] = frozenset()
    ) -> list[MemoryEntry]:
        """See `MemoryBank.list_entries`."""
        return self._bank.list_entries(reader, window=window, include_own=include_own, exclude=exclude)


Bank = MemoryBank | RemoteBank
"""What the teams of a rollout share: here, or with teams elsewhere."""


async def on_bank(bank: Bank, act: Callable[..., Result], *arguments: Any) -> Result:
    """Do something to a bank: at once where it is here, in a thread where another process is waited for."""
    return await asyncio.to_thread(act, *arguments) if isinstance(bank, RemoteBank) else act(*arguments)
