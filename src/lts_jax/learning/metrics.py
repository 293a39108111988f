"""Names of what learning measures: meaning, unit, and which way is better ("up", "down" or "" where neither is)."""

from collections.abc import Mapping
from typing import NamedTuple

from jax import Array


class Metric(NamedTuple):
    """One line of the table."""

    meaning: str
    unit: str
    better: str


METRICS: dict[str, Metric] = {
    "learning/loss": Metric("objective of the batch before the update", "", ""),
    "learning/policy_gradient_loss": Metric("its policy-gradient term", "", ""),
    "learning/sparsity_loss": Metric("admission probability, summed or averaged over a rollout's decisions", "", ""),
    "learning/entropy": Metric("entropy of a decision; 0.693 is a coin", "nats", ""),
    "learning/admit_probability": Metric(
        "mean probability of admitting at the sampling temperature, before any smallest one", "fraction", ""
    ),
    "learning/admits_greedily": Metric("decisions that a greedy controller would admit", "fraction", ""),
    "learning/reward_shrinkage": Metric("shrinkage of the reward's regression (learning.ridge)", "", ""),
    "learning/runtime_shrinkage": Metric("shrinkage of the runtime's regression (learning.ridge)", "", ""),
    "learning/reward_belief": Metric("probability that admissions change the reward", "fraction", ""),
    "learning/runtime_belief": Metric("probability that admissions change the runtime", "fraction", ""),
    "learning/behavior_gap": Metric("mean |log pi now - log pi when decided|; 0 on-policy", "nats", "down"),
    "learning/value_error": Metric("mean squared error of the value head against the return to go", "return^2", "down"),
    "learning/gradient_norm": Metric("global norm of the gradient before clipping", "", ""),
    "learning/num_updates": Metric("optimiser steps taken since the start", "updates", ""),
    "learning/num_skipped": Metric("updates left out because something was not finite", "updates", "down"),
    "credit/mean": Metric("mean credit of a decision", "credit", ""),
    "credit/std": Metric("standard deviation of credit over decisions", "credit", ""),
    "credit/admitted_mean": Metric("mean credit of admitted steps", "credit", ""),
    "credit/rejected_mean": Metric("mean credit of rejected steps", "credit", ""),
    "credit/return_mean": Metric("mean return R = R_agg + first_weight * R_first", "reward", "up"),
    "credit/counted_fraction": Metric("rollouts that count, of all", "fraction", "up"),
    "memory/admission_fraction": Metric("admitted steps, of decisions", "fraction", ""),
    "memory/used_fraction": Metric("used entries, of admitted", "fraction", "up"),
}
"""Every metric that an update returns."""


def as_floats(metrics: Mapping[str, Array]) -> dict[str, float]:
    """Metrics as plain numbers, in the order of `METRICS`.

    Raises:
        KeyError: a metric that is not in `METRICS`.
    """
    unknown = sorted(set(metrics) - set(METRICS))
    if unknown:
        raise KeyError(f"metrics without a meaning: {', '.join(unknown)}")
    return {name: float(metrics[name]) for name in METRICS if name in metrics}
