"""Learning curves of a sweep: one row per (point, seed, update), beside the table of its results."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lts_jax.storage import write_parquet
from lts_jax.sweeps.folder import SweepFolder, column_type
from lts_jax.sweeps.plan import SweepPlan

CURVES = "curves"  # of a runner's row
UPDATE = "update"  # 0, 1, 2, ...


def write_curves(folder: SweepFolder, plan: SweepPlan, stored: Sequence[Mapping[str, Any]]) -> None:
    """Store the curves of the rows that have any, which are in order of point and seed; no file where none has.

    Columns: the swept fields, `seed`, `update`, and f32 numbers by the curves' names; null where one was not kept.
    """
    import pyarrow

    stored = [row for row in stored if row.get(CURVES)]
    if not stored:
        return
    lengths = [max(len(values) for values in row[CURVES].values() if values is not None) for row in stored]
    whose = np.repeat(np.arange(len(stored)), lengths)
    columns: dict[str, Any] = {}
    for name in plan.fields:
        values = [plan.points[row["point"]][name] for row in stored]
        columns[name] = pyarrow.array(values, column_type(values)).take(pyarrow.array(whose))
    columns["seed"] = pyarrow.array(np.array([row["seed"] for row in stored], np.int64)[whose])
    columns[UPDATE] = pyarrow.array(np.concatenate([np.arange(length) for length in lengths]))
    for name in sorted({name for row in stored for name in row[CURVES]}):
        kept = [row[CURVES].get(name) or [None] * length for row, length in zip(stored, lengths, strict=True)]
        columns[name] = pyarrow.array([value for values in kept for value in values], pyarrow.float32())
    write_parquet(folder.curves, pyarrow.table(columns))
