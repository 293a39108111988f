"""The laboratory: a record that says what is trained and measured, and a call that does it for many points and seeds.

A point gives values to numeric fields (`world.overlap`, `learning.sparsity_weight`); all points and seeds of one call
go through one compiled program. Whatever is not a number (`credit`, `shape`, ...) stands in the settings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.credit.check import check_credit, needs
from lts_jax.credit.contract import CreditFn
from lts_jax.credit.schemes import bind, scheme
from lts_jax.environments.teams.replays import ReplaySettings
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape, check_params
from lts_jax.errors import UserError
from lts_jax.lab.sharding import over_points
from lts_jax.lab.training import Plan, Result, train_and_evaluate
from lts_jax.learning.settings import LearningSettings
from lts_jax.models.policy_network import PolicyNetwork
from lts_jax.models.pooled import PooledSettings, pooled
from lts_jax.models.set_transformer import SetTransformerSettings, set_transformer

LEARNING_RATE = 0.01  # ten times the text side's default: a hundred updates of a small network, on cheap rollouts


@dataclass(frozen=True, slots=True)
class LabSettings:
    """A training run in the simulator and its evaluation. Numbers of `world` and `learning` sweep in one program."""

    shape: SimulatorShape = field(default_factory=SimulatorShape)
    world: SimulatorParams = field(default_factory=SimulatorParams)
    learning: LearningSettings = field(default_factory=lambda: LearningSettings(learning_rate=LEARNING_RATE))
    replays: ReplaySettings = field(default_factory=ReplaySettings)  # for schemes that need them
    credit: str = "usage_aware"  # a name in credit.schemes.SCHEMES
    network: Literal["pooled", "set_transformer"] = "pooled"
    num_iterations: int = 100  # updates
    tasks_per_update: int = 8  # B, fresh tasks of an update
    num_rollouts: int = 5  # G; the paper
    num_evaluation_tasks: int = 128  # the same for every point of a seed
    is_strict: bool = False  # points one after another, with the bits of a run alone; slower

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        for name in ("num_iterations", "tasks_per_update", "num_rollouts", "num_evaluation_tasks"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.network not in ("pooled", "set_transformer"):
            raise UserError(f"network: expected pooled or set_transformer, got {self.network!r}")
        scheme(self.credit)


def network_of(settings: LabSettings, *, value_head: bool = False) -> PolicyNetwork:
    """The controller network, at the simulator's embedding width."""
    width = settings.shape.embedding_width
    if settings.network == "pooled":
        return pooled(PooledSettings(embedding_width=width, value_head=value_head))
    return set_transformer(
        SetTransformerSettings(
            embedding_width=width,
            width=32,
            num_layers=1,
            num_heads=2,
            key_window=settings.shape.num_entries,
            value_head=value_head,
        )
    )


def plan_of(settings: LabSettings, credit: CreditFn | None = None) -> Plan:
    """What stays fixed in a compiled program. Refuses a scheme that breaks its contract, by name.

    Args:
        settings: of the run.
        credit: a scheme of your own, in place of the one that the settings name.
    """
    tried = credit or credit_of(settings.credit, settings.learning)
    name = getattr(tried, "__name__", "") if credit else settings.credit
    check_credit(name or "of your own", tried, settings.shape.num_teams)
    needed = needs(tried)
    return Plan(
        shape=settings.shape,
        network=network_of(settings, value_head="value_gkt" in needed),
        make_credit=(lambda _: credit) if credit else partial(credit_of, settings.credit),
        needs=needed - {"value_gkt"},
        replays=settings.replays,
        num_iterations=settings.num_iterations,
        tasks_per_update=settings.tasks_per_update,
        num_rollouts=settings.num_rollouts,
        num_evaluation_tasks=settings.num_evaluation_tasks,
    )


def run_points(
    settings: LabSettings,
    points: Sequence[Mapping[str, float]],
    seeds: Sequence[int],
    *,
    credit: CreditFn | None = None,
) -> list[dict[str, float]]:
    """Train and evaluate at every point with every seed, all in one compiled program: one row a pair, points outermost.

    Args:
        settings: of all points.
        points: values of numeric fields, dotted; every point names the same fields.
        seeds: of the runs; a seed draws the same tasks and numbers at every point.
        credit: a scheme of your own.

    Raises:
        UserError: a field that is not a number of `world` or `learning`, a value out of range, a scheme that breaks its
            contract.
    """
    for point in points:
        at_point(settings, point)  # refuses what cannot be meant, before anything is compiled
    result = results(settings, points, seeds, credit=credit)
    columns = {name: np.asarray(values, np.float64) for name, values in result.measures.items()}
    return [{name: float(values[row]) for name, values in columns.items()} for row in range(len(points) * len(seeds))]


def results(
    settings: LabSettings,
    points: Sequence[Mapping[str, float]],
    seeds: Sequence[int],
    *,
    credit: CreditFn | None = None,
) -> Result:
    """As `run_points`, but everything: measures [S], learning curves [S, I], final parameters; S = points x seeds."""
    world_s = _stacked(settings.world, [at_point(settings, point).world for point in points], len(seeds))
    learning_s = _stacked(settings.learning, [at_point(settings, point).learning for point in points], len(seeds))
    key_s = jax.vmap(jax.random.key)(jnp.tile(jnp.asarray(seeds, jnp.uint32), len(points)))
    static = replace(settings, world=SimulatorParams(), learning=_choices(settings.learning))
    return over_points(_program(static, credit), (world_s, learning_s, key_s), is_strict=settings.is_strict)


def credit_of(name: str, learning: LearningSettings) -> CreditFn:
    """The scheme of this name, with the return of `learning`."""
    return bind(scheme(name), first_weight=learning.first_weight)


@lru_cache(maxsize=32)
def _program(static: LabSettings, credit: CreditFn | None) -> Callable[..., Result]:
    """One function object for settings that differ in numbers only, so that it is compiled once."""
    return partial(train_and_evaluate, plan_of(static, credit))


def _choices(learning: LearningSettings) -> LearningSettings:
    """The settings with every number at its default: what is left decides which program is compiled."""
    numbers: dict[str, Any] = {name: getattr(LearningSettings(), name) for name in numeric_fields("learning")}
    # None or a number makes another pytree, hence another program.
    numbers["loss_temperature"] = None if learning.loss_temperature is None else 1.0
    return replace(learning, **numbers)


def at_point(settings: LabSettings, point: Mapping[str, float]) -> LabSettings:
    """The settings with a point's values in place; refuses unknown fields and wrong values in one line."""
    changed: dict[str, dict[str, Any]] = {"world": {}, "learning": {}}
    for name, value in point.items():
        part, _, inner = name.partition(".")
        if part not in changed or inner not in numeric_fields(part):
            raise UserError(f"{name}: expected a number of world or learning, as world.overlap")
        changed[part][inner] = value
    world = replace(settings.world, **changed["world"])
    check_params(world, settings.shape)
    return replace(settings, world=world, learning=replace(settings.learning, **changed["learning"]))


@lru_cache
def numeric_fields(part: str) -> tuple[str, ...]:
    """Names of the numbers of `world` or `learning` that can be swept inside one program."""
    record: type = SimulatorParams if part == "world" else LearningSettings
    return tuple(
        one.name for one in fields(record) if one.type in {"float", float, "float | None"} or one.type == float | None
    )


def _stacked(base: object, records: Sequence[object], num_seeds: int) -> object:
    """Every number of the records as f32[S], each repeated for all seeds."""

    def column(*values: float) -> Array:
        return jnp.repeat(jnp.asarray(values, jnp.float32), num_seeds)

    return jax.tree.map(column, *records)
