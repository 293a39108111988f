"""What the leaderboard compares, and on which terms."""

from dataclasses import dataclass, field
from pathlib import Path

from lts_jax.credit.schemes import SCHEMES
from lts_jax.environments.replays import ReplaySettings
from lts_jax.lab.credit_samples import SampleSettings
from lts_jax.lab.settings import LabSettings
from lts_jax.learning.settings import LearningSettings

WORLDS: dict[str, dict[str, float]] = {
    "clear cues": {"world.wrong_cue": 3.0, "world.stale_cue": 3.0, "world.cue_noise": 0.5},
    "faint cues": {"world.wrong_cue": 0.5, "world.stale_cue": 0.2, "world.cue_noise": 1.0},
}
"""The fitted team process, with two settings of what the controller is shown: no recorded rollout fixes that."""


@dataclass(frozen=True, slots=True)
class Config:
    """Terms that are the same for every scheme, and where things go."""

    schemes: tuple[str, ...] = tuple(SCHEMES)
    sparsity_weights: tuple[float, ...] = (0.0, 0.003, 0.03, 0.15, 0.25)
    """Tried for every scheme: what a weight means depends on the scale of the credit."""
    larger_weights: tuple[float, ...] = (0.2625, 0.275, 0.2875, 0.3, 0.35)
    """Tried as well where the largest of those still leaves more than half admitted; see `trained.finer_weights`."""
    values: tuple[tuple[str, int], ...] = (("admission_value", 80), ("admission_value, 9x", 720))
    """Rows of `--objective admission_value` and their updates: with as many training rollouts as a scheme has, and with
    as many as one pays for that replays each of them 8 times."""
    value_network: str = "linear(texts=all)"
    runtime_weights: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.8)
    """Tried for `admission_value`, which has no sparsity weight."""
    num_selection_seeds: int = 2
    """Of each weight; the weight with the best gain is trained again on fresh seeds."""
    num_seeds: int = 20
    """Of the reported runs."""
    first_seed: int = 100
    """Of the reported runs; selection has seeds from 0."""
    runtime_price: float = 0.2
    """Reward that the runtime of one rollout without sharing is worth: gain = reward + price * share of it saved."""
    num_iterations: int = 80
    num_evaluation_tasks: int = 256
    learning_rate: float = 0.01
    replays: ReplaySettings = field(
        default_factory=lambda: ReplaySettings(max_places=8, num_permutations=1, num_blocks=4, num_rerollouts=1)
    )
    """While training: 8 replays a rollout for counterfactual, difference_rewards and local_group, 5 for shapley."""
    judging: ReplaySettings = field(
        default_factory=lambda: ReplaySettings(max_places=48, num_permutations=2, num_blocks=8, num_rerollouts=3)
    )
    """While fidelity is measured."""
    coin: SampleSettings = field(
        default_factory=lambda: SampleSettings(num_tasks=160, num_futures=8, max_future_places=4)
    )
    """Rollouts under random(0.5) whose admissions are judged."""
    own: SampleSettings = field(default_factory=lambda: SampleSettings(num_tasks=30))
    """Rollouts under each trained policy, per seed."""
    num_own_seeds: int = 3
    parts: Path = Path("runs/credit_leaderboard")
    """One file per finished scheme; interrupted, the study goes on there. Delete it after a change of settings."""
    results: Path = field(default_factory=lambda: Path(__file__).parent / "results")

    def lab(self, credit: str = "usage_aware") -> LabSettings:
        """The laboratory for one scheme."""
        return LabSettings(
            credit=credit,
            replays=self.replays,
            learning=LearningSettings(learning_rate=self.learning_rate),
            num_iterations=self.num_iterations,
            num_evaluation_tasks=self.num_evaluation_tasks,
            is_strict=True,
        )
