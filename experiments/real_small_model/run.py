"""A language model of 135M weights as teams: what its replies are worth, what they cost, and what teams do with them.

Run: python experiments/real_small_model/run.py --folder smollm2 [--questions 20 --teams 1 3 --policies none all ...]

Easy questions of the offline world and sums of two numbers, each with every number of teams and every policy. Each
rollout is a line of `results/rollouts.jsonl` as soon as it has ended; the same command goes on where it stopped.

Policies are paired: the same request with the same seed is asked once and gets the same reply, in the time that it
took, under every policy and number of teams. What differs between two policies is what sharing did.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lts_jax as lts
from lts_jax.bridge.local_model import LocalModel, LocalSettings
from lts_jax.evaluation.statistics import mean_interval
from lts_jax.llm.chat import Completion
from lts_jax.records import Coordinates, Message, Rollout, Task
from lts_jax.rollouts.rollout import run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.storage import append_json_line, read_json_lines, write_json
from lts_jax.systems.comparison import ComparisonSettings, make_arm, make_policy
from lts_jax.systems.run_parts import Brought, make_parts
from lts_jax.systems.world import almanac_tasks
from lts_jax.teams.ledger import LedgerProblem, parse_ledger
from lts_jax.teams.settings import TeamSettings

RESULTS = Path(__file__).parent / "results"
LINES = RESULTS / "rollouts.jsonl"


def sums(count: int) -> list[Task]:
    """Sums of two numbers of two digits."""
    draw = np.random.default_rng(0)
    pairs = draw.integers(10, 100, (count, 2))
    return [
        Task(f"sum-{place:02}", f"What is {one} + {two}?", str(one + two), "test", "sum", "easy")
        for place, (one, two) in enumerate(pairs.tolist())
    ]


def easy(count: int) -> list[Task]:
    """The first easy questions of the offline world's test split, balanced over families."""
    return [task for task in almanac_tasks(0, "test") if task.difficulty == "easy"][:count]


def problems(rollout: Rollout) -> Counter[str]:
    """Replies that could not be used, by kind."""
    found: Counter[str] = Counter()
    for call in rollout.calls:
        if call.error:
            found[f"{call.purpose}: {call.error.split(':')[0]}"] += 1
        elif call.purpose == "ledger":
            read = parse_ledger(call.reply, is_cut=call.is_cut)
            if isinstance(read, LedgerProblem):
                found[f"ledger: {read.kind}"] += 1
        elif call.is_cut:
            found[f"{call.purpose}: cut"] += 1
    found.update("step failed" for step in rollout.steps if step.failed)
    return found


class Remembered:
    """A model that gives equal requests with equal seeds one reply."""

    def __init__(self, inner: LocalModel) -> None:
        self._inner, self.name = inner, inner.name
        self._replies: dict[tuple[Any, ...], asyncio.Task[Completion]] = {}
        self.num_asked = self.num_remembered = 0

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """See `ChatModel`. A failure is remembered, too."""
        request = (*messages, seed, json_reply)
        if request in self._replies:
            self.num_remembered += 1
        else:
            self.num_asked += 1
            asking = self._inner.complete(tuple(messages), seed=seed, json_reply=json_reply)
            self._replies[request] = asyncio.create_task(asking)
        return await asyncio.shield(self._replies[request])


def row_of(key: list[Any], rollout: Rollout, seconds: float) -> dict[str, Any]:
    """What is kept of a rollout."""
    ledgers = Counter((call.team, call.step) for call in rollout.calls if call.purpose == "ledger")
    return {
        "key": key,
        "family": rollout.task.family,
        "score": rollout.reward_agg,
        "answer": rollout.final.text[:80],
        "reference": rollout.task.answer,
        "seconds": round(seconds, 1),
        "tokens": rollout.tokens,
        "calls": dict(Counter(call.purpose for call in rollout.calls)),
        "ledger_retries": sum(count - 1 for count in ledgers.values()),
        "problems": dict(problems(rollout)),
        "stored": [entry.key[:100] for entry in rollout.entries],
        "pulled": len(rollout.pulls),
        "steps": len(rollout.steps),
    }


def keys_of(options: argparse.Namespace) -> list[tuple[Task, int, str]]:
    """What is to be run: all policies of a question side by side, for they ask much the same."""
    kinds = zip(easy(options.questions), sums(options.questions), strict=True)
    tasks = [task for pair in kinds for task in pair]
    return [(task, teams, policy) for task in tasks for teams in options.teams for policy in options.policies]


async def measure(options: argparse.Namespace) -> None:
    """Run what is not there yet, so many rollouts side by side as the options say."""
    sampling = {"temperature": options.temperature, "max_completion_tokens": options.max_tokens}
    inner = LocalModel(LocalSettings(options.folder, **sampling))
    model, totals = Remembered(inner), inner.generator.totals
    done = {json.dumps(row["key"]) for row in read_json_lines(LINES)}
    controller = None if options.controller is None else lts.load(options.controller).policy()
    if controller is None and "learned" in options.policies:
        raise SystemExit("--policies learned needs --controller, a trained run")
    missing = [key for key in keys_of(options) if json.dumps([key[0].task_id, *key[1:]]) not in done]
    places, begun = asyncio.Semaphore(options.in_flight), time.monotonic()

    async def run(task: Task, num_teams: int, policy: str) -> None:
        async with places:
            if time.monotonic() - begun > options.hours * 3600:
                return
            rollout_settings = RolloutSettings(num_teams=num_teams, team=TeamSettings(max_rounds=options.rounds))
            parts = make_parts(lts.TrainSettings(rollout=rollout_settings), Brought(model=model, tasks=[task]))
            rule = controller if policy == "learned" else make_policy(policy, parts, ComparisonSettings())
            arm = make_arm(policy, parts, rule)
            started, coordinates = time.monotonic(), Coordinates(0, 0, task.task_id, 0)
            found = await run_rollout(task, coordinates, arm.parts, arm.rollout)
            key = [task.task_id, num_teams, policy]
            append_json_line(LINES, row_of(key, found, time.monotonic() - started))
            print(key, f"{found.reward_agg:.2f}", f"{time.monotonic() - started:.0f} s", flush=True)

    async with asyncio.TaskGroup() as group:
        for key in missing:
            group.create_task(run(*key))
    if missing:
        process = {
            "rollouts": len(missing), "in_flight": options.in_flight, "hours": (time.monotonic() - begun) / 3600,
            "calls_asked": model.num_asked, "calls_remembered": model.num_remembered,
            "prompt_tokens": totals.prompt_tokens, "shared_tokens": totals.shared_tokens,
        }  # fmt: skip
        append_json_line(RESULTS / "processes.jsonl", process)


def summarise() -> dict[str, Any]:
    """Means by kind of question, number of teams and policy; problems of all."""
    rows = read_json_lines(LINES)
    groups: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for row in rows:
        kind = "sums" if row["family"] == "sum" else "almanac"
        groups.setdefault((kind, row["key"][1], row["key"][2]), []).append(row)
    table = []
    for (kind, teams, policy), found in sorted(groups.items()):
        score = mean_interval([row["score"] for row in found], [row["key"][0] for row in found], within=(0.0, 1.0))
        bounds = (score.estimate, score.low, score.high)
        table.append({
            "questions": kind, "teams": teams, "policy": policy, "rollouts": len(found),
            "score": [None if np.isnan(one) else round(float(one), 3) for one in bounds],
            **{name: round(float(np.mean([row[name] for row in found])), 2)
               for name in ("seconds", "tokens", "ledger_retries", "pulled", "steps")},
            "stored": round(float(np.mean([len(row["stored"]) for row in found])), 2),
        })  # fmt: skip
    every: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for row in rows:
        every.update(row["problems"])
        calls.update(row["calls"])
    processes = read_json_lines(RESULTS / "processes.jsonl")
    asked = sum(one["prompt_tokens"] for one in processes)
    shared = sum(one["shared_tokens"] for one in processes) / asked if asked else None
    return {
        "table": table,
        "differences": differences(rows),
        "problems": dict(every),
        "calls": dict(calls),
        "shared_fraction": shared,
    }


def differences(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each policy less `none`, question by question, by kind of question and number of teams."""
    by_key = {tuple(row["key"]): row for row in rows}
    found = []
    places = sorted({(row["family"] == "sum", row["key"][1], row["key"][2]) for row in rows if row["key"][2] != "none"})
    for is_sum, teams, policy in places:
        pairs = [
            (row, by_key[row["key"][0], teams, "none"])
            for row in rows
            if (row["family"] == "sum", row["key"][1], row["key"][2]) == (is_sum, teams, policy)
            and (row["key"][0], teams, "none") in by_key
        ]
        names = [row["key"][0] for row, _ in pairs]
        told: dict[str, Any] = {"questions": "sums" if is_sum else "almanac", "teams": teams, "policy": policy}
        for measure_name in ("score", "seconds", "tokens"):
            size = mean_interval([one[measure_name] - other[measure_name] for one, other in pairs], names)
            told[measure_name] = [round(float(one), 3) for one in (size.estimate, size.low, size.high)]
        found.append(told | {"pairs": len(pairs)})
    return found


def main() -> None:
    """Measure, and write the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default="smollm2")
    parser.add_argument("--questions", type=int, default=20, help="of each of the two kinds")
    parser.add_argument("--teams", type=int, nargs="*", default=[1, 3])
    parser.add_argument("--policies", nargs="*", default=["none", "all", "similarity", "learned"])
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--max-tokens", type=int, default=320, help="of a reply")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--controller", type=Path, help="a trained run, for the policy `learned`")
    parser.add_argument("--in-flight", type=int, default=8, help="rollouts side by side")
    parser.add_argument("--hours", type=float, default=24.0, help="after which no further rollout begins")
    asyncio.run(measure(parser.parse_args()))
    found = summarise()
    write_json(RESULTS / "summary.json", found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    from lts_jax.programs import keep_programs

    keep_programs()
    main()
