"""All schemes by name. To be listed here is to be tested: the law suite runs over this dict."""

from collections.abc import Callable
from functools import partial
from inspect import signature

from jax import Array

from lts_jax.credit.broadcast import stepwise_broadcast, trajectory_broadcast
from lts_jax.credit.comam import comam
from lts_jax.credit.contract import CreditFn, Number
from lts_jax.credit.gae import gae
from lts_jax.credit.group_relative import group_relative, leave_one_out
from lts_jax.credit.reinforce import reinforce
from lts_jax.credit.replays import counterfactual, local_group, shapley
from lts_jax.credit.return_to_go import return_to_go
from lts_jax.credit.saved_work import saved_work
from lts_jax.credit.usage import cross_team_usage, reinforce_usage, time_discounted_usage, usage_aware, usage_bonus
from lts_jax.errors import UserError
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
    "counterfactual": counterfactual,
    "shapley": shapley,
    "local_group": local_group,
    "comam": comam,
}
"""Schemes by the name that the command line uses."""


def scheme(name: str, **hyperparameters: Number | str) -> CreditFn:
    """The named scheme with those of the `hyperparameters` that it takes; the rest do not concern it.

    Numbers may be traced scalars, so one compiled program holds every value of a sweep; words and switches may not.

    Raises:
        UserError: unknown name.
    """
    if name not in SCHEMES:
        raise UserError(f"credit scheme: expected one of {', '.join(SCHEMES)}, got {name!r}")
    taken = signature(SCHEMES[name]).parameters
    return partial(SCHEMES[name], **{field: value for field, value in hyperparameters.items() if field in taken})


def add(*schemes: CreditFn) -> CreditFn:
    """The sum of several schemes: `add(group_relative, usage_bonus)` is the credit of LTS."""

    def total(trajectory: Trajectory) -> Array:
        return sum((one(trajectory) for one in schemes[1:]), schemes[0](trajectory))

    return total
