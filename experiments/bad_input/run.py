"""Give the command line files and flags that make no sense, and count what is not one clear line.

Run: python experiments/bad_input/run.py [--seconds 6]

Every case runs in this process. Good ends are exit 0, exit 2 with one line on standard error, and a case that was
accepted and is stopped after some seconds (exit 130). Exit 70 is a mistake of the program; so is more than one line.
A refused command must leave no new folder.
"""

import argparse
import contextlib
import io
import json
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from lts_jax import cli
from lts_jax.storage import write_json

WHO = {
    "history": [{"content": "hello", "role": "human"}, {"content": "x", "role": "WebSurfer"}], "question": "q",
    "ground_truth": "a", "is_correct": False, "mistake_agent": "x", "mistake_step": "0",
}  # fmt: skip
TAU = {
    "task_id": 0, "trial": 0, "reward": 1.0, "info": {},
    "traj": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{bad"}}]},
        {"role": "tool", "content": "x", "name": "f"},
    ],
}  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, -1, 7, 1e308, float("nan"), float("inf"), 10**30, "", "x", "\ud800", "a\0b", "x" * 5000, [],
    [None], [[]],
    {}, {"a": None}, [1, "x", {}],
)  # fmt: skip
RAW = (
    b"", b"  \n", b"\0" * 100, b"[", b"[]", b"{}", b"7", b'"x"', b"null", b"\xef\xbb\xbf{}", b"\xff\xfe{",
    b'{"a":\xe9}',
    b"[" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b"[" * 3000 + b"]" * 3000,
    b'{"a":' + b"9" * 6000 + b"}",
    b'{"history":NaN,"question":Infinity}', b'["\\ud800"]', b"PAR1" + b"\0" * 100 + b"PAR1", b"x" * 100_000,
)  # fmt: skip


def changed(value: Any, odd: Any) -> Iterator[tuple[str, Any]]:
    """The value with each field at any depth, one after the other, replaced by something odd."""
    if isinstance(value, dict):
        for name in value:
            yield name, value | {name: odd}
            for below, inner in changed(value[name], odd):
                yield f"{name}.{below}", value | {name: inner}
    elif isinstance(value, list) and value:
        for below, inner in changed(value[0], odd):
            yield f"0.{below}", [inner, *value[1:]]


def file_cases(folder: Path, run: Path) -> Iterator[tuple[str, list[str], Callable[[], None]]]:
    """(name, command, what puts the files there) of files that are wrong."""

    def put(path: Path, content: bytes) -> Callable[[], None]:
        return lambda: path.write_bytes(content) and None

    log, points, world = folder / "log.json", folder / "points.jsonl", folder / "world.json"
    out = ["--out", str(folder / "out.parquet")]
    for number, content in enumerate(RAW):
        for importer in ("who_and_when", "tau_bench", "autogen"):
            yield f"raw {number} {importer}", ["import", importer, str(log), *out], put(log, content)
        sweep = ["sweep", "--run", str(folder / "s"), "--seeds", "1"]
        yield f"raw {number} points", [*sweep, "--mode", "list", "--points", str(points)], put(points, content)
        world_flags = ["--world", str(world), "--over", "learning.sparsity_weight=0,1"]
        yield f"raw {number} world", [*sweep, *world_flags], put(world, content)
        for name in ("config.json", "parts.json", "metrics.jsonl"):
            yield f"raw {number} {name}", ["report", "--run", str(run)], put(run / name, content)
        group = next((run / "evaluation" / "m1_parallel").glob("*.parquet"))
        yield f"raw {number} rollouts", ["report", "--run", str(run)], put(group, content)
    for place, odd in enumerate(ODD):
        for importer, good in (("who_and_when", WHO), ("tau_bench", [TAU])):
            for where, value in list(changed(good, odd))[place % 2 :: 2]:
                content = json.dumps(value).encode()
                yield f"odd {place} {importer} {where}", ["import", importer, str(log), *out], put(log, content)
    config = {
        name: each for name, each in json.loads((run / "config.json").read_text()).items() if name != "file_digest"
    }
    every = [(where, odd) for odd in ODD for where, _ in changed(config["train"], odd)]
    for where, odd in every[:: len(every) // 150 + 1]:
        value = next(one for name, one in changed(config["train"], odd) if name == where)
        content = json.dumps(config | {"train": value}).encode()
        yield f"config {where}={str(odd)[:20]}", ["evaluate", "--run", str(run)], put(run / "config.json", content)
    table = pyarrow.parquet.read_table(next((run / "evaluation" / "m1_parallel").glob("*.parquet")))
    group = next((run / "evaluation" / "m1_parallel").glob("*.parquet"))
    for name in table.column_names:
        without = table.drop_columns([name])

        def write(content: pyarrow.Table = without) -> None:
            pyarrow.parquet.write_table(content, group)

        yield f"rollouts without {name}", ["report", "--run", str(run)], write


NUMBERS = ("0", "-1", "1e400", "nan", "99999999999999999999", "", "x", "1.5", "\u0663", "9" * 5000)
FLAGS = (
    "num-tasks", "num-epochs", "tasks-per-update", "seed", "rollout.num-teams", "rollout.team.max-rounds",
    "rollout.parallel.quorum", "rollout.latency.noise-sigma", "rollout.latency.web-seconds", "collect.num-rollouts",
    "collect.num-in-flight", "learning.temperature", "learning.beta1", "model.budget.max-tokens", "mesh.data",
    "rollout.guards.max-key-characters", "rollout.reading.max-listed",
)  # fmt: skip
TEXTS = (
    ("train", "--credit"), ("train", "--controller"), ("train", "--encoder"), ("train", "--objective"),
    ("rollout", "--task"),
    ("rollout", "--policy"), ("sweep", "--over"), ("sweep", "--set"), ("world", "--page"), ("world", "--file"),
    ("report", "--run"), ("train", "--tasks.file"), ("train", "--tools.folder"), ("evaluate", "--policies"),
)  # fmt: skip
WORDS = (
    "", " ", "x", "x(", "x)", "(((", "usage_aware(usage_weight=1e999)", "mine.py:f", "/dev/null",
    "../../etc/passwd", "a" * 5000,
    "\ud800", "a=b=c", "=", "hashing(width=-1)", "linear(width=[])", ":", "os:system", "\n", "%s",
)  # fmt: skip


def flag_cases(folder: Path) -> Iterator[tuple[str, list[str], Callable[[], None]]]:
    """(name, command, nothing to do) of flags that are wrong."""
    small = ["--num-tasks", "1", "--tasks-per-update", "1", "--num-epochs", "1"]
    for flag in FLAGS:
        for value in NUMBERS:
            start = ["train", "--run", str(folder / "new"), *small]
            yield f"--{flag}={value[:20]}", [*start, f"--{flag}={value}"], lambda: None
    for command, flag in TEXTS:
        for value in WORDS:
            start = [command, *(["--run", str(folder / "new")] if command in ("train", "sweep", "evaluate") else [])]
            yield f"{command} {flag}={value[:20]!r}", [*start, f"{flag}={value}"], lambda: None


def end_of(command: list[str], seconds: float) -> tuple[int, str]:
    """Exit code and standard error of a command that is stopped after some seconds."""
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            cli.main(command)
            code = 0
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 0
        except BaseException as error:
            code = 99
            said.write(f"{type(error).__name__}: {error}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return code, said.getvalue()


def stop(number: int, frame: Any) -> None:
    """What the alarm does: as Ctrl-C."""
    signal.raise_signal(signal.SIGINT)


def main() -> None:
    """Run all cases and write results/bad_input.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="after which an accepted case is stopped")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "bad_input.json")
    given = parser.parse_args()
    signal.signal(signal.SIGALRM, stop)
    counts, bad = Counter[str](), list[str]()
    with tempfile.TemporaryDirectory() as scratch:
        folder, run, kept = Path(scratch), Path(scratch) / "run", Path(scratch) / "kept"
        sizes = ["--num-tasks", "1", "--tasks-per-update", "1", "--num-epochs", "1", "--collect.num-rollouts", "1"]
        teams = ["--rollout.num-teams", "2", "--rollout.team.max-rounds", "4", "--controller", "linear"]
        cli.main(["train", "--run", str(kept), *sizes, *teams])
        compared = ["--policies", "m1_parallel", "all", "--evaluation.num-tasks", "2", "--evaluation.num-seeds", "1"]
        cli.main(["evaluate", "--run", str(kept), *compared])
        shutil.copytree(kept, run)
        for name, command, prepare in (*file_cases(folder, run), *flag_cases(folder)):
            if given.only not in name:
                continue
            shutil.rmtree(run)
            shutil.copytree(kept, run)
            shutil.rmtree(folder / "new", ignore_errors=True)
            prepare()
            code, said = end_of(command, given.seconds)
            if "AST constructor recursion depth mismatch" in said:  # CPython 3.11 after an interrupted parse
                code, said = end_of(command, given.seconds)
            lines = [line for line in said.splitlines() if line.strip() and line.startswith("lts: ")]
            is_good = code in (0, 130) or (code == 2 and len(lines) == 1 and "Traceback" not in said)
            left = (code == 2 and (folder / "new").exists() and "accepted") or ""
            counts["accepted" if code in (0, 130) else "one line" if is_good else f"exit {code}"] += 1
            if not is_good or left:
                bad.append(f"{name}: exit {code} {left} {said[-300:]!r}")
                print(bad[-1], flush=True)
    result = {"cases": sum(counts.values()), "ends": dict(counts), "bad": bad}
    print(result["cases"], result["ends"])
    write_json(given.out, result)


if __name__ == "__main__":
    main()
