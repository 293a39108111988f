"""`lts sweep`: many settings and seeds, on the simulator or on teams that write text; results as one table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from lts_jax.errors import UserError

if TYPE_CHECKING:
    from lts_jax.sweeps.folder import SweepFolder
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
    fields: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """List the fields that may be swept, with type and default, and do nothing else; * marks those of one program."""


def run(command: Command) -> None:
    """Check everything, run what is missing, print the ranking."""
    folder = run_command(command)
    if folder is None:
        return
    print(_ranking(folder.path))
    print(f"\nresults: {folder.results}")
    print(f"by another measure: lts report --run {folder.path} --measure runtime_seconds --reference field=value")


def run_command(command: Command, *, quiet: bool = False) -> "SweepFolder | None":
    """Check everything and run what is missing; the sweep's folder, or None where only fields were asked for."""
    from lts_jax.sweeps.cells import cells
    from lts_jax.sweeps.fields import sweep_fields
    from lts_jax.sweeps.folder import open_sweep
    from lts_jax.sweeps.plan import PointSettings, SweepPlan, check_points, field_lines, make_points, with_settings
    from lts_jax.sweeps.run import run_sweep
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
    check_points(plan, chosen.check_point)
    for cell in cells(base, sweep_fields(base, points), points):
        chosen.check_cell(cell.settings)
    open_sweep(command.run, plan)
    if quiet:
        return run_sweep(command.run, plan, chosen.make_runner(command.run))
    print(f"{len(points)} points with {command.seeds} seeds each, on the side {command.side}", flush=True)
    with sweep_bar() as tell:
        return run_sweep(command.run, plan, chosen.make_runner(command.run), tell)


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
    """One line on standard error per piece of news."""
    import sys

    from lts_jax.sweeps.time_left import duration

    doing = f"{news.doing}{' (compiles first)' if news.compiles else ''}"
    times = f"{duration(news.elapsed_seconds)} taken, {duration(news.seconds_left)} left"
    print(f"{news.num_done} of {news.num_chunks} chunks, {times}  {doing}".rstrip(), file=sys.stderr, flush=True)


@contextmanager
def sweep_bar() -> Iterator[Callable[["SweepNews"], None]]:
    """A bar over chunks on standard error, with time taken, time left and what runs now; a line a chunk in a log."""
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
            doing = f"{news.doing}{' (compiles first)' if news.compiles else ''}"
            progress.update(
                bar, completed=news.num_done, total=news.num_chunks, left=duration(news.seconds_left), doing=doing
            )

        yield tell
