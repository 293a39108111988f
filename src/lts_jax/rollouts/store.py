"""Rollouts on disk: one atomic Parquet file per group, one row per rollout, columns named as the fields of `Rollout`.

The files read without this code: `datasets.load_dataset("parquet", data_files="RUN/rollouts/*.parquet")`. The Arrow
schema is derived from the records, so a new field cannot be forgotten; its version stands in the file's metadata.
Secrets are taken out of every text before it is written.
"""

import os
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any

from lts_jax.errors import UserError, describe
from lts_jax.plain import field_types, from_plain, to_plain, without_none
from lts_jax.records import SCHEMA_VERSION, Rollout, RolloutGroup
from lts_jax.redact import environment_secrets, redact_record
from lts_jax.storage import read_parquet, write_parquet

_VERSION_FIELD = b"lts_jax_schema"


def group_path(folder: Path, iteration: int, task_id: str) -> Path:
    """Where the group of `task_id` in `iteration` lies below a run's `rollouts` folder."""
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in task_id)
    return Path(folder) / f"{iteration:04d}-{safe}.parquet"


def write_group(folder: Path, group: RolloutGroup) -> Path:
    """Write one group atomically; returns its path."""
    path = group_path(folder, group.iteration, group.task.task_id)
    write_rollouts(path, group.rollouts)
    return path


def write_rollouts(path: Path, rollouts: typing.Sequence[Rollout]) -> None:
    """Write rollouts to one Parquet file, atomically and durably."""
    import pyarrow

    columns = field_types(Rollout)
    schema = pyarrow.schema(
        [pyarrow.field(item.name, _arrow_type(columns[item.name])) for item in fields(Rollout)],
        metadata={_VERSION_FIELD: str(SCHEMA_VERSION).encode()},
    )
    secrets = environment_secrets(os.environ)
    rows = [to_plain(redact_record(rollout, secrets)) for rollout in rollouts]
    write_parquet(path, pyarrow.Table.from_pylist(rows, schema=schema))


def write_table(path: Path, rows: typing.Sequence[dict[str, Any]]) -> None:
    """Write rows of plain values to one Parquet file, atomically and durably."""
    import pyarrow

    write_parquet(path, pyarrow.Table.from_pylist(list(rows)))


def read_rollouts(path: Path) -> tuple[Rollout, ...]:
    """Read a file that `write_rollouts` wrote.

    Raises:
        UserError: no such file, not a Parquet file, not what was written, or one of another schema version.
    """
    table = read_parquet(path)
    version = (table.schema.metadata or {}).get(_VERSION_FIELD, b"none").decode(errors="replace")
    if version != str(SCHEMA_VERSION):
        raise UserError(f"{path}: schema version {version}, this program reads {SCHEMA_VERSION}")
    try:
        return tuple(from_plain(Rollout, row) for row in table.to_pylist())
    except ValueError as error:  # also of texts that are not UTF-8
        raise UserError(f"{path}: holds no rollouts of this program ({describe(error)})") from None


def read_group(path: Path) -> RolloutGroup:
    """Read one group."""
    rollouts = read_rollouts(path)
    if not rollouts:
        raise UserError(f"{path}: holds no rollout")
    first = rollouts[0]
    return RolloutGroup(first.task, first.coordinates.iteration, rollouts)


def rollout_files(folder: Path) -> list[Path]:
    """Every file of rollouts at any depth below a folder: of a run folder, what lies in `rollouts` and `evaluation`."""
    rooms = [Path(folder) / name for name in ("rollouts", "evaluation") if (Path(folder) / name).is_dir()]
    return sorted(path for room in rooms or [Path(folder)] for path in room.rglob("*.parquet"))


def read_folder(folder: Path) -> Iterator[RolloutGroup]:
    """Read every group below a folder, in order of file name."""
    for path in sorted(Path(folder).glob("*.parquet")):
        yield read_group(path)


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
