"""All schemes by name. To be listed here is to be tested: the law suite runs over this dict."""

from collections.abc import Callable
from functools import partial

from jax import Array

from lts_jax.credit.broadcast import stepwise_broadcast, trajectory_broadcast
from lts_jax.credit.comam import comam
from lts_jax.credit.contract import CreditFn, Number
from lts_jax.credit.gae import gae
from lts_jax.credit.group_relative import group_relative, leave_one_out
from lts_jax.credit.reinforce import reinforce
from lts_jax.credit.replays import counterfactual, difference_rewards, local_group, shapley
from lts_jax.credit.return_to_go import return_to_go
from lts_jax.credit.saved_work import saved_work
from lts_jax.credit.usage import cross_team_usage, reinforce_usage, time_discounted_usage, usage_aware, usage_bonus
from lts_jax.parts import Part, function_part, resolve, settings_of
from lts_jax.trajectory import Trajectory

SCHEMES: dict[str, Callable[..., Array]] = {
    "reinforce": reinforce,
    "group_relative": group_relative,
    "leave_one_out": leave_one_out,
    "usage_aware": usage_aware,  # LTS
    "usage_bonus": usage_bonus,
    "reinforce_usage": reinforce_usage,
    "cross_team_usage": cross_team_usage,
    "time_discounted_usage": time_discounted_usage,
    "saved_work": saved_work,
    "return_to_go": return_to_go,
    "gae": gae,
    "trajectory_broadcast": trajectory_broadcast,  # MemSearcher
    "stepwise_broadcast": stepwise_broadcast,  # AgeMem
    "counterfactual": counterfactual,  # COMA's baseline
    "difference_rewards": difference_rewards,
    "shapley": shapley,
    "local_group": local_group,
    "comam": comam,
}
"""Schemes by the name that the command line uses."""


def scheme(credit: str | CreditFn, *, where: str = "credit") -> Part:
    """The scheme that a text such as `usage_aware(usage_weight=0.3)` names, or a function of your own as a part.

    Raises:
        UserError: one line that begins with `where`; see `lts_jax.parts.resolve`.
    """
    return resolve(credit, SCHEMES, where=where) if isinstance(credit, str) else function_part(credit, where=where)


def bind(part: Part, *, first_weight: Number = 1.0, **numbers: Number) -> CreditFn:
    """The scheme with its settings in place.

    Args:
        part: as `scheme` gives it.
        first_weight: lambda_first of the return, for a scheme that takes it and whose text does not set it.
        numbers: in place of the part's own; they may be traced scalars, so one compiled program holds a whole sweep.
    """
    takes = {one.name for one in settings_of(part.function)}
    shared = {"first_weight": first_weight} if "first_weight" in takes else {}
    return partial(part.function, **shared | part.settings | numbers)


def numbers_of(part: Part) -> dict[str, float]:
    """The settings of a scheme that are plain numbers, with their values: what a sweep may trace."""
    values = {one.name: part.settings.get(one.name, one.default) for one in settings_of(part.function)}
    return {name: float(value) for name, value in values.items() if type(value) in (int, float)}


def add(*schemes: CreditFn) -> CreditFn:
    """The sum of several schemes: `add(group_relative, usage_bonus)` is the credit of LTS."""

    def total(trajectory: Trajectory) -> Array:
        return sum((one(trajectory) for one in schemes[1:]), schemes[0](trajectory))

    return total
