"""A made-up sweep: three fields, as many seeds as wanted, luck shared by all configurations of a seed."""

import itertools
from typing import Any

import numpy as np

FIELDS = ("credit", "learning.sparsity_weight", "learning.usage_weight")
LIFT = {"usage_aware": 0.06, "leave_one_out": 0.04, "group_relative": 0.03, "reinforce": -0.05}


def make_table(
    num_seeds: int = 20,
    *,
    sparsity_weights: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2),
    usage_weights: tuple[float, ...] = (0.0, 0.1, 0.3),
) -> dict[str, list[Any]]:
    """Columns of the fake sweep: reward, runtime_seconds, admission_fraction and read_rate of every (point, seed)."""
    generator = np.random.default_rng(7)
    luck = generator.normal(0, 0.04, num_seeds)
    rows = []
    for credit, sparsity, usage in itertools.product(LIFT, sparsity_weights, usage_weights):
        bonus = 0.4 * usage - usage**2 if credit == "usage_aware" else -0.1 * usage
        for seed in range(num_seeds):
            reward = 0.6 + LIFT[credit] + bonus - 2 * (sparsity - 0.05) ** 2 + luck[seed] + generator.normal(0, 0.015)
            admitted = np.clip(0.6 - 2 * sparsity + generator.normal(0, 0.05), 0.02, 0.98)
            seconds = 340 - 60 * admitted + 150 * sparsity + 200 * luck[seed] + generator.normal(0, 6)
            rows.append((credit, sparsity, usage, seed, reward, seconds, admitted, min(1.0, 0.3 + 0.5 * sparsity)))
    names = (*FIELDS, "seed", "reward", "runtime_seconds", "admission_fraction", "read_rate")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
