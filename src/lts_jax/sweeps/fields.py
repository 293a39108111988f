"""The fields of a settings record by dotted name: their types, values from text, and records with some replaced."""

import importlib
import json
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, TypeVar

from lts_jax.errors import UserError
from lts_jax.parts import Part, change, kinds_of, settings_of
from lts_jax.plain import field_types, without_none

Value = str | int | float | bool | None
Record = TypeVar("Record")

FLAT = "train"
"""A part of this name is written without it, so that `learning.sparsity_weight` reads the same on both sides."""

PART_FIELDS = {
    "credit": ("lts_jax.credit.schemes", "scheme"),
    "controller": ("lts_jax.models.networks", "network_part"),
    "network": ("lts_jax.models.networks", "network_part"),
    "encoder": ("lts_jax.memory.encoder_parts", "encoder_part"),
}
"""Fields that name a part by a call, and what resolves the text; the part's settings are fields below it."""

PART_TABLES = {"credit": "SCHEMES", "controller": "NETWORKS", "network": "NETWORKS", "encoder": "ENCODERS"}
"""Where the parts of a field stand by name, in the same rooms."""

SEED = "seed"
"""No field of a sweep: seeds are an axis of their own, shared by all points."""


@dataclass(frozen=True, slots=True)
class SweepField:
    """One field that may be swept."""

    name: str  # dotted, without `FLAT`
    path: tuple[str, ...]  # names from the record down
    annotation: Any
    default: Any  # its value in the base record

    @property
    def takes_none(self) -> bool:
        """Whether "none" is a value of it."""
        return typing.get_origin(self.annotation) in {UnionType, typing.Union}

    @property
    def kind(self) -> Any:
        """Its annotation without `| None`."""
        return without_none(self.annotation) if self.takes_none else self.annotation

    @property
    def is_number(self) -> bool:
        """Whether a range of values can be meant."""
        return self.kind in {int, float}


def sweep_fields(base: Any, points: Sequence[Mapping[str, Value]] = ()) -> dict[str, SweepField]:
    """Every field of a record and of the records in it, by dotted name, in order.

    Below a field that names a part stand the part's settings: of the base's, and of every part that `points` name.
    """
    known = {one.name: one for one in _leaves(base, ())}
    named = {(name, value): None for point in points for name, value in point.items()}
    for name, text in named:
        if name in known:
            known |= {one.name: one for one in settings_fields(known[name], text) if one.name not in known}
    return known


def _leaves(record: Any, path: tuple[str, ...]) -> typing.Iterator[SweepField]:
    kind: Any = type(record)
    types = field_types(kind)
    for item in fields(record):
        value, below = getattr(record, item.name), (*path, item.name)
        if is_dataclass(value):
            yield from _leaves(value, below)
        else:
            name = ".".join(below[1:] if below[0] == FLAT else below)
            own = SweepField(name, below, types[item.name], value)
            yield own
            yield from settings_fields(own, value)


def settings_fields(field: SweepField, text: Any) -> typing.Iterator[SweepField]:
    """The settings of the part that a text names, as fields below `field`: `credit.decay_seconds`."""
    part = named_part(field.path, text)
    if part is None:
        return
    for one in settings_of(part.function):
        kinds = kinds_of(one)
        if kinds:
            kind = float if float in kinds else kinds[0]
            annotation = kind | None if NoneType in kinds and kind is not NoneType else kind
            default = part.settings.get(one.name, one.default)
            yield SweepField(f"{field.name}.{one.name}", (*field.path, one.name), annotation, default)


def named_part(path: Sequence[str], text: Any) -> Part | None:
    """The part that a field's text names; None for a field that names none."""
    if not isinstance(text, str) or path[-1] not in PART_FIELDS:
        return None
    room, function = PART_FIELDS[path[-1]]
    resolved: Part = getattr(importlib.import_module(room), function)(text, where=path[-1])
    return resolved


def find_field(
    known: Mapping[str, SweepField], name: str, elsewhere: typing.Callable[[str], str] | None = None
) -> SweepField:
    """The field of a dotted name; hyphens pass for underscores.

    `elsewhere` says why a field that is missing here is missing, or "" where it has nothing to say.

    Raises:
        UserError: unknown (the nearest fields are named), the seed, or of a type that has no text.
    """
    name = name.strip().replace("-", "_").removeprefix(f"{FLAT}.")
    if name == SEED:
        raise UserError("seed: seeds are shared by all points of a sweep; set their number with --seeds")
    if name not in known:
        why = _other_parts(known, name) or (elsewhere(name) if elsewhere is not None else "")
        raise UserError(why or f"{name}: no such field{_nearest(known, name)}")
    found = known[name]
    if found.kind not in {str, int, float, bool} and typing.get_origin(found.kind) is not typing.Literal:
        raise UserError(f"{name}: has no single value, so it cannot be swept")
    return found


def _other_parts(known: Mapping[str, SweepField], name: str) -> str:
    """Which parts have a setting that the chosen one has not; empty where the name is no setting of a part."""
    field, _, setting = name.rpartition(".")
    part = named_part(known[field].path, known[field].default) if field in known else None
    if part is None:
        return ""
    table = getattr(importlib.import_module(PART_FIELDS[known[field].path[-1]][0]), PART_TABLES[known[field].path[-1]])
    others = [other for other, function in table.items() if setting in {one.name for one in settings_of(function)}]
    instead = f"; {', '.join(others)} have: choose one with --set {field}=NAME" if others else ""
    return f"{name}: {part.name} has no setting {setting}{instead}"


def _nearest(known: Mapping[str, SweepField], name: str) -> str:
    last = name.rpartition(".")[2]
    same_end = [one for one in known if one.rpartition(".")[2] == last]
    by_end = {one.rpartition(".")[2]: one for one in known}
    alike = [by_end[end] for end in get_close_matches(last, by_end, n=2)]
    nearest = list(dict.fromkeys([*same_end, *get_close_matches(name, known, n=2), *alike]))[:3]
    return f"; the nearest are {', '.join(nearest)}" if nearest else ""


def value_of(field: SweepField, text: Any) -> Value:
    """The value that a text means for a field; a value from JSON is read as its text would be.

    Raises:
        UserError: another type than the field's, or a number that is not finite.
    """
    text = (text if isinstance(text, str) else json.dumps(text)).strip()
    if field.takes_none and text.lower() in {"none", "null"}:
        return None
    if typing.get_origin(field.kind) is typing.Literal:
        choices = {str(choice): choice for choice in typing.get_args(field.kind)}
        if text not in choices:
            raise UserError(f"{field.name}: expected one of {', '.join(choices)}, got {text!r}")
        return choices[text]
    if field.kind is bool:
        if text.lower() not in {"true", "false"}:
            raise UserError(f"{field.name}: expected true or false, got {text!r}")
        return text.lower() == "true"
    if field.kind is str:
        part = named_part(field.path, text)
        return text if part is None else part.text
    return _number(field, text)


def _number(field: SweepField, text: str) -> int | float:
    expected = "a whole number" if field.kind is int else "a number"
    try:
        number: int | float = field.kind(text)
    except ValueError:
        raise UserError(f"{field.name}: expected {expected}, got {text!r}") from None
    if not math.isfinite(number):
        raise UserError(f"{field.name}: expected a finite number, got {text!r}")
    return number


def replace_fields(
    record: Record,
    known: Mapping[str, SweepField],
    values: Mapping[str, Value],
    check: typing.Callable[[Record], None] | None = None,
) -> Record:
    """The record with these fields replaced, each record in it made once, so that only the result is checked.

    Raises:
        UserError: what the records themselves, or `check`, refuse; the values are named.
    """
    tree: dict[str, Any] = {}
    for name, value in values.items():
        branch = tree
        for part in known[name].path[:-1]:
            if not isinstance(branch.setdefault(part, {}), dict):  # a part that was named before its settings
                branch[part] = {"": branch[part]}
            branch = branch[part]
        last = known[name].path[-1]
        if isinstance(branch.get(last), dict):  # a part, some of whose settings came first
            branch[last][""] = value
        else:
            branch[last] = value
    try:
        made: Record = _rebuilt(record, tree)
        if check is not None:
            check(made)
    except ValueError as error:
        raise UserError(f"{error} (at {describe_values(values)})") from None
    return made


def _rebuilt(record: Any, tree: Mapping[str, Any]) -> Any:
    if not tree:
        return record
    new = {}
    for name, value in tree.items():
        old = getattr(record, name)
        if isinstance(value, dict) and isinstance(old, str):  # a part and its settings
            settings = {key: item for key, item in value.items() if key}
            part = named_part((name,), value.get("", old))
            assert part is not None  # only parts have fields below a text
            new[name] = change(part, where=name, **settings).text
        else:
            new[name] = _rebuilt(old, value) if isinstance(value, dict) else value
    return replace(record, **new)


def describe_values(values: Mapping[str, Value]) -> str:
    """Values in one line: `credit=usage_aware, learning.sparsity_weight=0.1`."""
    return ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )
