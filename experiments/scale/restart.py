"""A driver that begins again: `python -m experiments.scale.restart [--number 10000]`, results/restart.json.

So many rollouts of 200 KB lie stored, in groups of five; one task is missing. A fresh process is given the same
collection: seconds from its start until the first job of the missing task reaches a worker (a stand-in, which calls at
once), and the memory that it has then. Once as a training reads them, an iteration of a thousand stored rollouts that
is not whole yet, with all finished iterations on the disk; once as an evaluation does, all in one collection.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

GROUP = 5
HERE = Path(__file__).parent / "results"


class FirstJob:
    """An `Executor` that ends the process at its first job, and says when that was."""

    def run(self, jobs: Sequence[Any], work: Any, keep: Callable[[Any], None]) -> None:
        """See `Executor`."""
        seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - _started()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        found = {"seconds": round(seconds, 1), "processor_seconds": round(time.process_time(), 1), "mb": memory}
        print(json.dumps(found | {"jobs": len(jobs)}), flush=True)
        os._exit(0)


def _started() -> float:
    """When this process was started, in seconds since boot."""
    return int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")


def tasks_of(number: int) -> list[Any]:
    """The tasks of so many rollouts, and one more."""
    from experiments.scale.run import some_rollouts

    task = some_rollouts(1)[0].task
    return [replace(task, task_id=f"task-{place}") for place in range(number // GROUP + 1)]


def fill(folder: Path, number: int) -> None:
    """Store so many rollouts of 200 KB, all but those of the last task."""
    from experiments.scale.run import padded, some_rollouts
    from lts_jax.records import Coordinates, RolloutGroup
    from lts_jax.rollouts.store import write_group

    one = padded(some_rollouts(1)[0], 200_000)
    for task in tasks_of(number)[:-1]:
        rollouts = tuple(
            replace(one, task=task, coordinates=Coordinates(0, 0, task.task_id, place), policy="all")
            for place in range(GROUP)
        )
        write_group(folder, RolloutGroup(task, 0, rollouts))


def begin_again(folder: Path, number: int) -> None:
    """Collect what is stored, and the first job of what is not."""
    from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
    from lts_jax.systems.comparison import ComparisonSettings, make_arm, make_policy
    from lts_jax.systems.train_settings import TrainSettings

    training = TrainSettings()
    arm = make_arm("all", training, make_policy("all", training, ComparisonSettings()))
    iteration = Iteration(0, 0, executor=FirstJob())
    parts = replace(arm.parts, virtual_time=False)
    collect_groups(tasks_of(number), parts, arm.rollout, CollectSettings(GROUP), iteration, folder)


def main() -> None:
    """Fill, begin again in a fresh process, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # of a child
    given = parser.parse_args()
    if given.folder is not None:
        begin_again(given.folder, given.number)
        return
    from lts_jax.storage import write_json

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        for number in sorted({1000, given.number}):
            folder = Path(place) / str(number)
            fill(folder, number)
            child = [sys.executable, "-m", "experiments.scale.restart", "--number", str(number)]
            told = subprocess.run([*child, "--folder", str(folder)], capture_output=True, text=True, check=True)
            found[str(number)] = json.loads(told.stdout.splitlines()[-1]) | {"load": round(os.getloadavg()[0], 1)}
            print(number, found[str(number)], flush=True)
    HERE.mkdir(parents=True, exist_ok=True)
    write_json(HERE / "restart.json", found)


if __name__ == "__main__":
    main()
