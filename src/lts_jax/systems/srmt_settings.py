"""How `lts system srmt` trains its cores, and on which corridors it measures them."""

from dataclasses import dataclass, field, replace
from typing import Any, get_args

from lts_jax.environments.grid.settings import REWARDS
from lts_jax.errors import UserError, show
from lts_jax.learning.ppo import PpoSettings
from lts_jax.models.shared_memory import Core, CoreSettings

CORES: tuple[str, ...] = get_args(Core)
LONG_LENGTHS = (100, 200, 300, 400, 500, 600, 700, 800, 900, 1000)
NUM_AGENTS = 2


def small_budget() -> PpoSettings:
    """For two processor cores: smaller batches and larger steps than SRMT's, so that less has to be lived through."""
    return PpoSettings(
        rollout_steps=32, num_minibatches=4, num_epochs=2, learning_rate=1e-3, max_learning_rate=2e-3
    )  # chosen with the empty core, in five trials


@dataclass(frozen=True, slots=True)
class SrmtSettings:
    """Sizes of networks and learning are SRMT's (arXiv 2501.13200), the budget is not: it has 2e7 agent steps."""

    reward: tuple[str, ...] = ("sparse",)
    """Of sparse, dense, directional, directional_negative, moving_negative."""
    core: tuple[str, ...] = CORES
    """Of srmt, rmt, attention, empty, gru."""
    released: bool = False
    """Two rows more: srmt with the release's causal mask, and with its constant memories, which train no write."""
    num_seeds: int = 5
    first_seed: int = 1
    agent_steps: float = 1e6  # of training, of each seed; 2e7 in the paper
    training_limit: int = 0  # steps of an episode in training; 0: 2 * length + 100, as in tests; 512 in the paper
    num_episodes: int = 10  # of every length and seed, in tests
    long: bool = False  # also measure corridors of 100 to 1,000 cells
    width: int = 16
    num_heads: int = 4
    history: int = 8
    unroll: int = 8
    ppo: PpoSettings = field(default_factory=small_budget)
    num_parts: int = 10  # a training is stored so many times
    num_at_once: int = 2  # trainings side by side, each on a processor core

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name, known in (("reward", tuple(REWARDS)), ("core", CORES)):
            given = getattr(self, name)
            if not given or not set(given) <= set(known) or len(set(given)) < len(given):
                raise UserError(f"srmt.{name}: expected some of {', '.join(known)}, got {show(given)}")
        for name in ("num_seeds", "num_episodes", "num_parts", "num_at_once"):
            if getattr(self, name) < 1:
                raise UserError(f"srmt.{name}: expected at least 1, got {getattr(self, name)}")
        if self.training_limit < 0:
            raise UserError(f"srmt.training_limit: expected at least 0, got {self.training_limit}")
        if self.agent_steps < self.steps_per_update:
            raise UserError(
                f"srmt.agent_steps: expected at least one update, {self.steps_per_update}, got {self.agent_steps:g}"
            )
        self.network("srmt")

    @property
    def steps_per_update(self) -> int:
        """Agent steps."""
        return NUM_AGENTS * self.ppo.num_environments * self.ppo.rollout_steps

    @property
    def num_updates(self) -> int:
        """Rollouts of a training, each with its epochs and minibatches."""
        return max(1, round(self.agent_steps / self.steps_per_update))

    def network(self, row: str) -> CoreSettings:
        """The network of a row of the table."""
        made = CoreSettings(
            core=row.split(maxsplit=1)[0],  # type: ignore[arg-type]
            width=self.width,
            num_heads=self.num_heads,
            history=self.history,
            unroll=self.unroll,
        )
        changes: dict[str, dict[str, Any]] = {CAUSAL: {"causal_memory": True}, CONSTANT: {"unroll": 1}}
        return replace(made, **changes.get(row, {}))

    @property
    def rows(self) -> tuple[str, ...]:
        """Networks of the table."""
        return self.core + ((CAUSAL, CONSTANT) if self.released else ())


CAUSAL, CONSTANT = "srmt causal", "srmt constant memories"
