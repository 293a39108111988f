"""`lts credit`: what each step of a finished run is worth by a credit scheme, for other trainers to read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from lts_jax.adapters.trainers import check_form, write_form
from lts_jax.systems.run_folder import RunFolder, read_settings
from lts_jax.systems.step_credit import TRAINING, credited_steps, stored_groups
from lts_jax.systems.train_settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Command:
    """Give every stored step its credit by a scheme, and write the steps in the form of a trainer."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    out: Path
    """The file to write: .parquet for steps and verl_agent, .jsonl for the others."""
    scheme: str | None = None
    """A credit scheme, as leave_one_out or mine.py:function; that of the run by default."""
    line: str = TRAINING
    """training, or a line of the run's evaluation, such as lts or all."""
    form: Literal["steps", "verifiers", "verl_agent", "rllm", "trl", "nemo_gym"] = "steps"
    """Whose form the file has; steps has every column that there is."""


def run(command: Command) -> None:
    """Read, give credit, write, and say what was written."""
    check_form(command.form, command.out)
    settings = read_settings(command.run, TrainSettings)
    groups = stored_groups(RunFolder(command.run), command.line)
    name = settings.credit if command.scheme is None else command.scheme
    seen: list[float] = []
    count = write_form(command.form, _noted(credited_steps(groups, name, settings), seen), command.out)
    mean = sum(seen) / max(1, len(seen))
    print(f"{name}: {len(seen)} decided steps of {len(groups)} groups, mean credit {mean:+.4f}")
    print(f"stored {count} records in {command.out}")


def _noted(rows: Iterable[dict[str, Any]], seen: list[float]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if row["decided"]:
            seen.append(row["credit"])
        yield row
