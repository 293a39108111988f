"""`lts credit`: what each step of a finished run is worth by a credit scheme, for other trainers to read."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from lts_jax.adapters.trainers import check_form, write_form
from lts_jax.bridge.stored_replays import KINDS
from lts_jax.commands.progress import rollout_bar
from lts_jax.errors import UserError
from lts_jax.records import RolloutGroup
from lts_jax.systems.kept_replays import TRAINING, make_replayer, refuse_live
from lts_jax.systems.run_folder import RunFolder, read_settings, working_in
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.step_credit import Replays, credited_steps, stored_groups, stored_scheme
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
    form: Literal["steps", "verifiers", "verifiers_traces", "verl_agent", "rllm", "trl", "nemo_gym"] = "steps"
    """Whose form the file has; steps has every column that there is."""
    max_replays: int | None = None
    """Of a scheme that replays rollouts of simulated teams (shapley, difference_rewards, counterfactual, local_group):
    replays that may be run now; those kept in the run folder are not run again. None: as many as it needs."""


def run(command: Command) -> None:
    """Read, give credit, write, and say what was written."""
    check_form(command.form, command.out)
    settings = read_settings(command.run, TrainSettings)
    groups = stored_groups(RunFolder(command.run), command.line)
    name = settings.credit if command.scheme is None else command.scheme
    seen: list[float] = []
    with _replays(command, name, settings, groups) as replays:
        rows = credited_steps(groups, name, settings, replays)
        count = write_form(command.form, _noted(rows, seen), command.out)
    mean = sum(seen) / max(1, len(seen))
    print(f"{name}: {len(seen)} decided steps of {len(groups)} groups, mean credit {mean:+.4f}")
    print(f"stored {count} records in {command.out}")


@contextmanager
def _replays(
    command: Command, name: str, settings: TrainSettings, groups: Sequence[RolloutGroup]
) -> Iterator[Replays | None]:
    """What replays the rollouts, with a progress bar; None for a scheme that needs no replay."""
    text, _, needed = stored_scheme(name, settings)
    kinds = needed & set(KINDS)
    if not kinds or needed - kinds:
        yield None
        return
    folder, run = RunFolder(command.run), make_parts(settings)
    refuse_live(run, text, groups, kinds)
    replayer = make_replayer(folder, run, command.line, groups[0])
    missing = replayer.missing(groups, kinds)
    if command.max_replays is not None and missing > command.max_replays:
        raise UserError(f"credit scheme {text}: needs {missing} replays, --max-replays allows {command.max_replays}")
    with working_in(folder), rollout_bar("replaying", missing, quiet=not missing) as count:
        yield lambda group, kind: replayer.replayed(group, kind, lambda rollout: count(rollout, ""))


def _noted(rows: Iterable[dict[str, Any]], seen: list[float]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if row["decided"]:
            seen.append(row["credit"])
        yield row
