"""KnowSR (arXiv 2105.11611): learners that teach each other, beside the same learners alone, in several worlds.

Where agents act step by step each of them is a learner by PPO with parameters of its own; in `ledger` the learners are
admission controllers. A training of one arm and seed is a part, kept as a file once it has ended.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lts_jax.credit.schemes import scheme
from lts_jax.environments.contract import Environment
from lts_jax.environments.grid.environment import bottlenecks
from lts_jax.environments.outside import jaxmarl_world
from lts_jax.lab.lab import numbers_at, plan_of
from lts_jax.lab.peer_controllers import PeerControllersPlan, advance_controllers, begin_controllers
from lts_jax.lab.peer_training import PeerPlan, advance_peers, begin_peers, peer_plan
from lts_jax.lab.ppo_training import PpoPlan
from lts_jax.lab.settings import LabSettings
from lts_jax.lab.training import evaluate
from lts_jax.learning.distillation import SharingSettings
from lts_jax.learning.ppo import PpoSettings
from lts_jax.learning.settings import LearningSettings
from lts_jax.models.shared_memory import CoreSettings, actor_critic
from lts_jax.reports.svg import Figure
from lts_jax.systems.kept import Cell, kept_cells
from lts_jax.systems.knowsr_settings import ARMS, ROLES, KnowsrSettings
from lts_jax.systems.knowsr_tables import document_of, figures_of
from lts_jax.systems.run_folder import RunFolder

NUM_POINTS = 40  # of a learning curve where agents act step by step
TIME_WEIGHT = 0.2  # of the share of time saved in ledger's return: the exchange that "gain" is quoted at
_MEASURE = {"mpe_spread": "return", "mpe_tag": "return_first", "bottleneck": "isr"}  # what an episode came to
_MPE = {"mpe_spread": "MPE_simple_spread_v3", "mpe_tag": "MPE_simple_tag_v3"}
_TEST_KEY = 77  # folded into a seed's key: tasks of the evaluation

Part = dict[str, Any]
"""A training: `steps` [P], `return` [P] a mean over learners, `diversity` [P], seconds."""


def knowsr(
    settings: KnowsrSettings, folder: RunFolder, say: Callable[[str], None]
) -> tuple[dict[str, Any], list[Figure]]:
    """Train what is missing; the document of tables and its figures."""
    for env in settings.env:
        _world(env) if env != "ledger" else None  # what is not installed is said before anything is trained
    wanted = [
        (env, arm, seed)
        for env in settings.env
        for seed in range(settings.first_seed, settings.first_seed + settings.num_seeds)
        for arm in ARMS
    ]

    def train(cell: Cell, _: str) -> Part:
        return _controllers(settings, cell) if cell[0] == "ledger" else _agents(settings, cell)

    parts = kept_cells(folder.path / "parts", wanted, train, say, num_at_once=settings.num_at_once)
    document = document_of(settings, parts)
    return document, figures_of(settings, document)


def _agents(settings: KnowsrSettings, cell: Cell) -> Part:
    env, arm, seed = cell
    ppo, (sharing, weight) = settings.ppo_of(env), settings.sharing_of(arm)
    world = _world(env)
    begin, advance = _programs(env, settings.width, ppo, sharing, settings.num_updates(env))
    numbers = (world.params, ppo)
    began = time.monotonic()
    _, told = advance(begin(numbers, jax.random.key(seed)), numbers, weight)
    told = {name: np.asarray(value, float) for name, value in told.items()}
    part: Part = {"steps": [], "return": [], "diversity": []}
    for some in np.array_split(np.arange(len(told["diversity"])), min(NUM_POINTS, len(told["diversity"]))):
        number = told["num_episodes"][some]
        part["steps"].append(int((some[-1] + 1) * settings.steps_per_update(env)))
        part["return"].append(round(float((told[_MEASURE[env]][some] * number).sum() / max(number.sum(), 1.0)), 5))
        part["diversity"].append(round(float(told["diversity"][some].mean()), 5))
    return part | {"seconds": round(time.monotonic() - began, 1)}


@lru_cache
def _programs(
    env: str, width: int, ppo: PpoSettings, sharing: SharingSettings, num_updates: int
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    world = _world(env)
    alone = actor_critic(CoreSettings("empty", width=width), world.shape.observation, world.shape.num_actions, 1)
    plan: PeerPlan = peer_plan(PpoPlan(replace(world, params=None), alone, ppo), alone, ROLES[env], sharing)
    return jax.jit(partial(begin_peers, plan)), jax.jit(partial(advance_peers, plan, num_updates))


@lru_cache
def _world(env: str) -> Environment:
    return bottlenecks(limits=0) if env == "bottleneck" else jaxmarl_world(_MPE[env])


def _controllers(settings: KnowsrSettings, cell: Cell) -> Part:
    """Curves of the greedy controllers on evaluation tasks: score plus `TIME_WEIGHT` times the share of time saved."""
    _, arm, seed = cell
    sharing, weight = settings.sharing_of(arm)
    lab, begin, advance, measure = _ledger_programs(settings, sharing)
    numbers = numbers_at(lab, (scheme(lab.credit),), {})
    began, key = time.monotonic(), jax.random.key(seed)
    run, test_key = begin(numbers, key), jax.random.fold_in(key, _TEST_KEY)
    part: Part = {"steps": [], "return": [], "diversity": []}
    each = lab.tasks_per_update * lab.num_rollouts * settings.num_learners
    for done in range(0, settings.iterations + 1, settings.evaluate_every):
        found = measure(run.state_k.params, test_key, numbers)
        gain_k = np.asarray(found["reward"] + TIME_WEIGHT * found["saved_percent"] / 100.0, float)
        part["steps"].append(done * each)
        part["return"].append(round(float(gain_k.mean()), 5))
        if done == settings.iterations:
            break
        run, told = advance(run, numbers, weight)
        part["diversity"].append(round(float(jnp.mean(told["diversity"])), 5))
    part["diversity"].append(part["diversity"][-1])
    return part | {"seconds": round(time.monotonic() - began, 1)}


@lru_cache
def _ledger_programs(
    settings: KnowsrSettings, sharing: SharingSettings
) -> tuple[LabSettings, Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    learning = LearningSettings(learning_rate=0.01, runtime_weight=TIME_WEIGHT)
    lab = LabSettings(tasks_per_update=2, num_evaluation_tasks=settings.num_evaluation_tasks, learning=learning)
    plan = plan_of(lab)
    peers = PeerControllersPlan(plan, settings.num_learners, sharing)
    measure = jax.vmap(lambda params, key, numbers: evaluate(plan, numbers, params, key), in_axes=(0, None, None))
    advance = jax.jit(partial(advance_controllers, peers, settings.evaluate_every))
    return lab, jax.jit(partial(begin_controllers, peers)), advance, jax.jit(measure)
