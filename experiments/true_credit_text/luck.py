"""How much of an admission's true effect is luck? Its pairs of futures: kept and turned, under fresh model replies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lts_jax.bridge.collate import Place, rollout_counts
from lts_jax.bridge.futures import Future, replay_future
from lts_jax.evaluation.evaluate import Arm
from lts_jax.evaluation.statistics import NUM_RESAMPLES, Interval, percentile_interval, task_weights
from lts_jax.records import RolloutGroup


@dataclass(frozen=True, slots=True)
class Futures:
    """One row per admission, one column per future: the effect of the admission in that future."""

    tasks: list[str]
    rollouts: np.ndarray
    places: list[tuple[int, int, int, int]]  # of each row in [B, G, K, T]
    reward: np.ndarray  # [n, M]
    seconds: np.ndarray  # [n, M]


def effects_in_futures(groups: Sequence[RolloutGroup], arm: Arm, *, num_rollouts: int, num_futures: int) -> Futures:
    """Effects of the admissions of the first `num_rollouts` of every group, in `num_futures` futures each."""
    tasks, rollouts, places, reward, seconds = [], [], [], [], []
    for number, whole in enumerate(groups):
        group = RolloutGroup(whole.task, whole.iteration, whole.rollouts[:num_rollouts])
        pairs = [
            [replay_future(group, arm.parts, arm.rollout, Future(future, flip)) for flip in (False, True)]
            for future in range(num_futures)
        ]
        for place in sorted(pairs[0][0]):
            worth = [_worth(pair, place) for pair in pairs]
            if np.isfinite(worth).all():
                tasks.append(group.task.task_id)
                rollouts.append(number * num_rollouts + place[0])
                places.append((number, *place))
                reward.append([one for one, _ in worth])
                seconds.append([one for _, one in worth])
    return Futures(tasks, np.array(rollouts), places, np.array(reward), np.array(seconds))


def _worth(pair: Sequence[Mapping[Place, object]], place: Place) -> tuple[float, float]:
    kept, turned = (replays[place] for replays in pair)
    if not (rollout_counts(kept) and rollout_counts(turned)):
        return np.nan, np.nan
    reward = kept.reward_agg + kept.reward_first - turned.reward_agg - turned.reward_first
    return reward, turned.seconds - kept.seconds


def decision_share(effect_nm: np.ndarray, tasks: Sequence[str]) -> Interval:
    """Share of the variance of one future's effect that the admission accounts for, with its interval over tasks.

    The intraclass correlation by products of pairs of futures of one admission: (mean of x x' - mean^2) / (mean of x^2
    - mean^2). No credit that does not foresee luck can correlate with a single effect more than its root.
    """
    num_rows, num_futures = effect_nm.shape
    names, task = np.unique(tasks, return_inverse=True)
    squares = (effect_nm**2).sum(1)
    pairs = (effect_nm.sum(1) ** 2 - squares) / (num_futures - 1)
    columns = np.stack([np.full(num_rows, num_futures), effect_nm.sum(1), squares, pairs])
    sums_bc = np.stack([np.bincount(task, weights=column) for column in columns], axis=1)
    weight_rb = np.vstack([np.ones(len(names)), task_weights(len(names), NUM_RESAMPLES, 0)])
    count, total, square, pair = (weight_rb @ sums_bc).T
    mean = total / count
    shares = (pair / count - mean**2) / (square / count - mean**2)
    return percentile_interval(float(shares[0]), shares[1:], len(names))
