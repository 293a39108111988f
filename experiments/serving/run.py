"""Prefix-cache hits of several servers behind a router: teams of one task together, or in turn (simulated).

The prompts are those of simulated teams; a server's cache is modelled as vLLM's automatic prefix caching: blocks of 16
tokens, hashed with all that stands before them, the least recently used thrown out. A token is taken to be 4
characters. `python -m experiments.serving.run` writes results/hits.json.
"""

import argparse
import asyncio
import json
from collections import OrderedDict
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from lts_jax.llm.simulated import SimulatedModel
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.storage import write_json
from lts_jax.systems.comparison import ComparisonSettings, make_arm, make_policy
from lts_jax.systems.train_settings import TrainSettings

BLOCK_CHARACTERS = 64  # 16 tokens of 4 characters
HERE = Path(__file__).parent


class Listening:
    """The simulated model, which notes what it is asked, by task."""

    name = "simulated"

    def __init__(self) -> None:
        self.inner = SimulatedModel()
        self.prompts: list[str] = []

    async def complete(self, messages, *, seed, json_reply=False):
        self.prompts.append("\n".join(f"{each.role}: {each.name} {each.content}" for each in messages))
        await asyncio.sleep(0)
        return await self.inner.complete(messages, seed=seed, json_reply=json_reply)


class Cache:
    """Blocks that a server holds; the least recently used go first."""

    def __init__(self, num_blocks: int) -> None:
        self.num_blocks, self.blocks = num_blocks, OrderedDict()

    def ask(self, prompt: str) -> tuple[int, int]:
        """(blocks that were there, blocks) of the prompt's whole blocks."""
        chain, names = b"", []
        for start in range(0, len(prompt) - BLOCK_CHARACTERS + 1, BLOCK_CHARACTERS):
            chain = blake2b(chain + prompt[start : start + BLOCK_CHARACTERS].encode(), digest_size=8).digest()
            names.append(chain)
        hits = next((place for place, name in enumerate(names) if name not in self.blocks), len(names))
        for name in names:
            self.blocks[name] = True
            self.blocks.move_to_end(name)
        while len(self.blocks) > self.num_blocks:
            self.blocks.popitem(last=False)
        return hits, len(names)


def prompts_of(num_tasks: int, num_rollouts: int) -> list[list[str]]:
    """For each task the prompts of all its rollouts and teams, in the order in which they were asked."""
    training = TrainSettings()
    arm = make_arm("all", training, make_policy("all", training, ComparisonSettings()))
    from lts_jax.systems.world import almanac_tasks

    found = []
    for task in almanac_tasks(0, "test", num_tasks):
        model = Listening()
        parts = replace(arm.parts, model=model, is_offline=False)
        collect_groups([task], parts, arm.rollout, CollectSettings(num_rollouts, num_rollouts), Iteration(0, 0))
        found.append(model.prompts)
    return found


def interleaved(tasks: list[list[str]]) -> list[tuple[int, str]]:
    """(task, prompt): the tasks' prompts by turns, as they meet at an endpoint."""
    longest = max(map(len, tasks))
    return [(number, task[place]) for place in range(longest) for number, task in enumerate(tasks) if place < len(task)]


def hit_share(asked: list[tuple[int, str]], num_servers: int, num_blocks: int, *, together: bool) -> float:
    """Blocks found in a cache / blocks, with requests sent by their task or in turn."""
    caches = [Cache(num_blocks) for _ in range(num_servers)]
    hits = total = 0
    for place, (task, prompt) in enumerate(asked):
        found, blocks = caches[(task if together else place) % num_servers].ask(prompt)
        hits, total = hits + found, total + blocks
    return hits / total


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-tasks", type=int, default=12)
    parser.add_argument("--num-rollouts", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "hits.json")
    given = parser.parse_args()
    asked = interleaved(prompts_of(given.num_tasks, given.num_rollouts))
    rows = [
        {
            "servers": servers,
            "cache_tokens_each": 16 * blocks,
            "teams_together": round(hit_share(asked, servers, blocks, together=True), 3),
            "in_turn": round(hit_share(asked, servers, blocks, together=False), 3),
        }
        for servers in (1, 2, 4)
        for blocks in (2_000, 8_000, 32_000)
    ]
    found = {"num_tasks": given.num_tasks, "num_rollouts": given.num_rollouts, "num_requests": len(asked), "rows": rows}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(given.out, found)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
