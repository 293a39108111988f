"""Processor seconds of the grid alone, of its plain twin, and of training each core, on this machine.

python experiments/srmt_bottleneck/speed.py
"""

import os

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import random
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import tyro

from lts_jax.environments.grid.environment import bottlenecks
from lts_jax.environments.randomness import uniforms, words
from lts_jax.environments.stepping import act_all, begin_all, look_all, seeds_at
from lts_jax.lab.ppo_training import PpoPlan, advance, begin_run
from lts_jax.models.shared_memory import CoreSettings, actor_critic
from lts_jax.storage import write_json
from lts_jax.systems.srmt_settings import CORES, small_budget

sys.path.append(str(Path(__file__).parents[2]))
from tests.environments.grid.plain_grid import PlainGrid

NUM_AGENTS, NUM_STEPS = 2, 64


@dataclass(frozen=True, slots=True)
class Config:
    """How much is measured."""

    num_environments: int = 1024
    repeats: int = 10
    cores: tuple[str, ...] = CORES
    results: Path = Path(__file__).parent / "results"


def processor_seconds(work: Callable[[], Any], repeats: int) -> float:
    """Of one call, after one that is not counted."""
    jax.block_until_ready(work())
    before = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    for _ in range(repeats):
        jax.block_until_ready(work())
    return (sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - before) / repeats


def environment_seconds(config: Config) -> float:
    """Per agent step: random actions, everything that is seen computed and kept."""
    world = bottlenecks()
    static = replace(world, params=None)
    seed_ew = jax.random.bits(jax.random.key(0), (config.num_environments, 2), jnp.uint32)

    @jax.jit
    def walk(params: Any, state: Any) -> Any:
        environment = replace(static, params=params)

        def step(state: Any, time: jax.Array) -> Any:
            seen, seed_tew = look_all(environment, state), seeds_at(seed_ew, time)
            uniform_ei = uniforms(jax.vmap(lambda seed_w: words(seed_w, NUM_AGENTS))(seed_tew))
            state, outcome = act_all(environment, state, (5 * uniform_ei).astype(jnp.int32), seed_tew)
            return state, (seen.observation_io, outcome.reward_i)

        return jax.lax.scan(step, state, jnp.arange(NUM_STEPS))

    state = begin_all(world, seed_ew)
    seconds = processor_seconds(lambda: walk(world.params, state), config.repeats)
    return seconds / (config.num_environments * NUM_AGENTS * NUM_STEPS)


def twin_seconds() -> float:
    """The same in plain Python, on a corridor of 12."""
    lines = [".........", "........."] + ["####.####"] * 12 + [".........", "........."]
    draw = random.Random(0)

    def walk() -> None:
        world = PlainGrid(lines, [(0, 0), (15, 3)], [(14, 8), (1, 1)], 512, (1.0, 0.0, 0.0, 0.0))
        for _ in range(20):
            world.act([draw.randrange(5) for _ in range(NUM_AGENTS)])
            for agent in range(NUM_AGENTS):
                world.seen(agent)

    return processor_seconds(walk, 10) / (20 * NUM_AGENTS)


def training_seconds(core: str, repeats: int) -> float:
    """Per agent step: rollout and update of the command's settings."""
    world, settings = bottlenecks(limits=0), small_budget()
    network = actor_critic(CoreSettings(core), world.shape.observation, 5, NUM_AGENTS)  # type: ignore[arg-type]
    plan, numbers = PpoPlan(replace(world, params=None), network, settings), (world.params, settings)
    run = jax.jit(partial(begin_run, plan))(numbers, jax.random.key(0))
    go = jax.jit(partial(advance, plan, 2))
    seconds = processor_seconds(lambda: go(run, numbers), repeats)
    return seconds / (2 * NUM_AGENTS * settings.num_environments * settings.rollout_steps)


def main(config: Config) -> None:
    """Print and store microseconds per agent step."""
    found = {
        "grid alone": environment_seconds(config),
        "plain twin": twin_seconds(),
        **{f"training, {core}": training_seconds(core, config.repeats) for core in config.cores},
    }
    told = {name: round(1e6 * seconds, 2) for name, seconds in found.items()}
    for name, micro in told.items():
        print(f"{name:<24}{micro:>10.2f} us of a processor per agent step, {1e6 / micro:>12,.0f} steps a second")
    write_json(config.results / "speed.json", told)


if __name__ == "__main__":
    main(tyro.cli(Config))
