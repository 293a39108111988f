"""SRMT (arXiv 2501.13200) on the bottleneck: five cores trained by PPO on 16 corridors, tested on others.

Every seed of a row is a training of its own, stored several times and, once it was measured, kept as a file; so a run
that was killed goes on, and ends with the same bits.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lts_jax.environments.contract import Environment
from lts_jax.environments.grid.environment import bottlenecks
from lts_jax.environments.grid.maps import bottleneck
from lts_jax.environments.grid.rules import follow_path, random_walk
from lts_jax.lab.ppo_training import PpoPlan, PpoRun, play
from lts_jax.models.actor_critic import ActorCritic
from lts_jax.models.policy_network import Params
from lts_jax.models.shared_memory import CoreSettings, actor_critic
from lts_jax.reports.svg import Figure
from lts_jax.systems.kept import Cell, kept, kept_cells
from lts_jax.systems.ppo_parts import Budget, Curves, train_in_parts
from lts_jax.systems.run_folder import RunFolder
from lts_jax.systems.srmt_settings import LONG_LENGTHS, SrmtSettings
from lts_jax.systems.srmt_tables import document_of, figures_of

TEST_LENGTHS = tuple(range(3, 31))
MEASURES = ("csr", "isr", "soc", "makespan")
RULES = ("follow the path", "follow it, .2 random", "random walk")
SHOWN_LENGTH = 8  # of the episode in the report
_TEST_KEY = 77  # folded into a seed's key: episodes of tests

Part = dict[str, Any]
"""What a seed of a row came to: measures by length, learning curves, an episode."""


@dataclass(frozen=True)
class Found:
    """All parts, by reward and row; rules stand under every reward."""

    parts: dict[tuple[str, str], list[Part]]
    rules: dict[str, Part]


def srmt(settings: SrmtSettings, folder: RunFolder, say: Callable[[str], None]) -> tuple[dict[str, Any], list[Figure]]:
    """Train and measure what is missing; the document of tables and its figures."""
    wanted = [
        (reward, row, seed)
        for seed in range(settings.first_seed, settings.first_seed + settings.num_seeds)
        for reward in settings.reward
        for row in settings.rows
    ]

    def train(cell: Cell, name: str) -> Part:
        return _trained(settings, cell, folder.path / "checkpoints" / name, say)

    parts = kept_cells(folder.path / "parts", wanted, train, say, num_at_once=settings.num_at_once)
    rules = {
        name: kept(folder.path / "rules" / f"{name}.json", partial(_rule, settings, name), partial(say, name))
        for name in RULES
    }
    found = Found(parts, rules)
    return document_of(settings, found), figures_of(settings, found)


def network_of(settings: CoreSettings, environment: Environment) -> ActorCritic:
    """The network that sees and acts in an environment of single steps."""
    shape = environment.shape
    return actor_critic(settings, shape.observation, shape.num_actions, shape.num_agents)


def _trained(settings: SrmtSettings, cell: Cell, checkpoints: Path, say: Callable[[str], None]) -> Part:
    reward, row, seed = cell
    core, world = settings.network(row), _training_world(reward, settings.training_limit)
    plan, numbers = _plan(core, settings.ppo), (world.params, settings.ppo)

    def tell(done: int, curves: Curves) -> None:
        steps = done * settings.steps_per_update
        say(f"{reward}, {row}, seed {seed}: {steps:.2g} agent steps, CSR {curves['csr'][-1]:.2f}")

    budget = Budget(settings.num_updates, settings.num_parts, ("csr", "isr"))
    run, curves, spent = train_in_parts(plan, numbers, seed, budget, checkpoints, tell)
    part = {"curves": curves, "num_skipped": int(run.learner.num_skipped), "seconds": round(spent, 1)}
    part |= _measured(settings, plan.network, run, seed)
    if core.core == "srmt":
        blind = network_of(replace(core, hides_others=True), plan.environment)
        part["hidden"] = _tested(settings, blind, run.learner.params, seed, TEST_LENGTHS)["csr"]
    return part


def _measured(settings: SrmtSettings, network: ActorCritic, run: PpoRun, seed: int) -> Part:
    params = run.learner.params
    found: Part = {"lengths": list(TEST_LENGTHS), "tested": _tested(settings, network, params, seed, TEST_LENGTHS)}
    if settings.long:
        found["long"] = _tested(settings, network, params, seed, LONG_LENGTHS)
    return found | {"episode": _episode(network, params, seed)}


def _tested(
    settings: SrmtSettings, network: ActorCritic, params: Params, seed: int, lengths: tuple[int, ...]
) -> dict[str, list[float]]:
    """Means over the episodes of each length, by measure."""
    world = _test_world(lengths)
    seed_ew = jax.random.bits(
        jax.random.fold_in(jax.random.key(seed), _TEST_KEY), (settings.num_episodes, 2), jnp.uint32
    )
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    num_steps = 2 * max(lengths) + 100  # all lengths share a program
    for number in range(len(lengths)):
        numbers = replace(world.params, first_map=jnp.asarray(number), num_maps=jnp.asarray(1))
        measures, _ = play(_static(lengths), network, num_steps, numbers, params, seed_ew)
        for name in MEASURES:
            found[name].append(float(np.mean(np.asarray(measures[name], float))))
    return found


def _episode(network: ActorCritic, params: Params, seed: int) -> dict[str, Any]:
    """One episode in a corridor of `SHOWN_LENGTH`: the map, places by step, goals."""
    place = TEST_LENGTHS.index(SHOWN_LENGTH)
    world = _test_world(TEST_LENGTHS)
    numbers = replace(world.params, first_map=jnp.asarray(place), num_maps=jnp.asarray(1))
    seed_ew = jax.random.bits(jax.random.key(seed), (4, 2), jnp.uint32)
    num_steps = 2 * max(TEST_LENGTHS) + 100
    measures, states = jax.device_get(play(_static(TEST_LENGTHS), network, num_steps, numbers, params, seed_ew))
    best = int(np.argmin(np.where(measures["csr"] > 0, measures["makespan"], np.inf)))
    last = int(measures["makespan"][best]) + 1
    width = world.params.maps.width
    cells = [[divmod(int(cell), width) for cell in line] for line in states.cell_i[:last, best]]
    goal = np.asarray(world.params.maps.place_urs)[place].reshape(-1)[states.goal_i[0, best]]
    free = ["".join("." if is_free else "#" for is_free in line) for line in bottleneck(SHOWN_LENGTH).free]
    return {"free": free, "places": cells, "goals": [divmod(int(cell), width) for cell in goal]}


def _rule(settings: SrmtSettings, name: str) -> Part:
    shape = _test_world(TEST_LENGTHS).shape
    rules = {
        "follow the path": follow_path(shape),
        "follow it, .2 random": follow_path(shape, random_fraction=0.2),
        "random walk": random_walk(shape),
    }
    seeds = range(settings.first_seed, settings.first_seed + settings.num_seeds)
    return {"tested": [_tested(settings, rules[name], {}, seed, TEST_LENGTHS) for seed in seeds]}


@lru_cache
def _training_world(reward: str, limit: int) -> Environment:
    return bottlenecks(reward=reward, limits=limit)


@lru_cache
def _test_world(lengths: tuple[int, ...]) -> Environment:
    return bottlenecks(lengths, limits=0)


@lru_cache
def _static(lengths: tuple[int, ...]) -> Environment:
    """Without its tables, so that it can be a static argument."""
    return replace(_test_world(lengths), params=None)


@lru_cache
def _plan(core: CoreSettings, settings: Any) -> PpoPlan:
    """The same program for every reward: what differs are numbers."""
    environment = _static(TEST_LENGTHS)
    return PpoPlan(environment, network_of(core, environment), settings)
