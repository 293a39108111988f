"""The laboratory: calls that train and measure at many points with many seeds.

All points and seeds of one call go through one compiled program, and so may several credit schemes: compiling takes far
longer than a short run itself. Whatever is not a number (`network`, `shape`, ...) stands in the settings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from lts_jax.credit.check import check_credit, needs
from lts_jax.credit.contract import CreditFn
from lts_jax.credit.schemes import bind, scheme
from lts_jax.environments.known import environment_of
from lts_jax.errors import UserError
from lts_jax.lab.grid import Point, grid_rows, seed_keys, stack_points
from lts_jax.lab.settings import LabSettings, at_point, credit_numbers, network_of, number_names, world_of
from lts_jax.lab.sharding import over_points
from lts_jax.lab.training import Numbers, Plan, Result, train_and_evaluate
from lts_jax.learning.objective_parts import make_objective
from lts_jax.learning.settings import LearningSettings
from lts_jax.models.networks import Network
from lts_jax.models.policy_network import Params
from lts_jax.parts import Part, settings_of

Schemes = Mapping[str, str | CreditFn | None]
"""Schemes by name: a text, a function, or None for the scheme that the name itself says."""


def run_points(
    settings: LabSettings,
    points: Sequence[Point],
    seeds: Sequence[int],
    *,
    credit: str | CreditFn | None = None,
    network: Network | None = None,
) -> list[dict[str, Any]]:
    """Train and evaluate at every point with every seed, all in one compiled program.

    Args:
        settings: of all points.
        points: values of numbers, dotted; every point names the same.
        seeds: of the runs; a seed draws the same tasks and numbers at every point.
        credit: a scheme in place of the one that the settings name.
        network: the same for the network.

    Returns:
        one row a (point, seed), points outermost: the point's values, `seed`, and the measures.

    Raises:
        UserError: a field that is not a number of `world`, `learning` or `credit`, a value out of range, a scheme, a
            network or an environment that breaks its contract.
    """
    return grid_rows(points, seeds, results(settings, points, seeds, credit=credit, network=network).measures)


def measure_points(
    settings: LabSettings, points: Sequence[Point], seeds: Sequence[int], *, beside: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The rows of `run_points` with their measures alone, and under `curves` their learning curves f32[I] by name.

    Args:
        settings: as in `run_points`.
        points: as in `run_points`.
        seeds: as in `run_points`.
        beside: schemes that calls with otherwise equal settings will name. Those that need what this one needs share
            its program, compiled once for all of them. A strict run shares none, for the sake of its bits.
    """
    own = settings.credit
    schemes: dict[str, str | CreditFn | None] = {own: own}
    if own in beside and not settings.is_strict and not any(name.startswith("credit.") for name in points[0]):
        schemes = {text: text for text in beside if _needs_of(text, settings) == _needs_of(own, settings)}
    found = results_by_scheme(settings, schemes, points, seeds, only=[own])[own]
    curves = {name: np.asarray(values) for name, values in found.curves.items()}
    rows = [{name: row[name] for name in found.measures} for row in grid_rows(points, seeds, found.measures)]
    return [row | {"curves": {name: curves[name][place] for name in curves}} for place, row in enumerate(rows)]


@lru_cache(maxsize=256)
def _needs_of(text: str, settings: LabSettings) -> frozenset[str]:
    return needs(bind(scheme(text), first_weight=settings.learning.first_weight))


def results(
    settings: LabSettings,
    points: Sequence[Point],
    seeds: Sequence[int],
    *,
    credit: str | CreditFn | None = None,
    network: Network | None = None,
) -> Result:
    """As `run_points`, but everything: measures [S], learning curves [S, I], final parameters; S = points x seeds."""
    given = settings.credit if credit is None else credit
    name = _name_of(given)
    return results_by_scheme(settings, {name: given}, points, seeds, network=network)[name]


def results_by_scheme(
    settings: LabSettings,
    schemes: Schemes,
    points: Sequence[Point],
    seeds: Sequence[int],
    *,
    only: Sequence[str] | None = None,
    network: Network | None = None,
    start: Params = None,
) -> dict[str, Result]:
    """As `results`, for several schemes by one compiled program: {name: Result with axis S = points x seeds}.

    What one of the schemes needs, replays or a value head, all of them get: put schemes together that need the same.

    Args:
        settings: of all runs; `credit` is not looked at.
        schemes: that the program holds. A point's `credit.*` is for those that take it.
        points: as in `run_points`.
        seeds: as in `run_points`; the same tasks for every scheme.
        only: run these of the schemes; the program is the same whatever stands here.
        network: as in `run_points`.
        start: parameters [S, ...] to begin with, in place of fresh ones.

    Raises:
        UserError: no scheme, or what `run_points` refuses.
    """
    if not schemes or set(only or schemes) - set(schemes):
        raise UserError(f"schemes: expected at least one, and `only` among them, got {', '.join(schemes) or 'none'}")
    parts = {name: scheme(name if given is None else given) for name, given in schemes.items()}
    numbers = [numbers_at(settings, tuple(parts.values()), point) for point in points]
    program = _program(_static(settings), tuple(_without_numbers(name, part) for name, part in parts.items()), network)
    numbers_s, key_s = stack_points(numbers, len(seeds)), seed_keys(seeds, len(points))
    given = () if start is None else (start,)
    places = {name: np.full(len(points) * len(seeds), place) for place, name in enumerate(parts)}
    run = partial(over_points, program, is_strict=settings.is_strict)
    return {name: run((replace(numbers_s, scheme=places[name]), key_s, *given)) for name in only or parts}


def plan_of(settings: LabSettings, credit: str | CreditFn | None = None, *, network: Network | None = None) -> Plan:
    """What stays fixed in a compiled program. Refuses a scheme that breaks its contract, by name.

    Args:
        settings: of the run.
        credit: a scheme in place of the one that the settings name.
        network: the same for the network.
    """
    given = settings.credit if credit is None else credit
    return _plan(settings, (replace(scheme(given), text=_name_of(given)),), network)


def numbers_at(settings: LabSettings, credits: Sequence[Part], point: Point) -> Numbers:
    """What a program of these schemes traces at a point, as plain numbers.

    Raises:
        UserError: as `run_points`.
    """
    own = {name: value for name, value in point.items() if name.startswith("credit.")}
    placed = at_point(settings, {name: value for name, value in point.items() if name not in own})
    takes = [{f"credit.{one.name}" for one in settings_of(part.function)} for part in credits]
    for name in own:
        if len(credits) > 1 and not any(name in some for some in takes):
            raise UserError(f"{name}: expected a setting of one of the schemes, got one that none of them takes")
    numbers = [
        credit_numbers(part, {name: own[name] for name in own if len(credits) == 1 or name in some})
        for part, some in zip(credits, takes, strict=True)
    ]
    return Numbers(placed.world, placed.learning, tuple(numbers))


@lru_cache(maxsize=32)
def _program(static: LabSettings, credits: tuple[Part, ...], network: Network | None) -> Callable[..., Result]:
    """One function object for settings that differ in numbers only, so that it is compiled once."""
    return partial(train_and_evaluate, _plan(static, credits, network))


def _plan(settings: LabSettings, credits: tuple[Part, ...], network: Network | None) -> Plan:
    environment, needed = world_of(settings), frozenset[str]()
    for part in credits:
        bound = bind(part, first_weight=settings.learning.first_weight)
        check_credit(part.text, bound, settings.shape.num_teams)
        replays = needs(bound) - {"value_gkt"}
        if replays and not environment.follows_scripts:
            missing, name = ", ".join(sorted(replays)), environment.name
            raise UserError(f"credit scheme {part.text}: needs {missing}, and environment {name} replays nothing")
        needed |= needs(bound)
    made = network_of(settings, value_head="value_gkt" in needed, network=network)
    objective = make_objective(settings.objective)
    if objective.min_probability and getattr(settings.shape, "num_actions", 2) > 2:
        raise UserError(f"objective: admission_value knows two actions, and environment {environment.name} has more")
    return Plan(settings, environment, made, credits, needed - {"value_gkt"}, objective)


def _static(settings: LabSettings) -> LabSettings:
    """The settings with every number at its default: what is left decides which program is compiled."""
    learning = settings.learning
    numbers: dict[str, Any] = {name: getattr(LearningSettings(), name) for name in number_names(learning)}
    # None or a number makes another pytree, hence another program.
    for name in ("loss_temperature", "runtime_weight"):
        numbers[name] = None if getattr(learning, name) is None else 1.0
    world = environment_of(settings.environment).params
    return replace(settings, world=world, learning=replace(learning, **numbers), credit="usage_aware")


def _without_numbers(name: str, part: Part) -> Part:
    """The part under this name, without the numbers that are traced, so that one program holds all of them."""
    kept = tuple((setting, value) for setting, value in part.given if type(value) is not float)
    return Part(name, part.function, kept)


def _name_of(credit: str | CreditFn) -> str:
    """What messages call a scheme."""
    return credit if isinstance(credit, str) else getattr(credit, "__name__", scheme(credit).text)
