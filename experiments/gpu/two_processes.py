"""A simulator sweep by one process and by two, each with its share of the devices: seconds after compiling.

On a machine with several accelerators the processes divide them; else both use the processor.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lts_jax.storage import write_json

ARGUMENTS = ("--over", "learning.sparsity_weight=0:.5:8", "--pairs-per-program", "16")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def sweep(folder: Path, count: int, *, seeds: int, iterations: int) -> float:
    """Seconds on the wall of a sweep by `count` processes, started together."""
    address, gpus = f"127.0.0.1:{free_port()}", os.environ.get("LTS_GPUS", "").split(",")
    started, children = time.monotonic(), []
    for index in range(count):
        command = [
            sys.executable,
            "-m",
            "lts_jax.cli",
            "sweep",
            "--run",
            str(folder),
            *ARGUMENTS,
            "--seeds",
            str(seeds),
        ]
        command += ["--set", f"num_iterations={iterations}"]
        command += ["--distributed", f"{address},{count},{index}"] if count > 1 else []
        own = {"CUDA_VISIBLE_DEVICES": gpus[index]} if len(gpus) > index and gpus[0] else {}
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()} | own
        children.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
    codes = [child.wait() for child in children]
    if any(codes):
        raise SystemExit(f"a sweep by {count} processes ended with {codes}")
    return time.monotonic() - started


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    seeds, short, long = (2, 1, 2) if given.dry else (32, 5, 100)
    with tempfile.TemporaryDirectory() as place:
        one, two = Path(place) / "one", Path(place) / "two"
        # The difference of a long and a short sweep leaves out starting and compiling.
        times = {
            f"{name}_{length}": sweep(folder.with_name(f"{name}{length}"), count, seeds=seeds, iterations=length)
            for name, folder, count in (("one", one, 1), ("two", two, 2))
            for length in (short, long)
        }
        same = (one.with_name(f"one{long}") / "results.parquet").read_bytes() == (
            two.with_name(f"two{long}") / "results.parquet"
        ).read_bytes()
    spent = {name: times[f"{name}_{long}"] - times[f"{name}_{short}"] for name in ("one", "two")}
    found = {"seconds": times, "ratio": spent["one"] / spent["two"] if spent["two"] > 0 else None, "same_bytes": same}
    write_json(given.out, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
