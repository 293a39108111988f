"""Fit the simulator to recorded rollouts of text teams, and say how well it agrees with those it was not fitted on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lts_jax.bridge.collate import CollateSettings, collate, stack
from lts_jax.environments.teams.figures import AGREED, Figures, figures
from lts_jax.environments.teams.fitting import SHARINGS, FitSettings, fit, neutral, simulated_figures
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.errors import UserError
from lts_jax.evaluation.statistics import Interval, percentile_interval
from lts_jax.records import RolloutGroup
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import read_folder
from lts_jax.seeds import uniform
from lts_jax.systems.comparison import REFERENCE
from lts_jax.systems.observed import observed_seconds
from lts_jax.trajectory import Trajectory

FOLDERS = {"none": REFERENCE, "all": "all", "random": "random"}
"""Where an evaluation keeps the rollouts of each policy that the simulator is fitted on."""
RANDOM_POLICIES = ("random", "random(rate=0.5)")  # names of the coin that `SHARINGS` means
MIN_TASKS = 8  # four to fit on and four to check on
TOLERANCE = 0.15  # relative difference up to which we say that a figure agrees; ours

Recorded = Mapping[str, Sequence[RolloutGroup]]
"""Groups of each policy of `SHARINGS`, by its name, in one order of tasks."""


@dataclass(frozen=True, slots=True)
class AgreementSettings:
    """How the simulator is fitted and checked."""

    seed: int = 0  # of the halves and of the check's random numbers
    num_tasks: int = 500  # simulated tasks of the check
    num_rollouts: int = 4  # of each
    num_resamples: int = 300  # of recorded tasks, for intervals
    fit: FitSettings = field(default_factory=FitSettings)

    def __post_init__(self) -> None:
        for name, low in (("num_tasks", 2), ("num_rollouts", 2), ("num_resamples", 2)):
            if getattr(self, name) < low:
                raise UserError(f"{name}: expected at least {low}, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class AgreementRow:
    """One figure under one policy, on tasks that the simulator was not fitted on."""

    figure: str
    policy: str
    recorded: Interval  # over tasks
    simulated: float

    @property
    def difference(self) -> float:
        """(simulated - recorded) / recorded."""
        return (self.simulated - self.recorded.estimate) / self.recorded.estimate

    @property
    def agrees(self) -> bool:
        """Within `TOLERANCE`."""
        return abs(self.difference) <= TOLERANCE

    @property
    def is_noise(self) -> bool:
        """The simulated figure lies in the recorded one's interval."""
        return self.recorded.low <= self.simulated <= self.recorded.high


def read_recorded(folder: Path) -> Recorded:
    """Evaluation rollouts of a run folder under the three policies, of tasks that all three have.

    Raises:
        UserError: a policy without rollouts, another coin than 0.5, or too few tasks.
    """
    found: dict[str, dict[str, RolloutGroup]] = {}
    for policy, name in FOLDERS.items():
        found[policy] = {group.task.task_id: group for group in read_folder(folder / name)}
        if not found[policy]:
            raise UserError(
                f"{folder / name}: no rollouts; `lts evaluate --policies {' '.join(FOLDERS.values())}` makes them"
            )
    coin = next(iter(found["random"].values())).rollouts[0].policy
    if coin not in RANDOM_POLICIES:
        raise UserError(f"{folder / FOLDERS['random']}: expected rollouts of {RANDOM_POLICIES[0]}, got {coin}")
    tasks = sorted(set.intersection(*(set(groups) for groups in found.values())))
    if len(tasks) < MIN_TASKS:
        raise UserError(f"{folder}: {len(tasks)} tasks have rollouts of every policy, at least {MIN_TASKS} are needed")
    recorded = {policy: [groups[task] for task in tasks] for policy, groups in found.items()}
    if any(len(group.rollouts) < 2 for groups in recorded.values() for group in groups):
        raise UserError(f"{folder}: a task has one rollout; at least two are needed (--evaluation.num-seeds 2)")
    return recorded


def halves(recorded: Recorded, seed: int) -> tuple[Recorded, Recorded]:
    """Two halves of the tasks, drawn by coordinates: to fit on, and to check on."""
    tasks = [group.task.task_id for group in recorded["none"]]
    order = sorted(range(len(tasks)), key=lambda index: uniform(seed, tasks[index], "half"))
    first, second = sorted(order[::2]), sorted(order[1::2])
    return tuple({policy: [groups[i] for i in half] for policy, groups in recorded.items()} for half in (first, second))  # type: ignore[return-value]


def trajectory_of(groups: Sequence[RolloutGroup], rollout: RolloutSettings) -> Trajectory:
    """Trajectories [B, G, ...] without any embedding."""
    num_steps = rollout.team.most_steps
    sizes = CollateSettings(num_steps, num_steps * rollout.num_teams)
    return stack([collate(group, _NoTexts(), sizes) for group in groups])[0]


def fit_recorded(recorded: Recorded, rollout: RolloutSettings, settings: AgreementSettings) -> SimulatorParams:
    """Parameters fitted on all of these rollouts: seconds are read off them, the rest is searched for."""
    sharing = [each for name in ("all", "random") for group in recorded[name] for each in group.rollouts]
    seconds = observed_seconds([each for group in recorded["none"] for each in group.rollouts], sharing)
    deadline = rollout.parallel.deadline_seconds
    limits = {"step_limit": float(rollout.team.max_rounds)} | (
        {} if deadline is None else {"deadline_seconds": deadline}
    )
    targets = {policy: _plain(figures(trajectory_of(groups, rollout))) for policy, groups in recorded.items()}
    start = neutral(replace(SimulatorParams(), **seconds, **limits))
    return fit(targets, shape_of(rollout), start, settings.fit)


def shape_of(rollout: RolloutSettings) -> SimulatorShape:
    """Sizes of simulated rollouts like these, with the shortest embeddings, which nobody looks at here."""
    num_steps = rollout.team.most_steps
    return SimulatorShape(
        num_teams=rollout.num_teams,
        max_steps=num_steps,
        num_entries=num_steps * rollout.num_teams,
        embedding_width=8,
    )


def agreement(
    params: SimulatorParams, recorded: Recorded, rollout: RolloutSettings, settings: AgreementSettings
) -> list[AgreementRow]:
    """Every figure of recorded rollouts beside the simulator's, the five that must agree first.

    Intervals are of the recorded side, resampling tasks; the simulated side has as many tasks as make its own small.
    """
    shown = jax.jit(
        lambda params, prng_key: simulated_figures(
            shape_of(rollout), params, prng_key, num_tasks=settings.num_tasks, num_rollouts=settings.num_rollouts
        )
    )(params, jax.random.key(settings.seed))
    rows = []
    for place, sharing in enumerate(SHARINGS):
        intervals = _intervals(trajectory_of(recorded[sharing.name], rollout), settings)
        rows += [
            AgreementRow(name, sharing.name, interval, float(getattr(shown, name)[place]))
            for name, interval in intervals.items()
            if math.isfinite(interval.estimate)
        ]
    order = [*AGREED, *(name for name in Figures.names() if name not in AGREED)]
    return sorted(rows, key=lambda row: order.index(row.figure))


def _intervals(trajectory: Trajectory, settings: AgreementSettings) -> dict[str, Interval]:
    num_tasks = trajectory.runtime_g.shape[0]
    generator = np.random.default_rng(settings.seed)
    drawn = generator.integers(num_tasks, size=(settings.num_resamples, num_tasks))
    arrays = jax.tree.map(jnp.asarray, trajectory)
    one = jax.jit(lambda chosen: figures(jax.tree.map(lambda array: array[chosen], arrays)))
    resampled = [_plain(one(chosen)) for chosen in drawn]
    return {
        name: percentile_interval(value, np.array([each[name] for each in resampled]), num_tasks)
        for name, value in _plain(one(np.arange(num_tasks))).items()
    }


def _plain(found: Figures) -> dict[str, float]:
    return {name: float(getattr(found, name)) for name in Figures.names()}


class _NoTexts:
    """An encoder for who needs no embeddings: every text is the same number."""

    dim = 1

    def encode(self, texts: Sequence[str]) -> Any:
        """f32[n, 1] of zeros."""
        return np.zeros((len(texts), 1), np.float32)
