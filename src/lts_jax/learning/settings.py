"""Every choice of objective and optimiser. Defaults are the paper's (LTS, arXiv 2602.05965) where it has one."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax

from lts_jax.errors import UserError

# Of tokens and dollars a simulator knows nothing, and whether a weight is 0 must be known before it is traced.
_STATIC = (
    "step_reduction", "num_warmup_updates", "num_decay_updates", "tasks_per_pass", "token_weight", "dollar_weight",
)  # fmt: skip
_TRACED = (
    "sparsity_weight", "first_weight", "runtime_weight",
    "entropy_weight", "value_weight", "temperature", "loss_temperature",
    "learning_rate", "weight_decay", "beta1", "beta2", "max_gradient_norm",
)  # fmt: skip


@partial(jax.tree_util.register_dataclass, data_fields=_TRACED, meta_fields=_STATIC)
@dataclass(frozen=True, slots=True)
class LearningSettings:
    """Objective and optimiser of the controller. A pytree: its numbers may be traced, its choices are static.

    What belongs to one credit scheme stands with the scheme: `--credit "usage_aware(usage_weight=0.3)"`.
    """

    sparsity_weight: float = 0.25
    """lambda_sparse of Eq. 10; ours (experiments/sparsity_choice). A step is worth admitting where
    Pr(used and R > 0) exceeds its ratio to the usage weight of the credit."""
    first_weight: float = 1.0  # lambda_first of the return, for every scheme that takes it; the paper, appendix B
    runtime_weight: float | None = None
    """What the mean runtime of a task's rollouts is worth in units of R_agg, in the return of every scheme
    (`learning.costs`). None is the objective's own: 0 in the paper's policy gradient, 0.2 in admission_value."""
    token_weight: float = 0.0  # the same for the mean number of tokens; the paper has none
    dollar_weight: float = 0.0  # the same for the mean dollars
    entropy_weight: float = 0.0  # the paper has no entropy term; 0 leaves it out
    value_weight: float = 0.5  # of the squared error of a value head, where the network has one; ours
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
    tasks_per_pass: int = 0  # tasks that pass the network at once, gradients added up; 0 takes a batch whole; ours

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant. Traced numbers are taken as they are."""
        if not all(isinstance(getattr(self, name), int | float | None) for name in _TRACED):
            return
        weights = ("sparsity_weight", "first_weight", "entropy_weight", "value_weight")
        for name in (*weights, "weight_decay", *_STATIC[1:]):
            self._expect(name, getattr(self, name) >= 0, "at least 0")
        self._expect("runtime_weight", self.runtime_weight is None or self.runtime_weight >= 0, "at least 0")
        for name in ("temperature", "learning_rate", "max_gradient_norm"):
            self._expect(name, getattr(self, name) > 0, "more than 0")
        self._expect("loss_temperature", self.loss_temperature is None or self.loss_temperature > 0, "more than 0")
        for name in ("beta1", "beta2"):
            self._expect(name, 0 <= getattr(self, name) < 1, "a number in [0, 1)")
        self._expect("step_reduction", self.step_reduction in ("sum", "mean"), "sum or mean")

    def cost_weights(self, runtime_weight: float) -> dict[str, Any]:
        """Weights of a rollout's costs by name; `runtime_weight` is the objective's own."""
        own = runtime_weight if self.runtime_weight is None else self.runtime_weight
        return {"runtime": own, "token": self.token_weight, "dollar": self.dollar_weight}

    def _expect(self, name: str, is_right: bool, expected: str) -> None:
        if not is_right:
            raise UserError(f"learning.{name}: expected {expected}, got {getattr(self, name)!r}")
