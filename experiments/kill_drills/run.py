"""Kill every command that keeps something, at a random file operation, and go on with the same command.

Run: python experiments/kill_drills/run.py --kills 4 [--commands train sweep ...] [--seed 0]

A drill runs a command unbroken and counts its file operations. Then it runs it again in another folder, kills it
(SIGKILL) just before or just after a file operation drawn at random, runs it again, and so on for five kills, and then
to its end. The folder must then hold the same bytes as the unbroken one, but for dates, for seconds of the real clock,
and for how Orbax spells the checkpoints whose arrays must be equal. Further kills are of further runs.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inputs import CountingModel, served, write_benchmark, write_log

from lts_jax.storage import write_json

HERE = Path(__file__).parent
KILLS_OF_A_RUN = 5  # then it is brought to its end, compared, and another run begins
NETWORK = "set_transformer(width=8, num_layers=1, num_heads=1)"
TEAMS = ["--rollout.num-teams", "2", "--rollout.team.max-rounds", "5"]
TRAIN = ["--num-tasks", "2", "--num-epochs", "2", "--tasks-per-update", "1", "--collect.num-rollouts", "2", *TEAMS]
COMPARED = ["m1_parallel", "all", "lts"]


@dataclass(frozen=True)
class Drill:
    """A command in a folder, what it starts from, and what of its folder must be equal."""

    command: Callable[[Path], list[str]]
    before: Callable[[Path], list[str]] | None = None  # run unbroken in a folder that is then copied
    real_clock: bool = False


def drills(inputs: Path, address: str) -> dict[str, Drill]:
    """The drilled commands by name."""

    def train(run: Path) -> list[str]:
        return ["train", "--run", str(run), "--controller", NETWORK, *TRAIN]

    def evaluate(run: Path) -> list[str]:
        sizes = ["--evaluation.num-tasks", "5", "--evaluation.num-seeds", "1"]
        return ["evaluate", "--run", str(run), "--policies", *COMPARED, *sizes]

    def sweep(run: Path) -> list[str]:
        small = ["shape.num_tasks=4", "num_iterations=2", "tasks_per_update=2", "num_evaluation_tasks=4"]
        told = [part for one in small[1:] for part in ("--set", one)]
        return ["sweep", "--run", str(run), "--over", "learning.sparsity_weight=0,0.1", "--seeds", "2",
                "--pairs-per-program", "1", *told]  # fmt: skip

    def benchmark(run: Path) -> list[str]:
        return ["benchmark", "--run", str(run), "--benchmark.source", str(inputs / "benchmark"), "--policies",
                "m1_parallel", "all", "--yes", "--model.name", "counting", "--model.base-url", address,
                "--tools.allow-no-search", "--num-in-flight", "2", *TEAMS]  # fmt: skip

    def replay(run: Path) -> list[str]:
        return ["replay", "--runs", str(inputs / "log.json"), "--out", str(run / "runs.parquet"), "--num-rollouts", "2"]

    def demo(run: Path) -> list[str]:
        sizes = ["--compare.evaluation.num-tasks", "5", "--compare.evaluation.num-seeds", "1"]
        return ["demo", "--run", str(run), *TRAIN, "--compare.policies", *COMPARED, *sizes]

    return {
        "train": Drill(train),
        "evaluate": Drill(evaluate, train),
        "sweep": Drill(sweep),
        "benchmark": Drill(benchmark, real_clock=True),
        "replay": Drill(replay),
        "demo": Drill(demo),
    }


def execute(command: Sequence[str], number: int, when: str, scratch: Path) -> tuple[int, int, str]:
    """Run a command; its exit code, its file operations, and what it said last."""
    counted = scratch / "counted"
    counted.unlink(missing_ok=True)
    told = subprocess.run(
        [sys.executable, str(HERE / "killed.py"), str(number), when, str(counted), *command],
        env=os.environ | {"JAX_COMPILATION_CACHE_DIR": str(scratch / "programs")},
        capture_output=True,
        text=True,
        check=False,
    )
    operations = int(counted.read_text()) if counted.exists() else 0
    return told.returncode, operations, told.stderr[-300:]


_DATE = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\+00:00)?")


def content(run: Path, *, real_clock: bool) -> dict[str, Any]:
    """What must be equal: bytes by file, without dates, and digests over them."""
    found: dict[str, Any] = {}
    for path in sorted(one for one in run.rglob("*") if one.is_file()):
        name = path.relative_to(run).as_posix()
        if path.name in {".lock", "calls.lock"} or re.search(r"checkpoints/state_\d+/", name):
            continue
        if re.search(r"checkpoints/state_\d+\.json$", name):
            manifest = json.loads(path.read_text())
            found[name] = manifest["cursor"], manifest["arrays"]
        elif real_clock and path.suffix != ".tmp":
            found[name] = path.suffix == ".json" and "rows" in path.read_text()
        elif path.suffix in {".json", ".html"}:
            found[name] = re.sub(r'"(?:file_)?digest": "[0-9a-f]+"', "", _DATE.sub("", path.read_text()))
        else:
            found[name] = path.read_bytes()
    return found


def differences(whole: dict[str, Any], killed: dict[str, Any]) -> list[str]:
    """Names of files that only one has, or that differ."""
    return sorted(name for name in whole | killed if whole.get(name) != killed.get(name))


def repeated_calls(run: Path, model: CountingModel, before: int) -> tuple[int, int]:
    """Finished calls that were asked again, and lines of the journal that hold a call twice."""
    lines = [json.loads(line)["call"] for line in (run / "calls" / "calls.jsonl").read_text().splitlines()]
    again = sum(model.answered.values()) - before - len(set(lines))
    return again, len(lines) - len(set(lines))


@dataclass
class Broken:
    """One run that was killed again and again and brought to its end: where, and what went wrong."""

    kills: list[str]
    problems: list[str]


def kill_and_go_on(drill: Drill, run: Path, num_kills: int, spread: int, draw: random.Random, scratch: Path) -> Broken:
    """Give the command until it ends, killed before or after one of its next `spread` file operations each time."""
    done = Broken([], [])
    while len(done.kills) < num_kills:
        number, when = draw.randrange(1, spread + 1), draw.choice(("before", "after"))
        code, _, said = execute(drill.command(run), number, when, scratch)
        if code == 0:
            return done
        if code != -9:
            done.problems.append(f"exit {code}: {said}")
            return done
        done.kills.append(f"{when} {number}")
    code, _, said = execute(drill.command(run), 0, "before", scratch)
    if code != 0:
        done.problems.append(f"exit {code} at the end: {said}")
    return done


def run_drill(
    name: str, drill: Drill, num_kills: int, draw: random.Random, scratch: Path, model: Any
) -> dict[str, Any]:
    """Kill one command so many times, going on each time; what came of it."""
    whole, killed = scratch / name / "unbroken" / "run", scratch / name / "killed" / "run"
    if drill.before is not None:
        code, _, said = execute(drill.before(whole), 0, "before", scratch)
        assert code == 0, said
    beginning = scratch / name / "beginning"
    shutil.copytree(whole, beginning) if whole.exists() else None
    start = time.monotonic()
    code, operations, said = execute(drill.command(whole), 0, "before", scratch)
    assert code == 0, said
    expected = content(whole, real_clock=drill.real_clock)
    kills, runs, different, problems = list[str](), 0, set[str](), list[str]()
    again = twice = 0
    spread = max(min(operations, 2 * KILLS_OF_A_RUN), operations // KILLS_OF_A_RUN * 2)
    while len(kills) < num_kills and not problems:
        shutil.rmtree(killed, ignore_errors=True)
        shutil.copytree(beginning, killed) if beginning.exists() else None
        answered = sum(model.answered.values())
        done = kill_and_go_on(drill, killed, min(KILLS_OF_A_RUN, num_kills - len(kills)), spread, draw, scratch)
        kills += done.kills
        problems += done.problems
        runs += 1
        different |= set(differences(expected, content(killed, real_clock=drill.real_clock)))
        if name == "benchmark" and not done.problems:
            repeated = repeated_calls(killed, model, answered)
            again, twice = again + repeated[0], twice + repeated[1]
    result: dict[str, Any] = {
        "kills": len(kills), "runs": runs, "at": kills, "file_operations": operations, "different": sorted(different),
        "problems": problems, "seconds": round(time.monotonic() - start, 1),
    }  # fmt: skip
    if name == "benchmark":
        result |= {"calls_answered_unkept": again, "recorded_twice": twice, "in_flight": 4 * len(kills)}
    return result


def main() -> None:
    """Drill the commands and write results/kills.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=4, help="of each command")
    parser.add_argument("--commands", nargs="+", default=["train", "evaluate", "sweep", "benchmark", "replay", "demo"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "kills.json")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    given = parser.parse_args()
    with ExitStack() as stack:
        scratch = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scratch.mkdir(exist_ok=True)
        write_log(scratch / "log.json")
        write_benchmark(scratch / "benchmark", 3)
        model = CountingModel()
        known = drills(scratch, stack.enter_context(served(model)))
        results = {}
        for name in given.commands:
            draw = random.Random(f"{given.seed} {name}")
            results[name] = run_drill(name, known[name], given.kills, draw, scratch, model)
            print(name, json.dumps(results[name]), flush=True)
        write_json(given.out, {"seed": given.seed, "commands": results})


if __name__ == "__main__":
    main()
