"""What an update is after, named by a call: the paper's policy gradient, or the value of an admission by regression."""

from collections.abc import Callable
from dataclasses import dataclass

from lts_jax.errors import UserError, describe, show
from lts_jax.parts import Part, resolve

RUNTIME_WEIGHT = 0.2  # of `admission_value`, where the settings name none: the exchange that "gain" is quoted at


@dataclass(frozen=True, slots=True)
class PolicyGradient:
    """Stepwise policy gradient with a credit scheme (LTS, arXiv 2602.05965, Eq. 8-10): `objective.admission_loss`."""

    runtime_weight = 0.0  # the paper's return knows no time
    min_probability = 0.0


@dataclass(frozen=True, slots=True)
class AdmissionValue:
    """What an admission adds to the return, by regression on randomised decisions: `learning.admission_value`."""

    score_weight: float = 1.0
    threshold: float = 0.002
    value_scale: float = 0.004
    min_probability: float = 0.5
    num_steps: int = 20

    runtime_weight = RUNTIME_WEIGHT

    def __post_init__(self) -> None:
        """Refuse settings that cannot be meant."""
        for name, is_right, expected in (
            ("score_weight", self.score_weight >= 0, "at least 0"),
            ("threshold", self.threshold == self.threshold, "a number"),
            ("value_scale", self.value_scale > 0, "more than 0"),
            ("min_probability", 0 < self.min_probability <= 0.5, "more than 0 and at most 0.5"),
            ("num_steps", self.num_steps >= 1, "at least 1"),
        ):
            if not is_right:
                raise UserError(f"admission_value({name}): expected {expected}, got {getattr(self, name)!r}")


Objective = PolicyGradient | AdmissionValue

POLICY_GRADIENT = PolicyGradient()


def policy_gradient() -> PolicyGradient:
    """Raise the probability of what the credit scheme pays: the paper's (LTS, arXiv 2602.05965)."""
    return PolicyGradient()


def admission_value(
    *,
    score_weight: float = 1.0,
    threshold: float = 0.002,
    value_scale: float = 0.004,
    min_probability: float = 0.5,
    num_steps: int = 20,
) -> AdmissionValue:
    """Regress the return on what was admitted by chance, and admit what adds to it; no credit scheme is asked.

    Args:
        score_weight: of the reward in the return; time's is `--learning.runtime-weight`, 0.2 by default.
        threshold: return that an admission must add, in units of the reward; 0.002 is 1 % of the mean runtime at the
            default weight of time.
        value_scale: added return at which the odds of an admission, while training, are e to 1 (at temperature 1).
        min_probability: of either action while training; 0.5, a coin, learns what an admission adds to a bank that is
            half full. Less is nearer to the policy in the making, and may lock in what early noise says.
        num_steps: optimiser steps an iteration, each on a past iteration's rollouts; not for `linear`, which is solved.
    """
    return AdmissionValue(score_weight, threshold, value_scale, min_probability, num_steps)


OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "policy_gradient": policy_gradient,
    "admission_value": admission_value,
}
"""Objectives by the name that the command line uses."""


def objective_part(text: str, *, where: str = "objective") -> Part:
    """The part that a text names.

    Raises:
        UserError: no objective of this name, or a wrong setting.
    """
    return resolve(text, OBJECTIVES, where=where)


def make_objective(text: str, *, where: str = "objective") -> Objective:
    """The objective that a text such as `admission_value(min_probability=0.5)` stands for.

    Raises:
        UserError: no objective of this name, or a wrong setting.
    """
    try:
        return objective_part(text, where=where)()
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error
    except TypeError as error:  # a function of one's own that takes other arguments
        raise UserError(f"{where}: {show(text)} makes no objective ({describe(error)})") from error
