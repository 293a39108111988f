"""Ray on this machine: `python -m experiments.scale.on_ray cold|endpoint`, results/on_ray_*.json.

cold      from the command to the first rollout: a cluster of a head and two nodes of one processor, two workers
endpoint  the same rollouts behind an endpoint that takes 200 ms for a call, over 1, 2, 4 and 8 worker processes

Efficiency is the time that the rollouts would take if each took as long as alone and the next began at once, over the
time that they took; "as long as alone" is a rollout's own clock over one worker.
"""

import argparse
import asyncio
import heapq
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lts_jax.distributed.starting import ENVIRONMENT, start_ray, stop_ray
from lts_jax.storage import write_json

HERE = Path(__file__).parent / "results"
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
CALL_SECONDS = 0.2
STARTED = time.monotonic()  # nothing heavy is imported yet


def arm_of(**model: Any) -> Any:
    """Short rollouts of two teams; a model of another name than the simulated one runs on the real clock."""
    from lts_jax.rollouts.settings import RolloutSettings
    from lts_jax.systems.comparison import ComparisonSettings, make_arm, make_policy
    from lts_jax.systems.run_parts import make_parts
    from lts_jax.systems.train_settings import TrainSettings
    from lts_jax.systems.world import ModelSettings
    from lts_jax.teams.settings import TeamSettings

    rollout = RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=6))
    run = make_parts(TrainSettings(rollout=rollout, model=ModelSettings(**model)))
    return make_arm("all", run, make_policy("all", run, ComparisonSettings()))


def cold() -> dict[str, Any]:
    """Seconds since this program began."""
    os.environ.update(ENVIRONMENT)
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    moments = {"head": time.monotonic()}
    try:
        for _ in range(2):
            cluster.add_node(**NODE)
        ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False, configure_logging=False)
        moments["two_nodes"] = time.monotonic()
        from lts_jax.distributed.executor import Workers
        from lts_jax.distributed.ray_staff import RayStaff
        from lts_jax.evaluation.evaluate import EvaluationSettings, evaluate
        from lts_jax.systems.world import almanac_tasks

        arm, tasks = arm_of(), almanac_tasks(0, "test", 2)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            workers = Workers(RayStaff(f"ray://{cluster.address}", folder / "workers"), folder)
            told = lambda name, rollout: moments.setdefault("first_rollout", time.monotonic())  # noqa: E731
            evaluate([arm], tasks, EvaluationSettings(2, 4), folder / "evaluation", told, executor=workers)
            workers.close()
    finally:
        ray.shutdown()
        cluster.shutdown()
    return {name: round(moment - STARTED, 1) for name, moment in moments.items()} | {"load": os.getloadavg()[0]}


class Delayed:
    """The simulated model, after a while."""

    name = "delayed"

    def __init__(self) -> None:
        from lts_jax.llm.simulated import SimulatedModel

        self._inner = SimulatedModel()

    async def complete(self, messages: Any, *, seed: int, json_reply: bool = False) -> Any:
        """Its answer."""
        await asyncio.sleep(CALL_SECONDS)
        return await self._inner.complete(messages, seed=seed, json_reply=json_reply)


async def serve() -> None:
    """Serve it, say where, and go on until killed."""
    from lts_jax.llm.serving import serve_chat

    async with await serve_chat(Delayed(), port=0) as server:
        print(server.base_url, flush=True)
        await asyncio.Event().wait()


def ideal_seconds(seconds: Sequence[float], num_lanes: int) -> float:
    """Until the last has ended, if each lane takes the next in order at once."""
    lanes = [0.0] * num_lanes
    for one in seconds:
        heapq.heappush(lanes, heapq.heappop(lanes) + one)
    return max(lanes)


def endpoint(numbers: Sequence[int], num_tasks: int) -> dict[str, Any]:
    """Efficiency over so many workers, each of which runs one rollout at a time."""
    start_ray(str(max(numbers)))
    from lts_jax.distributed.executor import Workers
    from lts_jax.distributed.ray_staff import RayStaff
    from lts_jax.evaluation.evaluate import EvaluationSettings, evaluate
    from lts_jax.systems.world import almanac_tasks

    command = [sys.executable, "-m", "experiments.scale.on_ray", "serve"]
    rows: list[dict[str, Any]] = []
    alone: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            arm = arm_of(name="delayed", base_url=server.stdout.readline().strip(), api_key_variable="NONE_NEEDED")
            tasks = almanac_tasks(0, "test", num_tasks)
            for number in numbers:
                with tempfile.TemporaryDirectory() as place:
                    folder = Path(place)
                    workers = Workers(RayStaff(str(number), folder / "workers"), folder)
                    warm = EvaluationSettings(number, 1, seed=7, num_in_flight=1)
                    evaluate([arm], almanac_tasks(0, "validation", number), warm, None, executor=workers)
                    wall, used = time.monotonic(), time.process_time()
                    settings = EvaluationSettings(num_tasks, 2, num_in_flight=1)
                    found = evaluate([arm], tasks, settings, folder / "evaluation", executor=workers)["all"]
                    wall, used = time.monotonic() - wall, time.process_time() - used
                    workers.close()
                seconds = [one.seconds for one in found]
                alone = alone or seconds
                rows.append(
                    {
                        "workers": number,
                        "rollouts": len(found),
                        "calls": sum(len(one.calls) for one in found),
                        "wall_seconds": round(wall, 1),
                        "efficiency": round(ideal_seconds(alone, number) / wall, 3),
                        "a_rollout_seconds": round(sum(seconds) / len(seconds), 2),
                        "driver_cpu_ms_a_rollout": round(1e3 * used / len(found), 1),
                        "load": round(os.getloadavg()[0], 1),
                    }
                )
                print(json.dumps(rows[-1]), flush=True)
        finally:
            server.kill()
            stop_ray()
    return {"call_seconds": CALL_SECONDS, "rows": rows, "seconds_alone": [round(one, 3) for one in alone]}


def main() -> None:
    """Measure what is asked for, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("cold", "endpoint", "serve"))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--tasks", type=int, default=20, help="of two rollouts each")
    given = parser.parse_args()
    if given.part == "serve":
        asyncio.run(serve())
        return
    found = cold() if given.part == "cold" else endpoint(given.workers, given.tasks)
    HERE.mkdir(parents=True, exist_ok=True)
    write_json(HERE / f"on_ray_{given.part}.json", found)
    print(given.part, json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
