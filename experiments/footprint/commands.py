"""Processor seconds and peak memory of the README's commands that take some, each once, in order.

python experiments/footprint/commands.py            # a quarter of an hour of one core; results/commands.*
"""

import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lts_jax.storage import write_json, write_text

RESULTS = Path(__file__).parent / "results"
COMMANDS = (
    "train --run runs/lts",
    "evaluate --run runs/lts",
    "report --run runs/lts",
    "rollout --policy lts --run runs/lts --out one.parquet",
    "credit runs/lts --scheme group_relative --out steps.parquet",
    "train --run runs/ours --objective admission_value --controller linear --num-tasks 165 --num-epochs 1",
    "evaluate --run runs/ours --beside runs/lts",
    "offline runs/ours --policies all similarity",
    "compare runs/lts runs/ours",
    "simulator fit runs/lts",
)


def measured(command: str, folder: Path) -> dict[str, Any]:
    """One command in a process of its own."""
    log = folder / "log"
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "lts_jax.cli", *shlex.split(command)], cwd=folder, stdout=out, stderr=out
        )
        _, status, used = os.wait4(child.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"lts {command}: {log.read_text(encoding='utf-8')[-2000:]}")
    seconds = used.ru_utime + used.ru_stime
    return {
        "command": f"lts {command}",
        "processor_seconds": round(seconds, 1),
        "wall_seconds": round(time.monotonic() - started, 1),
        "peak_mb": used.ru_maxrss // 1024,
        "load": round(os.getloadavg()[0], 1),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """As Markdown; wall seconds are of the machine's load that day, so they are left out."""
    lines = ["| command | processor seconds | peak memory, MB |", "|---|---|---|"]
    lines += [f"| `{row['command']}` | {row['processor_seconds']:.0f} | {row['peak_mb']:,} |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run all, and store after each."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for command in COMMANDS:
            rows.append(measured(command, Path(place)))
            print(json.dumps(rows[-1]), flush=True)
            RESULTS.mkdir(exist_ok=True)
            write_json(RESULTS / "commands.json", rows)
            write_text(RESULTS / "commands.md", table(rows))


if __name__ == "__main__":
    main()
