"""Frozen dataclasses to plain JSON-like values and back, by their type annotations. Unknown fields are errors."""

import typing
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

from lts_jax.errors import UserError, describe, show


def to_plain(value: Any) -> Any:
    """Dataclasses as dicts, tuples as lists, enums and paths as text; all else must be a JSON scalar."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value):
        kind: Any = type(value)
        return {name: to_plain(getattr(value, name)) for name in _field_names(kind)}
    raise TypeError(f"{type(value).__name__} has no plain form")


_SCALARS = frozenset({str, int, float, bool, NoneType})


@lru_cache(maxsize=1024)
def _field_names(record: Any) -> tuple[str, ...]:
    return tuple(item.name for item in fields(record))


def from_plain(annotation: Any, value: Any, where: str = "") -> Any:
    """The value of type `annotation` that `to_plain` turned into `value`.

    Raises:
        UserError: an unknown or missing field, or a value of another type, naming the place.
    """
    read = _reader(annotation)
    try:
        return read(value, None)
    except UserError:  # once more, now telling where: places are not put together while nothing is wrong
        return read(value, where)


_Read = Callable[[Any, str | None], Any]


@lru_cache(maxsize=1024)
def _reader(annotation: Any) -> _Read:
    """What reads plain values of a type: `(value, where)`, the place None where nobody will ask for it."""
    if typing.get_origin(annotation) in {UnionType, typing.Union}:
        read = _reader(without_none(annotation))
        if NoneType in typing.get_args(annotation):
            return lambda value, where: None if value is None else read(value, where)
        return read
    if typing.get_origin(annotation) is tuple:
        return _tuple_reader(_reader(typing.get_args(annotation)[0]))
    if typing.get_origin(annotation) is typing.Literal:
        return _literal_reader(typing.get_args(annotation))
    if is_dataclass(annotation):
        return _record_reader(annotation)
    return _scalar_reader(annotation)


def _tuple_reader(inner: _Read) -> _Read:
    def read(value: Any, where: str | None) -> Any:
        if not isinstance(value, (list, tuple)):
            raise UserError(f"{where}: expected a list, got {show(value)}")
        return tuple([inner(item, where) for item in value])

    return read


def _literal_reader(choices: tuple[Any, ...]) -> _Read:
    def read(value: Any, where: str | None) -> Any:
        if not any(value == choice and type(value) is type(choice) for choice in choices):
            raise UserError(f"{where}: expected one of {choices}, got {show(value)}")
        return value

    return read


def _scalar_reader(kind: Any) -> _Read:
    is_plain = kind in {str, int, float, bool}

    def read(value: Any, where: str | None) -> Any:
        if is_plain and type(value) is kind:
            return value
        if is_plain and not _is(value, kind) and not (kind is float and _is(value, int)):
            raise UserError(f"{where}: expected {kind.__name__}, got {show(value)}")
        return _made(kind, value, where)

    return read


def _record_reader(record: Any) -> _Read:
    readers = {name: _reader(annotation) for name, annotation in field_types(record).items()}
    required = frozenset(f.name for f in fields(record) if f.default is MISSING and f.default_factory is MISSING)

    def read(value: Any, where: str | None) -> Any:
        if not isinstance(value, dict):
            raise UserError(f"{where or record.__name__}: expected an object, got {show(value)}")
        unknown, missing = value.keys() - readers.keys(), required - value.keys()
        if unknown or missing:
            problem = f"unknown field {min(unknown)!r}" if unknown else f"missing field {min(missing)!r}"
            raise UserError(f"{where or record.__name__}: {problem}")
        if where is None:
            made = {name: readers[name](item, None) for name, item in value.items()}
        else:
            prefix = f"{where}." if where else ""
            made = {name: readers[name](item, prefix + name) for name, item in value.items()}
        try:
            return record(**made)
        except UserError:
            raise
        except (TypeError, ValueError, OverflowError, AttributeError) as error:  # of the record's own checks
            raise UserError(f"{where or record.__name__}: {' '.join(str(error).split())}") from None

    return read


def _is(value: Any, annotation: type) -> bool:
    """Whether a plain value is of this type; true and false are no numbers."""
    return isinstance(value, annotation) and (annotation is bool or not isinstance(value, bool))


def _made(kind: Any, value: Any, where: str | None) -> Any:
    """`kind(value)`; what it refuses is the reader's mistake."""
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"{where}: expected {kind.__name__}, got {show(value)} ({describe(error)})") from None


def without_none(annotation: Any) -> Any:
    """The other part of `X | None`."""
    return next(part for part in typing.get_args(annotation) if part is not NoneType)


@lru_cache(maxsize=256)
def field_types(record: Any) -> dict[str, Any]:
    """Resolved annotations of a dataclass, by field name."""
    return typing.get_type_hints(record)
