"""A settings record of a few fields, and a runner that computes instead of training. Not a test.

As a program (`small_sweep.py FOLDER n`) it sweeps, and kills itself at its n-th chunk: `test_sweep_resume.py` runs it.
"""

import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lts_jax.errors import UserError
from lts_jax.sweeps.fields import sweep_fields
from lts_jax.sweeps.plan import PointSettings, SweepPlan, make_points
from lts_jax.sweeps.run import run_sweep


@dataclass(frozen=True, slots=True)
class Learning:
    sparsity_weight: float = 0.25
    loss_temperature: float | None = None
    bonus_on: Literal["advantage", "return"] = "advantage"

    def __post_init__(self) -> None:
        if not self.sparsity_weight >= 0:
            raise UserError(f"sparsity_weight: expected at least 0, got {self.sparsity_weight}")


@dataclass(frozen=True, slots=True)
class Shape:
    num_teams: int = 3
    num_steps: int = 4
    has_bank: bool = True
    names: tuple[str, ...] = ("a",)

    def __post_init__(self) -> None:
        if self.num_steps < self.num_teams:
            raise UserError(f"num_steps: expected at least num_teams = {self.num_teams}, got {self.num_steps}")


@dataclass(frozen=True, slots=True)
class Settings:
    seed: int = 0
    credit: str = "usage_aware"
    learning: Learning = field(default_factory=Learning)
    shape: Shape = field(default_factory=Shape)
    folder: str | None = None


BASE = Settings()
KNOWN = sweep_fields(BASE)
OVER = ("learning.sparsity_weight=0,.5,1", "credit=usage_aware,reinforce", "shape.num_teams=2,3")


def small_plan(over=OVER, **further) -> SweepPlan:
    options = {"num_seeds": 2, "pairs_per_program": 4} | further
    return SweepPlan("simulator", BASE, make_points(BASE, PointSettings(over)), **options)


class CountingRunner:
    """Reward = 10 sparsity weight + seed + length of the credit's name + teams / 10, and what it was called with."""

    def __init__(self, dies_at: int | None = None, die=None) -> None:
        self.calls: list[tuple[str, int, list[float], list[int]]] = []
        self.dies_at = dies_at
        self.die = die

    def __call__(self, settings, points, seeds):
        if len(self.calls) == self.dies_at:
            self.die()
        weights = [point.get("learning.sparsity_weight", settings.learning.sparsity_weight) for point in points]
        self.calls.append((settings.credit, settings.shape.num_teams, weights, list(seeds)))
        fixed = len(settings.credit) + settings.shape.num_teams / 10
        return [
            {"reward": 10 * weight + seed + fixed, "runtime_seconds": float("nan") if weight == 0 else 1 / 3}
            for weight in weights
            for seed in seeds
        ]


if __name__ == "__main__":
    runner = CountingRunner(int(sys.argv[2]), lambda: os.kill(os.getpid(), signal.SIGKILL))
    run_sweep(Path(sys.argv[1]), small_plan(), runner)
