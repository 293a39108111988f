"""A training by PPO in parts, each stored, so that one that was killed goes on and ends with the same bits."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lts_jax.lab.ppo_training import PpoPlan, PpoRun, advance, begin_run
from lts_jax.learning import checkpoint
from lts_jax.learning.ppo import PpoSettings

POINTS = 4  # of a curve, from each part
_SAVING = threading.Lock()

Curves = dict[str, list[float]]


@dataclass(frozen=True)
class Budget:
    """How long, in how many parts, and what is kept of it as curves."""

    num_updates: int
    num_parts: int
    measures: Sequence[str]  # of episodes: means over those that ended
    learned: Sequence[str] = ("entropy", "kl")  # of updates: means over them


def train_in_parts(
    plan: PpoPlan,
    numbers: tuple[Any, PpoSettings],
    seed: int,
    budget: Budget,
    checkpoints: Path,
    tell: Callable[[int, Curves], None],
) -> tuple[PpoRun, Curves, float]:
    """The run at its end, its curves with `num_episodes` beside them, and the seconds it took; begun where it stopped.

    Args:
        plan: what is compiled; the same plan shares its programs.
        numbers: of the environment and of learning.
        seed: of the run.
        budget: how long.
        checkpoints: folder of what was stored.
        tell: called after every part with the updates done and the curves.
    """
    run = _begin(plan)(numbers, jax.random.key(seed))
    share = -(-budget.num_updates // budget.num_parts)
    done, spent = 0, 0.0
    curves: Curves = {name: [] for name in (*budget.measures, *budget.learned, "num_episodes")}
    if checkpoint.latest(checkpoints) is not None:
        run, cursor = checkpoint.restore(checkpoints, run)
        done, curves, spent = cursor["updates"], cursor["curves"], cursor["seconds"]
    while done < budget.num_updates:
        number = min(share, budget.num_updates - done)
        began = time.monotonic()
        run, told = _advance(plan, number)(run, numbers)
        told = {name: np.asarray(value, float) for name, value in told.items()}
        spent += time.monotonic() - began
        _extend(budget, curves, told)
        done += number
        with _SAVING:
            cursor = {"updates": done, "curves": curves, "seconds": spent}
            checkpoint.save(checkpoints, run, cursor, checkpoints.name)
        tell(done, curves)
    return run, curves, spent


def _extend(budget: Budget, curves: Curves, told: dict[str, np.ndarray]) -> None:
    """Take a part's updates into the curves."""
    number_u = told["num_episodes"]
    for some in np.array_split(np.arange(len(number_u)), min(POINTS, len(number_u))):
        for name, values in curves.items():
            weight = number_u[some] if name in budget.measures else np.ones(len(some))
            total = float((told[name][some] * weight).sum() / max(weight.sum(), 1.0))
            values.append(float(number_u[some].sum()) if name == "num_episodes" else round(total, 5))


@lru_cache
def _begin(plan: PpoPlan) -> Callable[..., PpoRun]:
    return jax.jit(partial(begin_run, plan))


@lru_cache
def _advance(plan: PpoPlan, num_updates: int) -> Callable[..., Any]:
    return jax.jit(partial(advance, plan, num_updates))
