"""`lts sweep`: many settings and seeds, on the simulator or on teams that write text; results as one table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from lts_jax.errors import UserError

if TYPE_CHECKING:
    from lts_jax.sweeps.elsewhere import Mapper
    from lts_jax.sweeps.folder import SweepFolder
    from lts_jax.sweeps.plan import SweepPlan
    from lts_jax.sweeps.time_left import SweepNews


@dataclass(frozen=True, slots=True)
class Command:
    """Train and measure controllers over many settings, every point with the same seeds.

    `lts sweep --over learning.sparsity_weight=0,.1,.2 --over credit=usage_aware,group_relative --seeds 20`

    On the simulator all numbers of a sweep go into one program; names, sizes and switches take a program each.
    """

    run: Path = Path("runs/sweep")
    """Folder of the sweep. One that exists is gone on with, if it was begun with the same plan."""
    over: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """An axis: field=a,b,c or field=low:high:count or field=low:high:count:log; once for each. Random points are drawn
    from field=low:high, field=low:high:log or field=a,b,c."""
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """field=value for all points; once for each."""
    world: Path | None = None
    """Parameters of the simulator for all points, as `lts simulator fit` writes them; --set goes on top."""
    environment: str = "teams"
    """The world in arrays of the side simulator, as mine.py:notes; `lts parts environment` lists ours."""
    side: Literal["simulator", "desk", "grid", "text"] = "simulator"
    """Simulated teams, AgeMem's desk or SRMT's bottleneck inside one program, or teams that write text."""
    mode: Literal["grid", "random", "list"] = "grid"
    """Every combination of the axes, points at random, or the axes (or a file) side by side."""
    points: Path | None = None
    """Of mode list: a file of JSON lines or CSV with a point a line, in place of --over."""
    num_points: int | None = None
    """Of mode random."""
    points_seed: int = 0
    """Of mode random; not the seed of any training."""
    seeds: int = 20
    """Seeds of every point."""
    first_seed: int = 0
    """The first of these consecutive seeds."""
    pairs_per_program: int | None = None
    """(Point, seed) pairs that are run, and stored, at once. By default 64 on the simulator, 8 on the desk, 1 on the
    text side. A simulated pair takes about 8 MB, with a credit scheme that replays up to 100 MB; an accelerator
    wants thousands."""
    workers: str = ""
    """Who computes chunks: so many processes of this machine, or the Ray cluster at ray://HOST:PORT; none: this one."""
    gpus_per_worker: float = 0.0
    """Accelerators, or parts of one, that a chunk on a worker takes."""
    part: str = ""
    """Compute only so much of the chunks: 3/8 is the third of eight commands, as of an array of SLURM jobs."""
    distributed: str = ""
    """One program over many processes: auto (SLURM, Open MPI, GKE), or HOST:PORT,COUNT,INDEX."""
    stall_seconds: float = 1800.0
    """Of many processes: one that did nothing for so long ends, with all others."""
    fields: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """List the fields that may be swept, with type and default, and do nothing else; * marks those of one program."""


def run(command: Command) -> None:
    """Check everything, run what is missing, print the ranking."""
    folder = run_command(command)
    if folder is None:
        return
    if not folder.results.exists():
        print(f"{folder.path}: part {command.part} is done, others are not; the last of them writes the results")
        return
    print(_ranking(folder.path))
    print(f"\nresults: {folder.results}")
    print(f"by another measure: lts report --run {folder.path} --measure runtime_seconds --reference field=value")


def run_command(command: Command, *, quiet: bool = False) -> "SweepFolder | None":
    """Check everything and run what is missing; the sweep's folder, or None where only fields were asked for."""
    from lts_jax.commands.workers import processes_of
    from lts_jax.sweeps.cells import cells
    from lts_jax.sweeps.elsewhere import read_share
    from lts_jax.sweeps.fields import sweep_fields
    from lts_jax.sweeps.folder import open_sweep
    from lts_jax.sweeps.plan import PointSettings, SweepPlan, check_points, field_lines, make_points, with_settings
    from lts_jax.sweeps.run import Computing, run_sweep
    from lts_jax.sweeps.sides import side

    chosen = side(command.side)
    base = with_settings(_in_world(chosen.default_settings(), command), command.set, chosen.lacks)
    if command.fields:
        print("\n".join(field_lines(sweep_fields(base))))
        return None
    settings = PointSettings(command.over, command.mode, command.num_points, command.points_seed, command.points)
    points = make_points(base, settings, chosen.lacks)
    limit = command.pairs_per_program
    plan = SweepPlan(
        side=command.side,
        base=base,
        points=points,
        num_seeds=command.seeds,
        first_seed=command.first_seed,
        pairs_per_program=chosen.pairs_per_program if limit is None else limit,
    )
    named = {text.partition("=")[0].strip().replace("-", "_") for text in command.set} & {*plan.fields}
    if named:
        raise UserError(f"{min(named)}: both set and swept")
    share = read_share(command.part)
    if command.distributed and command.side == "text":
        raise UserError("distributed: expected the side simulator or desk, whose points are one program, got text")
    check_points(plan, chosen.check_point)
    runner = chosen.make_runner(command.run, plan)
    with processes_of(command.distributed, command.stall_seconds) as processes:
        for cell in cells(base, sweep_fields(base, points), points):
            chosen.check_cell(cell.settings)
        if not processes.is_writer:
            run_sweep(command.run, plan, runner, how=Computing(processes=processes))
            return None
        open_sweep(command.run, plan)
        how = Computing(_mapper(command, plan), share, processes)
        if quiet:
            return run_sweep(command.run, plan, runner, how=how)
        print(f"{len(points)} points with {command.seeds} seeds each, on the side {command.side}", flush=True)
        with sweep_bar() as tell:
            return run_sweep(command.run, plan, runner, tell, how)


def _mapper(command: Command, plan: "SweepPlan") -> "Mapper | None":
    """Ray's tasks as what chunks are computed by, where a command line names workers."""
    if not command.workers:
        return None
    if command.distributed:
        raise UserError("workers, distributed: expected one of them, got both")
    import sys

    from lts_jax.distributed.starting import start_ray
    from lts_jax.distributed.tasks import over_tasks
    from lts_jax.sweeps.elsewhere import chunk_function

    start_ray(command.workers)
    function = chunk_function(command.side, command.run, plan)

    def tell(text: str) -> None:
        print(f"lts: {text}", file=sys.stderr, flush=True)

    return partial(over_tasks, function, num_gpus=command.gpus_per_worker, tell=tell)


def _in_world(settings: Any, command: Command) -> Any:
    """The default settings of a side, in the environment and with the numbers that are named."""
    if command.side != "simulator":
        if command.world is not None or command.environment != "teams":
            raise UserError(f"world, environment: expected with the side simulator alone, got the side {command.side}")
        return settings
    if command.environment != "teams":
        settings = replace(settings, environment=command.environment, shape=None, world=None)
    if command.world is None:
        return settings
    from lts_jax.environments.teams.params_file import read_params

    return replace(settings, world=read_params(command.world))


def _ranking(folder: Path) -> str:
    from lts_jax.reports.sweep_folder import write_sweep_report

    return write_sweep_report(folder)


def _say_line(news: "SweepNews") -> None:
    """One line on standard error for each chunk, and for each minute of one."""
    import sys

    from lts_jax.sweeps.run import TICK_SECONDS
    from lts_jax.sweeps.time_left import duration

    if news.chunk_seconds >= 1 and news.chunk_seconds % 60 >= TICK_SECONDS:
        return

    times = f"{duration(news.elapsed_seconds)} taken, {duration(news.seconds_left)} left"
    print(f"{news.num_done} of {news.num_chunks} chunks, {times}  {news.told}".rstrip(), file=sys.stderr, flush=True)


@contextmanager
def sweep_bar() -> Iterator[Callable[["SweepNews"], None]]:
    """A bar over chunks on standard error, with time taken, time left and what runs now; in a log, lines."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from lts_jax.sweeps.time_left import duration

    console = Console(stderr=True)
    if not console.is_terminal:  # a bar is drawn there once, at the end: a sweep of hours would look dead
        yield _say_line
        return
    columns = (
        TextColumn("sweeping"),
        BarColumn(bar_width=max(4, min(20, console.width - 90))),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]} left"),
        TextColumn("{task.fields[doing]}"),
    )
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        bar = progress.add_task("sweeping", total=None, left="?", doing="")

        def tell(news: "SweepNews") -> None:
            left = duration(news.seconds_left)
            progress.update(bar, completed=news.num_done, total=news.num_chunks, left=left, doing=news.told)

        yield tell
