"""Two source trees measured in one run: a process for each, asked in turn, so that a busy machine is busy for both."""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lts_jax.errors import UserError

RUN = Path(__file__).with_name("run.py")


@dataclass(frozen=True, slots=True)
class Tree:
    """A process that collects rollouts with the package of one folder. It answers one JSON line with another."""

    process: subprocess.Popen[str]

    def ask(self, **wanted: object) -> dict[str, float | str]:
        """One collection.

        Raises:
            UserError: the process ended instead.
        """
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(wanted) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise UserError("a source tree could not be measured: its process ended, see above")
        return json.loads(line)


def open_tree(source: Path) -> Tree:
    """Start a process whose `lts_jax` is the one in `source` (a folder src).

    Raises:
        UserError: there is none.
    """
    if not (source / "lts_jax" / "__init__.py").exists():
        raise UserError(f"--against: expected a folder that holds lts_jax, got {source}")
    environment = os.environ | {"PYTHONPATH": str(source.resolve())}
    command = [sys.executable, str(RUN), "--serve"]
    return Tree(subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))


def compare_trees(here: Tree, there: Tree, names: list[str], num_rounds: int, num_tasks: int) -> dict[str, dict]:
    """Of each contender: steps per CPU second of both, their ratio (medians over rounds), and whether bits are equal.

    The order of the two is turned round from round to round.
    """
    for name in names:
        for tree in (here, there):
            tree.ask(name=name, seed=99, tasks=4)
    found: dict[str, dict] = {name: {"here": [], "there": [], "equal": True} for name in names}
    for number in range(num_rounds):
        for name in names:
            pairs = [("here", here), ("there", there)][:: 1 - 2 * (number % 2)]
            answers = {side: tree.ask(name=name, seed=number, tasks=num_tasks) for side, tree in pairs}
            for side, answer in answers.items():
                found[name][side].append(answer["steps_per_cpu_second"])
            found[name]["equal"] &= answers["here"]["digest"] == answers["there"]["digest"]
        print(f"round {number + 1} of {num_rounds}", file=sys.stderr)
    return {
        name: {
            "here": statistics.median(each["here"]),
            "there": statistics.median(each["there"]),
            "ratio": statistics.median(new / old for new, old in zip(each["here"], each["there"], strict=True)),
            "equal_rollouts": each["equal"],
        }
        for name, each in found.items()
    }
