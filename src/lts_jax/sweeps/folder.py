"""The folder of a sweep: what lies where, and one atomic file per finished chunk.

SWEEP/sweep.json          side, settings, fields, seeds, versions; the measures once it is finished
SWEEP/points.jsonl        the points, one a line
SWEEP/parts/              one Parquet file per finished chunk
SWEEP/results.parquet     one row per (point, seed), once all chunks are there
SWEEP/curves.parquet      learning curves: one row per (point, seed, update), where the runner kept any
SWEEP/runs/               of the text side: one run folder per training
"""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lts_jax.errors import UserError
from lts_jax.plain import to_plain
from lts_jax.storage import is_leftover, read_json, read_parquet, write_document, write_parquet, write_text
from lts_jax.sweeps.fields import FLAT
from lts_jax.sweeps.plan import SweepPlan
from lts_jax.systems.run_folder import first_difference, identity, package_versions

if TYPE_CHECKING:
    import pyarrow

SWEEP_SCHEMA_VERSION = 1
IDENTITY = ("side", "settings", "fields", "num_points", "points_digest", "num_seeds", "first_seed", "pairs_per_program")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """Paths of one sweep."""

    path: Path

    @property
    def config(self) -> Path:
        """What is swept, and with which settings."""
        return self.path / "sweep.json"

    @property
    def points(self) -> Path:
        """The points, to be read, or to be swept again with mode list."""
        return self.path / "points.jsonl"

    @property
    def results(self) -> Path:
        """One row per (point, seed)."""
        return self.path / "results.parquet"

    @property
    def curves(self) -> Path:
        """One row per (point, seed, update)."""
        return self.path / "curves.parquet"

    @property
    def runs(self) -> Path:
        """Run folders of the text side."""
        return self.path / "runs"

    def part(self, digest: str) -> Path:
        """Where the results of one chunk lie."""
        return self.path / "parts" / f"{digest}.parquet"


def open_sweep(path: Path, plan: SweepPlan) -> SweepFolder:
    """Make the folder of a new sweep, or go on with one that was begun with the same plan.

    Raises:
        UserError: the folder belongs to another schema version or another plan (the first difference is named), or
            holds files but no `sweep.json`. Nothing is touched then.
    """
    folder = SweepFolder(Path(path))
    wanted = _document(plan)
    if folder.config.exists():
        stored = read_sweep(folder)
        difference = first_difference(_identity(stored), _identity(wanted))
        if difference:
            raise UserError(f"{folder.path}: begun with another plan ({difference}); choose another folder")
        return folder
    if folder.path.is_file():
        raise UserError(f"{folder.path}: is a file; a sweep needs a folder")
    known = {folder.points.name}
    if folder.path.exists() and not all(one.name in known or is_leftover(one) for one in folder.path.iterdir()):
        raise UserError(f"{folder.path}: holds files but no sweep.json, so it is no sweep; choose another folder")
    write_text(folder.points, "".join(json.dumps(dict(point)) + "\n" for point in plan.points))
    write_document(folder.config, wanted)
    return folder


def read_sweep(folder: SweepFolder) -> dict[str, Any]:
    """The content of `sweep.json`.

    Raises:
        UserError: there is none, or it is of another schema version.
    """
    if not folder.config.exists():
        raise UserError(f"{folder.path}: no sweep (it has no sweep.json)")
    document = read_json(folder.config)
    found = document.get("schema_version") if isinstance(document, dict) else None
    if found != SWEEP_SCHEMA_VERSION:
        raise UserError(f"{folder.path}: sweep of schema version {found}, this program reads {SWEEP_SCHEMA_VERSION}")
    return document


def _document(plan: SweepPlan) -> dict[str, Any]:
    return {
        "schema_version": SWEEP_SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | package_versions(),
        "side": plan.side,
        "fields": list(plan.fields),
        "measures": [],
        "num_points": len(plan.points),
        "points_digest": plan.digest,
        "num_seeds": plan.num_seeds,
        "first_seed": plan.first_seed,
        "pairs_per_program": plan.pairs_per_program,
        "settings": to_plain(plan.base),
    }


def _identity(document: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: document[name] for name in IDENTITY}
    settings = identity(kept["settings"])
    if isinstance(settings.get(FLAT), dict):
        settings[FLAT] = identity(settings[FLAT])
    return kept | {"settings": settings}


def write_part(folder: SweepFolder, digest: str, rows: Sequence[Row]) -> None:
    """Store the rows of one chunk, atomically and durably."""
    _write_table(folder.part(digest), rows)


def read_part(folder: SweepFolder, digest: str) -> list[dict[str, Any]]:
    """The rows of a finished chunk.

    Raises:
        UserError: a broken file.
    """
    return read_table(folder.part(digest)).to_pylist()


def write_results(folder: SweepFolder, rows: Sequence[Row], measures: Sequence[str]) -> None:
    """Store all rows, and which of their columns are measures. The same rows give the same bytes."""
    document = read_sweep(folder)
    write_document(folder.config, document | {"measures": list(measures)})
    _write_table(folder.results, rows)


def read_table(path: Path) -> "pyarrow.Table":
    """Read a Parquet table.

    Raises:
        UserError: no such file, or not a Parquet file.
    """
    return read_parquet(path)


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    import pyarrow

    columns = {name: [row[name] for row in rows] for name in rows[0]}
    table = pyarrow.table({name: pyarrow.array(values, column_type(values)) for name, values in columns.items()})
    write_parquet(path, table)


def column_type(values: Sequence[Any]) -> "pyarrow.DataType":
    """The type of a column: texts where values are of no one other kind, curves as lists by their names."""
    import pyarrow

    if isinstance(values[0], Mapping):
        names = sorted({name for one in values for name in one})
        return pyarrow.struct([(name, pyarrow.list_(pyarrow.float32())) for name in names])
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pyarrow.bool_()
    if kinds == {int}:
        return pyarrow.int64()
    return pyarrow.float64() if kinds and kinds <= {int, float} else pyarrow.string()
