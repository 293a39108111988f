"""Digests of a run: what a change that only moves or opens things must leave as it was, bit for bit.

    lts demo --run runs/demo
    python experiments/footprint/fingerprint.py runs/demo     # compare with results/fingerprint.txt

Of the training rollouts, of each line of the evaluation, of every parameter and of the metrics. Names of policies are
left out, so that a part may be called otherwise. Bits hold for one kind of processor and number of cores.
"""

import argparse
import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet

from lts_jax.storage import read_json_lines

NAMES = {"policy", "controller", "listing_window", "clock"}


def without_names(value: Any) -> Any:
    """A row without names of policies, its numbers to the last bit."""
    if isinstance(value, dict):
        return {key: without_names(item) for key, item in value.items() if key not in NAMES}
    if isinstance(value, list):
        return [without_names(item) for item in value]
    return value.hex() if isinstance(value, float) else value


def digest_of(paths: Iterable[Path]) -> str:
    """Of the rows of Parquet files, in order of their names."""
    digest = sha256()
    for path in sorted(paths):
        digest.update(path.name.encode())
        for row in pyarrow.parquet.read_table(path, partitioning=None).to_pylist():
            digest.update(json.dumps(without_names(row), sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]


def main(run: Path) -> None:
    """Print the digests of a run folder."""
    print("train rollouts", digest_of((run / "rollouts").glob("*.parquet")))
    for line in sorted(path for path in (run / "evaluation").glob("*") if path.is_dir()):
        print("eval", line.name, digest_of(line.rglob("*.parquet")))
    manifest = max((run / "checkpoints").glob("state_*.json"))
    arrays = {name: one["digest"] for name, one in sorted(json.loads(manifest.read_text())["arrays"].items())}
    print("params", sha256(json.dumps(arrays).encode()).hexdigest()[:16], len(arrays))
    metrics = "".join(json.dumps(line) + "\n" for line in read_json_lines(run / "metrics.jsonl"))
    print("metrics", sha256(metrics.encode()).hexdigest()[:16])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of a demo")
    main(parser.parse_args().run)
