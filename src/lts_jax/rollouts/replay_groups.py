"""Many replays side by side: G rollouts of every recorded task, with their waiting decisions answered together."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from lts_jax.controller.policy import AdmissionPolicy
from lts_jax.records import Coordinates, Rollout, RolloutGroup
from lts_jax.rollouts.collect import RolloutCounter, run_to_end
from lts_jax.rollouts.importers.recorded import RecordedTask
from lts_jax.rollouts.replay import replay_task
from lts_jax.rollouts.replay_settings import ReplaySettings


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
    places = [
        (item, Coordinates(seed, iteration, item.task.task_id, number))
        for item in recorded
        for number in range(num_rollouts)
    ]

    def keep(rollout: Rollout) -> None:
        finished[rollout.coordinates.task, rollout.coordinates.rollout] = rollout
        if on_rollout is not None:
            on_rollout(rollout)

    run_to_end(_side_by_side(places, policy, settings, num_in_flight, counter, keep))
    return [
        RolloutGroup(item.task, iteration, tuple(finished[item.task.task_id, number] for number in range(num_rollouts)))
        for item in recorded
    ]


async def _side_by_side(
    places: Iterable[tuple[RecordedTask, Coordinates]],
    policy: AdmissionPolicy,
    settings: ReplaySettings,
    num_in_flight: int,
    counter: RolloutCounter | None,
    keep: Callable[[Rollout], None],
) -> None:
    waiting = iter(places)

    async def work() -> None:
        for recorded, coordinates in waiting:
            if counter is not None:
                counter.rollout_started()
            await asyncio.sleep(0)  # a replay itself never waits for time: let the others start and be counted
            try:
                keep(await replay_task(recorded, policy, coordinates, settings))
            finally:
                if counter is not None:
                    counter.rollout_ended()

    async with asyncio.TaskGroup() as group:
        for _ in range(num_in_flight):
            group.create_task(work())
