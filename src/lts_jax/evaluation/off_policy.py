"""What another admission policy would have been worth, from rollouts that were logged under a random one.

Decision j of rollout i was taken with probability b_ij of its action, and the target policy would take the same action
with pi_ij; rho_ij = pi_ij / b_ij. The outcome y_i (score, or seconds) comes once, at the end, less the mean of its
siblings of one task: e_i. All estimates are of E[y | target] - E[y | logging], as means of contributions d_i:

    per decision        d_i = sum_j (rho_ij - 1) e_i
    self-normalised     d_i = sum_j (rho_ij / mean(rho) - 1) e_i
    doubly robust       d_i = sum_j (pi1_ij - b1_ij) f_ij + sum_j (rho_ij - 1) (e_i - sum_k (z_ik - b1_ik) f_ik)
    whole trajectory    d_i = (prod_j rho_ij) e_i / mean_i(prod_j rho_ij)

The first three change one decision at a time: they are exact where decisions add up, and miss how they work together.
The last is exact and, with dozens of decisions, has hardly a rollout left: `effective_rollouts` says how many. f is a
linear regression of e on (z - b1) times features of the decision, fitted on the other half of the tasks (z = 1 admits,
pi1 and b1 are probabilities of admitting). Per-decision weighting: Precup, Sutton and Singh (2000); doubly robust:
Jiang and Li (arXiv 1511.03722); the regression is that of `learning.ridge`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lts_jax.errors import UserError
from lts_jax.evaluation.statistics import Interval, mean_interval

RIDGE = 1.0  # of the features' sums, which are of the order of the number of decisions


@dataclass(frozen=True, slots=True)
class LoggedDecisions:
    """Decisions of R rollouts, padded to J each."""

    tasks: tuple[str, ...]  # of each rollout
    outcome_r: np.ndarray  # f64[R]
    mask_rj: np.ndarray  # bool[R, J]: a decision was taken
    admitted_rj: np.ndarray  # bool[R, J]
    logged_rj: np.ndarray  # f64[R, J]: probability of admitting under the logging policy
    target_rj: np.ndarray  # f64[R, J]: under the target policy
    features_rjd: np.ndarray  # f64[R, J, D]


@dataclass(frozen=True, slots=True)
class Estimate:
    """One estimate of the difference target - logging, with its interval over tasks."""

    name: str
    difference: Interval
    effective_rollouts: float  # (sum w)^2 / sum w^2 of whole-trajectory weights; of the others the number of rollouts


def estimates(logged: LoggedDecisions) -> tuple[Estimate, ...]:
    """Every estimate of the module's head.

    Raises:
        UserError: a task with a single rollout, which has no siblings; or a decision without chance in it that the
            target would take otherwise.
    """
    centred_r = _less_siblings(logged.outcome_r, logged.tasks)
    weight_rj = _weights(logged)
    gain_rj = np.where(logged.mask_rj, weight_rj - 1.0, 0.0)
    mean_weight = float(weight_rj[logged.mask_rj].mean()) if logged.mask_rj.any() else 1.0
    even_rj = np.where(logged.mask_rj, weight_rj / mean_weight - 1.0, 0.0)
    effect_rj = _effects(logged, centred_r)
    told_r = np.where(logged.mask_rj, (logged.admitted_rj - logged.logged_rj) * effect_rj, 0.0).sum(1)
    moved_r = np.where(logged.mask_rj, (logged.target_rj - logged.logged_rj) * effect_rj, 0.0).sum(1)
    log_weight_r = np.log(np.maximum(np.where(logged.mask_rj, weight_rj, 1.0), 1e-300)).sum(1)
    whole_r = np.exp(log_weight_r - log_weight_r.max())
    count = float(len(centred_r))
    found = {
        "per decision": (gain_rj.sum(1) * centred_r, count),
        "self-normalised": (even_rj.sum(1) * centred_r, count),
        "doubly robust": (moved_r + gain_rj.sum(1) * (centred_r - told_r), count),
        "whole trajectory": (
            whole_r / whole_r.mean() * centred_r,
            float(whole_r.sum() ** 2 / (whole_r**2).sum()),
        ),
    }
    return tuple(
        Estimate(name, mean_interval(value_r, logged.tasks), effective) for name, (value_r, effective) in found.items()
    )


def _weights(logged: LoggedDecisions) -> np.ndarray:
    """rho f64[R, J]: how much likelier the target would have done what was done; 1 where nothing was decided."""
    own, other = (np.where(logged.admitted_rj, one, 1.0 - one) for one in (logged.target_rj, logged.logged_rj))
    sure = logged.mask_rj & (np.minimum(logged.logged_rj, 1.0 - logged.logged_rj) <= 0.0)
    if np.any(sure & (logged.target_rj != logged.logged_rj)):
        raise UserError("logged decisions: expected chance in each, got some that were certain and would be otherwise")
    return np.where(logged.mask_rj & ~sure, own / np.where(other > 0.0, other, 1.0), 1.0)


def _less_siblings(value_r: np.ndarray, tasks: Sequence[str]) -> np.ndarray:
    """Each value less the mean of the others of its task."""
    names, place_r = np.unique(np.array(tasks), return_inverse=True)
    total, count = np.bincount(place_r, value_r), np.bincount(place_r)
    if count.min(initial=2) < 2:
        single = names[int(np.argmin(count))]
        raise UserError(f"logged decisions: expected at least two rollouts of every task, got one of {single}")
    return value_r - (total[place_r] - value_r) / (count[place_r] - 1)


def _effects(logged: LoggedDecisions, centred_r: np.ndarray) -> np.ndarray:
    """f f64[R, J]: what an admission adds, by a regression that never saw the decision's own task."""
    deviation_rj = np.where(logged.mask_rj, logged.admitted_rj - logged.logged_rj, 0.0)
    sums_rd = np.einsum("rj,rjd->rd", deviation_rj, logged.features_rjd)
    names = sorted(set(logged.tasks))
    half_r = np.array([names.index(task) % 2 for task in logged.tasks])
    effect_rj = np.zeros(logged.mask_rj.shape)
    for half in (0, 1):
        seen = half_r != half
        gram = sums_rd[seen].T @ sums_rd[seen] + RIDGE * np.eye(sums_rd.shape[1])
        theta_d = np.linalg.solve(gram, sums_rd[seen].T @ centred_r[seen])
        effect_rj[~seen] = logged.features_rjd[~seen] @ theta_d
    return effect_rj
