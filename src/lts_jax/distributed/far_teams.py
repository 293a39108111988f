"""Teams of one rollout on several workers: the worker that holds the job is its home and asks the others for a team.

Each worker asks its model through its own gate and journal, as for a rollout of its own. Whoever is lost, the job is
run again: its other teams are stopped, and what any journal holds is not asked again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import uuid4

from lts_jax.distributed.crew import Errand
from lts_jax.errors import UserError
from lts_jax.memory.remote_bank import BankLog, BankOwner
from lts_jax.memory.valkey_log import ValkeyLog
from lts_jax.records import Coordinates
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.spread import FarTeam, TeamPlace, TeamShare

KEPT_SECONDS = 86_400.0  # of a bank's log at a server, whose rollout was killed


@dataclass(frozen=True, slots=True)
class TeamErrand:
    """One team of a job on its way to another worker than the job's."""

    key: str  # of this try of the job
    errand: Errand
    team: int
    owner: BankOwner
    began: float  # seconds of `time.time`


class Peer(Protocol):
    """A worker as another one sees it. It travels: whoever gets it can ask."""

    async def run_team(self, errand: TeamErrand) -> TeamShare:
        """Let it run a team to its end.

        Raises:
            PlaceLost: it is gone.
            UserError: it cannot, for a mistake of the user's.
        """
        ...

    async def stop_team(self, key: str, team: int) -> TeamShare | None:
        """Stop a team; what it did until then, None where the worker is gone or has no such team."""
        ...


@dataclass(frozen=True, slots=True)
class _Place:
    """See `TeamPlace`."""

    peer: Peer
    key: str
    errand: Errand
    team: int
    owner: BankOwner

    async def run(self, began: float) -> TeamShare:
        return await self.peer.run_team(TeamErrand(self.key, self.errand, self.team, self.owner, began))

    async def stop(self) -> TeamShare | None:
        return await self.peer.stop_team(self.key, self.team)


class FarTeams:
    """The teams that one worker runs for others, and the banks of jobs whose home it is. One event loop."""

    def __init__(self) -> None:
        self.banks: dict[str, BankLog] = {}  # by the key of the try; read by any thread
        self.owner_of: Callable[[str], BankOwner] = self.banks.__getitem__  # how others reach such a bank
        self._running: dict[tuple[str, int], tuple[Coordinates, asyncio.Task[TeamShare], FarTeam]] = {}

    @asynccontextmanager
    async def places(
        self, errand: Errand, settings: RolloutSettings
    ) -> AsyncIterator[tuple[list[TeamPlace | None], BankOwner]]:
        """Where the teams of a job are to work, in turn here and with each peer, and who owns its bank meanwhile."""
        key = uuid4().hex
        turn: Sequence[Peer | None] = (None, *errand.peers)

        def placed(owner: BankOwner) -> list[TeamPlace | None]:
            peers = [turn[team % len(turn)] for team in range(settings.num_teams)]
            alone = replace(errand, peers=())
            return [None if peer is None else _Place(peer, key, alone, team, owner) for team, peer in enumerate(peers)]

        if settings.bank_log is not None:
            log = ValkeyLog(settings.bank_log, f"rollout-{key}", settings.guards, expire_seconds=KEPT_SECONDS)
            try:
                yield placed(log), log
            finally:
                with suppress(UserError):  # what went wrong with it is told by who used it
                    log.delete()
            return
        self.banks[key] = BankLog(settings.guards)
        try:
            yield placed(self.owner_of(key)), self.banks[key]
        finally:
            del self.banks[key]

    async def run(self, errand: TeamErrand, team: FarTeam) -> TeamShare:
        """Run a team until it ends or is stopped; then what it did until then."""
        key, task = (errand.key, errand.team), asyncio.create_task(team.run())
        self._running[key] = errand.errand.job.coordinates, task, team
        try:
            return await task
        except asyncio.CancelledError:
            if not task.cancelled():  # not the team was stopped, but its worker
                raise
            return team.stopped()
        finally:
            task.cancel()
            del self._running[key]

    async def stop(self, key: str, team: int) -> TeamShare | None:
        """Stop one team."""
        found = self._running.get((key, team))
        if found is None:
            return None
        _, task, far = found
        task.cancel()
        await asyncio.wait([task])
        return far.stopped() if task.cancelled() else task.result()

    async def stop_all(self, coordinates: Coordinates) -> None:
        """Stop every team of a job that is run again."""
        tasks = [task for place, task, _ in self._running.values() if place == coordinates]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def ask_bank(banks: dict[str, BankLog], key: str, method: str, arguments: Sequence[Any]) -> Any:
    """Answer a `BankOwner`'s call from elsewhere.

    Raises:
        UserError: the job has ended here.
        ValueError: the bank's refusal.
    """
    bank = banks.get(key)
    if bank is None:
        raise UserError("bank: its rollout has ended")
    return getattr(bank, method)(*arguments)
