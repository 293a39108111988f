"""What makes a training run one that can be stopped at any moment: where it stands, and in which order it meets tasks.

Progress has one source, the newest healthy checkpoint. Metric lines, stored rollouts and credit of later iterations
are taken back or made again with the same bits.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from lts_jax.errors import UserError, show
from lts_jax.learning.checkpoint import CorruptCheckpoint, latest, newest_healthy, restore, save
from lts_jax.learning.metrics import as_floats
from lts_jax.learning.objective import Metrics
from lts_jax.learning.state import TrainState
from lts_jax.seeds import uniform
from lts_jax.storage import append_json_line, line_of, read_json_lines, write_bytes


def num_trained(checkpoints: Path) -> int:
    """Iterations that a run has behind it, by its newest healthy checkpoint; 0 without one."""
    cursor = newest_healthy(checkpoints)
    return 0 if cursor is None else int(cursor["iteration"])


def resume(
    checkpoints: Path, fresh: TrainState, *, config_digest: str, base_digest: str = ""
) -> tuple[TrainState, int]:
    """The state to go on from and the number of the next iteration; `fresh` and 0 where no checkpoint is healthy.

    Raises:
        UserError: the checkpoints belong to another configuration or another base.
    """
    if latest(checkpoints) is None:
        return fresh, 0
    try:
        state, cursor = restore(checkpoints, fresh, config_digest=config_digest, base_digest=base_digest)
    except CorruptCheckpoint as error:
        warnings.warn(f"{error}; training starts from the beginning", RuntimeWarning, stacklevel=2)
        return fresh, 0
    return state, int(cursor["iteration"])


def cut_metrics(path: Path, first: int) -> None:
    """Take back the metric lines of iterations that will be run again, from `first` on."""
    lines = read_metrics(path)
    kept = [line for line in lines if int(line["iteration"] or 0) < first]
    if len(kept) != len(lines):
        write_bytes(path, b"".join(map(line_of, kept)))


def read_metrics(path: Path) -> list[dict[str, float | None]]:
    """The metric lines of a run.

    Raises:
        UserError: a line that is not what was written, or no metric line.
    """
    lines = read_json_lines(path)
    for number, line in enumerate(lines, 1):
        if not isinstance(line, dict) or not isinstance(line.get("iteration"), int):
            raise UserError(f"{path}: line {number}: expected the metrics of an iteration, got {show(line)}")
    return lines


def metric_line(iteration: int, metrics: Metrics) -> dict[str, float | None]:
    """The metrics of an update as one line of JSON; what is not finite is null."""
    finite = {name: value if math.isfinite(value) else None for name, value in as_floats(metrics).items()}
    return {"iteration": iteration} | finite


def keep(
    metrics: Path,
    checkpoints: Path,
    line: Mapping[str, float | None],
    state: TrainState,
    digests: tuple[str, str],
) -> None:
    """End an iteration: its metric line, then the checkpoint that makes it count. `digests`: of config and base.

    Of several processes all come here, and the first writes the line.
    """
    if jax.process_index() == 0:
        append_json_line(metrics, dict(line))
    cursor = {"iteration": int(line["iteration"] or 0) + 1}
    save(checkpoints, state, cursor, digests[0], base_digest=digests[1])


def places_of_iteration(names: Sequence[str], per_update: int, seed: int, iteration: int) -> list[int]:
    """Which tasks an update takes: each epoch goes through all of them, in an order shuffled by (seed, epoch).

    Args:
        names: of the tasks; their number is a multiple of `per_update`.
        per_update: tasks of an update.
        seed: of the run.
        iteration: number of the update.

    Returns:
        places in `names`.
    """
    epoch, place = divmod(iteration, len(names) // per_update)
    order = sorted(range(len(names)), key=lambda index: uniform(seed, epoch, names[index], "order"))
    return order[place * per_update : (place + 1) * per_update]
