"""Workers as Ray actors: one for each number on this machine, or one for each node of a cluster.

Nothing is detached and nothing is retried by Ray: an actor's call runs at most once, and what is lost is run again by
coordinates. Ray's processes of this machine end with the driver.
"""

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lts_jax.distributed.crew import Assignment, Errand, Reply, Worker, WorkerLost
from lts_jax.distributed.far_teams import TeamErrand
from lts_jax.distributed.leases import Beat, Terms
from lts_jax.distributed.starting import on_this_node, read_workers, start_ray
from lts_jax.errors import UserError, describe
from lts_jax.records import Coordinates
from lts_jax.rollouts.spread import PlaceLost, TeamShare

NUM_LINES = 20
LANES = 4096 + 8  # messages that an actor takes at one time: rollouts, and what the driver says


class RayStaff:
    """See `Staff`."""

    def __init__(self, workers: str, folder: Path) -> None:
        """Start or join Ray; `folder` takes the logs of the workers."""
        start_ray(workers)
        self._number, self._address = read_workers(workers)
        self._logs = str(Path(folder).absolute())

    def places(self) -> Sequence[Hashable]:
        """Numbers on this machine, or nodes that are alive and have a processor to give.

        Raises:
            UserError: the cluster's head is gone.
        """
        if self._number:
            return range(self._number)
        import ray

        try:
            nodes = ray.nodes()
        except Exception as error:  # Ray raises many kinds
            raise UserError(f"workers: the cluster is gone ({describe(error)}); the same command goes on") from None
        return [node["NodeID"] for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]

    async def hire(self, place: Hashable) -> Worker:
        """A new actor at a place. Raises `WorkerLost`, see `Staff`."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from lts_jax.distributed.ray_actor import RayWorker

        where = {} if self._number else {"scheduling_strategy": NodeAffinitySchedulingStrategy(str(place), soft=False)}
        options = {"num_cpus": 1, "max_restarts": 0, "max_task_retries": 0, "max_concurrency": LANES}
        remote: Any = ray.remote(RayWorker)
        actor: Any = remote.options(**options, **where).remote(os.getcwd(), self._logs)
        try:
            incarnation, log = await actor.about.remote()
        except BaseException as error:
            ray.kill(actor)
            if isinstance(error, ray.exceptions.RayError):
                raise _loss(error) from None
            raise
        return _Actor(actor, incarnation, Path(log))

    def keep_calls(self, folder: str) -> "RayKeeper | None":
        """An actor beside the driver, where other machines may take part."""
        return None if self._number else RayKeeper(folder)

    def hand_over(self, params: Any) -> Any:
        """A reference into Ray's store."""
        import ray

        return ray.put(params)


class RayKeeper:
    """`LineKeeper` as an actor on the driver's node; what travels is its handle.

    A line that is sent twice is written twice and counts once, so Ray may start the actor anew and ask again.
    """

    def __init__(self, folder: str) -> None:
        import ray

        from lts_jax.distributed.keeper import LineKeeper

        remote: Any = ray.remote(LineKeeper)
        options = {"num_cpus": 0, "max_restarts": 3, "max_task_retries": 3, "max_concurrency": LANES}
        self._actor: Any = remote.options(**options, scheduling_strategy=on_this_node()).remote(folder)

    async def append(self, journal: str, lines: tuple[bytes, ...]) -> str:
        """See `Keeper`."""
        import ray

        try:
            failure: str = await self._actor.append.remote(journal, lines)
        except ray.exceptions.RayError as error:
            raise UserError(f"workers: the keeper of their calls is gone ({type(error).__name__})") from None
        return failure


@dataclass(frozen=True, slots=True)
class RayPeer:
    """See `Peer`."""

    actor: Any
    incarnation: str

    async def run_team(self, errand: TeamErrand) -> TeamShare:
        """See `Peer`."""
        try:
            share: TeamShare = await _answer(self.actor.run_team.remote(errand))
        except WorkerLost as loss:
            raise PlaceLost(f"worker {self.incarnation}, which had team {errand.team}: {loss.reason}") from None
        return share

    async def stop_team(self, key: str, team: int) -> TeamShare | None:
        """See `Peer`."""
        try:
            share: TeamShare | None = await _answer(self.actor.stop_team.remote(key, team))
        except WorkerLost:
            return None
        return share


class _Actor:
    """See `Worker`."""

    def __init__(self, actor: Any, incarnation: str, log: Path) -> None:
        self._actor, self.incarnation, self._log = actor, incarnation, log

    async def prepare(self, assignment: Assignment) -> None:
        await _answer(self._actor.prepare.remote(replace(assignment, params=None), assignment.params))

    async def run(self, errand: Errand) -> Reply:
        reply: Reply = await _answer(self._actor.run.remote(errand))
        return reply

    async def beat(self, terms: Terms) -> Beat:
        beat: Beat = await _answer(self._actor.beat.remote(terms))
        return beat

    def peer(self) -> "RayPeer":
        return RayPeer(self._actor, self.incarnation)

    async def stop_teams(self, coordinates: Coordinates) -> None:
        await _answer(self._actor.stop_teams.remote(coordinates))

    def stop(self) -> None:
        import ray

        ray.kill(self._actor)

    def last_lines(self) -> list[str]:
        return last_lines(self._log)


async def _answer(reference: Any) -> Any:
    """What an actor answers.

    Raises:
        WorkerLost: it is gone.
        UserError, PlaceLost: raised by our own code over there; any other kind of that comes as a `RuntimeError`.
    """
    import ray

    try:
        return await reference
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, (UserError, PlaceLost)):
            raise type(error.cause)(str(error.cause)) from None
        raise RuntimeError(str(error)[-4000:]) from None
    except ray.exceptions.RayError as error:
        raise _loss(error) from None


def last_lines(log: Path, number: int = NUM_LINES) -> list[str]:
    """The end of a worker's log, without secrets; empty where nobody can read it from here."""
    from lts_jax.redact import environment_secrets, redact_text

    try:
        text = log.read_bytes()[-64_000:].decode(errors="replace")
    except OSError:
        return []
    return redact_text(text, environment_secrets(os.environ)).splitlines()[-number:]


def _loss(error: BaseException) -> WorkerLost:
    lines = str(error).splitlines()
    kind = type(error).__name__
    return WorkerLost(
        f"Ray says {kind}: {lines[0] if lines else ''}"[:300], lines[-NUM_LINES:] if len(lines) > 1 else ()
    )
