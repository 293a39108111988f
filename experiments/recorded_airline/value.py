"""The value of an admission, fitted on coin replays of recorded runs; every choice by folds. See README.md."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product, starmap
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import tyro
from config import Config
from policies import EVALUATION, SELECTION, admission_fraction, handwritten, learned, recencies, replays, similarities
from table import policy_row, print_policies, print_versus, team_seconds, versus_row

from lts_jax.admission.rules import RulePolicy, admit_all, admit_none, admit_random
from lts_jax.bridge.collate import CollateSettings, collate, stack
from lts_jax.bridge.decide import BatchedDecider, DeciderSettings
from lts_jax.bridge.learned import LearnedPolicy
from lts_jax.learning.objective_parts import AdmissionValue
from lts_jax.learning.ridge import RidgeState, fit_once, init_ridge, solve
from lts_jax.learning.settings import LearningSettings
from lts_jax.logs.importers import RecordedTask, import_tau_bench
from lts_jax.logs.replay_groups import replay_groups
from lts_jax.logs.replay_settings import ReplaySettings
from lts_jax.memory.encoded_texts import EncodedTexts
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.models.linear import LinearSettings, linear
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.records import Rollout
from lts_jax.rollouts.collect import CollectSettings, Iteration
from lts_jax.storage import write_json
from lts_jax.trajectory import DecisionContext, Trajectory

OWN, AT_RATE = "value of an admission", "random at its rate"


@dataclass(frozen=True, slots=True)
class ValueConfig:
    """Fit on coin replays of tasks 0-24, choose by folds over them, compare once on tasks 25-35."""

    runs: Path = Path("recorded_runs")  # a folder of recorded runs, or the log itself
    results: Path = Path(__file__).parent / "results" / "value.json"
    num_train_tasks: int = 25  # the first ones
    num_tasks: int = 36  # all that are looked at; those behind the training tasks are held out
    num_folds: int = 5  # task i is in fold i modulo this
    seeds: tuple[int, ...] = (0, 1, 2)  # each draws its own latencies and coins; the first one chooses
    num_coin_rollouts: int = 20  # of each training task and seed
    num_choice_rollouts: int = 4  # latency draws of each task when candidates are measured
    num_evaluation_rollouts: int = 10  # the same of each held-out task and seed
    texts: tuple[str, ...] = ("none", "summary")  # grid: whether the summary's embedding is among the features
    powers: tuple[float, ...] = (0.0, 8.0, 64.0)  # grid: of the cosine to the keys in a step's novelty; 0 is without
    thresholds: tuple[float, ...] = (0.0, 0.00025, 0.0005, 0.001, 0.002)  # grid: share of the teams' seconds to save
    replay: ReplaySettings = field(default_factory=ReplaySettings)

    @property
    def measuring(self) -> Config:
        """Settings of the measurement that this study shares with `run.py`."""
        return Config(
            runs=self.runs, seeds=self.seeds, num_evaluation_rollouts=self.num_evaluation_rollouts, replay=self.replay
        )

    @property
    def choosing(self) -> Config:
        """The same for choices."""
        return Config(runs=self.runs, num_evaluation_rollouts=self.num_choice_rollouts, replay=self.replay)


LEARNING = LearningSettings(first_weight=0.0, runtime_weight=0.0)  # the reward is the saved share of the teams' seconds
OBJECTIVE = AdmissionValue(threshold=0.0)


Batch = tuple[Trajectory, DecisionContext]


@dataclass(frozen=True, slots=True)
class Point:
    """A candidate of the grid."""

    texts: str
    power: float
    threshold: float

    @property
    def features(self) -> tuple[str, float]:
        """What sums are made of."""
        return self.texts, self.power

    def __str__(self) -> str:
        return f"value(texts={self.texts}, novelty_power={self.power:g}, threshold={self.threshold:g})"


def coin_batches(config: ValueConfig, tasks: Sequence[RecordedTask], texts: EncodedTexts, seed: int) -> list[Batch]:
    """Replays of each task in which every step was admitted by a coin."""
    network = linear(settings_of(("none", 0.0), texts))
    untrained = network.init(jax.random.key(0))
    decider = BatchedDecider(network, untrained, texts, DeciderSettings(min_probability=0.5))
    collecting = CollectSettings(config.num_coin_rollouts)
    groups = replay_groups(
        tasks, LearnedPolicy(decider, "coin"), config.replay, collecting, Iteration(seed, 0, decider)
    )
    padding = CollateSettings(
        max_steps=max(len(run.steps) for task in tasks for run in task.runs),
        max_entries=max(sum(len(run.steps) for run in task.runs) for task in tasks),
    )
    return [stack([collate(group, texts, padding)]) for group in groups]


def sums_of(batches: Sequence[Batch], network: PolicyNetwork) -> list[RidgeState]:
    """The sums of the regression of each task by itself; those of several tasks are their sum."""
    fresh = init_ridge(network.init(jax.random.key(0)))
    fit = jax.jit(partial(fit_once, network, OBJECTIVE, LEARNING, fresh))
    return [fit(batch)[1] for batch in batches]


def weights_of(sums: Sequence[RidgeState], threshold: float, settings: LinearSettings) -> Params:
    """Weights whose log-odds are positive where an admission adds more than the threshold."""
    total = jax.tree.map(lambda *parts: sum(parts[1:], start=parts[0]), *sums)
    weight_of, *_ = jax.jit(solve)(total)
    return {"weight": weight_of[0].at[0].add(-threshold / settings.constant)}


def saved_team_seconds(rollouts: Sequence[Rollout], baseline: Sequence[Rollout]) -> float:
    """Mean team-seconds saved against the same replays without sharing."""
    total = sum(map(team_seconds, baseline)) - sum(map(team_seconds, rollouts))
    return total / len(baseline)


def choose(
    config: ValueConfig,
    tasks: Sequence[RecordedTask],
    sums: dict[tuple[str, float], list[RidgeState]],
    texts: EncodedTexts,
) -> tuple[Point, dict[str, str], list[dict[str, Any]]]:
    """The features and threshold, and the window and cut of the rules, that save most team-seconds on tasks 0-24.

    The fitted controller is measured on each fold under weights from all other folds.
    """
    settings, seeds = config.choosing, config.seeds[:1]
    baseline = replays(settings, tasks, admit_none(), seeds, SELECTION)
    rows: list[dict[str, Any]] = []

    def note(name: str, found: Sequence[Rollout]) -> float:
        saved = saved_team_seconds(found, baseline)
        rows.append(
            {"candidate": name, "team_saved_seconds": round(saved, 3), "stored": round(admission_fraction(found), 3)}
        )
        print(f"  {name}: saved team-seconds {saved:.2f}, stored {admission_fraction(found):.0%}", flush=True)
        return saved

    rules = {"recency": recencies(settings), "similarity": similarities(settings, texts)}
    chosen = {
        kind: max(candidates, key=lambda rule: note(rule.name, replays(settings, tasks, rule, seeds, SELECTION))).name
        for kind, candidates in rules.items()
    }
    saved: dict[Point, float] = {}
    for point in starmap(Point, product(config.texts, config.powers, config.thresholds)):
        found: list[Rollout] = []
        features = settings_of(point.features, texts)
        for fold in range(config.num_folds):
            others = [one for place, one in enumerate(sums[point.features]) if place % config.num_folds != fold]
            policy = learned(linear(features), weights_of(others, point.threshold, features), texts)
            found += replays(settings, tasks[fold :: config.num_folds], policy, seeds, SELECTION)
        saved[point] = note(str(point), found)
    return max(saved, key=saved.__getitem__), chosen, rows


def settings_of(features: tuple[str, float], texts: EncodedTexts) -> LinearSettings:
    """The linear controller with the embedding of these texts among its features, and novelty by this power."""
    return LinearSettings(embedding_width=texts.dim, texts=features[0], novelty_power=features[1])  # type: ignore[arg-type]


def main(config: ValueConfig) -> None:
    """Fit, choose, compare; print the tables and write the results."""
    started = time.perf_counter()
    tasks = import_tau_bench(config.runs).tasks[: config.num_tasks]
    training, held_out = tasks[: config.num_train_tasks], tasks[config.num_train_tasks :]
    texts = EncodedTexts(HashingEncoder())
    first = config.seeds[0]
    batches = coin_batches(config, training, texts, first)
    sums = {
        features: sums_of(batches, linear(settings_of(features, texts)))
        for features in product(config.texts, config.powers)
    }
    print(f"coin replays of one seed after {time.perf_counter() - started:.0f} s", flush=True)
    point, chosen, selection = choose(config, training, sums, texts)
    print(f"chosen: {point}; {chosen}", flush=True)
    features, settings = settings_of(point.features, texts), config.measuring
    network = linear(features)
    rollouts: dict[str, list[Rollout]] = {OWN: [], AT_RATE: []}
    largest: dict[int, list[float]] = {}
    for seed in config.seeds:
        if seed != first:
            batches = coin_batches(config, training, texts, seed)
        own_sums = sums[point.features] if seed == first else sums_of(batches, network)
        params = weights_of(own_sums, point.threshold, features)
        largest[seed] = [round(float(one), 5) for one in jnp.asarray(params["weight"][: 12 + features.has_novelty])]
        own = replays(settings, held_out, learned(network, params, texts), (seed,), EVALUATION)
        at_rate = RulePolicy(AT_RATE, admit_random(admission_fraction(own)).choose)
        rollouts[OWN] += own
        rollouts[AT_RATE] += replays(settings, held_out, at_rate, (seed,), EVALUATION)
    known = [*recencies(settings), *similarities(settings, texts)]
    compared = {"recency(5)", *chosen.values()}
    rules = [admit_none(), admit_all(), *(rule for rule in known if rule.name in compared), handwritten(settings)]
    rollouts |= {rule.name: replays(settings, held_out, rule, config.seeds, EVALUATION) for rule in rules}
    names = [*(rule.name for rule in rules), OWN, AT_RATE]
    rows = [policy_row(name, rollouts[name], rollouts["none"]) for name in names]
    pairs = [versus_row(name, rollouts[name], rollouts[OWN]) for name in names if name != OWN]
    print_policies(rows)
    print_versus(pairs)
    document = {
        "wall_seconds": round(time.perf_counter() - started),
        "processor_seconds": round(time.process_time()),
        "tool_seconds": config.replay.tool_seconds,
        "held_out_tasks": len(held_out),
        "coin_rollouts": config.num_coin_rollouts * len(training) * len(config.seeds),
        "chosen": {"texts": point.texts, "novelty_power": point.power, "threshold": point.threshold} | chosen,
        "selection": selection,
        "policies": rows,
        "value_beyond": pairs,
        "weights_of_named_features_by_seed": {str(seed): weights for seed, weights in largest.items()},
    }
    write_json(config.results, document)


if __name__ == "__main__":
    main(tyro.cli(ValueConfig))
