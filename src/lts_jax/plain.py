"""Frozen dataclasses to plain JSON-like values and back, by their type annotations. Unknown fields are errors."""

import typing
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
    if typing.get_origin(annotation) in {UnionType, typing.Union}:
        if value is None and NoneType in typing.get_args(annotation):
            return None
        annotation = without_none(annotation)
    if typing.get_origin(annotation) is tuple:
        if not isinstance(value, (list, tuple)):
            raise UserError(f"{where}: expected a list, got {show(value)}")
        inner = typing.get_args(annotation)[0]
        return tuple(from_plain(inner, item, where) for item in value)
    if typing.get_origin(annotation) is typing.Literal:
        if not any(value == choice and type(value) is type(choice) for choice in typing.get_args(annotation)):
            raise UserError(f"{where}: expected one of {typing.get_args(annotation)}, got {show(value)}")
        return value
    if is_dataclass(annotation):
        return _from_fields(annotation, value, where)
    if annotation is float and _is(value, int):
        return _made(float, value, where)
    if annotation in {str, int, float, bool} and not _is(value, annotation):
        raise UserError(f"{where}: expected {annotation.__name__}, got {show(value)}")
    return _made(annotation, value, where)


def _is(value: Any, annotation: type) -> bool:
    """Whether a plain value is of this type; true and false are no numbers."""
    return isinstance(value, annotation) and (annotation is bool or not isinstance(value, bool))


def _made(kind: Any, value: Any, where: str) -> Any:
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


def _from_fields(record: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise UserError(f"{where or record.__name__}: expected an object, got {show(value)}")
    types = field_types(record)
    unknown = set(value) - set(types)
    required = {f.name for f in fields(record) if f.default is MISSING and f.default_factory is MISSING}
    missing = required - set(value)
    if unknown or missing:
        problem = f"unknown field {min(unknown)!r}" if unknown else f"missing field {min(missing)!r}"
        raise UserError(f"{where or record.__name__}: {problem}")
    prefix = f"{where}." if where else ""
    made = {name: from_plain(types[name], item, prefix + name) for name, item in value.items()}
    try:
        return record(**made)
    except UserError:
        raise
    except (TypeError, ValueError, OverflowError, AttributeError) as error:  # of the record's own checks
        raise UserError(f"{where or record.__name__}: {' '.join(str(error).split())}") from None
