"""What the driver and Ray cost: `python -m experiments.scale.run service|driver|ray|all`, results/*.json.

service  CPU seconds for a message, a result and its parts, a journal line: what `model.py` stands on
driver   the real driver among a thousand stand-ins that do nothing: finished rollouts a second, memory over 100,000
ray      on this machine: overhead of a rollout, efficiency over two workers, how soon a killed one is replaced
"""

import argparse
import asyncio
import json
import os
import pickle
import resource
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lts_jax.distributed.starting import start_ray, stop_ray
from lts_jax.storage import append_json_line, write_json

HERE = Path(__file__).parent / "results"


def cpu_of(act: Callable[[], Any], times: int) -> float:
    """Median CPU seconds of this process for a call."""
    found = []
    for _ in range(times):
        started = time.process_time()
        act()
        found.append(time.process_time() - started)
    return statistics.median(found)


def some_rollouts(number: int) -> list[Any]:
    """Simulated rollouts of the default settings."""
    from lts_jax.evaluation.evaluate import EvaluationSettings, evaluate
    from lts_jax.systems.comparison import ComparisonSettings, make_arm, make_policy
    from lts_jax.systems.train_settings import TrainSettings
    from lts_jax.systems.world import almanac_tasks

    training = TrainSettings()
    arm = make_arm("all", training, make_policy("all", training, ComparisonSettings()))
    return evaluate([arm], almanac_tasks(0, "test", 1), EvaluationSettings(1, number))["all"]


def padded(rollout: Any, num_bytes: int) -> Any:
    """The rollout with longer replies, so that it travels as so many bytes."""
    more = max(0, num_bytes - len(pickle.dumps(rollout))) // len(rollout.calls)
    text = "0123456789 " * (more // 11 + 1)
    calls = [replace(call, reply=f"{call.reply}{place}{text}"[: len(call.reply) + more])
             for place, call in enumerate(rollout.calls)]  # fmt: skip
    return replace(rollout, calls=tuple(calls))


def service() -> dict[str, float]:
    """Of one thing each, on this machine. A result: unpickled, its row stored, and its part of the group's file."""
    from lts_jax.distributed.crew import Reply
    from lts_jax.rollouts.rows import row_of
    from lts_jax.rollouts.store import content_of
    from lts_jax.storage import write_bytes

    one = some_rollouts(1)[0]
    found: dict[str, float] = {"rollout_bytes": float(len(pickle.dumps(one)))}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        alone, group = folder / "a.row", folder / "a.parquet"
        line = cpu_of(lambda: append_json_line(folder / "a.jsonl", {"reply": "x" * 1500}), 200)
        found["journal_line_seconds"] = line
        for name, num_bytes in (("200KB", 200_000), ("2MB", 2_000_000)):
            rollout = padded(one, num_bytes)
            row = row_of(rollout)
            sent = pickle.dumps(Reply(rollout, row=row))
            parts = {
                "unpickled": cpu_of(lambda sent=sent: pickle.loads(sent), 50),
                "stored_alone": cpu_of(lambda row=row: write_bytes(alone, row), 50),
                "stored_in_a_group": cpu_of(lambda row=row: write_bytes(group, content_of(group, [row] * 5)), 20) / 5,
            }
            found |= {f"{part}_{name}_seconds": seconds for part, seconds in parts.items()}
            found[f"result_{name}_seconds"] = sum(parts.values())
            found[f"row_of_{name}_seconds"] = cpu_of(lambda rollout=rollout: row_of(rollout), 20)  # where it was run
    found["message_seconds"] = message_seconds()
    return found


class Idle:
    """A stand-in for a worker: it does nothing, at once."""

    def __init__(self, name: str, result: Any) -> None:
        self.incarnation, self._result = name, result

    async def prepare(self, assignment: Any) -> None:
        """Nothing is to be made."""

    async def run(self, errand: Any) -> Any:
        """The same result for every job."""
        await asyncio.sleep(0)
        return self._result

    async def beat(self, terms: Any) -> Any:
        """Alive."""
        from lts_jax.distributed.leases import Beat

        return Beat()

    def stop(self) -> None:
        """Nothing is left to stop."""

    def last_lines(self) -> list[str]:
        """It wrote nothing."""
        return []


class Crowd:
    """A staff of such workers."""

    def __init__(self, number: int, result: Any) -> None:
        self._number, self._result = number, result

    def places(self) -> Sequence[Hashable]:
        """All of them."""
        return range(self._number)

    async def hire(self, place: Hashable) -> Idle:
        """At once."""
        return Idle(f"idle-{place}", self._result)

    def keep_calls(self, folder: str) -> None:
        """Every worker sees the folder."""

    def hand_over(self, params: Any) -> Any:
        """Nothing travels."""
        return params


def run_crowd(num_workers: int, num_jobs: int) -> tuple[float, float]:
    """(wall seconds, CPU seconds) of the driver for jobs that nobody works on."""
    from lts_jax.distributed.crew import Assignment, Reply
    from lts_jax.distributed.driving import Driver, Hooks
    from lts_jax.distributed.leases import Lender
    from lts_jax.llm.budget import BudgetSettings
    from lts_jax.records import Coordinates, Task
    from lts_jax.rollouts.executor import Job
    from lts_jax.rollouts.settings import RolloutSettings

    jobs = [Job(Task(f"t{n}", "?", None), Coordinates(0, 0, f"t{n}", 0)) for n in range(num_jobs)]
    driver = Driver(Crowd(num_workers, Reply(None)), Lender(BudgetSettings(), 8 * num_workers, time.monotonic))
    started, used = time.monotonic(), time.process_time()
    asyncio.run(driver.run(Assignment(1, None, RolloutSettings(), 8), jobs, Hooks(keep=lambda finished: None)))
    assert driver.ledger.num_done == num_jobs
    return time.monotonic() - started, time.process_time() - used


def message_seconds() -> float:
    """CPU seconds of the driver for a job that nobody works on: taken, sent, answered, accounted."""
    return run_crowd(100, 20_000)[1] / 20_000


def driver() -> dict[str, Any]:
    """Rate and memory among a thousand stand-ins."""
    rows = []
    for num_jobs in (10_000, 100_000):
        wall, used = run_crowd(1000, num_jobs)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append(
            {
                "jobs": num_jobs,
                "wall_a_second": round(num_jobs / wall),
                "cpu_a_second": round(num_jobs / used),
                "peak_mb": round(peak),
            }
        )
    return {"stand_ins": 1000, "side_by_side": 8, "rows": rows}


def ray_figures() -> dict[str, Any]:
    """On this machine, two workers of one processor each, then one beside them; Ray is started before jax."""
    started = time.monotonic()
    start_ray("3")
    up = time.monotonic() - started
    from lts_jax.distributed.executor import Workers
    from lts_jax.distributed.ray_staff import RayStaff
    from lts_jax.evaluation.evaluate import EvaluationSettings, evaluate
    from lts_jax.systems.comparison import ComparisonSettings, make_arm, make_policy
    from lts_jax.systems.train_settings import TrainSettings
    from lts_jax.systems.world import almanac_tasks

    training = TrainSettings()
    arm = make_arm("all", training, make_policy("all", training, ComparisonSettings()))
    tasks = almanac_tasks(0, "test", 12)

    def timed(executor: Any, seed: int, told: Any = None, folder: Path | None = None) -> dict[str, float]:
        given = {} if executor is None else {"executor": executor}
        wall, used = time.monotonic(), time.process_time()
        evaluate([arm], tasks, EvaluationSettings(12, 10, seed), folder, told, **given)
        return {"wall": time.monotonic() - wall, "cpu": time.process_time() - used}

    with tempfile.TemporaryDirectory() as place:
        one, two = (Workers(RayStaff(number, Path(place) / "logs"), Path(place)) for number in ("1", "2"))
        first = timed(two, 0)
        rounds = [(timed(None, seed), timed(one, seed), timed(two, seed)) for seed in (1, 2, 3)]
        one.close()
        stored = [timed(two, seed, None, Path(place) / f"stored-{seed}") for seed in (1, 2, 3)]
        moments: dict[str, float] = {}

        def kill() -> None:
            time.sleep(0.5)
            victim = next(iter(two._driver.workers.values())).incarnation  # type: ignore[union-attr]
            moments["killed"] = time.monotonic()
            os.kill(int(victim.split("-")[-2]), signal.SIGKILL)

        def told(name: str, rollout: Any) -> None:
            if "killed" in moments and two._driver.ledger.num_workers_lost == 0:  # type: ignore[union-attr]
                moments["last"] = time.monotonic()

        thread = threading.Thread(target=kill)
        thread.start()
        after_kill = timed(two, 4, told)
        thread.join()
        two.close()
        ledger = two.ledger
    stop_ray()
    median = statistics.median
    return {
        "ray_up_seconds": round(up, 1),
        "up_to_first_batch_seconds": round(first["wall"], 1),
        "rollouts_each": 120,
        "in_process_wall": round(median(local["wall"] for local, _, _ in rounds), 2),
        "one_worker_wall": round(median(single["wall"] for _, single, _ in rounds), 2),
        "two_workers_wall": round(median(double["wall"] for _, _, double in rounds), 2),
        "efficiency_of_two": round(median(s["wall"] / d["wall"] / 2 for _, s, d in rounds), 3),
        "driver_cpu_ms_a_rollout": round(1e3 * median(double["cpu"] / 120 for _, _, double in rounds), 2),
        "driver_cpu_ms_a_rollout_stored": round(1e3 * median(one["cpu"] / 120 for one in stored), 2),
        "with_a_kill_wall": round(after_kill["wall"], 2),
        "kill": ledger.told(),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Measure what is asked for, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=("service", "driver", "ray", "all"))
    given = parser.parse_args()
    HERE.mkdir(parents=True, exist_ok=True)
    chosen = ("ray", "service", "driver") if "all" in given.parts else given.parts
    for part in chosen:
        found = {"service": service, "driver": driver, "ray": ray_figures}[part]()
        write_json(HERE / f"{part}.json", found)
        print(part, json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
