"""What a turn of a team and a call of an endpoint cost here, against another checkout of this repository.

Run: python experiments/engine_speed/against.py --other CHECKOUT --rounds 8   (two cores, ten minutes)

In every round each checkout works once in a fresh process of its own, by its own `engine_speed/run.py` and
`endpoint_speed/run.py`, and who goes first alternates. A ratio is that of CPU time, here / there; printed are the
median over rounds and the middle 80 %. A second process of this checkout in every round shows what no change gives.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median, quantiles

from lts_jax.storage import write_json

HERE = Path(__file__).resolve().parents[2]
CALLS = ("16 in flight", "1,024 in flight")
# What runs in the process of a checkout: one warm-up and one measure of every way to take a turn, then the client.
WORKER = """
import asyncio, json, os, sys
from pathlib import Path
root = Path(sys.argv[1])
cores = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, cores[:1])
sys.path[:0] = [str(root / "experiments" / "engine_speed")]
import run as engine
found = {}
for name, contender in engine.CONTENDERS.items():
    engine.turns_of(contender, 0)
    found["turn: " + name.removeprefix("turn: ")] = min(
        engine.turns_of(contender, seed)["microseconds_per_turn"] for seed in (1, 2, 3)
    )
del sys.modules["run"]
sys.path[0] = str(root / "experiments" / "endpoint_speed")
import run as endpoint
if __name__ == "__main__":
    for title in json.loads(sys.argv[2]):
        load = endpoint.LOADS[title]
        with endpoint.server(load.delay_seconds, cores[-1]) as url:
            asyncio.run(endpoint.work("ours", url, load))
            measured = [asyncio.run(endpoint.work("ours", url, load)) for _ in range(3)]
        found["call: " + title] = min(one["cpu_microseconds"] for one in measured)
    print(json.dumps(found))
"""


def measured_in(checkout: Path) -> dict[str, float]:
    """CPU microseconds by measure, each the least of three in one process."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(checkout), json.dumps(CALLS)],
        env=os.environ | {"PYTHONPATH": str(checkout / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{checkout}: {done.stderr[-500:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def row(ratios: list[float]) -> dict[str, float]:
    """Median and middle 80 % of ratios."""
    deciles = quantiles(ratios, n=10)
    return {"ratio": round(median(ratios), 3), "p10": round(deciles[0], 3), "p90": round(deciles[-1], 3)}


def main() -> None:
    """Measure both checkouts in turn and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other", type=Path, required=True, help="a checkout of an earlier commit")
    parser.add_argument("--rounds", type=int, default=8, help="at least 3")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "against.json")
    given = parser.parse_args()
    if given.rounds < 3 or not (given.other / "src" / "lts_jax").is_dir():
        sys.exit("expected --rounds at least 3, and a checkout that holds src/lts_jax as --other")
    rounds = []
    for number in range(given.rounds):
        order = ["here", "there", "again"]
        order = order[::-1] if number % 2 else order
        rounds.append({name: measured_in(given.other if name == "there" else HERE) for name in order})
        print(f"round {number + 1} of {given.rounds}", flush=True)
    table = {
        measure: {
            "microseconds": round(median(one["here"][measure] for one in rounds), 1),
            "here / there": row([one["here"][measure] / one["there"][measure] for one in rounds]),
            "here / itself": row([one["here"][measure] / one["again"][measure] for one in rounds]),
        }
        for measure in rounds[0]["here"]
    }
    commit = ["git", "-C", str(given.other), "rev-parse", "--short", "HEAD"]
    other = subprocess.run(commit, capture_output=True, text=True, check=True).stdout.strip()
    write_json(given.out, {"other": other, "rounds": given.rounds, "measures": table})
    for measure, found in table.items():
        against, itself = found["here / there"], found["here / itself"]
        print(
            f"{measure:50}{found['microseconds']:8.0f} us   {against['ratio']:.3f} ({against['p10']:.3f} - "
            f"{against['p90']:.3f})   itself {itself['ratio']:.3f} ({itself['p10']:.3f} - {itself['p90']:.3f})"
        )


if __name__ == "__main__":
    main()
