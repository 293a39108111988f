"""The rollouts of each iteration of a training run, as arrays; the credit of their decisions, kept beside them."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lts_jax.bridge.collate import collate, stack
from lts_jax.bridge.learned import Decider, LearnedPolicy
from lts_jax.learning.processes import ALONE, Processes
from lts_jax.learning.run_keeping import places_of_iteration
from lts_jax.llm.budget import Budget, BudgetSettings
from lts_jax.models.policy_network import Params
from lts_jax.records import Rollout, RolloutGroup
from lts_jax.rollouts.collect import Iteration, collect_groups, spend
from lts_jax.rollouts.executor import LOCAL, Executor
from lts_jax.rollouts.no_reward import no_reward_warning, stored_epoch
from lts_jax.rollouts.store import read_folder, write_table
from lts_jax.systems.credit_needs import with_replays
from lts_jax.systems.run_folder import RunFolder
from lts_jax.systems.run_parts import RunParts
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.trajectory import DecisionContext, Trajectory


class Collector:
    """Collects the rollouts of one iteration after the other with the newest parameters."""

    def __init__(
        self,
        folder: RunFolder,
        run: RunParts,
        decider: Decider,
        budget: Budget,
        needed: frozenset[str],
        on_rollout: Callable[[Rollout], None] | None = None,
        executor: Executor = LOCAL,
        processes: Processes = ALONE,
    ) -> None:
        """`needed` are the replays that the credit scheme asks for; `executor` runs the rollouts.

        Of several `processes` each runs its share of the tasks, and then reads what the others have stored.
        """
        self._folder, self._run, self._decider, self._budget = folder, run, decider, budget
        self._needed, self._on_rollout, self._executor = needed, on_rollout, executor
        self._tasks = run.tasks("train", run.settings.num_tasks)
        self._groups: Sequence[RolloutGroup] = ()
        self._processes, self._num_meetings = processes, 0

    def collect(self, iteration: int, params: Params) -> tuple[Trajectory, DecisionContext]:
        """Arrays [B, G, ...] of the rollouts of this iteration's tasks; those that are stored are read."""
        run, decider, settings = self._run, self._decider, self._run.settings
        decider.replace_params(params)
        policy = LearnedPolicy(decider, f"learned:{decider.network.name}:{iteration}", training=settings)
        parts = run.rollout_parts(policy, self._budget)
        names = [task.task_id for task in self._tasks]
        places = places_of_iteration(names, settings.tasks_per_update, settings.seed, iteration)
        tasks, told = [self._tasks[place] for place in places], self._on_rollout
        where = settings.rollout, settings.collect
        if self._processes.count > 1:
            own = Iteration(settings.seed, iteration, decider, lambda rollout: self._processes.step(), self._executor)
            share = tasks[self._processes.index :: self._processes.count]
            collect_groups(share, parts, *where, own, self._folder.rollouts)
            self._num_meetings += 1
            self._processes.meet(f"rollouts of iteration {iteration} ({self._num_meetings})")
            parts = replace(parts, budget=Budget())  # what others have spent is no part of this process's share
        everything = Iteration(settings.seed, iteration, decider, told, self._executor)
        self._groups = collect_groups(tasks, parts, *where, everything, self._folder.rollouts)
        arrays = [collate(group, decider.texts, settings.padding) for group in self._groups]
        trajectory, context = stack(arrays)
        if self._needed:
            trajectory = with_replays(self._needed, self._groups, trajectory, parts, settings, decider)
        return trajectory, context

    def keep_credit(self, iteration: int, credit_bgkt: Any) -> None:
        """Store the credit of every decision of the rollouts last collected."""
        credit = np.asarray(credit_bgkt, np.float32)
        rows = [
            {
                "iteration": iteration,
                "task": group.task.task_id,
                "rollout": rollout.coordinates.rollout,
                "team": decision.team,
                "step": decision.step,
                "credit": float(credit[task, place, decision.team, decision.step]),
            }
            for task, group in enumerate(self._groups)
            for place, rollout in enumerate(group.rollouts)
            for decision in rollout.decisions
        ]
        write_table(self._folder.credit / f"{iteration:04d}.parquet", rows)


def warn_without_reward(rollouts: Path, settings: TrainSettings, num_done: int) -> bool:
    """At the end of an epoch say so if none of its rewards was above 0; returns whether that was said."""
    per_epoch = settings.num_tasks // settings.tasks_per_update
    if num_done % per_epoch:
        return False
    told = no_reward_warning(stored_epoch(rollouts, range(num_done - per_epoch, num_done)))
    if told:
        warnings.warn(told, stacklevel=2)
    return bool(told)


def budget_of_rest(folder: RunFolder, settings: TrainSettings, first: int, num_processes: int = 1) -> Budget:
    """The budget of the run, less what the iterations before `first` have spent of it; of that, a process's share."""
    budget = Budget(settings.model.budget)
    if first and budget.is_limited:
        for group in read_folder(folder.rollouts):
            if group.iteration < first:  # later ones are counted when they are read again
                spend(budget, group.rollouts)
    return budget if num_processes == 1 else _share_of(budget, num_processes)


def _share_of(budget: Budget, count: int) -> Budget:
    """A budget that has spent as much, and may spend one of `count` parts of the rest."""
    limits = {}
    for unit in ("tokens", "usd", "seconds"):
        limit, used = getattr(budget.settings, f"max_{unit}"), getattr(budget, unit)
        limits[f"max_{unit}"] = None if limit is None else used + max(0.0, limit - used) / count
    share = Budget(BudgetSettings(**limits))
    share.spend(budget.tokens, 0, budget.usd, budget.seconds)
    return share
