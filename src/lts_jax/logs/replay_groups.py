"""Many replays side by side: G rollouts of every recorded task, with their waiting decisions answered together."""

from collections.abc import Sequence
from functools import partial

from lts_jax.admission.policy import AdmissionPolicy
from lts_jax.logs.importers.recorded import RecordedTask
from lts_jax.logs.replay import replay_task
from lts_jax.logs.replay_settings import ReplaySettings
from lts_jax.records import Coordinates, Rollout, RolloutGroup
from lts_jax.rollouts.collect import CollectSettings, Iteration, run_side_by_side, run_to_end


def replay_groups(
    recorded: Sequence[RecordedTask],
    policy: AdmissionPolicy,
    settings: ReplaySettings,
    collecting: CollectSettings,
    iteration: Iteration,
) -> list[RolloutGroup]:
    """`num_rollouts` replays of every task, in the order of `recorded`; they differ in the noise of the latencies."""
    numbers = range(collecting.num_rollouts)
    finished: dict[tuple[str, int], Rollout] = {}
    places = [
        (item, Coordinates(iteration.seed, iteration.number, item.task.task_id, number))
        for item in recorded
        for number in numbers
    ]
    runs = [partial(replay_task, item, policy, place, settings) for item, place in places]

    def keep(rollout: Rollout) -> None:
        finished[rollout.coordinates.task, rollout.coordinates.rollout] = rollout
        if iteration.on_rollout is not None:
            iteration.on_rollout(rollout)

    run_to_end(run_side_by_side(runs, collecting.num_in_flight, iteration.counter, keep))
    return [
        RolloutGroup(item.task, iteration.number, tuple(finished[item.task.task_id, number] for number in numbers))
        for item in recorded
    ]
