"""Teams of one rollout on several workers: the worker that holds the job is its home and asks the others for a team.

Each worker asks its model through its own gate and journal, as for a rollout of its own. Whoever is lost, the job is
run again: its other teams are stopped, and what any journal holds is not asked again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol
from uuid import uuid4

from lts_jax.distributed.crew import Errand
from lts_jax.errors import UserError
from lts_jax.memory.remote_bank import BankLog, BankLost, BankOwner
from lts_jax.memory.valkey_log import ValkeyLog
from lts_jax.records import Coordinates
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.spread import FarTeam, PlaceLost, TeamPlace, TeamShare

GRACE_SECONDS = 5.0  # that a team has to stop
MOST_REMEMBERED = 256  # teams that have ended here
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
        self._ended: dict[tuple[str, int], TeamShare | None] = {}  # the last ones; None: stopped before it began

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
            begin = partial(ValkeyLog, settings.bank_log, f"rollout-{key}", settings.guards)
            log = await asyncio.to_thread(begin, expire_seconds=KEPT_SECONDS)
            try:
                yield placed(log), log
            finally:
                with suppress(UserError):  # what went wrong with it is told by who used it
                    await asyncio.to_thread(log.delete)
            return
        self.banks[key] = BankLog(settings.guards)
        try:
            yield placed(self.owner_of(key)), self.banks[key]
        finally:
            del self.banks[key]

    async def run(self, errand: TeamErrand, make: Callable[[], Awaitable[FarTeam]]) -> TeamShare:
        """Make a team and run it until it ends.

        Raises:
            PlaceLost: it was stopped, here or before it began: nobody waits for its share.
        """
        key, coordinates = (errand.key, errand.team), errand.errand.job.coordinates
        await self._stop_earlier(errand)
        team = await make()
        if key in self._ended:  # a message that it is to stop has overtaken the one that it is to run
            raise PlaceLost("the team was stopped before it began")
        task = asyncio.create_task(team.run())
        self._running[key] = coordinates, task, team
        try:
            share = await task
            self._remember(key, share)  # it may be asked for once more, if its home is stopping it now
            return share
        except asyncio.CancelledError:
            if not task.cancelled():  # not the team was stopped, but its worker
                raise
            raise PlaceLost("the team was stopped") from None
        finally:
            task.cancel()
            del self._running[key]

    async def stop(self, key: str, team: int) -> TeamShare | None:
        """Stop one team; what it did until then, None where it had not begun."""
        place = key, team
        if place not in self._running:
            self._remember(place, self._ended.get(place))
            return self._ended[place]
        _, task, far = self._running[place]
        task.cancel()
        await asyncio.wait([task], timeout=GRACE_SECONDS)
        share = far.stopped() if not task.done() or task.cancelled() or task.exception() else task.result()
        self._remember(place, share)
        return share

    async def stop_all(self, coordinates: Coordinates) -> None:
        """Stop every team of a job that is run again."""
        await self._stop([task for place, task, _ in self._running.values() if place == coordinates])

    async def _stop_earlier(self, errand: TeamErrand) -> None:
        """Stop the teams of earlier tries of a job, which nobody waits for any more."""
        coordinates = errand.errand.job.coordinates
        running = self._running.items()
        await self._stop([task for (key, _), (place, task, _) in running if place == coordinates and key != errand.key])

    async def _stop(self, tasks: Sequence[asyncio.Task[TeamShare]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE_SECONDS)

    def _remember(self, place: tuple[str, int], share: TeamShare | None) -> None:
        self._ended[place] = share
        while len(self._ended) > MOST_REMEMBERED:
            del self._ended[next(iter(self._ended))]


def ask_bank(banks: dict[str, BankLog], key: str, method: str, arguments: Sequence[Any]) -> Any:
    """Answer a `BankOwner`'s call from elsewhere.

    Raises:
        BankLost: the job has ended here.
        ValueError: the bank's refusal.
    """
    bank = banks.get(key)
    if bank is None:
        raise BankLost("bank: its rollout has ended")
    return getattr(bank, method)(*arguments)
