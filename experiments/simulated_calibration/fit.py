"""Fit what the simulated model may miss, and how much calls slow each other, without any shared memory.

First the three numbers of the set `omission` that say how much is missed, on a grid, against recorded runs and the
paper's scores; then, for the fitted set, the first guess and `commission`, the contention of calls, which changes
seconds alone, against the paper's runtimes. No admission policy is run.
"""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from figures import (
    PAPER,
    RECORDED,
    Baselines,
    against_paper,
    measured,
    misses_of_logs,
    misses_of_paper,
    run_baselines,
    run_line,
    total_miss,
)

from lts_jax.records import Task
from lts_jax.rollouts.latency import LatencySettings
from lts_jax.storage import write_json
from lts_jax.systems.comparison import REFERENCE
from lts_jax.systems.lts import TrainSettings
from lts_jax.systems.world import ModelSettings, almanac_tasks

FIRST_GUESS = "omission(common_mistakes=0.5, overlooks_value=0.35, gives_up=0.4)"


@dataclass(frozen=True, slots=True)
class Config:
    """The grid, and on how many training tasks."""

    num_tasks: int = 336
    common_mistakes: tuple[float, ...] = (0.5, 0.65)
    overlooks_value: tuple[float, ...] = (0.35, 0.4)
    gives_up: tuple[float, ...] = (0.4, 0.5)
    contention: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    results: Path = Path(__file__).parent / "results"


def settings_of(weaknesses: str, contention: float = 0.0) -> TrainSettings:
    """The offline world with these weaknesses and this contention."""
    settings = TrainSettings(model=ModelSettings(weaknesses=weaknesses))
    latency = LatencySettings(contention=contention)
    return replace(settings, rollout=replace(settings.rollout, latency=latency))


def tried(weaknesses: str, tasks: Sequence[Task]) -> tuple[Baselines, dict[str, object]]:
    """Rollouts without contention, and their misses; the runtime ratio is left to `fit_contention`."""
    found = run_baselines(tasks, settings_of(weaknesses))
    logs, paper = measured(found.one), against_paper(found)
    scores = {name: miss for name, miss in misses_of_paper(paper).items() if not name.startswith("seconds")}
    miss = statistics.fmean(misses_of_logs(logs).values()) + statistics.fmean(scores.values())
    row = {"weaknesses": weaknesses, "miss": miss, "logs": logs, "paper": paper}
    print(f"{weaknesses:75} miss {miss:.3f}  " + "  ".join(f"{name} {value:.3f}" for name, value in paper.items()))
    return found, row


def fit_contention(weaknesses: str, tasks: Sequence[Task], config: Config) -> dict[str, object]:
    """The contention whose runtime ratio is nearest to the paper's mean, and all misses with it."""
    found, _ = tried(weaknesses, tasks)
    rows = []
    for contention in config.contention:
        three = run_line(REFERENCE, tasks, settings_of(weaknesses, contention)) if contention else found.three
        logs, paper = measured(found.one), against_paper(Baselines(found.one, three))
        rows.append({"contention": contention, "logs": logs, "paper": paper, "total": total_miss(logs, paper)})
        print(
            f"  contention {contention:4.2f}  seconds {paper['seconds of three over one']:.3f}  {rows[-1]['total']:.3f}"
        )
    return {"weaknesses": weaknesses, "tries": rows, **min(rows, key=lambda row: row["total"])}


def main(config: Config) -> None:
    """Search, then say and store what fits best and by how much."""
    tasks = almanac_tasks(0, "train", config.num_tasks)
    grid = itertools.product(config.common_mistakes, config.overlooks_value, config.gives_up)
    texts = [f"omission(common_mistakes={a:g}, overlooks_value={b:g}, gives_up={c:g})" for a, b, c in grid]
    rows = [tried(text, tasks)[1] for text in texts]
    best = min(rows, key=lambda row: row["miss"])["weaknesses"]
    fits = {name: fit_contention(name, tasks, config) for name in ("commission", FIRST_GUESS, best)}
    for name, one in fits.items():
        print(f"{name}: contention {one['contention']}, total miss {one['total']:.3f}")
    write_json(config.results / "fit.json", {"recorded": RECORDED, "paper": PAPER, "grid": rows, "fits": fits})


if __name__ == "__main__":
    main(tyro.cli(Config))
