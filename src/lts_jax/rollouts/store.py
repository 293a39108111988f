"""Rollouts on disk: one atomic Parquet file per group, one row per rollout, columns named as the fields of `Rollout`.

The files read without this code: `datasets.load_dataset("parquet", data_files="RUN/rollouts/*.parquet")`. The Arrow
schema is derived from the records (`rows.py`), so a new field cannot be forgotten; its version stands in the file's
metadata. Secrets are taken out of every text before it is written.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.records import Rollout, RolloutGroup
from lts_jax.rollouts.rows import rollout_of, rollouts_of, row_of, table_of
from lts_jax.storage import parquet_bytes, read_parquet, write_bytes, write_parquet

ROW = ".row"  # how the name of a single rollout's file ends that waits for the others of its group


def group_path(folder: Path, iteration: int, task_id: str) -> Path:
    """Where the group of `task_id` in `iteration` lies below a run's `rollouts` folder."""
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in task_id)
    return Path(folder) / f"{iteration:04d}-{safe}.parquet"


def write_group(folder: Path, group: RolloutGroup) -> Path:
    """Write one group atomically; returns its path."""
    path = group_path(folder, group.iteration, group.task.task_id)
    write_rollouts(path, group.rollouts)
    return path


def write_rollouts(path: Path, rollouts: Sequence[Rollout]) -> None:
    """Write rollouts to one file, atomically and durably."""
    write_bytes(path, content_of(path, [row_of(rollout) for rollout in rollouts]))


def content_of(path: Path, rows: Sequence[bytes]) -> bytes:
    """What is written to a file: of a name that ends in `.row` the one row itself, else a Parquet file of all."""
    if Path(path).suffix == ROW:
        [row] = rows
        return row
    return parquet_bytes(table_of(rows))


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of plain values to one Parquet file, atomically and durably."""
    import pyarrow

    write_parquet(path, pyarrow.Table.from_pylist(list(rows)))


def read_rollouts(path: Path) -> tuple[Rollout, ...]:
    """Read a file that `write_rollouts` wrote.

    Raises:
        UserError: no such file, not a Parquet file, not what was written, or one of another schema version.
    """
    if Path(path).suffix == ROW:
        return (rollout_of(Path(path).read_bytes(), str(path)),)
    return rollouts_of(read_parquet(path), str(path))


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
    found = (path for room in rooms or [Path(folder)] for path in room.rglob("*") if path.suffix in (".parquet", ROW))
    return sorted(found)


def read_folder(folder: Path) -> Iterator[RolloutGroup]:
    """Read every group below a folder, in order of file name."""
    for path in sorted(Path(folder).glob("*.parquet")):
        yield read_group(path)
