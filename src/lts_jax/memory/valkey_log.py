"""The owner of a bank across hosts as a stream of a Valkey server (or Redis); see `memory/remote_bank.py`.

The server puts what is done into one order and judges nothing: everybody reads the same deeds in the same order and
does them to a bank of his own, and one that the bank refuses is refused by all and left out by all. So no process of
ours has to live as long as the bank does. Deeds are JSON, never pickles: a server's data are read as anybody's.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any
from uuid import uuid4

from lts_jax.errors import UserError, describe, show
from lts_jax.memory.bank import MemoryBank
from lts_jax.memory.deeds import deed_of_line, line_of_deed
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.remote_bank import DEEDS, BankLost, Deed
from lts_jax.plain import from_plain, to_plain

PASSWORD = "VALKEY_PASSWORD"  # the variable that holds it, where the server wants one
ANSWER_SECONDS = 20.0  # that the server may take for one exchange, which takes it a millisecond
FIRST = "0-1"  # number of the first line of a stream, the smallest there is
_SCHEMES = ("valkey://", "valkeys://", "redis://", "rediss://", "unix://")


class ValkeyLog:
    """A `BankOwner` that each process makes for itself, by address and name. Every method is safe from any thread."""

    def __init__(
        self,
        address: str,
        name: str,
        guards: GuardSettings | None = None,
        *,
        expire_seconds: float | None = None,
        begun: bytes | None = None,
    ) -> None:
        """Begin the bank of this name, or join it.

        Args:
            address: of the server, as valkey://HOST:PORT or valkey://HOST:PORT/DATABASE.
            name: of the bank; its keys at the server begin with "lts:" and it.
            guards: of the bank; None: those that it was begun with, or else the default ones.
            expire_seconds: after the last writing, when the server forgets the bank; None: never.
            begun: what the server holds of its beginning, where another process has joined it; None: asked for.

        Raises:
            UserError: no such package or server, or the bank was begun with other guards.
        """
        check_address(address)
        self._address, self._name, self._expire_seconds = address, name, expire_seconds
        self._head = f"lts:{name}:head"
        self._connection: Any = None
        self._lock = Lock()
        self._lost = ""
        self._last = FIRST  # the last thing that was read
        self._log: list[Deed] = []
        self._begun = self._begin(guards) if begun is None else begun
        self._stream, self._guards = _read_head(self._begun, name)
        if begun is None:
            self._ask(self._begin_stream)
        if guards is not None and guards != self._guards:
            raise UserError(f"bank {name}: expected the guards that it was begun with, got others")
        self._bank = MemoryBank(self._guards)

    def __reduce__(self) -> Any:
        return _joined, (self._address, self._name, self._expire_seconds, self._begun)

    def guards(self) -> GuardSettings:
        """See `BankOwner`."""
        return self._guards

    def write(self, deed: Deed, known: int) -> tuple[Deed, ...]:
        """See `BankOwner`."""
        if deed.method not in DEEDS:
            raise ValueError(f"deed: expected one of {', '.join(DEEDS)}, got {deed.method!r}")
        token = uuid4().hex.encode()
        with self._lock:
            refusals = self._read({b"deed": line_of_deed(deed), b"token": token})
            if (refusal := refusals[token]) is not None:
                raise refusal
            return tuple(self._log[known:])

    def since(self, known: int) -> tuple[Deed, ...]:
        """See `BankOwner`."""
        with self._lock:
            self._read()
            return tuple(self._log[known:])

    def delete(self) -> None:
        """Let the server forget the bank; whoever still has it is told that it is gone."""
        with self._lock:
            self._ask(lambda client: client.delete(self._head, self._stream))

    def _begin(self, guards: GuardSettings | None) -> bytes:
        """What the server holds of the bank's beginning; it is begun with these guards if it was not."""
        head = json.dumps({"id": uuid4().hex, "guards": to_plain(GuardSettings() if guards is None else guards)})

        def exchange(client: Any) -> bytes:
            client.set(self._head, head, nx=True, px=self._milliseconds)
            found: bytes = client.get(self._head)
            return found

        begun: bytes = self._ask(exchange)
        return begun

    def _begin_stream(self, client: Any) -> None:
        """Let the stream have a first line, by which everybody knows that he reads it from its beginning."""
        from valkey.exceptions import ResponseError

        with suppress(ResponseError):  # somebody was first
            client.xadd(self._stream, {"begun": self._begun}, id=FIRST)
            if self._milliseconds is not None:
                client.pexpire(self._stream, self._milliseconds)

    @property
    def _milliseconds(self) -> int | None:
        return None if self._expire_seconds is None else max(1, int(1000 * self._expire_seconds))

    def _read(self, new: dict[bytes, bytes] | None = None) -> dict[bytes, ValueError | None]:
        """Write something, read what is new, and do it; by token, how the bank refused each deed, None where not."""

        def exchange(client: Any) -> tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]:
            pipe = client.pipeline(transaction=True)
            if new is not None:
                pipe.xadd(self._stream, new)
            pipe.get(self._head)
            pipe.xrange(self._stream, self._last, "+")
            if new is not None and self._milliseconds is not None:
                pipe.pexpire(self._head, self._milliseconds)
                pipe.pexpire(self._stream, self._milliseconds)
            answers = pipe.execute()
            begun, found = answers[new is not None : 2 + (new is not None)]
            return begun, found

        begun, found = self._ask(exchange)
        if begun != self._begun or not found or found[0][0].decode() != self._last:  # a part of it is as bad as all
            self._lost = f"bank {self._name}: the server at {self._address} has forgotten it; what is known can be read"
            raise BankLost(self._lost)
        refusals: dict[bytes, ValueError | None] = {}
        for number, fields in found[1:]:
            self._last = number.decode()
            deed = self._deed_of(fields)
            try:
                deed.on(self._bank)
            except ValueError as refusal:
                refusals[fields[b"token"]] = refusal
                continue
            refusals[fields[b"token"]] = None
            self._log.append(deed)
        return refusals

    def _deed_of(self, fields: dict[bytes, bytes]) -> Deed:
        """What a line of the stream says. One that says nothing of ours is the end of the bank: who wrote it?"""
        try:
            if fields.keys() != {b"deed", b"token"}:
                raise UserError(f"bank {self._name}: expected deeds in its stream, got {show(sorted(fields))}")
            return deed_of_line(fields[b"deed"])
        except UserError as error:
            self._lost = str(error)
            raise BankLost(self._lost) from None

    def _ask(self, act: Callable[[Any], Any]) -> Any:
        """What the server answers. Once it has failed nothing more is asked: it may have done it, or not."""
        if self._lost:
            raise BankLost(self._lost)
        if self._connection is None:
            self._connection = _client(self._address)
        try:
            return act(self._connection)
        except Exception as error:  # the client's kinds; whatever it is, the bank is of no more use
            self._lost = f"bank {self._name}: no answer from {self._address} ({describe(error)})"
            raise BankLost(self._lost) from None


def _read_head(begun: bytes, name: str) -> tuple[str, GuardSettings]:
    """The key of the stream, which is this beginning's alone, and the guards."""
    try:
        head = json.loads(begun)
        return f"lts:{name}:{head['id']}:log", from_plain(GuardSettings, head["guards"], "guards")
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"bank {name}: expected its head at the server, got {show(begun)} ({error})") from None


def _joined(address: str, name: str, expire_seconds: float | None, begun: bytes) -> ValkeyLog:
    return ValkeyLog(address, name, expire_seconds=expire_seconds, begun=begun)


def check_address(address: str) -> None:
    """Raise `UserError` where it is no server's address, or may have a password in it, which records would keep."""
    if any(mark in address for mark in "@?#"):
        raise UserError(f"bank_log: expected no user, password or option in the address; {PASSWORD} takes a password")
    if not address.startswith(_SCHEMES) or not address.partition("://")[2]:
        raise UserError(f"bank_log: expected valkey://HOST:PORT, got {address!r}")


def _client(address: str) -> Any:
    try:
        from valkey import Valkey
        from valkey.backoff import NoBackoff
        from valkey.retry import Retry
    except ImportError:
        raise UserError("bank_log: expected the package valkey; install lts-jax[valkey]") from None
    try:
        return Valkey.from_url(
            address,
            password=os.environ.get(PASSWORD) or None,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),  # a writing that is tried again might count twice
        )
    except (ValueError, TypeError) as error:
        raise UserError(f"bank_log: expected valkey://HOST:PORT, got {address!r} ({error})") from None
