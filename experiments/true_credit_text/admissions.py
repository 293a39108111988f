"""Admissions as flat rows: their task and rollout, what they were worth, how many read them, and their credit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lts_jax.evaluation.statistics import mean_interval, minimum_detectable_effect
from lts_jax.records import RolloutGroup
from lts_jax.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Admissions:
    """One row per admission whose flip was replayed."""

    policy: str
    tasks: list[str]
    rollouts: np.ndarray  # number of the rollout, over all tasks
    reward: np.ndarray  # R - R(flipped), R = R_agg + R_first
    seconds: np.ndarray  # runtime(flipped) - runtime
    num_other_readers: np.ndarray
    credits: dict[str, np.ndarray]

    def matters(self) -> list[dict[str, object]]:
        """What admissions do: all of them, and by how many other teams pulled the entry."""
        kinds = {
            "every admission": np.ones(len(self.tasks), bool),
            "pulled by nobody else": self.num_other_readers == 0,
        }
        for count, word in ((1, "one other team"), (2, "two other teams")):
            kinds[f"pulled by {word}"] = self.num_other_readers == count
        return [self._kind(kind, rows) for kind, rows in kinds.items()]

    def _kind(self, kind: str, rows: np.ndarray) -> dict[str, object]:
        tasks = [task for task, here in zip(self.tasks, rows, strict=True) if here]
        reward, seconds = self.reward[rows], self.seconds[rows]
        saved, raised = mean_interval(seconds, tasks), mean_interval(reward, tasks)
        return {
            "policy": self.policy,
            "kind": kind,
            "admissions": int(rows.sum()),
            "seconds_saved": [saved.estimate, saved.low, saved.high],
            "seconds_resolution": minimum_detectable_effect(seconds, tasks),
            "seconds_std": float(np.std(seconds)),
            "changes_seconds": float(np.mean(seconds != 0.0)),
            "saves": float(np.mean(seconds > 1.0)),
            "costs": float(np.mean(seconds < -1.0)),
            "reward_effect": [raised.estimate, raised.low, raised.high],
            "reward_resolution": minimum_detectable_effect(reward, tasks),
            "raises": float(np.mean(reward > 0.0)),
            "lowers": float(np.mean(reward < 0.0)),
        }


def admission_rows(
    groups: Sequence[RolloutGroup],
    trajectory: Trajectory,
    reward: np.ndarray,
    seconds: np.ndarray,
    credits: Mapping[str, np.ndarray],
) -> Admissions:
    """The flipped admissions of a stacked trajectory [B, G, K, T] and of its effects and credits."""
    replayed = np.isfinite(seconds) & np.isfinite(reward) & (np.asarray(trajectory.action_gkt) == 1)
    task, rollout, _, _ = np.nonzero(replayed)
    return Admissions(
        policy=groups[0].rollouts[0].policy,
        tasks=[groups[number].task.task_id for number in task],
        rollouts=task * replayed.shape[1] + rollout,
        reward=reward[replayed],
        seconds=seconds[replayed],
        num_other_readers=np.asarray(trajectory.num_other_readers_gkt)[replayed],
        credits={name: np.asarray(credit, float)[replayed] for name, credit in credits.items()},
    )
