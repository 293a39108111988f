"""Progress bars with rates and time left, on standard error, for everything that takes long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lts_jax.records import Rollout


@contextmanager
def rollout_bar(
    description: str, num_rollouts: int, *, quiet: bool = False
) -> Iterator[Callable[[Rollout, str], None]]:
    """A bar over rollouts, not shown if `quiet`. Gives a function that counts one, with a few words of news."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=max(4, min(20, console.width - 76))),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} steps/s"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[news]}"),
    )
    with Progress(*columns, console=console, refresh_per_second=4, disable=quiet) as progress:
        bar = progress.add_task(description, total=num_rollouts, rate="-", news="")
        num_steps = 0

        def count(rollout: Rollout, news: str = "") -> None:
            nonlocal num_steps
            num_steps += len(rollout.steps)
            elapsed = progress.tasks[0].elapsed or 0.0
            rate = f"{num_steps / elapsed:.0f}" if elapsed > 0.2 else "-"
            progress.update(bar, advance=1, rate=rate, news=news)

        yield count
