"""What the engine costs by itself: CPU per team turn, and whether 1,024 teams at once keep their deadlines.

Run: python experiments/engine_speed/run.py [--autogen-python /path/to/venv/bin/python]   (three minutes)

The model costs nothing and runs in the process; every call goes to a durable journal. AutoGen's MagenticOneGroupChat
runs in a process of its own, on the same core, with a model that costs nothing and the same replies, and without a
journal. Rounds are interleaved; a ratio is the median over rounds. Without AutoGen's environment it is left out.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from canned import TASK, TEXT, CannedModel, ledger, use_tool

from lts_jax.admission.policy import AdmissionPolicy
from lts_jax.admission.rules import admit_all, admit_none
from lts_jax.llm.chat import ChatModel
from lts_jax.llm.recorded import ReplayModel
from lts_jax.records import Coordinates, Rollout, StopReason
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.storage import write_json
from lts_jax.teams.settings import ParallelSettings, TeamSettings

NUM_TURNS = 20  # of a team
NUM_TEAMS = 48  # at once, in measures of CPU
MOST_LATE_SECONDS = 0.1


@dataclass(frozen=True)
class Contender:
    """A way to take turns."""

    speaker: str = "Coder"
    policy: Callable[[], AdmissionPolicy] = admit_none
    has_journal: bool = True
    virtual_time: bool = False


CONTENDERS = {
    "turn: ledger and a coder's reply": Contender(),
    "the same without the journal": Contender(has_journal=False),
    "the same on the virtual clock": Contender(virtual_time=True),
    "turn with a tool: ledger, act, tool, report": Contender("WebSurfer"),
    "turn with a tool, and the memory": Contender("WebSurfer", admit_all),
}
FIRST = "turn: ledger and a coder's reply"


@dataclass
class Work:
    """Rollouts side by side, and what they cost."""

    rollouts: list[Rollout]
    cpu_seconds: float
    wall_seconds: float
    num_calls: int
    num_syncs: int = 0
    late_seconds: list[float] = field(default_factory=list)


def work(contender: Contender, model: CannedModel, num_rollouts: int, settings: RolloutSettings, seed: int) -> Work:
    """Run rollouts of one contender side by side, in a journal's folder of their own."""
    folder = Path(tempfile.mkdtemp(prefix="engine_speed"))
    asked: ChatModel = ReplayModel(folder, model) if contender.has_journal else model
    parts = RolloutParts(asked, use_tool, contender.policy(), virtual_time=contender.virtual_time)
    places = [Coordinates(seed, 0, TASK.task_id, number) for number in range(num_rollouts)]

    rollouts: list[Rollout] = []

    async def run_all() -> None:  # returns nothing: asyncio.run prints the result of its coroutine for itself
        rollouts.extend(await asyncio.gather(*(run_rollout(TASK, place, parts, settings) for place in places)))

    cpu, wall = time.process_time(), time.perf_counter()
    asyncio.run(run_all())
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if contender.has_journal:
        num_lines = (folder / "calls.jsonl").read_bytes().count(b"\n")
        assert num_lines >= sum(not call.error for rollout in rollouts for call in rollout.calls)
    shutil.rmtree(folder)
    return Work(rollouts, cpu, wall, model.num_calls, late_seconds=model.late_seconds)


def turns_of(contender: Contender, seed: int) -> dict[str, float]:
    """CPU microseconds of one turn and of one call."""
    settings = RolloutSettings(num_teams=3, team=TeamSettings(max_rounds=NUM_TURNS))
    done = work(contender, CannedModel(contender.speaker), NUM_TEAMS // 3, settings, seed)
    num_turns = sum(len(rollout.steps) for rollout in done.rollouts)
    assert num_turns == NUM_TEAMS * NUM_TURNS
    return {
        "calls_per_turn": done.num_calls / num_turns,
        "microseconds_per_turn": 1e6 * done.cpu_seconds / num_turns,
        "microseconds_per_call": 1e6 * done.cpu_seconds / done.num_calls,
    }


class AutoGen:
    """AutoGen in a process of its own, asked for one measurement at a time."""

    def __init__(self, python: str) -> None:
        canned = json.dumps({"ledger": ledger("Coder"), "text": TEXT, "task": TASK.question})
        script = str(Path(__file__).with_name("autogen_turns.py"))
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([python, script, canned], stdin=pipe, stdout=pipe, text=True)
        self.version = self._read()["version"]

    def turns(self) -> dict[str, float]:
        """As `turns_of`."""
        assert self._process.stdin is not None
        print(NUM_TEAMS // 3, NUM_TURNS, file=self._process.stdin, flush=True)
        found = self._read()
        return {
            "calls_per_turn": found["calls"] / found["turns"],
            "microseconds_per_turn": found["microseconds_per_turn"],
            "microseconds_per_call": found["microseconds_per_call"],
        }

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("AutoGen's process ended; does its environment hold autogen-agentchat and autogen-ext?")
        return json.loads(line)


def measure_turns(num_rounds: int, autogen: AutoGen | None) -> dict[str, Any]:
    """Medians over interleaved rounds, and ratios to the first contender."""
    rounds = []
    for number in range(-1, num_rounds):  # the first warms up
        found = {name: turns_of(contender, number) for name, contender in CONTENDERS.items()}
        found["the first again"] = turns_of(CONTENDERS[FIRST], number)
        if autogen is not None:
            found["AutoGen, without a journal"] = autogen.turns()
        if number >= 0:
            rounds.append(found)
    rows: dict[str, Any] = {}
    for name in rounds[0]:
        rows[name] = {unit: round(median(each[name][unit] for each in rounds), 2) for unit in rounds[0][name]}
        ratios = [each[name]["microseconds_per_turn"] / each[FIRST]["microseconds_per_turn"] for each in rounds]
        deciles = quantiles(ratios, n=10)
        rows[name] |= {"ratio": round(median(ratios), 3), "p10": round(deciles[0], 3), "p90": round(deciles[-1], 3)}
        row = rows[name]
        print(
            f"{name:46}{row['microseconds_per_turn']:9.0f} us a turn{row['microseconds_per_call']:8.0f} us a call"
            f"   x {row['ratio']:.2f} ({row['p10']:.2f} to {row['p90']:.2f})"
        )
    return rows


@dataclass(frozen=True)
class Crowd:
    """Teams at once, whose model takes a drawn time in real time."""

    num_rollouts: int
    num_teams: int
    policy: Callable[[], AdmissionPolicy] = admit_none
    deadline_seconds: float = 8.0
    least_seconds: float = 0.2  # of a call
    most_seconds: float = 1.8


CROWDS = {
    "1,024 teams: 16 rollouts of 64": Crowd(16, 64),
    "1,024 rollouts of one team": Crowd(1024, 1),
    "1,024 teams with the memory: 256 rollouts of 4": Crowd(256, 4, admit_all),
}


def measure_crowd(crowd: Crowd, seed: int) -> dict[str, float]:
    """How late calls and deadlines are. Each team works until its deadline stops it."""
    model = CannedModel("Coder", crowd.least_seconds, crowd.most_seconds)
    settings = RolloutSettings(
        num_teams=crowd.num_teams,
        team=TeamSettings(max_rounds=1000),
        parallel=ParallelSettings(deadline_seconds=crowd.deadline_seconds),
    )
    done = work(Contender(policy=crowd.policy), model, crowd.num_rollouts, settings, seed)
    answers = [answer for rollout in done.rollouts for answer in rollout.answers]
    assert all(answer.stop_reason == StopReason.TIME_LIMIT for answer in answers)
    past = sorted(answer.seconds - crowd.deadline_seconds for answer in answers)
    late = sorted(done.late_seconds)
    return {
        "teams": len(answers),
        "turns": sum(len(rollout.steps) for rollout in done.rollouts),
        "calls": done.num_calls,
        "cpu_share_of_one_core": round(done.cpu_seconds / done.wall_seconds, 3),
        "deadlines_missed": sum(seconds > MOST_LATE_SECONDS for seconds in past),
        "deadline_late_milliseconds_worst": round(1e3 * past[-1], 1),
        "calls_late": sum(seconds > MOST_LATE_SECONDS for seconds in late),
        "call_late_milliseconds_median": round(1e3 * median(late), 2),
        "call_late_milliseconds_p99": round(1e3 * quantiles(late, n=100)[-1], 2),
        "call_late_milliseconds_worst": round(1e3 * late[-1], 2),
    }


def main() -> None:
    """Measure, print, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="at least 3")
    parser.add_argument("--autogen-python", help="python of an environment with autogen-agentchat and autogen-ext")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "engine_speed.json")
    arguments = parser.parse_args()
    if arguments.rounds < 3:
        sys.exit("expected --rounds at least 3")
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})  # before AutoGen's process starts, which inherits it
    autogen = AutoGen(arguments.autogen_python) if arguments.autogen_python else None
    if autogen is None:
        print("AutoGen is left out: no --autogen-python")
    header = {
        "python": sys.version.split()[0],
        "autogen-agentchat": autogen.version if autogen else "left out: no --autogen-python",
        "clock": "process_time, one core",
        "rounds": arguments.rounds,
        "teams_at_once": NUM_TEAMS,
        "turns_of_a_team": NUM_TURNS,
    }
    turns = measure_turns(arguments.rounds, autogen)
    if autogen is not None:
        autogen.close()
    crowds = {}
    for name, crowd in CROWDS.items():
        measure_crowd(replace(crowd, deadline_seconds=2.0), seed=99)  # warms up
        crowds[name] = measure_crowd(crowd, seed=0)
        print(f"\n{name}: " + ", ".join(f"{unit} {value:g}" for unit, value in crowds[name].items()))
    write_json(arguments.out, header | {"turns": turns, "crowds": crowds})
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
