"""The hybrid that a survey names: SRMT's vectors (arXiv 2501.13200), a pool of entries, or a learned switch.

Agents in corridors, and those of the simulator's teams, pay for every number that is sent and learn by PPO what to read
of each other; in corridors and in a game of agreement they may send symbols. Every seed of a row is a training of its
own, kept as a file once it was measured.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lts_jax.credit.contract import CreditFn
from lts_jax.credit.schemes import bind, scheme
from lts_jax.environments.consensus import consensus
from lts_jax.environments.contract import Environment
from lts_jax.environments.grid.blocks import blocks
from lts_jax.environments.grid.gated import GatedShape, gated
from lts_jax.environments.grid.speaking import SpeakingShape, speaking
from lts_jax.environments.teams.gated import GatedTeamsShape, gated_teams
from lts_jax.lab.ppo_training import PpoPlan, play
from lts_jax.lab.write_credit import write_credit
from lts_jax.learning.ppo import PpoSettings
from lts_jax.models.gated_controllers import COIN, gated_controllers
from lts_jax.models.gated_memory import GATES, gated_actor_critic
from lts_jax.models.hearing import hearing_actor_critic
from lts_jax.models.pulled_entries import pulled_of
from lts_jax.models.shared_memory import CoreSettings, actor_critic
from lts_jax.reports.svg import Figure
from lts_jax.systems.hybrid_settings import DEAR, RULES, SYMBOLS, HybridSettings
from lts_jax.systems.hybrid_tables import document_of, figures_of
from lts_jax.systems.kept import Cell, kept_cells
from lts_jax.systems.ppo_parts import Budget, Curves, train_in_parts
from lts_jax.systems.run_folder import RunFolder

GAMES = ("steps", "agreed")
BLOCKS = ("return", "csr", "first_soc", "later_soc", "sent", "written", *(f"share_{gate}" for gate in GATES))
SPOKEN = ("return", "csr", "first_soc", "later_soc", "sent", "share_none")
TEAMS = ("return", "score", "seconds", "sent", "admitted", *(f"share_{gate}" for gate in GATES))
_MORE = 10  # times as many test rollouts of teams as blocks: a score is noisy
_TEST_KEY = 77  # folded into a seed's key: blocks of tests

Part = dict[str, Any]
"""What a seed of a row came to: `tested`, a mean for each measure, and learning curves."""


def hybrid(
    settings: HybridSettings, folder: RunFolder, say: Callable[[str], None]
) -> tuple[dict[str, Any], list[Figure]]:
    """Train and measure what is missing; the document of tables and its figures."""
    wanted = [
        (task, row, seed)
        for task in settings.task
        for seed in range(settings.first_seed, settings.first_seed + settings.num_seeds)
        for row in settings.rows(task)
    ]

    def train(cell: Cell, name: str) -> Part:
        return _trained(settings, cell, folder.path / "checkpoints" / name, say)

    parts = kept_cells(folder.path / "parts", wanted, train, say, num_at_once=settings.num_at_once)
    document = document_of(settings, parts)
    return document, figures_of(settings, document)


def world_of(settings: HybridSettings, task: str, row: str) -> Environment:
    """The environment of a task in a mode, or of consensus with a channel."""
    if task == "consensus":
        return consensus(shows_symbols=row == "symbols")
    if task == "simulator":
        mode = "none" if row in RULES else row
        return gated_teams(mode, price=settings.price, memory_numbers=settings.width, shape=settings.teams)
    is_joined = task == "joined"
    world = blocks(
        settings.lengths,
        num_episodes=settings.block_episodes,
        limit=settings.limit,
        own_fraction=settings.own_fraction if is_joined else 0.0,
        together=is_joined,
        shows_path=not is_joined,
    )
    if row == SYMBOLS:
        return speaking(world, price=settings.price)
    price, mode = (settings.dear_price, "switch") if row == DEAR else (settings.price, row)
    return gated(world, mode, price=price, memory_numbers=settings.width, entry_numbers=settings.entry_numbers)


def plan_of(settings: HybridSettings, task: str, row: str) -> PpoPlan:
    """The program of a training: in corridors one for symbols and one for all other modes, two for consensus."""
    static = replace(world_of(settings, task, row), params=None)
    hears = row == SYMBOLS or (task == "consensus" and row != "latent")
    core = settings.network("rmt" if hears else "srmt")
    plan = _plan(static, core, settings.num_entries, settings.ppo_of(task))
    return _with_write_credit(plan, core, settings) if settings.credits_writes(task) and row != SYMBOLS else plan


def _trained(settings: HybridSettings, cell: Cell, checkpoints: Path, say: Callable[[str], None]) -> Part:
    task, row, seed = cell
    world, plan = world_of(settings, task, row), plan_of(settings, task, row)
    shown = "steps" if task == "consensus" else "return"

    def tell(done: int, curves: Curves) -> None:
        steps = done * settings.steps_per_update(task)
        say(f"{task}, {row}, seed {seed}: {steps:.2g} agent steps, {shown} {curves[shown][-1]:.2f}")

    if row in RULES:
        found = _tested(settings, cell, replace(plan, network=COIN), np.float32(RULES[row]))
        return {"tested": found, "curves": {}, "num_skipped": 0, "seconds": 0.0}
    budget = Budget(settings.num_updates(task), settings.num_parts, _measures(task, row))
    run, curves, spent = train_in_parts(plan, (world.params, settings.ppo_of(task)), seed, budget, checkpoints, tell)
    return {
        "tested": _tested(settings, cell, plan, run.learner.params),
        "curves": curves,
        "num_skipped": int(run.learner.num_skipped),
        "seconds": round(spent, 1),
    }


def _tested(settings: HybridSettings, cell: Cell, plan: PpoPlan, params: Any) -> dict[str, float]:
    """A mean for each measure, over the seed's test blocks, which are the same in every row."""
    task, row, seed = cell
    world = world_of(settings, task, row)
    num_steps = _longest(settings, task, world)
    test_key = jax.random.fold_in(jax.random.key(seed), _TEST_KEY)
    number = settings.num_test_blocks * (_MORE if task == "simulator" else 1)
    seed_ew = jax.random.bits(test_key, (number, 2), jnp.uint32)
    some = range(0, number, settings.num_test_blocks)  # so many at once, since all states of a part are held
    parts = [
        play(
            plan.environment,
            plan.network,
            num_steps,
            world.params,
            params,
            seed_ew[first : first + settings.num_test_blocks],
        )[0]
        for first in some
    ]
    found = {name: np.concatenate([np.asarray(part[name], float) for part in parts]) for name in parts[0]}
    return {name: round(float(np.mean(found[name])), 5) for name in _measures(task, row)}


def _longest(settings: HybridSettings, task: str, world: Environment) -> int:
    """Steps of the longest episode."""
    if task == "simulator":
        return int(world.shape.teams.num_events)
    return int(world.params.limit) if task == "consensus" else settings.block_episodes * settings.limit


def _measures(task: str, row: str) -> tuple[str, ...]:
    if task in ("consensus", "simulator"):
        return GAMES if task == "consensus" else TEAMS
    return SPOKEN if row == SYMBOLS else BLOCKS


def _with_write_credit(plan: PpoPlan, core: CoreSettings, settings: HybridSettings) -> PpoPlan:
    shape = plan.environment.shape
    pulled = pulled_of(core, shape.block.observation, shape.num_moves, shape.num_agents, settings.num_entries)
    own = write_credit(_scheme(settings.write_credit), pulled, settings.write_rollouts)
    return replace(plan, own_credit=own)


@lru_cache
def _scheme(text: str) -> CreditFn:
    """One object for equal texts. The return of a block has no first answer."""
    return bind(scheme(text, where="hybrid.write_credit"), first_weight=0.0)


@lru_cache
def _plan(static: Environment, core: CoreSettings, num_entries: int, ppo: PpoSettings) -> PpoPlan:
    """One object for equal settings, so that its programs are shared."""
    shape = static.shape
    if isinstance(shape, GatedShape):
        seen = shape.block.observation
        network = gated_actor_critic(core, seen, shape.num_moves, shape.num_agents, num_entries)
    elif isinstance(shape, GatedTeamsShape):
        network = gated_controllers(core, shape.num_own, shape.teams.embedding_width, shape.num_agents)
    elif isinstance(shape, SpeakingShape):
        seen = shape.block.observation
        network = hearing_actor_critic(core, seen, shape.num_moves, shape.num_agents, shape.num_symbols)
    else:
        network = actor_critic(core, shape.observation, shape.num_actions, shape.num_agents)
    return PpoPlan(static, network, ppo)
