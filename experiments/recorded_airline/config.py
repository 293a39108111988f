"""Settings of the study, as one frozen record; `run.py --help` lists them as flags."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from lts_jax.learning.settings import LearningSettings
from lts_jax.logs.replay_settings import ReplaySettings


@dataclass(frozen=True, slots=True)
class Setting:
    """One point of the grid that a controller's settings are chosen from."""

    credit: str  # a name in lts_jax.credit.schemes
    sparsity_weight: float  # lambda_sparse; an entry must be used with chance lambda / beta to be worth admitting

    @property
    def name(self) -> str:
        """As it is printed."""
        return f"{self.credit}, lambda {self.sparsity_weight:g}"

    def learning(self, others: LearningSettings) -> LearningSettings:
        """Settings of learning with this point's sparsity weight."""
        return replace(others, sparsity_weight=self.sparsity_weight)


@dataclass(frozen=True, slots=True)
class Config:
    """Choose settings inside tasks 0-24, train on those, and compare once with all rules on tasks 25-35."""

    runs: Path = Path("recorded_runs")  # a folder of recorded runs, or the log itself
    results: Path = Path(__file__).parent / "results"
    num_train_tasks: int = 25  # the first ones; all others are held out
    num_inner_tasks: int = 18  # of the training tasks, the first ones; the rest chooses among settings
    seeds: tuple[int, ...] = (0, 1, 2)  # each trains its own controller and draws its own latencies
    credits: tuple[str, ...] = ("usage_aware", "usage_bonus")  # grid; usage_aware is LTS
    sparsity_weights: tuple[float, ...] = (0.01, 0.03, 0.06)  # grid
    passes: tuple[int, ...] = (6, 12)  # grid; over the training tasks
    recency_windows: tuple[int, ...] = (5, 10, 20)
    similarity_thresholds: tuple[float, ...] = (0.5, 0.7, 0.8, 0.9)
    random_rates: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75)
    num_rollouts: int = 5  # G; the paper
    tasks_per_update: int = 5
    num_evaluation_rollouts: int = 10  # latency draws of each task and seed when policies are measured
    passes_per_line: int = 3  # of progress
    learning: LearningSettings = field(default_factory=LearningSettings)  # the package's; sparsity_weight is chosen
    replay: ReplaySettings = field(default_factory=ReplaySettings)
