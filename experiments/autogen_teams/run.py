"""AutoGen's Magentic-One teams with our bank, over HTTP on loopback, beside our own teams. All models are simulated."""

import argparse
import asyncio
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, stdev

from autogen_core.models import ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient

from lts_jax.adapters.autogen.chat_model import AutogenChatModel
from lts_jax.adapters.autogen.side import AutogenSettings
from lts_jax.adapters.autogen.team import autogen_team
from lts_jax.adapters.autogen.workers import our_workers
from lts_jax.admission.rules import RULES
from lts_jax.llm.serving import serve_chat
from lts_jax.llm.simulated import SimulatedModel
from lts_jax.records import Coordinates, Rollout, Task
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import almanac_tasks, almanac_tools
from lts_jax.teams.settings import TeamSettings

POLICIES = ("none", "all", "random")
# AutoGen's own counting of rounds and stalls, for both engines.
SETTINGS = RolloutSettings(num_teams=3, team=TeamSettings(max_rounds=20, stall_semantics="autogen", max_replans=None))
INFO = ModelInfo(vision=False, function_calling=False, json_output=True, family="unknown", structured_output=False)


async def study(tasks: Sequence[Task]) -> dict[str, list[Rollout]]:
    """Rollouts of every task by each engine under each policy."""
    found: dict[str, list[Rollout]] = {}
    async with await serve_chat(SimulatedModel()) as server:
        client = OpenAIChatCompletionClient(
            model="simulated", base_url=server.base_url, api_key="none", model_info=INFO, max_retries=0
        )
        run_team = autogen_team(our_workers, AutogenSettings(prompts="ours"), INFO)
        for policy in POLICIES:
            model = AutogenChatModel(client, "simulated")
            ours = RolloutParts(model, almanac_tools(0), RULES[policy](), virtual_time=False)
            theirs = replace(ours, run_team=run_team)
            found[f"AutoGen, {policy}"] = [await one(task, theirs) for task in tasks]
            found[f"ours, {policy}"] = [await one(task, ours) for task in tasks]
        await client.close()
    return found


async def one(task: Task, parts: RolloutParts) -> Rollout:
    """One rollout."""
    return await run_rollout(task, Coordinates(0, 0, task.task_id, 0), parts, SETTINGS)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half a 95 % interval over tasks."""
    return fmean(values), 1.96 * stdev(values) / math.sqrt(len(values))


def measures(rollouts: Sequence[Rollout], apart: Sequence[Rollout]) -> dict[str, tuple[float, float] | float]:
    """What a row of the table shows; steps saved are against the same engine's teams without a bank, task by task."""
    return {
        "reward": interval([each.reward_agg for each in rollouts]),
        "steps": interval([len(each.steps) for each in rollouts]),
        "steps_saved": interval([len(one.steps) - len(each.steps) for one, each in zip(apart, rollouts, strict=True)]),
        "entries": fmean(len(each.entries) for each in rollouts),
        "pulls": fmean(len(each.pulls) for each in rollouts),
        "failed_teams": sum(answer.detail != "" for each in rollouts for answer in each.answers),
    }


def main() -> None:
    """Run, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-tasks", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "autogen_teams.json")
    chosen = parser.parse_args()
    logging.getLogger("autogen_core").setLevel(logging.CRITICAL)
    found = asyncio.run(study(almanac_tasks(0, "test", chosen.num_tasks)))
    rows = {name: measures(each, found[f"{name.split(',')[0]}, none"]) for name, each in found.items()}
    print(f"{'teams, policy':18}{'reward':>14}{'steps':>14}{'steps saved':>16}{'entries':>9}{'pulls':>7}{'failed':>8}")
    for name, row in rows.items():
        pairs = [f"{row[part][0]:.3g} +- {row[part][1]:.2g}" for part in ("reward", "steps", "steps_saved")]
        counts = f"{row['entries']:9.1f}{row['pulls']:7.1f}{row['failed_teams']:8}"
        print(f"{name:18}{pairs[0]:>14}{pairs[1]:>14}{pairs[2]:>16}{counts}")
    versions = {name: version(name) for name in ("autogen-agentchat", "autogen-ext", "openai")}
    told = {"simulated": True, "num_tasks": chosen.num_tasks, "versions": versions, "rows": rows}
    chosen.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
