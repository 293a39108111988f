"""Settings of the main comparison: the paper's sizes (arXiv 2602.05965), three training seeds, sixty held-out tasks."""

from dataclasses import dataclass, field
from pathlib import Path

from lts_jax.evaluation.evaluate import EvaluationSettings
from lts_jax.systems.comparison import ComparisonSettings
from lts_jax.systems.lts import TrainSettings


@dataclass(frozen=True, slots=True)
class Config:
    """One controller is trained per seed; every line of the table meets the same tasks and random numbers."""

    runs: Path = Path("runs/main_comparison")
    """Where the run folders go, one per seed. Interrupted, the study goes on there."""
    results: Path = Path(__file__).parent / "results"
    seeds: tuple[int, ...] = (0, 1, 2)
    train: TrainSettings = field(default_factory=TrainSettings)
    compare: ComparisonSettings = field(
        default_factory=lambda: ComparisonSettings(evaluation=EvaluationSettings(num_tasks=60, num_seeds=1))
    )
