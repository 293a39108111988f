"""Every choice of objective and optimiser. Defaults are the paper's (LTS, arXiv 2602.05965) where it has one."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax

from lts_jax.credit.contract import CreditFn
from lts_jax.credit.schemes import scheme
from lts_jax.errors import UserError

_STATIC = (
    "advantage_divisor", "bonus_on", "step_reduction", "num_warmup_updates", "num_decay_updates", "tasks_per_pass",
)  # fmt: skip
_TRACED = (
    "usage_weight", "saved_weight", "runtime_weight", "sparsity_weight", "first_weight", "entropy_weight",
    "value_weight", "discount", "trace_decay", "advantage_epsilon", "temperature", "loss_temperature", "learning_rate",
    "weight_decay", "beta1", "beta2", "max_gradient_norm",
)  # fmt: skip


@partial(jax.tree_util.register_dataclass, data_fields=_TRACED, meta_fields=_STATIC)
@dataclass(frozen=True, slots=True)
class LearningSettings:
    """Objective and optimiser of the controller. A pytree: its numbers may be traced, its choices are static."""

    usage_weight: float = 0.5  # beta of Eq. 7, in units of advantage; not in the paper, ours
    sparsity_weight: float = (
        0.25  # lambda_sparse of Eq. 10; ours, chosen in experiments/sparsity_choice: only its ratio
    )
    # to usage_weight matters, as a step is worth admitting where Pr(used and R > 0) exceeds it
    saved_weight: float = 5.0  # of the share of a runtime that pulls saved, for `saved_work`; ours
    runtime_weight: float = 0.0  # of seconds beside reward, for `counterfactual`; ours
    first_weight: float = 1.0  # lambda_first of the return; the paper, appendix B
    entropy_weight: float = 0.0  # the paper has no entropy term; 0 leaves it out
    value_weight: float = 0.5  # of the squared error of a value head, where the network has one; ours
    discount: float = 1.0  # per decision, for `gae`; ours
    trace_decay: float = 0.95  # lambda of `gae`; ours
    advantage_divisor: Literal["population", "sample", "none"] = "population"  # of the group's deviation; ours
    advantage_epsilon: float = 1e-6  # added to that deviation; ours
    bonus_on: Literal["advantage", "return"] = "advantage"  # where the usage bonus is added; Eq. 7 has the advantage
    temperature: float = 1.2  # of the sampling policy while training; the paper
    loss_temperature: float | None = None  # of log pi in the loss; None is the sampling one, which is on-policy; ours
    step_reduction: Literal["sum", "mean"] = "sum"  # over a rollout's decisions; Eq. 8 sums, which favours long ones
    learning_rate: float = 1e-3  # ours; the paper fine-tunes a far larger network
    num_warmup_updates: int = 0  # linear rise of the learning rate; ours
    num_decay_updates: int = 0  # cosine fall to zero over this many updates; 0 keeps it constant; ours
    weight_decay: float = 0.01  # AdamW; the paper names the optimiser, not the value; ours
    beta1: float = 0.9  # AdamW; ours
    beta2: float = 0.999  # AdamW; ours
    max_gradient_norm: float = 1.0  # global norm; ours
    tasks_per_pass: int = (
        0  # whose decisions pass the network at once, gradients are summed; 0 takes a batch whole; ours
    )

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant. Traced numbers are taken as they are."""
        if not all(isinstance(getattr(self, name), int | float | None) for name in _TRACED):
            return
        for name in (
            "usage_weight",
            "sparsity_weight",
            "first_weight",
            "entropy_weight",
            "saved_weight",
            "runtime_weight",
            "value_weight",
            "weight_decay",
            "advantage_epsilon",
        ):
            if not getattr(self, name) >= 0:
                raise UserError(f"LearningSettings.{name}: expected at least 0, got {getattr(self, name)}")
        for name in ("num_warmup_updates", "num_decay_updates", "tasks_per_pass"):
            if getattr(self, name) < 0:
                raise UserError(f"LearningSettings.{name}: expected at least 0, got {getattr(self, name)}")
        for name, choices in (
            ("advantage_divisor", ("population", "sample", "none")),
            ("bonus_on", ("advantage", "return")),
        ):
            if getattr(self, name) not in choices:
                expected = ", ".join(choices)
                raise UserError(f"LearningSettings.{name}: expected one of {expected}, got {getattr(self, name)!r}")
        if self.loss_temperature is not None and not self.loss_temperature > 0:
            raise UserError(f"LearningSettings.loss_temperature: expected more than 0, got {self.loss_temperature}")
        for name in ("temperature", "learning_rate", "max_gradient_norm"):
            if not getattr(self, name) > 0:
                raise UserError(f"LearningSettings.{name}: expected more than 0, got {getattr(self, name)}")
        for name in ("discount", "trace_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"LearningSettings.{name}: expected from 0 to 1, got {getattr(self, name)}")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"LearningSettings.{name}: expected a number in [0, 1), got {getattr(self, name)}")
        if self.step_reduction not in ("sum", "mean"):
            raise UserError(f'LearningSettings.step_reduction: expected "sum" or "mean", got {self.step_reduction!r}')


def credit_of(name: str, learning: LearningSettings) -> CreditFn:
    """The scheme of this name, with the weights of `learning`, which may be traced.

    Raises:
        UserError: no such scheme.
    """
    return scheme(
        name,
        usage_weight=learning.usage_weight,
        saved_weight=learning.saved_weight,
        runtime_weight=learning.runtime_weight,
        first_weight=learning.first_weight,
        discount=learning.discount,
        trace_decay=learning.trace_decay,
        divisor=learning.advantage_divisor,
        epsilon=learning.advantage_epsilon,
        bonus_on=learning.bonus_on,
    )
