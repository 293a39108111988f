"""What a start costs until the first update of a Qwen3 controller, without and with programs kept by an earlier start.

    python experiments/controller_speed/start.py        # four minutes; both kinds of start take turns

`decisions and update` are the compiled parts alone: tracing, compiling (or reading) and first run of each, with the
checkpoint in memory. `whole` has everything else as well: imports, the offline world, two rollouts, files.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from run import RESULTS, spread

NUM_LAYERS, WIDTH = 28, 128


def main() -> None:
    """Start processes in turns, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", type=Path, help="used by the script itself")
    given = parser.parse_args()
    if given.child is not None:
        child(given.child)
        return
    from lts_jax.storage import write_json

    found: dict[str, list[dict[str, float]]] = {"empty": [], "kept": []}
    for number in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for starts in found.values():
                starts.append(started(Path(folder)))
        print(f"round {number + 1}", file=sys.stderr)
    parts = ("decisions and update", "whole")
    shown = {
        part: {
            "empty, seconds": spread([one[part] for one in found["empty"]]),
            "kept, seconds": spread([one[part] for one in found["kept"]]),
            "kept / empty": spread([b[part] / a[part] for a, b in zip(found["empty"], found["kept"], strict=True)]),
        }
        for part in parts
    }
    for part, rows in shown.items():
        for name, one in rows.items():
            print(f"{part:22} {name:16} {one['median']:7.2f}  ({one['low']:.2f} - {one['high']:.2f})")
    print(f"layers {NUM_LAYERS}, width {WIDTH}; load {median(os.getloadavg()):.1f}")
    write_json(RESULTS / "start.json", shown)


def started(folder: Path) -> dict[str, float]:
    """Seconds of one start, as the child measured them, and from outside."""
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2"
    }  # fmt: skip
    begun = time.perf_counter()
    command = [sys.executable, __file__, "--child", str(folder)]
    ran = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    whole = time.perf_counter() - begun
    return json.loads(ran.stdout.splitlines()[-1]) | {"whole": whole}


def child(folder: Path) -> None:
    """One iteration of training; says how long the compiled parts took until they had run once."""
    import shutil
    from dataclasses import replace

    from lts_jax.models.qwen3_folder import Qwen3ControllerSettings
    from lts_jax.models.tiny_qwen3 import TINY, write_tiny
    from lts_jax.rollouts.collect import CollectSettings
    from lts_jax.systems import lts
    from lts_jax.systems.run_folder import open_run
    from lts_jax.systems.run_parts import make_parts

    if not (folder / "model").exists():
        write_tiny(folder / "model", settings=replace(TINY, num_layers=NUM_LAYERS, width=WIDTH))
    settings = lts.TrainSettings(
        num_tasks=1, num_epochs=1, tasks_per_update=1, controller="qwen3", collect=CollectSettings(num_rollouts=2),
        qwen3=Qwen3ControllerSettings(folder=str(folder / "model")),
    )  # fmt: skip
    parts = make_parts(settings)
    spent = {"seconds": 0.0}
    for module, name in watched():
        setattr(module, name, timed_once(getattr(module, name), spent))
    shutil.rmtree(folder / "run", ignore_errors=True)
    lts.train_controller(open_run(folder / "run", settings), parts)
    print(json.dumps({"decisions and update": spent["seconds"]}))


def watched():
    """The compiled functions of a training run, where they are called."""
    from lts_jax.bridge import decide_cached
    from lts_jax.systems import lts

    return [(decide_cached, "start_row"), (decide_cached, "step_rows"), (lts, "make_update")]


def timed_once(function, spent):
    """The function, its first call timed until the result is there; what makes a function is passed through."""
    import jax

    done = []

    def call(*arguments, **named):
        begun = time.perf_counter()
        result = function(*arguments, **named)
        if callable(result):
            return timed_once(result, spent)
        jax.block_until_ready(result)
        if not done:
            spent["seconds"] += time.perf_counter() - begun
            done.append(True)
        return result

    return call


if __name__ == "__main__":
    main()
