"""Everything that wants an accelerator, in one command of at most eight minutes: `make gpu`.

Each part is a process of its own with a limit of its own, so that what fails or hangs costs only itself. Writes one
table with device, versions, what came out and what was hoped for, to results/gpu.json and as text.
`--dry` runs the same on the processor with small sizes, to see that it would run at all.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lts_jax.storage import read_json, write_json

HERE = Path(__file__).parent
EXPERIMENTS, ROOT = HERE.parent, HERE.parent.parent
LIMIT_SECONDS = 480.0

DEVICES = """
import json, importlib.metadata as meta, jax
names = ("jax", "jaxlib", "flax", "optax", "numpy", "faiss-cpu", "faiss-gpu")
have = {name: meta.version(name) for name in names if any(d.metadata["Name"] == name for d in meta.distributions())}
try:
    import faiss
    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
except ImportError:
    gpus = None
print(json.dumps({"devices": [str(one) for one in jax.devices()], "backend": jax.default_backend(),
                  "faiss_gpus": gpus, "versions": have}))
"""


@dataclass(frozen=True)
class Part:
    """One measurement."""

    name: str
    seconds: float  # that it may take
    command: tuple[str, ...]  # {out} is a file for its figures
    dry: tuple[str, ...]  # the same in small
    hoped_for: str = ""


def python(*arguments: str) -> tuple[str, ...]:
    """A command of this interpreter."""
    return (sys.executable, *arguments)


def tests(*names: str, only: str = "") -> tuple[str, ...]:
    """Some of the suite, on whatever device JAX finds."""
    return python("-m", "pytest", "-q", "-x", *(["-k", only] if only else []), *(f"tests/{name}" for name in names))


SPEED = str(EXPERIMENTS / "simulator_speed" / "run.py")
CONTROLLER = str(EXPERIMENTS / "controller_speed" / "run.py")
SWEEP = str(HERE / "two_processes.py")

PARTS = (
    Part("devices", 60, python("-c", DEVICES), python("-c", DEVICES)),
    Part(
        "faiss and index tests",
        60,
        tests("memory/test_index.py"),
        tests("memory/test_index.py", only="empty or nan or ids"),
        "all pass through the checked API",
    ),
    Part(
        "update, decisions, caches",
        120,
        tests("learning/test_update.py", "bridge/test_decide_cached.py", "models/test_qwen3_controller.py"),
        tests("learning/test_update_edges.py", only="refused or one"),
        "all pass on CUDA",
    ),
    Part(
        "simulator",
        100,
        python(SPEED, "gpu", "--out", "{out}"),
        python(SPEED, "gpu", "--rounds", "1", "--out", "{out}"),
        "20 M environment steps a second; 2,048 seeds in 4 times the time of one",
    ),
    Part(
        "controller",
        90,
        python(CONTROLLER, "full", "--rounds", "3", "--out", "{out}"),
        python(CONTROLLER, "--help"),
        "a decision within 3 times the bandwidth floor; batches at 40 % of peak; an update 1.3 times PEFT + PyTorch",
    ),
    Part(
        "sweep over two processes",
        50,
        python(SWEEP, "--out", "{out}"),
        python(SWEEP, "--dry", "--out", "{out}"),
        "1.9 times one process, on two devices",
    ),
)


def run_part(part: Part, *, dry: bool, seconds: float) -> dict[str, Any]:
    """Run one part; what it ended with, its last lines, and its figures where it wrote any."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "figures.json"
        command = [str(out) if word == "{out}" else word for word in (part.dry if dry else part.command)]
        environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        if dry:
            environment["JAX_PLATFORMS"] = "cpu"
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment,
            start_new_session=True,
        )  # fmt: skip
        try:
            said, code = process.communicate(timeout=seconds)[0], process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # our own child's group: what it has started goes too
            said, code = process.communicate()[0], 124
        figures = read_json(out) if out.exists() else None
        lines = said.strip().splitlines()[-12:]
        if figures is None and lines and lines[-1].startswith("{"):
            figures = json.loads(lines[-1])
        return {
            "part": part.name,
            "code": code,
            "seconds": round(time.monotonic() - started, 1),
            "hoped_for": part.hoped_for,
            "figures": figures,
            "last_lines": lines,
        }


def run_all(parts: Sequence[Part], *, dry: bool, limit: float = LIMIT_SECONDS) -> list[dict[str, Any]]:
    """All parts in order, within a limit for all together; what there is no time for is said so."""
    ended, rows = time.monotonic() + limit, []
    for part in parts:
        left = ended - time.monotonic()
        if left < 5.0:
            rows.append({"part": part.name, "code": None, "seconds": 0.0, "last_lines": ["no time was left"]})
            continue
        rows.append(run_part(part, dry=dry, seconds=min(left, part.seconds if not dry else limit)))
        print(told(rows[-1]), flush=True)
    return rows


def told(row: dict[str, Any]) -> str:
    """A row of the table as a line."""
    how = {0: "done", 124: "out of time", None: "not begun"}.get(row["code"], f"failed ({row['code']})")
    last = row["last_lines"][-1] if row["last_lines"] else ""
    return f"| {row['part']} | {how} | {row['seconds']} s | {row.get('hoped_for', '')} | {last[:300]} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="on the processor, in small")
    parser.add_argument("--only", nargs="*", default=None, help="names of parts")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args(arguments)
    chosen = [part for part in PARTS if given.only is None or part.name in given.only]
    print("| part | ended | took | hoped for | last line |\n|---|---|---|---|---|", flush=True)
    rows = run_all(chosen, dry=given.dry, limit=3600.0 if given.dry else LIMIT_SECONDS)
    out = given.out or HERE / "results" / ("dry.json" if given.dry else "gpu.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, {"host": socket.gethostname(), "dry": given.dry, "rows": rows})
    print(f"\n{sum(row['code'] == 0 for row in rows)} of {len(rows)} parts done: {out}")


if __name__ == "__main__":
    main()
