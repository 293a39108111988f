"""Many replays side by side: G rollouts of every recorded task, with their waiting decisions answered together."""

from collections.abc import Callable, Sequence
from functools import partial

from lts_jax.admission.policy import AdmissionPolicy
from lts_jax.logs.importers.recorded import RecordedTask
from lts_jax.logs.replay import replay_task
from lts_jax.logs.replay_settings import ReplaySettings
from lts_jax.records import Coordinates, Rollout, RolloutGroup
from lts_jax.rollouts.collect import RolloutCounter, run_side_by_side, run_to_end


def replay_groups(
    recorded: Sequence[RecordedTask],
    policy: AdmissionPolicy,
    settings: ReplaySettings,
    *,
    num_rollouts: int,
    seed: int,
    iteration: int,
    num_in_flight: int = 64,
    counter: RolloutCounter | None = None,
    on_rollout: Callable[[Rollout], None] | None = None,
) -> list[RolloutGroup]:
    """`num_rollouts` replays of every task, in the order of `recorded`; they differ in the noise of the latencies.

    `counter` is the decider behind a learned policy, if there is one. How many are in flight changes speed only.
    """
    finished: dict[tuple[str, int], Rollout] = {}
    runs = [
        partial(replay_task, item, policy, Coordinates(seed, iteration, item.task.task_id, number), settings)
        for item in recorded
        for number in range(num_rollouts)
    ]

    def keep(rollout: Rollout) -> None:
        finished[rollout.coordinates.task, rollout.coordinates.rollout] = rollout
        if on_rollout is not None:
            on_rollout(rollout)

    run_to_end(run_side_by_side(runs, num_in_flight, counter, keep))
    return [
        RolloutGroup(item.task, iteration, tuple(finished[item.task.task_id, number] for number in range(num_rollouts)))
        for item in recorded
    ]
