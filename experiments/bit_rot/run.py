"""Flip one bit of one file of a run folder, read it back as the program does, and see what comes of it.

Run: python experiments/bit_rot/run.py [--flips 1000] [--seed 0] [--run FOLDER]

Without a folder a small run is trained and evaluated first, with recorded calls and stored vectors beside it. Each flip
draws a kind of file, a file of it, and a bit. Outcomes: *typed*, one line that names the file, of a checkpoint that it
is passed over; *harmless*, the same
values as before; *silent*, other values without a word; *untyped*, any other exception. The goal is no silent one.
"""

import argparse
import asyncio
import random
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lts_jax import cli
from lts_jax.errors import UserError
from lts_jax.learning.checkpoint import newest_healthy
from lts_jax.learning.run_keeping import read_metrics
from lts_jax.llm.chat import Completion
from lts_jax.llm.recorded import RecordingModel, ReplayModel
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.memory.stored_vectors import StoredEncoder
from lts_jax.records import Message
from lts_jax.rollouts.store import read_rollouts
from lts_jax.storage import read_json, read_parquet, write_json
from lts_jax.systems.run_folder import read_settings
from lts_jax.systems.train_settings import TrainSettings

SMALL = ["--num-tasks", "2", "--num-epochs", "2", "--tasks-per-update", "1", "--collect.num-rollouts", "2"]
TEAMS = ["--rollout.num-teams", "2", "--rollout.team.max-rounds", "5", "--controller", "linear"]
TEXTS = [f"pool {number} opens at {number % 24}" for number in range(40)]


class Numbers:
    """A model that answers with a number."""

    name = "numbers"

    async def complete(self, messages: Any, *, seed: int, json_reply: bool = False) -> Completion:
        """The seed as text."""
        return Completion(f"It is {seed} m, and {seed + 0.5} s.", 10 + seed, 3, self.name, seconds=seed / 7)


def make_run(folder: Path) -> None:
    """A small run with everything that is read back."""
    cli.main(["train", "--run", str(folder), *SMALL, *TEAMS])
    lines = ["m1_parallel", "all", "lts"]
    sizes = ["--evaluation.num-tasks", "5", "--evaluation.num-seeds", "1"]
    cli.main(["evaluate", "--run", str(folder), "--policies", *lines, *sizes])
    model = RecordingModel(Numbers(), folder / "calls")

    async def ask() -> None:
        for seed in range(40):
            await model.complete([Message("user", f"How high is tower {seed}?")], seed=seed)

    asyncio.run(ask())
    StoredEncoder(HashingEncoder(), folder / "vectors.sqlite").encode(TEXTS)


def kinds(folder: Path) -> dict[str, tuple[list[Path], Callable[[Path], Any]]]:
    """Files by kind, and how each is read."""

    def found(pattern: str) -> list[Path]:
        return sorted(path for path in folder.glob(pattern) if path.is_file())

    def vectors(path: Path) -> Any:
        return StoredEncoder(HashingEncoder(), path).encode(TEXTS).tobytes()

    def calls(path: Path) -> Any:
        return ReplayModel(path.parent)._found.completions

    def settings(path: Path) -> Any:
        return read_settings(path.parent, TrainSettings), read_json(path)

    newest = newest_healthy(folder / "checkpoints")

    def checkpoints(path: Path) -> Any:
        cursor = newest_healthy(folder / "checkpoints")
        if cursor is None or newest is None or cursor["iteration"] < newest["iteration"]:
            raise UserError(
                f"{path}: passed over for an older checkpoint"
            )  # `restore` warns, and iterations are repeated
        return cursor

    return {
        "rollouts": ([*found("rollouts/*.parquet"), *found("evaluation/*/*.parquet")], read_rollouts),
        "credit": (found("credit/*.parquet"), lambda path: read_parquet(path).to_pylist()),
        "metrics": (found("metrics.jsonl"), read_metrics),
        "recorded calls": (found("calls/calls.jsonl"), calls),
        "stored vectors": (found("vectors.sqlite"), vectors),
        "config": (found("config.json"), settings),
        "parts and report": ([*found("parts.json"), *found("report.json")], read_json),
        "checkpoints": (found("checkpoints/**/*"), checkpoints),
    }


def outcome(path: Path, read: Callable[[Path], Any], before: Any) -> str:
    """What reading a rotten file comes to."""
    try:
        value = read(path)
    except UserError as error:
        return "typed" if "\n" not in str(error) else "untyped"
    except Exception as error:
        return f"untyped ({type(error).__name__})"
    return "harmless" if same(value, before) else "silent"


def same(one: Any, other: Any) -> bool:
    """Equality in which a NaN equals itself."""
    return one == other or repr(one) == repr(other)


def main() -> None:
    """Flip, count, and write results/bit_rot.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, help="a run folder that is read, flipped and put right again")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "bit_rot.json")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.run or Path(scratch) / "run"
        if given.run is None:
            make_run(folder)
        draw, counts = random.Random(given.seed), dict[str, Counter[str]]()
        known = {name: files for name, files in kinds(folder).items() if files[0]}
        before: dict[Path, Any] = {}
        started = time.monotonic()
        for _ in range(given.flips):
            name = draw.choice(list(known))
            files, read = known[name]
            path = draw.choices(files, weights=[one.stat().st_size for one in files])[0]
            content = path.read_bytes()
            if path not in before:
                before[path] = read(path)
            place = draw.randrange(8 * len(content))
            rotten = np.frombuffer(content, np.uint8).copy()
            rotten[place // 8] ^= 1 << place % 8
            path.write_bytes(rotten.tobytes())
            result = outcome(path, read, before[path])
            counts.setdefault(name, Counter())[result] += 1
            path.write_bytes(content)
            if result.startswith(("silent", "untyped")):
                print(result, path.relative_to(folder), place, flush=True)
    total = sum(counts.values(), Counter[str]())
    result_table = {"flips": given.flips, "seed": given.seed, "all": dict(total)}
    result_table |= {"kinds": {name: dict(each) for name, each in counts.items()}}
    print(result_table, f"{time.monotonic() - started:.0f} s")
    write_json(given.out, result_table)


if __name__ == "__main__":
    main()
