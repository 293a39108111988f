"""Settings of the study, as one frozen record; `run.py --help` lists them as flags."""

from dataclasses import dataclass, field
from pathlib import Path

from lts_jax.learning.settings import LearningSettings
from lts_jax.rollouts.replay_settings import ReplaySettings


@dataclass(frozen=True, slots=True)
class Config:
    """Train admission on the recorded tasks 0-24, compare all policies on 25-35."""

    runs: Path = Path("../shared/recorded_runs")  # a folder of recorded runs, or the log itself
    results: Path = Path(__file__).parent / "results"
    num_train_tasks: int = 25  # the first ones; all others are held out
    num_iterations: int = 12  # passes over the training tasks
    num_rollouts: int = 5  # G; the paper
    tasks_per_update: int = 5
    seeds: tuple[int, ...] = (0, 1, 2)  # each trains its own controllers and draws its own latencies
    credits: tuple[str, ...] = ("usage_aware", "usage_bonus")  # names in lts_jax.credit.schemes; the first is LTS
    sparsity_weights: tuple[float, ...] = (0.01, 0.03)  # lambda_sparse; an entry must be used with chance lambda / beta
    random_rates: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75)
    recency_windows: tuple[int, ...] = (5, 10, 20)
    similarity_thresholds: tuple[float, ...] = (0.5, 0.7, 0.8, 0.9)
    num_evaluation_rollouts: int = 5  # latency draws of each held-out task and seed
    learning: LearningSettings = field(default_factory=lambda: LearningSettings(learning_rate=2e-3))
    replay: ReplaySettings = field(default_factory=ReplaySettings)
