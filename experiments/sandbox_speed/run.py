"""What the walls around a small Python program cost: bubblewrap against the bare interpreter.

Rounds are interleaved and start in turn with another contender. The bare interpreter is run by the same code that runs
the sandboxed ones (`none`: limits without walls) and by nothing but `subprocess.run` (`bare`); a second `bare` of the
same round tells how noisy the machine is.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from lts_jax.live.tools.sandbox import UNSANDBOXED, SandboxSettings, run_program
from lts_jax.storage import write_json

RESULTS = Path(__file__).parent / "results" / "sandbox_speed.json"
PROGRAM = "total = sum(n * n for n in range(1000))\nprint(total)\n"
EXPECTED = "332833500\n"
ENGINES = {
    "none": SandboxSettings(run_unsandboxed=UNSANDBOXED, num_at_once=16),
    "bwrap": SandboxSettings(num_at_once=16),
}


async def seconds_of(name: str) -> float:
    """Wall seconds of one run, from the program's text to its output."""
    started = time.perf_counter()
    if name.startswith("bare"):
        line = [sys.executable, "-I", "-c", PROGRAM]
        output = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    else:
        output = (await run_program(PROGRAM, ENGINES[name])).output
    assert output == EXPECTED, output
    return time.perf_counter() - started


async def rate_of(name: str, num_runs: int, num_at_once: int) -> float:
    """Runs per second with a number of them at once."""
    gate = asyncio.Semaphore(num_at_once)

    async def one() -> None:
        async with gate:
            await seconds_of(name)

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(num_runs)))
    return num_runs / (time.perf_counter() - started)


async def measure(num_rounds: int) -> dict[str, object]:
    """Medians and tenth to ninetieth percentile in ms, ratios to bare of the same round, rates."""
    working = [name for name, settings in ENGINES.items() if (await run_program("print(1)", settings)).engine]
    names = ["bare", "bare_again", *working]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(num_rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(await seconds_of(name))
    table = {}
    for name in names:
        ratios = [each / bare for each, bare in zip(seconds[name], seconds["bare"], strict=True)]
        tenths = statistics.quantiles(seconds[name], n=10)
        table[name] = {
            "median_ms": round(1e3 * statistics.median(seconds[name]), 2),
            "p10_ms": round(1e3 * tenths[0], 2),
            "p90_ms": round(1e3 * tenths[-1], 2),
            "ratio_to_bare": round(statistics.median(ratios), 2),
        }
    rates = {name: round(await rate_of(name, 200, 16), 1) for name in working}
    missing = sorted(set(ENGINES) - set(working))
    return {
        "rounds": num_rounds,
        "cores": os.cpu_count(),
        "load_after": round(os.getloadavg()[0], 2),
        "python": sys.version.split()[0],
        "as_root": os.geteuid() == 0,
        "not_here": missing,
        "runs": table,
        "runs_per_second_16_at_once": rates,
    }


def main() -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=101)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    found = asyncio.run(measure(arguments.rounds))
    for name, row in found["runs"].items():  # type: ignore[attr-defined]
        print(name, row)
    print(found["runs_per_second_16_at_once"], "not here:", found["not_here"])
    write_json(arguments.out, found)


if __name__ == "__main__":
    main()
