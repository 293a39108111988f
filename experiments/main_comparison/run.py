"""The main comparison, run: choose a threshold and a price, train, and meet every held-out task under every line."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tyro

sys.path.insert(0, str(Path(__file__).parent))

from config import COINS, GAIN, LEARNED, LINES, ORACLES, PAPER, REFERENCE, RULES, SIDE_LINES, Config, training, world

from lts_jax.admission.policy import AdmissionPolicy
from lts_jax.admission.rules import make_rule
from lts_jax.admission.step_kinds import label_decisions
from lts_jax.bridge.learned import LearnedPolicy
from lts_jax.commands.train import train_in
from lts_jax.llm.budget import Budget
from lts_jax.records import Coordinates, Rollout, Task
from lts_jax.rollouts.collect import run_side_by_side, run_to_end
from lts_jax.rollouts.garbage import rare_garbage_collection
from lts_jax.rollouts.rollout import run_rollout
from lts_jax.storage import read_json, write_json
from lts_jax.systems.lts import learned_policy, trained_params
from lts_jax.systems.run_folder import RunFolder, open_run
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import almanac_tasks

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96)
PRICES = (0.05, 0.1, 0.15, 0.2, 0.25)  # lambda of the paper's objective, at its beta of .5
NUM_LABELLED = 8  # tasks of each world and controller whose decisions are labelled, to see what it ranks first
PAIR = 2  # rollouts of a task that are run together; the first two of all lines come before the next


def main(config: Config) -> None:
    """Run what is not stored yet."""
    folder = config.runs / config.weaknesses
    threshold(config, folder)
    paid = price(config, folder)
    for line in LEARNED:
        for seed in config.train_worlds:
            trained(training(config, line, seed, paid), folder / f"{line}_{seed}")
    for part in range(config.num_rollouts // PAIR):
        for line in (*LINES, *SIDE_LINES) if part == 0 else LINES:
            for seed in config.test_worlds:
                tried(config, folder, line, seed, part)


def trained(settings: TrainSettings, folder: Path) -> LearnedPolicy:
    """The controller of a run folder, trained as far as it is not."""
    train_in(open_run(folder, settings), make_parts(settings))
    return learned_policy(settings, trained_params(RunFolder(folder), settings))


def threshold(config: Config, folder: Path) -> float:
    """The similarity threshold of the largest gain on validation tasks."""

    def policies(world_seed: int) -> dict[str, list[AdmissionPolicy]]:
        encoder = make_parts(world(config, world_seed)).encoder
        return {str(one): [make_rule(f"similarity(threshold={one})", encoder)] for one in THRESHOLDS}

    return chosen(config, folder / "threshold.json", policies)


def price(config: Config, folder: Path) -> float:
    """The price of an admission under which the paper's controllers, acting greedily, gain most on validation tasks."""

    def policies(world_seed: int) -> dict[str, list[AdmissionPolicy]]:
        return {
            str(one): [
                trained(training(config, PAPER, seed, one), folder / "prices" / f"{one}_{seed}")
                for seed in config.price_worlds
            ]
            for one in PRICES
        }

    return chosen(config, folder / "price.json", policies)


def chosen(config: Config, path: Path, policies: Callable[[int], Mapping[str, Sequence[AdmissionPolicy]]]) -> float:
    """The setting of the largest gain on validation tasks: score - .2 seconds / mean seconds of none, all told."""
    if not path.exists():
        told: list[dict[str, Any]] = []
        for seed in config.choose_worlds:
            pairs = [(task, number) for task in almanac_tasks(seed, "validation", 90) for number in range(PAIR)]
            encoder = make_parts(world(config, seed)).encoder
            reference = mean_of(many(config, seed, make_rule(REFERENCE, encoder), pairs), "seconds")
            for name, several in policies(seed).items():
                for policy in several:
                    print(f"{path.stem} {name}, validation tasks of world {seed}", flush=True)
                    found = many(config, seed, policy, pairs)
                    score, share = mean_of(found, "score"), mean_of(found, "seconds") / reference
                    rate = sum(row["admitted"] for row in found) / sum(row["decisions"] for row in found)
                    row = {"name": name, "world": seed, "score": score, "share": share, "admitted": rate}
                    told.append(row | {"gain": score + GAIN * (1.0 - share)})
        names = dict.fromkeys(row["name"] for row in told)
        gains = {name: float(np.mean([row["gain"] for row in told if row["name"] == name])) for name in names}
        write_json(path, {"gains": gains, "best": max(gains, key=lambda name: gains[name]), "told": told})
    return float(read_json(path)["best"])


def tried(config: Config, folder: Path, line: str, world_seed: int, part: int) -> list[dict[str, Any]]:
    """Two rollouts of each task of a test world under a line, as rows; run if they are not stored."""
    path = folder / "rows" / f"{line}_{world_seed}_{part}.json"
    if path.exists():
        return read_json(path)
    tasks = almanac_tasks(world_seed, "test", config.num_tasks)
    pairs = [(task, part * PAIR + number) for task in tasks for number in range(PAIR)]
    print(f"{config.weaknesses}, world {world_seed}: {line}, rollouts from {part * PAIR}", flush=True)
    if line in LEARNED:
        # Rollout r of task number i is decided by controller i + r, so that each meets every kind of task.
        rows, places = [], {task.task_id: at for at, task in enumerate(tasks)}
        for place, seed in enumerate(config.train_worlds):
            policy = trained(training(config, line, seed, price(config, folder)), folder / f"{line}_{seed}")
            count = len(config.train_worlds)
            some = [(task, number) for task, number in pairs if (places[task.task_id] + number) % count == place]
            rows += many(config, world_seed, policy, some, controller=seed, num_labelled=0 if part else NUM_LABELLED)
    else:
        rows = many(config, world_seed, _policy(config, folder, line, world_seed), pairs)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, rows)
    return rows


def many(
    config: Config,
    world_seed: int,
    policy: AdmissionPolicy,
    pairs: Sequence[tuple[Task, int]],
    controller: int = -1,
    num_labelled: int = 0,
) -> list[dict[str, Any]]:
    """A row for each rollout; nothing else of it is kept."""
    run = make_parts(world(config, world_seed))
    parts = run.rollout_parts(policy, Budget(run.settings.model.budget))
    labelled = set(list(dict.fromkeys(task.task_id for task, _ in pairs))[:num_labelled])
    rows: list[dict[str, Any]] = []

    def keep(rollout: Rollout) -> None:
        rows.append(_row(rollout, world_seed, controller, with_labels=rollout.task.task_id in labelled))

    runs = [
        partial(run_rollout, task, Coordinates(config.seed, 0, task.task_id, number), parts, run.settings.rollout)
        for task, number in pairs
    ]
    counter = policy.decider if isinstance(policy, LearnedPolicy) else None
    with rare_garbage_collection():
        run_to_end(run_side_by_side(runs, 4 if counter is None else 32, counter, keep))
    return sorted(rows, key=lambda row: (row["task"], row["number"]))


def mean_of(rows: Sequence[dict[str, Any]], name: str) -> float:
    """Mean of a column."""
    return float(np.mean([row[name] for row in rows]))


def _row(rollout: Rollout, world_seed: int, controller: int, *, with_labels: bool) -> dict[str, Any]:
    row = {
        "task": f"{world_seed}/{rollout.task.task_id}",
        "number": rollout.coordinates.rollout,
        "controller": controller,
        "score": rollout.reward_agg if math.isfinite(rollout.reward_agg) else 0.0,
        "seconds": rollout.seconds,
        "tokens": rollout.tokens,
        "decisions": len(rollout.decisions),
        "admitted": len(rollout.entries),
        "pulled": len({pull.entry for pull in rollout.pulls if pull.reader != pull.writer}),
    }
    if with_labels:
        labels = label_decisions(rollout, world_seed)
        row["ranked"] = [
            (round(decision.admit_probability, 6), label.kind, label.is_new)
            for decision, label in zip(rollout.decisions, labels, strict=True)
        ]
    return row


def _policy(config: Config, folder: Path, line: str, world_seed: int) -> AdmissionPolicy:
    run = make_parts(world(config, world_seed))
    if line in ORACLES:
        return make_rule(f"oracle(values={ORACLES[line]}, world_seed={world_seed})", run.encoder)
    if line in COINS:
        rows = [row for seed in config.test_worlds for row in tried(config, folder, COINS[line], seed, 0)]
        rate = sum(row["admitted"] for row in rows) / sum(row["decisions"] for row in rows)
        return make_rule(f"random(rate={rate!r})", run.encoder)
    if line == "similarity_best":
        return make_rule(f"similarity(threshold={threshold(config, folder)})", run.encoder)
    return make_rule(REFERENCE if line == REFERENCE else RULES[line], run.encoder)


if __name__ == "__main__":
    main(tyro.cli(Config))
