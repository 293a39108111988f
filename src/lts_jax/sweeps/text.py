"""A sweep's runner on the text side: train a controller per point and seed, evaluate it on validation tasks.

Each (training settings, seed) has a run folder of its own below the sweep's `runs`, so a stopped sweep goes on in the
middle of a training, and points that differ only in what is evaluated share one training.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lts_jax.admission.policy import AdmissionPolicy
from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import EvaluationSettings, evaluate
from lts_jax.evaluation.measures import RolloutMeasures, measure, ratio
from lts_jax.lab.training import CURVES
from lts_jax.learning.run_keeping import read_metrics
from lts_jax.plain import to_plain
from lts_jax.records import Rollout
from lts_jax.sweeps.fields import replace_fields, sweep_fields
from lts_jax.sweeps.run import Runner
from lts_jax.systems.comparison import LEARNED, MATCHED, ComparisonSettings, line_name, make_arm, make_policy
from lts_jax.systems.lts import learned_policy, train_controller
from lts_jax.systems.run_folder import RunFolder, identity, open_run, working_in
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import almanac_tasks


@dataclass(frozen=True, slots=True)
class ValidationSettings:
    """What a trained controller is measured on: validation tasks, which no training and no report uses. Ours."""

    num_tasks: int = 12  # balanced over families and difficulties
    num_rollouts: int = 1  # of each task
    seed: int = 1000  # the evaluation's seed is this plus the sweep's, so that equal seeds meet equal random numbers

    def __post_init__(self) -> None:
        for name in ("num_tasks", "num_rollouts"):
            if getattr(self, name) < 1:
                raise UserError(f"validation.{name}: expected at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class TextSettings:
    """Everything a text-side point depends on. Fields of `train` are swept without its name. A budget is each run's."""

    train: TrainSettings = field(default_factory=TrainSettings)
    policy: str = LEARNED  # who admits: lts trains a controller; a rule's name evaluates that rule and trains nothing
    validation: ValidationSettings = field(default_factory=ValidationSettings)

    def __post_init__(self) -> None:
        if self.policy in MATCHED:
            raise UserError(f"policy: {self.policy} needs the rate of a trained controller; it is for lts evaluate")
        object.__setattr__(self, "policy", line_name(self.policy, where="policy"))


def text_runner(folder: Path) -> Runner:
    """The runner of a sweep in `folder`: trainings that lie there are gone on with, or read."""

    def run(
        settings: TextSettings, points: Sequence[Mapping[str, float]], seeds: Sequence[int]
    ) -> list[dict[str, Any]]:
        known = sweep_fields(settings)
        return [
            measures_of(replace_fields(settings, known, point), seed, Path(folder) / "runs")
            for point in points
            for seed in seeds
        ]

    return run


def measures_of(settings: TextSettings, seed: int, runs: Path) -> dict[str, Any]:
    """Train with `seed` (if the policy learns), evaluate, measure. Names of measures are those of `row`.

    Under `curves` stand those of the training, as the simulator has them.
    """
    training = replace(settings.train, seed=seed)
    folder = open_run(runs / _digest(training, settings.policy), training)
    with working_in(folder, waits=True):  # another chunk of the same training may be at work elsewhere
        if settings.policy == LEARNED:
            state = train_controller(folder, training)
            policy: AdmissionPolicy = learned_policy(training, state.params)
        else:
            policy = make_policy(settings.policy, training, ComparisonSettings())
        validation = settings.validation
        rollouts = evaluate(
            [make_arm(settings.policy, training, policy)],
            almanac_tasks(training.world_seed, "validation", validation.num_tasks),
            EvaluationSettings(validation.num_tasks, validation.num_rollouts, validation.seed + seed),
            _evaluation_folder(folder, validation),
        )
    measured = row(rollouts[settings.policy], own_listed=training.rollout.reading.include_own)
    lines = read_metrics(folder.metrics)
    curves = {name: [line.get(name) for line in lines] for name in CURVES if any(name in line for line in lines)}
    return {**measured, "curves": curves}


def _digest(training: TrainSettings, policy: str) -> str:
    content = json.dumps([identity(to_plain(training)), policy])
    return blake2b(content.encode(), digest_size=16).hexdigest()


def _evaluation_folder(folder: RunFolder, validation: ValidationSettings) -> Path:
    return folder.evaluation / f"validation-{validation.seed}-{validation.num_rollouts}"


def row(rollouts: Sequence[Rollout], *, own_listed: bool) -> dict[str, float]:
    """Measures over rollouts: means, and pooled fractions (sum of numerators / sum of denominators); NaN if nothing.

    `reward` is the mean over the rollouts that have one; `unscored_fraction` says how many have none.
    """
    measured = [measure(rollout, own_listed=own_listed) for rollout in rollouts]

    def mean(value: Callable[[RolloutMeasures], float]) -> float:
        finite = [number for number in map(value, measured) if math.isfinite(number)]
        return ratio(math.fsum(finite), len(finite))

    def pool(above: Callable[[RolloutMeasures], int], below: Callable[[RolloutMeasures], int]) -> float:
        return ratio(sum(map(above, measured)), sum(map(below, measured)))

    return {
        "reward": mean(lambda one: one.score),
        "first_reward": mean(lambda one: one.first_score),
        "runtime_seconds": mean(lambda one: one.runtime_seconds),
        "steps_per_team": mean(lambda one: one.steps_per_team),
        "tokens": mean(lambda one: one.tokens),
        "admission_fraction": pool(lambda one: one.num_admitted, lambda one: one.num_decisions),
        "read_rate": pool(lambda one: one.num_entries_pulled, lambda one: one.num_entries),
        "cross_share": pool(lambda one: one.num_cross_pulls, lambda one: one.num_pulls),
        "reach": pool(lambda one: one.num_readers, lambda one: one.num_entries),
        "unscored_fraction": sum(not math.isfinite(one.score) for one in measured) / len(measured),
    }
