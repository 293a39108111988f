"""Choose the sparsity weight on validation tasks: the paper does not give it, and only its ratio to beta matters.

The objective admits a step where Pr(used and R > 0) exceeds sparsity_weight / usage_weight, so the right ratio depends
on how often entries are read, which differs between worlds. Prints and stores one row per weight.
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro

from lts_jax.admission.rules import RULES
from lts_jax.commands.train import train_in
from lts_jax.evaluation.evaluate import EvaluationSettings, evaluate
from lts_jax.reports.report import build_report
from lts_jax.reports.text import report_text
from lts_jax.storage import write_json, write_text
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.lts import TrainSettings, learned_policy, trained_params
from lts_jax.systems.run_folder import open_run
from lts_jax.systems.world import almanac_tasks


@dataclass(frozen=True, slots=True)
class Config:
    """Weights to try, and the validation that chooses among them."""

    runs: Path = Path("runs/sparsity_choice")
    """Where the run folders go. Interrupted, the study goes on there."""
    results: Path = Path(__file__).parent / "results"
    sparsity_weights: tuple[float, ...] = (0.05, 0.15, 0.25, 0.35)
    train: TrainSettings = field(default_factory=TrainSettings)
    evaluation: EvaluationSettings = field(
        default_factory=lambda: EvaluationSettings(num_tasks=42, num_seeds=3, seed=500)
    )


def main(config: Config) -> None:
    """Train with each weight, evaluate on validation tasks, print and store."""
    tasks = almanac_tasks(config.train.world_seed, "validation", config.evaluation.num_tasks)
    arms = [make_arm("m1_parallel", config.train, RULES["none"]()), make_arm("all", config.train, RULES["all"]())]
    for weight in config.sparsity_weights:
        training = replace(config.train, learning=replace(config.train.learning, sparsity_weight=weight))
        folder = open_run(config.runs / f"sparsity_{weight:g}", training)
        train_in(folder, training)
        arms.append(make_arm(f"lts({weight:g})", training, learned_policy(training, trained_params(folder, training))))
    report = build_report(evaluate(arms, tasks, config.evaluation, config.runs / "evaluation"))
    text = report_text(report)
    print(text)
    rows = [
        {
            "policy": row.policy,
            "score": row.score.estimate,
            "runtime_seconds": row.runtime_seconds.estimate,
            "admission_fraction": row.admission_fraction if math.isfinite(row.admission_fraction) else None,
        }
        for row in report.rows
    ]
    write_json(config.results / "rows.json", rows)
    write_text(config.results / "table.txt", text + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config))
