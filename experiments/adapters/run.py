"""What an adapter costs: CPU per step against the bare framework, and the share of a training that trackers take.

    python experiments/adapters/run.py            # some minutes; frameworks that are not installed are left out

The model costs nothing: it calls a tool a given number of times, then answers. Bare is the same agent with a model of
the framework's own that says the same; with the adapter, one team of a rollout without a memory. Rounds are
interleaved, CPU is the process's, a figure is the median over rounds.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

from bare import FRAMEWORKS, Framework, Talking

import lts_jax as lts
from lts_jax.adapters.tracking.trackers import make_tracker
from lts_jax.admission.rules import admit_none
from lts_jax.records import Coordinates, Task, ToolResult
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.storage import write_json
from lts_jax.teams.own_team import Team, own_team

TASK = Task("cost", "What does an adapter cost?", "little", "test")


def use_tool(tool: str, arguments: Any) -> ToolResult:
    """A tool that costs nothing."""
    return ToolResult("a result", tool=tool)


async def adapted(team: Team, num_steps: int) -> None:
    """One team of a rollout."""
    parts = RolloutParts(Talking(num_steps), use_tool, admit_none(), virtual_time=False, run_team=own_team(team))
    rollout = await run_rollout(TASK, Coordinates(0, 0, TASK.task_id, 0), parts, RolloutSettings(num_teams=1))
    assert len(rollout.steps) == num_steps, rollout.answers


def cpu_of(work: Callable[[], Awaitable[Any]]) -> float:
    """Seconds of this process's CPU."""
    started = time.process_time()
    asyncio.run(work())  # type: ignore[arg-type]
    return time.process_time() - started


def overhead(framework: Framework, num_rounds: int, num_steps: int) -> dict[str, float]:
    """Milliseconds of CPU per step, bare and with the adapter."""
    bare, with_adapter = [], []
    for _ in range(num_rounds + 1):
        bare.append(cpu_of(lambda: framework.bare(num_steps)))
        with_adapter.append(cpu_of(lambda: adapted(framework.team(), num_steps)))
    scale = 1000.0 / num_steps
    one, other = scale * median(bare[1:]), scale * median(with_adapter[1:])  # the first round imports
    return {"bare_ms": one, "adapter_ms": other, "overhead_ms": other - one}


class Timed:
    """A tracker that says how much CPU its thread took, reading the metrics included."""

    def __init__(self, name: str) -> None:
        self.inner, self.name, self.seconds = make_tracker(name), name, 0.0

    def open(self, run: Any, known: str) -> str:
        """As the tracker does."""
        return self.inner.open(run, known)

    def log(self, step: int, values: Any) -> None:
        """As the tracker does."""
        self.inner.log(step, values)

    def close(self) -> None:
        """As the tracker does; then its thread has done all it does."""
        self.inner.close()
        self.seconds = time.thread_time()


def tracking(names: tuple[str, ...]) -> dict[str, float]:
    """CPU of a small training, and of each tracker's thread beside it."""
    timed = [Timed(name) for name in names]
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        settings = lts.TrainSettings(num_tasks=6, num_epochs=2)
        lts.train(Path(folder) / "run", settings=settings, progress=False, track=timed)
        whole = time.process_time() - started
    return {"training_s": whole} | {f"{one.name}_s": one.seconds for one in timed}


def main(num_rounds: int, num_steps: int, results: Path) -> None:
    """Measure, print, store."""
    found: dict[str, Any] = {"num_rounds": num_rounds, "num_steps": num_steps, "per_step": {}}
    for framework in FRAMEWORKS:
        if not framework.is_there():
            print(f"{framework.name}: not installed")
            continue
        found["per_step"][framework.name] = overhead(framework, num_rounds, num_steps)
        print(framework.name, {name: round(value, 2) for name, value in found["per_step"][framework.name].items()})
    found["tracking"] = tracking(("csv", "tensorboard"))
    print("tracking", {name: round(value, 3) for name, value in found["tracking"].items()})
    write_json(results / "adapters.json", json.loads(json.dumps(found)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    main(given.rounds, given.steps, given.results)
