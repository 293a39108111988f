"""A rollout as the store writes it, before it is written: a row of its table, as bytes that travel and can be kept.

Making a row takes most of the work of storing a rollout: secrets are taken out of every text, and records become
columns. So it is made once, where the rollout was run; whoever writes a group joins its rows.
"""

import os
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from hashlib import blake2b
from types import UnionType
from typing import TYPE_CHECKING, Any

from lts_jax.errors import UserError, describe
from lts_jax.plain import field_types, from_plain, to_plain, without_none
from lts_jax.records import SCHEMA_VERSION, Rollout
from lts_jax.redact import environment_secrets, holds_secret, redact_record

if TYPE_CHECKING:
    import pyarrow

_VERSION_FIELD = b"lts_jax_schema"
_DIGEST_BYTES = 16


def row_of(rollout: Rollout) -> bytes:
    """The row of a rollout, without what this process knows to be secret: an Arrow stream, then its digest."""
    return _row_of_plain(to_plain(redact_record(rollout, environment_secrets(os.environ))))


def redacted_here(row: bytes) -> bytes:
    """A row that another process made, also without what this one knows to be secret. Mostly the same object."""
    secrets = environment_secrets(os.environ)
    if not holds_secret(row, secrets):
        return row
    return _row_of_plain(redact_record(_read(row).to_pylist()[0], secrets))


def rollout_of(row: bytes, where: str) -> Rollout:
    """The rollout of a row.

    Raises:
        UserError: it is not what was made, or of another schema version; the message begins with `where`.
    """
    if len(row) < _DIGEST_BYTES or _digest(row[:-_DIGEST_BYTES]) != row[-_DIGEST_BYTES:]:
        raise UserError(f"{where}: is not what was written")
    return rollouts_of(_read(row), where)[0]


def table_of(rows: Sequence[bytes]) -> "pyarrow.Table":
    """The table of so many rows; the same rows give the same table."""
    import pyarrow

    return pyarrow.concat_tables([_schema().empty_table(), *map(_read, rows)]).combine_chunks()


def rollouts_of(table: "pyarrow.Table", where: str) -> tuple[Rollout, ...]:
    """The rollouts of a table.

    Columns and fields that an older program did not have get their defaults (docs/data_schema_policy.md).

    Raises:
        UserError: it holds none of this program, is of another schema version, or has columns that a newer program
            added; the message begins with `where`.
    """
    version = (table.schema.metadata or {}).get(_VERSION_FIELD, b"none").decode(errors="replace")
    if version != str(SCHEMA_VERSION):
        newer = "; a newer one wrote it" if version.isdecimal() and int(version) > SCHEMA_VERSION else ""
        raise UserError(f"{where}: schema version {version}, this program reads {SCHEMA_VERSION}{newer}")
    added = [name for name in _types_of(table.schema) if name not in column_types()]
    if added:
        raise UserError(f"{where}: a newer program wrote it, this one does not know the column {added[0]}")
    try:
        return tuple(from_plain(Rollout, row) for row in table.to_pylist())
    except ValueError as error:  # also of texts that are not UTF-8
        raise UserError(f"{where}: holds no rollouts of this program ({describe(error)})") from None


@cache
def column_types() -> Mapping[str, str]:
    """The type of every column that is written, and of every field within one, by its dotted name, in order."""
    return _types_of(_schema())


def _types_of(schema: "pyarrow.Schema") -> dict[str, str]:
    found: dict[str, str] = {}
    for column in schema:
        _add_types(column.name, column.type, found)
    return found


def _add_types(name: str, kind: Any, found: dict[str, str]) -> None:
    import pyarrow

    is_list = pyarrow.types.is_list(kind)
    inner = kind.value_type if is_list else kind
    is_struct = pyarrow.types.is_struct(inner)
    found[name] = f"{'list of ' if is_list else ''}{'struct' if is_struct else inner}"
    for part in inner if is_struct else ():
        _add_types(f"{name}.{part.name}", part.type, found)


def _row_of_plain(plain: Any) -> bytes:
    import pyarrow

    table = pyarrow.Table.from_pylist([plain], schema=_schema())
    made = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(made, table.schema) as stream:
        stream.write_table(table)
    content: bytes = made.getvalue().to_pybytes()
    return content + _digest(content)


def _read(row: bytes) -> "pyarrow.Table":
    import pyarrow

    return pyarrow.ipc.open_stream(memoryview(row)[:-_DIGEST_BYTES]).read_all()


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()


@cache
def _schema() -> "pyarrow.Schema":
    import pyarrow

    columns = field_types(Rollout)
    return pyarrow.schema(
        [pyarrow.field(item.name, _arrow_type(columns[item.name])) for item in fields(Rollout)],
        metadata={_VERSION_FIELD: str(SCHEMA_VERSION).encode()},
    )


_SCALARS = {str: "string", int: "int64", float: "float64", bool: "bool_"}


def _arrow_type(annotation: Any) -> Any:
    import pyarrow

    if annotation in _SCALARS:
        return getattr(pyarrow, _SCALARS[annotation])()
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return pyarrow.string()
    if typing.get_origin(annotation) is typing.Literal:  # of words
        return pyarrow.string()
    if typing.get_origin(annotation) is tuple:
        return pyarrow.list_(_arrow_type(typing.get_args(annotation)[0]))
    if typing.get_origin(annotation) is UnionType:
        return _arrow_type(without_none(annotation))
    if is_dataclass(annotation):
        hints = field_types(annotation)  # type: ignore[arg-type]
        return pyarrow.struct([(item.name, _arrow_type(hints[item.name])) for item in fields(annotation)])
    raise TypeError(f"no column type for {annotation}")
