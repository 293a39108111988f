"""What following trackers cost a training, by the clock: whole trainings in processes of their own, interleaved.

A round has one training of each arm, in an order that moves by one from round to round. Three figures: the CPU seconds
of the trackers' own threads against those of the rest of the same process, which a busy machine does not blur; and CPU
and wall seconds of the whole process against the arm without trackers of the same round, which it does. What was
measured is kept after every round, and the same command goes on.
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.charts import Dot, DotAxis, dot_plot
from lts_jax.reports.svg import save_figure
from lts_jax.storage import read_json, write_document, write_text

HERE = Path(__file__).resolve().parent
ALONE = "no tracker"
ARMS = {
    ALONE: (),
    "csv": ("csv",),
    "tensorboard": ("tensorboard",),
    "one that hangs": (f"{HERE / 'hanging.py'}:hanging",),
}
ASKED = 1.01  # of the training time without trackers, at most


@dataclass(frozen=True)
class Config:
    """How much is measured."""

    rounds: int = 2
    """One training of every arm in each."""
    num_tasks: int = 12
    """Of a training, three to an update."""
    num_epochs: int = 2
    """Of a training."""
    results: Path = HERE / "results"
    """Where measurements, table and figure go."""


def train_once(config: Config, trackers: tuple[str, ...]) -> dict[str, float]:
    """One `lts train` in a process of its own: what it took, and how much of it threads of trackers."""
    with tempfile.TemporaryDirectory() as place:
        run, told = Path(place) / "run", Path(place) / "told.json"
        words = ["train", "--run", str(run), "--num-tasks", str(config.num_tasks)]
        words += ["--num-epochs", str(config.num_epochs), "--tasks-per-update", "3"]
        words += ["--track", *trackers] if trackers else []
        started = time.monotonic()
        command = [sys.executable, str(HERE / "one_training.py"), str(told), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wall_seconds = time.monotonic() - started
        num_updates = len((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        return read_json(told, dict) | {"wall_seconds": wall_seconds, "num_updates": num_updates}


def shares(rounds: list[dict[str, dict[str, float]]], arm: str) -> np.ndarray:
    """CPU seconds of a training over those of the same training less its tracker threads, one number a round."""
    return np.array(
        [one[arm]["cpu_seconds"] / (one[arm]["cpu_seconds"] - one[arm]["tracker_cpu_seconds"]) for one in rounds]
    )


def ratios(rounds: list[dict[str, dict[str, float]]], arm: str, measure: str) -> np.ndarray:
    """An arm's measure over that of the arm without trackers, one number a round."""
    return np.array([one[arm][measure] / one[ALONE][measure] for one in rounds])


def shown(values: np.ndarray, form: str) -> str:
    """The median, with the least and the largest."""
    return f"{np.median(values):{form}} [{values.min():{form}}, {values.max():{form}}]"


def table(rounds: list[dict[str, dict[str, float]]]) -> str:
    """A row an arm: medians over rounds, with the least and the largest in brackets."""
    heads = (
        "trackers",
        "CPU seconds",
        "of their threads",
        "with over without",
        "CPU to no tracker",
        "wall to no tracker",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for arm in ARMS:
        cells = [arm, shown(np.array([one[arm]["cpu_seconds"] for one in rounds]), ".1f")]
        if arm == ALONE:
            cells += ["0", "1", "1", "1"]
        else:
            cells.append(shown(np.array([one[arm]["tracker_cpu_seconds"] for one in rounds]), ".3f"))
            cells.append(shown(shares(rounds, arm), ".4f"))
            cells += [shown(ratios(rounds, arm, measure), ".2f") for measure in ("cpu_seconds", "wall_seconds")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def figure(rounds: list[dict[str, dict[str, float]]]) -> str:
    """CPU seconds with tracker threads over those without: the median of the rounds, the least and the largest."""
    dots = []
    for arm in [arm for arm in ARMS if arm != ALONE]:
        found = shares(rounds, arm)
        value = Interval(float(np.median(found)), float(found.min()), float(found.max()))
        dots.append(Dot(arm, value, level=ASKED, text=shown(found, ".4f")))
    title = "CPU seconds with the trackers' threads over those without; dashed: 1.01"
    return dot_plot(dots, DotAxis(title, bounds=(1.0, 1.012), plot_width=300, text_width=190))


def main(config: Config) -> None:
    """Measure what is missing, then write the table and the figure."""
    path = config.results / "rounds.json"
    rounds = read_json(path)["rounds"] if path.exists() else []
    if not rounds:
        train_once(config, ())  # compiles; what is compiled is kept for all others
    for number in range(len(rounds), config.rounds):
        names = list(ARMS)
        order = names[number % len(names) :] + names[: number % len(names)]
        measured = {arm: train_once(config, ARMS[arm]) for arm in order}
        rounds.append({arm: measured[arm] for arm in names})
        write_document(path, {"num_tasks": config.num_tasks, "num_epochs": config.num_epochs, "rounds": rounds})
        print(f"round {number + 1} of {config.rounds}", flush=True)
    write_text(config.results / "tables.md", table(rounds))
    save_figure(figure(rounds), config.results / "ratios.png")
    print(table(rounds))


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
