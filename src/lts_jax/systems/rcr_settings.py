"""How `lts system rcr` chooses what workers are shown, and measures it."""

from dataclasses import dataclass, field

from lts_jax.errors import UserError, show
from lts_jax.systems.world import ModelSettings

ROUTED = ("greedy", "density", "exact")


@dataclass(frozen=True, slots=True)
class RcrSettings:
    """Weights and budgets are chosen on validation tasks; test tasks are measured once, on all lines alike."""

    num_tasks: int = 60  # of the test split
    num_seeds: int = 3  # rollouts of each
    num_validation_tasks: int = 40
    num_validation_seeds: int = 2
    seed: int = 1000  # of the rollouts
    world_seed: int = 0  # of the offline world
    policy: str = "all"  # which steps enter the shared memory; none: teams that share nothing
    modes: tuple[str, ...] = ROUTED
    budgets: tuple[int, ...] = (500, 1000, 1500, 2000, 3000, 4000)
    """Tokens of the items that a worker is shown, without its instruction."""
    tolerance: float = 0.02  # score that a budget may lose against full on validation tasks
    min_recall: float = 0.97  # of the needed evidence, that a budget must show there
    model: ModelSettings = field(default_factory=ModelSettings)

    def __post_init__(self) -> None:
        for name in ("num_tasks", "num_seeds", "num_validation_tasks", "num_validation_seeds"):
            if getattr(self, name) < 1:
                raise UserError(f"rcr.{name}: expected at least 1, got {getattr(self, name)}")
        if not self.budgets or min(self.budgets) < 1 or sorted(set(self.budgets)) != list(self.budgets):
            raise UserError(f"rcr.budgets: expected numbers of tokens, rising, got {show(self.budgets)}")
        if not self.modes or not set(self.modes) <= set(ROUTED) or len(set(self.modes)) < len(self.modes):
            raise UserError(f"rcr.modes: expected some of {', '.join(ROUTED)}, got {show(self.modes)}")
        if not 0.0 <= self.tolerance <= 1.0 or not 0.0 <= self.min_recall <= 1.0:
            raise UserError("rcr.tolerance, rcr.min_recall: expected from 0 to 1")
