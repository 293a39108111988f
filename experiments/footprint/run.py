"""What a newcomer waits for: import, help, and the whole demo with its peak memory. Wall seconds of subprocesses."""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lts_jax.storage import write_json

RESULTS = Path(__file__).parent / "results" / "footprint.json"
LTS = [sys.executable, "-m", "lts_jax.cli"]
SHORT = {
    "python alone": [sys.executable, "-c", "pass"],
    "import lts_jax": [sys.executable, "-c", "import lts_jax"],
    "lts --help": [*LTS, "--help"],
    "lts train --help": [*LTS, "train", "--help"],
}
NUM_ROUNDS = 9


def seconds(command: list[str]) -> float:
    """Wall seconds of one run of a command that must succeed."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Interleaved rounds of the short commands, then one demo; prints and stores medians and the peak."""
    rounds = [{name: seconds(command) for name, command in SHORT.items()} for _ in range(NUM_ROUNDS)]
    medians = {name: statistics.median(each[name] for each in rounds) for name in SHORT}
    with tempfile.TemporaryDirectory() as folder:
        medians["lts demo"] = seconds([*LTS, "demo", "--run", f"{folder}/demo"])
    peak_gigabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    for name, value in medians.items():
        print(f"{name:18} {value:8.2f} s")
    print(f"{'peak of the demo':18} {peak_gigabytes:8.2f} GB")
    write_json(RESULTS, {"seconds": medians, "demo_peak_gigabytes": peak_gigabytes})


if __name__ == "__main__":
    main()
