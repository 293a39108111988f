"""Why it works: what an admission is worth by kind of step, and what each controller ranks first.

    python experiments/main_comparison/kinds.py          # two minutes; from the rollouts that `run.py` trained on

Both from rollouts in which a coin decided. Effects: all rollouts of the five training worlds. Ranking: each controller
on rollouts of a world that it was not trained on.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import tyro

sys.path.insert(0, str(Path(__file__).parent))

from config import LEARNED, Config, training

from lts_jax.admission.step_kinds import RIGHT, WRONG, StepLabel, label_decisions
from lts_jax.bridge.collate import collate
from lts_jax.evaluation.auc import auc_interval
from lts_jax.evaluation.statistics import Interval
from lts_jax.evaluation.step_effects import KindRow, kind_table
from lts_jax.records import RolloutGroup
from lts_jax.rollouts.store import read_folder
from lts_jax.storage import read_json, write_text
from lts_jax.systems.lts import trained_params
from lts_jax.systems.run_folder import RunFolder
from lts_jax.systems.run_parts import make_parts
from lts_jax.trajectory import ADMIT, REJECT

NUM_RANKED = 40  # tasks of each world
WANTED = {"new right values": (RIGHT,), "new values": (RIGHT, WRONG)}


def coin_groups(folder: Path, seed: int) -> Iterator[RolloutGroup]:
    """The groups of a training world, in which a coin decided."""
    return read_folder(folder / f"admission_value_{seed}" / "rollouts")


def effects(config: Config, folder: Path) -> Sequence[KindRow]:
    """What an admission of each kind does, over all training worlds."""
    rollouts, labels = [], []
    for seed in config.train_worlds:
        for group in coin_groups(folder, seed):
            rollouts += group.rollouts
            labels += [label_decisions(rollout, seed) for rollout in group.rollouts]
    return kind_table(rollouts, labels)


def ranked(config: Config, folder: Path, line: str) -> dict[str, Interval]:
    """Area under the ROC curve of the log-odds of every controller of a method, in the world after its own."""
    scores: list[float] = []
    tasks: list[str] = []
    said: list[StepLabel] = []
    for place, seed in enumerate(config.train_worlds):
        other = config.train_worlds[(place + 1) % len(config.train_worlds)]
        run = make_parts(training(config, line, seed, float(read_json(folder / "price.json")["best"])))
        params = trained_params(RunFolder(folder / f"{line}_{seed}"), run)
        for group in islice(coin_groups(folder, other), NUM_RANKED):
            _, context = collate(group, run.encoder, run.settings.padding)
            logits = np.asarray(run.network.packed_logits(params, context))
            for at, rollout in enumerate(group.rollouts):
                said += label_decisions(rollout, other)
                for decision in rollout.decisions:
                    one = logits[at, decision.team, decision.step]
                    scores.append(float(one[ADMIT] - one[REJECT]))
                    tasks.append(f"{other}/{group.task.task_id}")
    return {
        name: auc_interval(scores, [label.is_new and label.kind in kinds for label in said], tasks)
        for name, kinds in WANTED.items()
    }


def table(rows: Sequence[KindRow]) -> str:
    """The kinds as Markdown."""
    heads = ("kind of step", "share", "read, if admitted", "seconds per admission", "score per admission")
    head = "| " + " | ".join(heads) + " |\n" + len(heads) * "|---" + "|"
    lines = [
        f"| {row.kind}, {'new' if row.is_new else 'repeat'} | {row.share:.3f} | {row.read_rate:.2f} "
        f"| {_said(row.seconds, '+.1f')} | {_said(row.score, '+.3f')} |"
        for row in rows
    ]
    return "\n".join([head, *lines])


def _said(value: Interval, form: str) -> str:
    return f"{value.estimate:{form}} [{value.low:{form}}, {value.high:{form}}]"


def main(config: Config) -> None:
    """Print and store the tables of both worlds."""
    text = []
    for world in ("omission", "commission"):
        here, folder = Config(world, config.runs, config.results), config.runs / world
        if not (folder / "threshold.json").exists():
            continue
        text += [f"## World of {world}s (simulated; a coin decides)", table(effects(here, folder))]
        for line in LEARNED:
            areas = ranked(here, folder, line)
            text.append(f"AUC of {line}: " + "; ".join(f"{name} {_said(one, '.3f')}" for name, one in areas.items()))
    printed = "\n\n".join(text)
    print(printed)
    write_text(config.results / "kinds.md", printed + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config))
