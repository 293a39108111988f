"""Train a reader of shared values on what a reader that knows the truth took; simulated, tasks of the training split.

    python experiments/rcr/train_reader.py --to reader.npz           # two minutes of one core
    python experiments/rcr/readers.py --readers "trained(file=reader.npz)" random --out trained [--budget-tokens 700]

Everything is admitted. A lesson is a reading: the instruction in hand, what was offered, and what the oracle took.
"""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from lts_jax.admission.rules import make_rule
from lts_jax.bridge.trained_reader import save_reader, train_reader
from lts_jax.learning.retrieval import RetrievalSettings
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Config:
    """Where to, and how much."""

    to: Path
    num_tasks: int = 120  # of the training split
    num_rollouts: int = 2
    retrieval: RetrievalSettings = field(default_factory=lambda: RetrievalSettings(temperature=0.2, num_epochs=4))


def main(config: Config) -> None:
    """Collect, train, keep."""
    run = make_parts(TrainSettings())
    arm = make_arm("all", run, make_rule("all", run.encoder), reading="oracle")
    tasks = run.tasks("train", config.num_tasks)
    groups = collect_groups(tasks, arm.parts, arm.rollout, CollectSettings(config.num_rollouts), Iteration(2000, 0))
    params, losses = train_reader(tuple(groups), run.encoder, run.settings.padding, config.retrieval)
    save_reader(config.to, params)
    size = max(1, len(losses) // config.retrieval.num_epochs)
    passes = [sum(losses[first : first + size]) / size for first in range(0, len(losses) - size + 1, size)]
    print(f"{len(losses)} updates; mean loss of each pass: {', '.join(f'{each:.3f}' for each in passes)}")
    print(f"written to {config.to}")


if __name__ == "__main__":
    main(tyro.cli(Config))
