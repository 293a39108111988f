"""What is done to a bank as a line of JSON, for logs that other programs hold; and back, checked field by field."""

import inspect
import json
from typing import Any

from lts_jax.errors import UserError, show
from lts_jax.memory.bank import MemoryBank
from lts_jax.memory.remote_bank import DEEDS, Deed
from lts_jax.memory.trust import Provenance
from lts_jax.plain import from_plain, to_plain
from lts_jax.records import Step, Trust

_TYPES: dict[str, Any] = {
    "step": Step,
    "seconds": float,
    "provenance": Provenance,
    "trust": Trust,
    "entry": int,
    "entries": tuple[int, ...],
    "team": int,
    "reader": int,
    "sequence": int | None,
}
_SIGNATURES = {method: inspect.signature(getattr(MemoryBank, method)) for method in DEEDS}


def line_of_deed(deed: Deed) -> bytes:
    """A deed as JSON: its method and its arguments by name."""
    bound = _SIGNATURES[deed.method].bind(None, *deed.arguments, **dict(deed.options))
    given = {name: to_plain(value) for name, value in list(bound.arguments.items())[1:]}
    return json.dumps({"method": deed.method, "given": given}, separators=(",", ":")).encode()


def deed_of_line(line: bytes) -> Deed:
    """The deed that was written so; its arguments come as options.

    Raises:
        UserError: it is no such line.
    """
    try:
        said = json.loads(line)
        method, given = said["method"], said["given"]
        signature = _SIGNATURES[method]
        options = tuple((name, _argument(method, name, value)) for name, value in given.items())
        signature.bind(None, **dict(options))
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"bank: expected something that is done to it, got {show(line)} ({error})") from None
    return Deed(method, (), options)


def _argument(method: str, name: str, value: Any) -> Any:
    if name == "origin":  # a name, or the number of an entry
        return from_plain(int if isinstance(value, int) else str, value, name)
    if name == "step" and method in ("delete", "pull"):
        return from_plain(int, value, name)
    return from_plain(_TYPES[name], value, name)
