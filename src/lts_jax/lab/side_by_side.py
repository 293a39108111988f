"""Several credit schemes in one compiled program, which is told by a number which of them to use.

Compiling a training run takes far longer than a short run itself; so schemes that are compared share one program.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.credit.check import check_credit
from lts_jax.credit.contract import CreditFn
from lts_jax.environments.teams.settings import SimulatorParams
from lts_jax.errors import UserError
from lts_jax.lab.lab import LabSettings, at_point, credit_of, network_of, plan_of
from lts_jax.lab.sharding import over_points
from lts_jax.lab.training import Result, train_and_evaluate
from lts_jax.learning.settings import LearningSettings

Schemes = Mapping[str, CreditFn | None]
"""Schemes by name; None stands for the scheme of that name in `SCHEMES`, with the weights of `learning`."""


def results_by_scheme(
    settings: LabSettings,
    schemes: Schemes,
    points: Sequence[Mapping[str, float]],
    seeds: Sequence[int],
    *,
    only: Sequence[str] | None = None,
) -> dict[str, Result]:
    """As `lab.results`, for several schemes by one compiled program: {name: Result with axis S = points x seeds}.

    What one of the schemes needs, replays or a value head, all of them get: put schemes together that need the same.

    Args:
        settings: of all runs; `credit` is not looked at.
        schemes: that the program holds.
        points: as in `lab.results`.
        seeds: as in `lab.results`; the same tasks for every scheme.
        only: run these of the schemes; the program is the same whatever stands here.

    Raises:
        UserError: no scheme, one that breaks its contract, a field or a value that `lab.results` refuses.
    """
    if not schemes or set(only or schemes) - set(schemes):
        raise UserError(f"schemes: expected at least one, and `only` among them, got {', '.join(schemes) or 'none'}")
    for name, credit in schemes.items():
        if credit is not None:
            check_credit(name, credit, settings.shape.num_teams)
    places = [at_point(settings, point) for point in points for _ in seeds]
    world_s = _columns([place.world for place in places])
    learning_s = _columns([place.learning for place in places])
    key_s = jax.vmap(jax.random.key)(jnp.tile(jnp.asarray(seeds, jnp.uint32), len(points)))
    program = _program(replace(settings, world=SimulatorParams()), tuple(schemes.items()))
    names = tuple(schemes)
    return {
        name: over_points(
            program,
            (np.full(len(places), names.index(name)), world_s, learning_s, key_s),
            is_strict=settings.is_strict,
        )
        for name in only or names
    }


@lru_cache(maxsize=8)
def _program(settings: LabSettings, schemes: tuple[tuple[str, CreditFn | None], ...]) -> Callable[..., Result]:
    """One function object for one set of schemes, so that it is compiled once."""
    plans = [plan_of(replace(settings, credit=name) if one is None else settings, one) for name, one in schemes]
    has_values = any(plan.network.packed_values is not None for plan in plans)
    plan = replace(
        plans[0],
        network=network_of(settings, value_head=has_values),
        needs=frozenset().union(*(each.needs for each in plans)),
    )

    def train(number: Array, world: SimulatorParams, learning: LearningSettings, prng_key: Array) -> Result:
        make_credit = partial(_switched, settings, schemes, number)
        return train_and_evaluate(replace(plan, make_credit=make_credit), world, learning, prng_key)

    return train


def _switched(
    settings: LabSettings, schemes: tuple[tuple[str, CreditFn | None], ...], number: Array, learning: LearningSettings
) -> CreditFn:
    """The scheme of that number, which may be traced."""
    credits = [one or credit_of(name, learning) for name, one in schemes]
    return partial(jax.lax.switch, number, credits)


def _columns(records: Sequence[Any]) -> Any:
    """Every number of the records as f32[S]."""
    return jax.tree.map(lambda *values: jnp.asarray(values, jnp.float32), *records)
