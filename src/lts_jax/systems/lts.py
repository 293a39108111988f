"""LTS (Learning to Share, arXiv 2602.05965): parallel teams, a shared bank, a learned admission controller.

Wiring only: tasks, Magentic-One teams, a controller network, usage-aware credit, stepwise policy gradient; each of them
can be replaced (`run_parts`). `train_controller` trains in a run folder, resumably; `learned_policy` is the controller
as a policy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax

from lts_jax.bridge.decide import DeciderSettings
from lts_jax.bridge.learned import Decider, LearnedPolicy, make_decider
from lts_jax.credit.answered import answered_by
from lts_jax.errors import UserError
from lts_jax.learning.checkpoint import tidy
from lts_jax.learning.loop import train
from lts_jax.learning.objective import Metrics
from lts_jax.learning.objective_parts import AdmissionValue
from lts_jax.learning.processes import ALONE, Processes, over_processes
from lts_jax.learning.replayed import ReplayedUpdate
from lts_jax.learning.run_keeping import cut_metrics, keep, metric_line, resume
from lts_jax.learning.state import TrainState, is_solved
from lts_jax.learning.update import Update, make_update
from lts_jax.models.policy_network import Params
from lts_jax.models.qwen3_folder import make_mesh
from lts_jax.records import Rollout
from lts_jax.rollouts.executor import LOCAL, Executor
from lts_jax.systems.collecting import Collector, budget_of_rest, warn_without_reward
from lts_jax.systems.run_folder import RunFolder, config_digest, name_parts
from lts_jax.systems.run_parts import RunParts, as_parts
from lts_jax.systems.train_settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Progress:
    """What a caller may want to hear of: each finished rollout, and each finished iteration with its metrics."""

    on_rollout: Callable[[Rollout], None] | None = None
    on_iteration: Callable[[int, dict[str, float | None]], None] | None = None


def train_controller(
    folder: RunFolder,
    training: TrainSettings | RunParts,
    progress: Progress = Progress(),
    executor: Executor = LOCAL,
    processes: Processes = ALONE,
) -> TrainState:
    """Train in `folder`, going on from its newest healthy checkpoint if there is one. Returns the final state.

    `executor` runs the rollouts. Where there are several `processes`, which all see the folder, each runs the rollouts
    of its share of the tasks; without a mesh the bits are those of one process.

    Raises:
        UserError: one line: what `RunParts.check` refuses, or a run that was begun with other parts.
    """
    run = as_parts(training)
    settings, needed = run.settings, run.check()
    if processes.is_writer:
        name_parts(folder, {**run.names, **run.tool_names})
        tidy(folder.checkpoints)
    processes.meet("the checkpoints are tidied")
    state, first = _resume(folder, run)
    if processes.is_writer:
        cut_metrics(folder.metrics, first)
    answered = answered_by(needed, first_weight=settings.learning.first_weight)
    mesh, own = make_mesh(settings.mesh), run.brought.optimizer
    update: Update = make_update(run.network, run.credit, settings.learning, mesh, own, answered, run.objective)
    update = over_processes(update, mesh, processes)
    decider = decider_of(run, state.params, greedy=False)
    budget = budget_of_rest(folder, settings, first, processes.count)
    collector = Collector(folder, run, decider, budget, needed, progress.on_rollout, executor, processes)
    if isinstance(run.objective, AdmissionValue) and not is_solved(run.network, run.objective):
        update = ReplayedUpdate(update, num_steps=run.objective.num_steps, seed=settings.seed)
        for iteration in range(first):  # stored: read, not run
            update.remember(*collector.collect(iteration, state.params))
    digests = config_digest(settings), run.base_digest
    warned = False

    def finish(iteration: int, state: TrainState, metrics: Metrics, credit_bgkt: jax.Array) -> None:
        nonlocal warned
        line = metric_line(iteration, metrics)
        if processes.is_writer:
            collector.keep_credit(iteration, credit_bgkt)
        processes.meet(f"checkpoint of iteration {iteration}")
        keep(folder.metrics, folder.checkpoints, line, state, digests)
        if not processes.is_writer:
            return
        warned = warned or warn_without_reward(folder.rollouts, settings, iteration + 1)
        if progress.on_iteration is not None:
            progress.on_iteration(iteration, line)

    return train(state, collector.collect, update, finish, first=first, num_iterations=settings.num_iterations)


def trained_params(folder: RunFolder, training: TrainSettings | RunParts) -> Params:
    """Parameters of the newest healthy checkpoint.

    Raises:
        UserError: the run was never trained to its end, or its checkpoints belong to other settings.
    """
    run = as_parts(training)
    state, iteration = _resume(folder, run)
    wanted = run.settings.num_iterations
    if iteration < wanted:
        raise UserError(
            f"{folder.path}: trained for {iteration} of {wanted} iterations; "
            "run the training command again to finish it"
        )
    return state.params


def learned_policy(training: TrainSettings | RunParts, params: Params, *, greedy: bool = True) -> LearnedPolicy:
    """The trained controller as an admission policy; greedy at evaluation, as in the paper."""
    run = as_parts(training)
    return LearnedPolicy(decider_of(run, params, greedy=greedy), f"learned:{run.network.name}", training=run.settings)


def decider_of(run: RunParts, params: Params, *, greedy: bool) -> Decider:
    """The batched decision of a run; models on the real clock do not wait for company."""
    deciding = DeciderSettings(
        temperature=run.settings.learning.temperature,
        min_probability=run.objective.min_probability,
        greedy=greedy,
        max_wait_seconds=None if run.virtual_time else 0.01,
    )
    num_rows = run.settings.collect.num_in_flight
    return make_decider(run.network, params, run.encoder, deciding, num_rows=num_rows)


def _resume(folder: RunFolder, run: RunParts) -> tuple[TrainState, int]:
    fresh = run.fresh_state(jax.random.key(run.settings.seed))
    return resume(folder.checkpoints, fresh, config_digest=config_digest(run.settings), base_digest=run.base_digest)
