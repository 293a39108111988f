"""Decisions and updates of the Qwen3 controller, ours beside PyTorch with transformers and peft, in one process.

    taskset -c 0 python experiments/controller_speed/run.py tiny     # one core, about five minutes
    python experiments/controller_speed/run.py full                  # the 0.6B shape, random weights; needs a GPU

Before anything is timed, both sides compute the same logits from the same weights. Contenders take turns round by
round, so that a busy machine hits all; a ratio is the median over rounds of one contender's time over another's.
"""

import argparse
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

RESULTS = Path(__file__).parent / "results"
PAIRS = (
    ("torch_update_one_by_one", "packed_update"),
    ("unpacked_update_one_by_one", "packed_update"),
    ("unpacked_update", "packed_update"),
    ("torch_update", "packed_update"),
    ("torch_update", "unpacked_update"),
    ("packed_update_again", "packed_update"),
    ("cached_500_keys", "cached_10_keys"),
    ("decide_500_keys", "cached_500_keys"),
    ("decide_76_keys", "cached_76_keys"),
    ("torch_decide_76_keys", "cached_76_keys"),
    ("torch_decide_76_keys", "decide_76_keys"),
    ("torch_decide_64_rows", "cached_64_rows"),
    ("torch_decide_64_rows", "decide_64_rows"),
)


def main() -> None:
    """Time one shape, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=("tiny", "full"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tera-bytes", type=float, default=4.8, help="memory bandwidth of the accelerator, TB/s")
    parser.add_argument("--tera-flop", type=float, default=989.0, help="its dense bfloat16 peak, TFLOP/s")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.shape == "tiny":  # before jax is imported
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    warnings.filterwarnings("ignore", category=FutureWarning)
    sys.path.insert(0, str(Path(__file__).parent))
    import jax
    import torch
    from contenders import contenders_of
    from shapes import SHAPES

    from lts_jax.storage import write_json

    shape = SHAPES[given.shape]
    if shape.accelerator and jax.default_backend() == "cpu":
        sys.exit("full: skipped, no accelerator here; the tiny shape runs on a CPU")
    torch.set_num_threads(1)
    work, agreement = contenders_of(shape)
    clock = time.perf_counter if shape.accelerator else time.process_time
    seconds = rounds(work, given.rounds, clock)
    found: dict[str, Any] = {
        "machine": {
            "python": platform.python_version(), "jax": jax.__version__, "torch": torch.__version__,
            "device": str(jax.devices()[0]), "load_average": os.getloadavg(), "rounds": given.rounds,
        },
        "largest_difference_of_logits": agreement,
        "milliseconds": {name: spread([1e3 * one for one in times]) for name, times in seconds.items()},
        "ratios": {
            f"{slow} / {fast}": spread([a / b for a, b in zip(seconds[slow], seconds[fast], strict=True)])
            for slow, fast in PAIRS
            if slow in seconds and fast in seconds
        },
        "tokens": {"packed": shape.packed_tokens, "unpacked": shape.unpacked_tokens},
    }  # fmt: skip
    if shape.accelerator:
        found["floors_milliseconds"] = {
            "decide, one row: bytes of all weights": 2e3 * shape.num_weights / (given.tera_bytes * 1e12),
            "decide, 64 rows of 64 tokens: FLOP": 1e3 * shape.forward_flop(64 * 64) / (given.tera_flop * 1e12),
            "packed update: FLOP, forward and backward": 2e3
            * shape.forward_flop(shape.packed_tokens)
            / (given.tera_flop * 1e12),
        }
    print(table(found))
    write_json(given.out / f"{given.shape}.json", found)


def rounds(work: dict[str, Callable[[], Any]], num_rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds of every contender in every round; each call waits until its result is there."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for one in work.values():
        one()
        one()
    for number in range(num_rounds):
        for name, one in work.items():
            start = clock()
            one()
            seconds[name].append(clock() - start)
        print(f"round {number + 1}", file=sys.stderr)
    return seconds


def spread(values: list[float]) -> dict[str, float]:
    """Median and the middle 80 %."""
    tenths = quantiles(values, n=10)
    return {"median": median(values), "low": tenths[0], "high": tenths[-1]}


def table(found: dict[str, Any]) -> str:
    """Both lists, one line each."""
    lines = [f"largest difference of logits between the sides: {found['largest_difference_of_logits']:.1e}"]
    for title in ("milliseconds", "ratios"):
        lines.append(title)
        for name, one in found[title].items():
            lines.append(f"  {name:48} {one['median']:10.2f}  ({one['low']:.2f} - {one['high']:.2f})")
    for name, value in found.get("floors_milliseconds", {}).items():
        lines.append(f"  floor, {name:41} {value:10.3f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
