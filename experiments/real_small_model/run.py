"""A language model of 135M weights as teams: what its replies are worth, what they cost, and what teams do with them.

Run: python experiments/real_small_model/run.py --folder smollm2 [--questions 20 --teams 1 3 --policies none all ...]

Easy questions of the offline world and sums of two numbers, each with every number of teams and every policy. Each
rollout is a line of `results/rollouts.jsonl` as soon as it has ended; the same command goes on where it stopped.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import lts_jax as lts
from lts_jax.bridge.local_model import LocalModel, LocalSettings
from lts_jax.evaluation.statistics import mean_interval
from lts_jax.records import Coordinates, Rollout, Task
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


def row_of(key: list[Any], rollout: Rollout, shared: float, seconds: float) -> dict[str, Any]:
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
        "shared_fraction": round(shared, 3),
        "stored": [entry.key[:100] for entry in rollout.entries],
        "pulled": len(rollout.pulls),
        "steps": len(rollout.steps),
    }


def measure(options: argparse.Namespace) -> None:
    """Run what is not there yet."""
    sampling = {"temperature": options.temperature, "max_completion_tokens": options.max_tokens}
    model = LocalModel(LocalSettings(options.folder, **sampling))
    done = {json.dumps(row["key"]) for row in read_json_lines(LINES)}
    controller = None if options.controller is None else lts.load(options.controller).policy()
    totals = model.generator.totals
    for task in [*easy(options.questions), *sums(options.questions)]:
        for num_teams in options.teams:
            for policy in options.policies:
                key = [task.task_id, num_teams, policy]
                if json.dumps(key) in done:
                    continue
                rollout_settings = RolloutSettings(num_teams=num_teams, team=TeamSettings(max_rounds=options.rounds))
                parts = make_parts(lts.TrainSettings(rollout=rollout_settings), Brought(model=model, tasks=[task]))
                if policy == "learned":
                    if controller is None:
                        raise SystemExit("--policies learned needs --controller, a trained run")
                    rule = controller
                else:
                    rule = make_policy(policy, parts, ComparisonSettings())
                arm = make_arm(policy, parts, rule)
                before, started = replace(totals), time.monotonic()
                coordinates = Coordinates(0, 0, task.task_id, 0)
                found = asyncio.run(run_rollout(task, coordinates, arm.parts, arm.rollout))
                asked = totals.prompt_tokens - before.prompt_tokens
                shared = (totals.shared_tokens - before.shared_tokens) / max(asked, 1)
                append_json_line(LINES, row_of(key, found, shared, time.monotonic() - started))
                print(key, f"{found.reward_agg:.2f}", f"{time.monotonic() - started:.0f} s", flush=True)


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
               for name in ("seconds", "tokens", "ledger_retries", "shared_fraction", "pulled", "steps")},
            "stored": round(float(np.mean([len(row["stored"]) for row in found])), 2),
        })  # fmt: skip
    every: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for row in rows:
        every.update(row["problems"])
        calls.update(row["calls"])
    return {"table": table, "problems": dict(every), "calls": dict(calls)}


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
    measure(parser.parse_args())
    found = summarise()
    write_json(RESULTS / "summary.json", found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    from lts_jax.programs import keep_programs

    keep_programs()
    main()
