"""A system that is a study: its arms trained with many seeds beside rules, in a run folder that a kill does not spoil.

Arms are trained in blocks of seeds, and every finished block is a file, so the same command goes on with what is
missing. A seed has the same bits whichever block it is in, and whatever the number of devices.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lts_jax.environments.contract import Acting, Controller, Policy
from lts_jax.environments.known import environment_of
from lts_jax.environments.policies import at_rates, of_network
from lts_jax.errors import UserError
from lts_jax.lab.arms import Arm, Trained, check_arms, joined, measure, measure_rule, seed_blocks, train_arm
from lts_jax.lab.settings import LabSettings, network_of
from lts_jax.lab.trials import Trial
from lts_jax.learning.settings import LearningSettings
from lts_jax.systems.kept import kept
from lts_jax.systems.run_folder import RunFolder
from lts_jax.systems.study_settings import StudySettings

BLOCK = 4  # seeds that are trained, and stored, at once


@dataclass(frozen=True)
class Study:
    """What a system consists of, beside its settings."""

    name: str
    title: str
    environment: str
    arms: tuple[Arm, ...]
    rules: Mapping[str, Policy]
    blind_rules: tuple[str, ...]  # of these the ones that read no content: the best of them is the yardstick
    oracle: str
    chance: float  # score of a guess
    num_updates: int  # of a phase, unless the settings say otherwise
    shown: Mapping[str, str]  # measures of the table, with their heads
    rates: Callable[[Mapping[str, np.ndarray]], np.ndarray]  # measures [seeds] -> odds f64[seeds, K, A] of actions


@dataclass(frozen=True)
class Told:
    """What a line of the table is of."""

    measures: Mapping[str, np.ndarray]  # f64[seeds] each
    score_si: np.ndarray | None = None  # f64[seeds, updates] learning curves, of arms


UNTRAINED = "untrained"
RANDOM = "random at its rates"


def lab_settings(study: Study, settings: StudySettings) -> LabSettings:
    """The trainings in the laboratory's words."""
    num_updates = study.num_updates if settings.num_updates is None else settings.num_updates
    return LabSettings(
        environment=study.environment,
        credit=study.arms[0].phases[0].credit,
        network=settings.network,
        num_iterations=num_updates,
        tasks_per_update=settings.tasks_per_update,
        num_rollouts=settings.num_rollouts,
        num_evaluation_tasks=0,
        is_strict=True,
        learning=LearningSettings(
            num_decay_updates=num_updates,
            sparsity_weight=0.0,
            first_weight=0.0,  # there is one answer, whose reward would count twice
            weight_decay=0.0,  # parameters that nobody trains stay as they are
            temperature=1.0,
        ),
    )


def chosen_arms(study: Study, settings: StudySettings) -> tuple[Arm, ...]:
    """The arms that the settings name, with the numbers that they set.

    Raises:
        UserError: one that the study does not have.
    """
    known = {arm.name: arm for arm in study.arms}
    for name in settings.arms:
        if name not in known:
            raise UserError(f"arms: {study.name} has {', '.join(known)}; got {name!r}")
    given = {"learning.learning_rate": settings.learning_rate, "learning.entropy_weight": settings.entropy_weight}
    own = {name: value for name, value in given.items() if value is not None}
    chosen = tuple(known[name] for name in settings.arms) or study.arms
    return tuple(
        replace(arm, phases=tuple(replace(one, numbers={**one.numbers, **own}) for one in arm.phases)) for arm in chosen
    )


def check_study(study: Study, settings: StudySettings) -> None:
    """Refuse an arm or a setting that cannot be meant, before anything is written.

    Raises:
        UserError: in one line.
    """
    check_arms(lab_settings(study, settings), chosen_arms(study, settings))


def train_arms(study: Study, settings: StudySettings) -> dict[str, Trained]:
    """The arms that the settings name, trained and measured in this process; nothing is stored.

    Args:
        study: as `lts_jax.systems.agemem.agemem()`.
        settings: how; all of its seeds side by side.

    Raises:
        UserError: as `check_study`.
    """
    check_study(study, settings)
    lab, arms = lab_settings(study, settings), chosen_arms(study, settings)
    trial = Trial(environment_of(study.environment).measures, settings.num_evaluation_tasks)
    seeds = range(settings.first_seed, settings.first_seed + settings.num_seeds)
    return {arm.name: train_arm(lab, arm, arms, seeds, trial) for arm in arms}


def controller_of(study: Study, settings: StudySettings, trained: Trained, *, place: int = 0) -> Controller:
    """What was trained with one of the seeds, the first unless `place` says another, acting as it was trained."""
    params = jax.tree.map(lambda leaf: leaf[place], trained.params)
    return Controller(of_network(network_of(lab_settings(study, settings))), params, Acting(1.0, False))


def run_study(study: Study, settings: StudySettings, folder: RunFolder, tell: Callable[[str], None]) -> dict[str, Told]:
    """Everything by line of the table, arms first; what a file has is not computed again.

    Args:
        study: arms and rules.
        settings: how they are trained.
        folder: of the run.
        tell: is told what was done, in a line.

    Raises:
        UserError: as `check_study`.
    """
    lab, arms = lab_settings(study, settings), chosen_arms(study, settings)
    trial = Trial(environment_of(study.environment).measures, settings.num_evaluation_tasks)
    seeds_of_all = range(settings.first_seed, settings.first_seed + settings.num_seeds)
    blocks = seed_blocks(seeds_of_all, BLOCK)
    parts: dict[str, list[Any]] = {}
    for number, seeds in enumerate(blocks):
        for arm in arms:
            path = _path(folder, arm.name, seeds)
            told = partial(tell, f"{arm.name}: block {number + 1} of {len(blocks)}")
            parts.setdefault(arm.name, []).append(kept(path, partial(_trained, lab, arm, arms, seeds, trial), told))
    found = {
        name: Told(joined([part["measures"] for part in some]), np.concatenate([part["score"] for part in some]))
        for name, some in parts.items()
    }
    return found | _rules(study, lab, found[arms[0].name], (folder, trial, seeds_of_all), tell)


def _trained(lab: LabSettings, arm: Arm, arms: Sequence[Arm], seeds: Sequence[int], trial: Trial) -> dict[str, Any]:
    done = train_arm(lab, arm, arms, seeds, trial)
    return {
        "measures": {name: value.tolist() for name, value in done.measures.items()},
        "score": np.round(np.asarray(done.score_si, float), 5).tolist(),
    }


def _rules(
    study: Study,
    lab: LabSettings,
    first: Told,
    where: tuple[RunFolder, Trial, Sequence[int]],
    tell: Callable[[str], None],
) -> dict[str, Told]:
    """Untrained policies, the first arm's actions by chance, and every rule: f64[seeds] of each measure."""
    folder, trial, seeds = where
    found: dict[str, Told] = {}
    odds_ska = study.rates(first.measures)
    for name, logit_ska in ((UNTRAINED, np.zeros_like(odds_ska)), (RANDOM, np.log(np.maximum(odds_ska, 1e-9)))):
        controller = Controller(at_rates, jax.numpy.asarray(logit_ska, jax.numpy.float32), Acting(1.0, False))
        found[name] = _once(folder, name, partial(measure, lab, controller, seeds, trial), tell)
    for name, policy in study.rules.items():
        found[name] = _once(folder, name, partial(measure_rule, lab, policy, seeds, trial), tell)
    return found


def _once(
    folder: RunFolder, name: str, compute: Callable[[], Mapping[str, np.ndarray]], tell: Callable[[str], None]
) -> Told:
    path = folder.path / "rules" / f"{name.replace(' ', '_')}.json"
    found = kept(path, lambda: {measured: value.tolist() for measured, value in compute().items()}, partial(tell, name))
    return Told({measured: np.asarray(value, float) for measured, value in found.items()})


def _path(folder: RunFolder, arm: str, seeds: Sequence[int]) -> Path:
    return folder.path / "arms" / f"{arm.replace(' ', '_')}_{seeds[0]}_{seeds[-1]}.json"
