"""Kill the driver, and workers, of a training on Ray; count finished calls that were asked again, which must be none.

A call is finished once it stands in a journal; asked again it would stand there twice. The model is the simulated one
behind HTTP. `python -m experiments.scale.kills --drivers 3 --workers 3` writes results/kills.json.

With `--heads 5` workers are those of a cluster, a head and two nodes of one processor, whose head is killed as often;
after each a new cluster is started and the same command goes on. That writes results/kills_heads.json. A driver and its
workers go on for a minute after their head, so `--calls-per-second 4` keeps something for the next one.
"""

import argparse
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from lts_jax.distributed.starting import ENVIRONMENT
from lts_jax.rollouts.store import read_folder
from lts_jax.storage import read_json, write_json

HERE = Path(__file__).parent / "results"
SMALL = shlex.split(
    "--controller linear --num-tasks 6 --num-epochs 1 --tasks-per-update 6 --collect.num-rollouts 4 "
    "--collect.num-in-flight 4 --rollout.team.max-rounds 6"
)


def lts(*arguments: str, **options: Any) -> "subprocess.Popen[str]":
    """A command of ours in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return subprocess.Popen([sys.executable, "-m", "lts_jax.cli", *arguments], env=environment, text=True, **options)


def digests(run: Path) -> list[str]:
    """Of every finished call, as the journals hold them."""
    lines = [line for path in sorted((run / "calls").glob("*.jsonl")) for line in path.read_bytes().split(b"\n")[:-1]]
    return [json.loads(line)["call"] for line in lines]


def num_lines(run: Path, since: float = 0.0) -> int:
    """Finished calls so far, by workers that were started since (Unix seconds).

    A dead driver's workers live on for a moment and still write, so that another driver's calls are told by the start
    of the worker, which its journal's name ends with (`<host>-<pid>-<milliseconds>.jsonl`).
    """
    journals = [path for path in (run / "calls").glob("*.jsonl") if int(path.stem.split("-")[-1]) >= 1000 * since]
    return sum(path.read_bytes().count(b"\n") for path in journals)


class Cluster:
    """A Ray cluster on this machine in a process group of its own: a head and two nodes of one processor."""

    def __init__(self) -> None:
        code = (
            "import time\n"
            "from ray.cluster_utils import Cluster\n"
            "small = {'object_store_memory': 80 * 2**20}\n"
            "cluster = Cluster(True, head_node_args={'num_cpus': 0, 'include_dashboard': False} | small)\n"
            "for _ in range(2):\n"
            "    cluster.add_node(num_cpus=1, **small)\n"
            "print(cluster.address, flush=True)\n"
            "time.sleep(86400)\n"
        )
        environment = os.environ | ENVIRONMENT
        silent: Any = {"stderr": subprocess.DEVNULL, "text": True, "env": environment}
        self._process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, **silent)
        assert self._process.stdout is not None
        self.address = f"ray://{self._process.stdout.readline().strip()}"

    def kill_head(self) -> None:
        """Kill what keeps the cluster's state."""
        for child in psutil.Process(self._process.pid).children(recursive=True):
            if "gcs_server" in child.name():
                child.kill()

    def end(self) -> None:
        """Kill all that is left of it."""
        for child in psutil.Process(self._process.pid).children(recursive=True):
            child.kill()
        self._process.kill()
        self._process.wait()


def live(
    run: Path, model: list[str], kills: list[tuple[str, int]], cluster: Cluster | None = None
) -> tuple[int, float | None, list[dict[str, Any]]]:
    """One life of the driver: kills by (who, number of finished calls); none before the first call of this life.

    Returns its exit code, seconds from the command to its first new call, and what was done.
    """
    started, born = time.monotonic(), time.time()
    log = (run.parent / "driver.log").open("a")
    workers = "2" if cluster is None else cluster.address
    driver = lts("train", "--run", str(run), *SMALL, *model, "--workers", workers, stdout=log, stderr=log)
    done: list[dict[str, Any]] = []
    hurt: set[Path] = set()
    first_call = None
    while driver.poll() is None:
        time.sleep(0.02)
        count = num_lines(run)
        if first_call is None and num_lines(run, born):
            first_call = round(time.monotonic() - started, 1)
        if kills and count >= kills[0][1] and first_call is not None:
            who = kills[0][0]
            if cluster is not None and who == "head":
                kills.pop(0)
                cluster.kill_head()
                at = time.monotonic()
                code = driver.wait()
                end = {"exit_code": code, "seconds_to_end": round(time.monotonic() - at, 1)}
                said = (run.parent / "driver.log").read_text().splitlines()[-3:]
                done.append({"killed": who, "after_calls": count} | end | {"said": said})
                return code, first_call, done
            newest = max((run / "calls").glob("*.jsonl"), key=lambda path: path.stat().st_mtime)  # that is at work
            pid = driver.pid if who == "driver" else int(newest.stem.split("-")[-2])
            if not psutil.pid_exists(pid) or (who == "worker" and newest in hurt):
                continue  # the one that is at work now has not been started, or has not said anything
            kills.pop(0)
            hurt.add(newest)
            os.kill(pid, signal.SIGKILL)
            done.append({"killed": who, "after_calls": count})
    return driver.returncode, first_call, done


def main() -> None:
    """Run, compare with a run that nobody kills, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drivers", type=int, default=3)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--heads", type=int, default=0)
    parser.add_argument("--calls-per-second", type=float, help="of all workers together")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    endpoint = lts("serve-simulated", "--port", str(port), stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as place:
        folder, url = Path(place), f"http://127.0.0.1:{port}/v1"
        model = ["--model.base-url", url]
        if given.calls_per_second is not None:
            model += ["--model.max-calls-per-second", str(given.calls_per_second)]
        try:
            whole = lts("train", "--run", str(folder / "whole"), *SMALL, "--model.base-url", url)
            assert whole.wait() == 0
            groups = list(read_folder(folder / "whole" / "rollouts"))
            num_calls = sum(len(one.calls) for group in groups for one in group.rollouts)
            draw = random.Random(given.seed)
            who = ["driver"] * given.drivers + ["worker"] * given.workers + ["head"] * given.heads
            draw.shuffle(who)
            at = sorted(draw.randrange(num_calls // 20, num_calls * 9 // 10) for _ in who)
            kills, done = list(zip(who, at, strict=True)), []
            first_calls: list[float | None] = []
            code = None
            while code != 0:
                cluster = Cluster() if given.heads else None
                try:
                    code, first_call, more = live(folder / "run", model, kills, cluster)
                finally:
                    if cluster is not None:
                        cluster.end()
                first_calls, done = [*first_calls, first_call], done + more
                assert len(first_calls) <= given.drivers + given.heads + 2, (folder / "driver.log").read_text()[-3000:]
            found = digests(folder / "run")
            same = list(read_folder(folder / "run" / "rollouts")) == groups
            ledger = read_json(folder / "run" / "workers.json", dict)
        finally:
            endpoint.kill()
    result = {
        "kills": done,
        "lives_of_the_driver": len(first_calls),
        "seconds_from_the_command_to_its_first_new_call": first_calls,
        "calls": num_calls,
        "finished_calls": len(found),
        "finished_calls_asked_again": len(found) - len(set(found)),
        "rollouts_equal_those_nobody_killed": same,
        "ledger_of_the_last_life": ledger,
    }
    HERE.mkdir(parents=True, exist_ok=True)
    write_json(HERE / ("kills_heads.json" if given.heads else "kills.json"), result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
