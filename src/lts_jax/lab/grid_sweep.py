"""Trainings on the bottleneck at many points with many seeds, in one program: what `lts sweep --side grid` runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.grid.environment import bottlenecks
from lts_jax.environments.grid.settings import GridParams
from lts_jax.errors import UserError
from lts_jax.lab.grid import grid_rows, seed_keys, stack_points
from lts_jax.lab.ppo_training import PpoPlan, advance, begin_run
from lts_jax.lab.settings import number_names
from lts_jax.lab.sharding import over_points
from lts_jax.learning.ppo import PpoSettings
from lts_jax.models.shared_memory import Core, CoreSettings, actor_critic

MEASURES = ("csr", "isr", "soc", "makespan", "reward", "entropy", "kl")


@jax.tree_util.register_dataclass
@dataclass(frozen=True, slots=True)
class GridRewards:
    """What a step pays; the sparse reward of SRMT (arXiv 2501.13200)."""

    goal_reward: float = 1.0
    step_reward: float = 0.0
    path_reward: float = 0.0
    stay_reward: float = 0.0


@dataclass(frozen=True, slots=True)
class GridSweepSettings:
    """A training; numbers of `world` and `learning` sweep in one program."""

    core: Core = "empty"
    width: int = 16
    history: int = 8
    unroll: int = 8
    world: GridRewards = field(default_factory=GridRewards)
    learning: PpoSettings = field(
        default_factory=lambda: PpoSettings(
            rollout_steps=32, num_minibatches=4, num_epochs=2, learning_rate=1e-3, max_learning_rate=1e-3
        )
    )
    num_updates: int = 100  # rollouts; what is measured are the episodes of the last quarter
    is_strict: bool = False  # points one after another, with the bits of a run alone; slower

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if self.num_updates < 4:
            raise UserError(f"num_updates: expected at least 4, got {self.num_updates}")
        CoreSettings(self.core, self.width, history=self.history, unroll=self.unroll)


def measure_grid(
    settings: GridSweepSettings, points: Sequence[Mapping[str, float]], seeds: Sequence[int]
) -> list[dict[str, float]]:
    """Measures of every (point, seed), points outermost: means over training episodes of the last quarter of updates.

    Raises:
        UserError: a field that is no number of `world` or `learning`, or a value out of range.
    """
    records = [_numbers_at(settings, point) for point in points]
    arguments = (stack_points(records, len(seeds)), seed_keys(seeds, len(points)))
    told = over_points(_program(_static(settings)), arguments, is_strict=settings.is_strict)
    rows = grid_rows(points, seeds, told)
    return [{name: row[name] for name in MEASURES} for row in rows]


def _numbers_at(settings: GridSweepSettings, point: Mapping[str, float]) -> tuple[GridRewards, PpoSettings]:
    changed: dict[str, dict[str, Any]] = {"world": {}, "learning": {}}
    for name, value in point.items():
        part, _, inner = name.partition(".")
        if part not in changed or inner not in number_names(getattr(settings, part)):
            raise UserError(f"{name}: expected a number of world or learning, as learning.clip")
        changed[part][inner] = value
    return replace(settings.world, **changed["world"]), replace(settings.learning, **changed["learning"])


@lru_cache
def _static(settings: GridSweepSettings) -> GridSweepSettings:
    """The settings without their numbers: equal for all that share a program."""
    sizes = {name: getattr(settings.learning, name) for name in _sizes(settings.learning)}
    return replace(settings, world=GridRewards(), learning=PpoSettings(**sizes))


def _sizes(learning: PpoSettings) -> list[str]:
    return [item.name for item in fields(learning) if item.name not in number_names(learning)]


@lru_cache(maxsize=16)
def _program(settings: GridSweepSettings) -> Any:
    world = bottlenecks(limits=0)
    core = CoreSettings(settings.core, settings.width, history=settings.history, unroll=settings.unroll)
    network = actor_critic(core, world.shape.observation, world.shape.num_actions, world.shape.num_agents)
    plan = PpoPlan(replace(world, params=None), network, settings.learning)
    return partial(_trained, plan, settings.num_updates, world.params)


def _trained(
    plan: PpoPlan, num_updates: int, params: GridParams, numbers: tuple[GridRewards, PpoSettings], prng_key: Array
) -> dict[str, Array]:
    rewards, learning = numbers
    paid = replace(params, **{item.name: getattr(rewards, item.name) for item in fields(rewards)})
    run = begin_run(plan, (paid, learning), prng_key)
    _, told = advance(plan, num_updates, run, (paid, learning))
    last = jax.tree.map(lambda curve: curve[-(num_updates // 4) :], told)
    number = jnp.maximum(jnp.sum(last["num_episodes"]), 1.0)
    of_episodes = ("csr", "isr", "soc", "makespan")
    means = {name: jnp.sum(last[name] * last["num_episodes"]) / number for name in of_episodes}
    return means | {name: jnp.mean(last[name]) for name in MEASURES if name not in of_episodes}
