"""`lts import`: logs of other agent systems, read into rollouts in one Parquet file."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from lts_jax.errors import UserError
from lts_jax.logs.importers import IMPORTERS, recorded_rollout
from lts_jax.records import Rollout
from lts_jax.rollouts.served_log import served_rollout
from lts_jax.rollouts.store import write_rollouts


@dataclass(frozen=True, slots=True)
class Command:
    """Read logs and store each task's runs as the teams of one rollout; print what was read."""

    system: tyro.conf.Positional[
        Literal["autogen", "who_and_when", "tau_bench", "verifiers", "inspect", "otel", "memory"]
    ]
    """Which system wrote the logs. autogen: a TaskResult, a saved team state, a chat history of 0.2, or the event log,
    as JSON or lines. tau_bench: tau2-bench too. verifiers: stored rollouts; inspect: a log as JSON; otel: spans of
    OpenTelemetry's GenAI convention; memory: the file of `lts serve-memory`."""
    log: tyro.conf.Positional[Path]
    """A log, or a folder of logs."""
    out: Path
    """The Parquet file to write."""
    skip_bad: bool = False
    """Pass over logs that cannot be read, and name them, instead of stopping."""

    def __post_init__(self) -> None:
        if self.out.suffix != ".parquet":
            raise UserError(f"--out: expected a file that ends in .parquet, got {self.out}")


def run(command: Command) -> None:
    """Import, store, print."""
    if command.system == "memory":
        rollouts = [served_rollout(command.log)]
    else:
        imported = IMPORTERS[command.system](command.log, skip_bad=command.skip_bad)
        for problem in imported.problems:
            print(f"passed over: {problem}")
        rollouts = [recorded_rollout(task) for task in imported.tasks]
    write_rollouts(command.out, rollouts)
    for rollout in rollouts:
        print(_line(rollout))
    print(f"stored {len(rollouts)} rollouts in {command.out}")


def _line(rollout: Rollout) -> str:
    agents = Counter(step.agent for step in rollout.steps)
    counts = ", ".join(f"{name} {count}" for name, count in agents.most_common())
    endings = ", ".join(answer.stop_reason.value for answer in rollout.answers)
    return f"{rollout.task.task_id}: {rollout.num_teams} teams ({endings}), {len(rollout.steps)} steps ({counts})"
