"""The process of a worker, as Ray starts it: a log and a journal of its own, `RolloutWorker` behind its messages."""

import asyncio
import faulthandler
import os
import socket
import sys
import threading
import time
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from lts_jax.distributed.crew import Assignment, Errand, Reply
from lts_jax.distributed.far_teams import TeamErrand, ask_bank
from lts_jax.distributed.leases import Beat, Terms
from lts_jax.distributed.ray_bank import RayBank
from lts_jax.records import Coordinates
from lts_jax.rollouts.spread import TeamShare


class RayWorker:
    """One incarnation. Rollouts have an event loop in a thread of their own, of Python's own kind, as elsewhere.

    So Ray's loop is free to give signs of life: a compilation is not taken for death.
    """

    def __init__(self, folder: str, logs: str) -> None:
        """`folder` is where the driver was started, `logs` where this incarnation writes what it has to say."""
        os.environ.setdefault("JAX_PLATFORMS", "cpu")  # a rollout's decisions; accelerators are the learner's
        self.incarnation = f"{socket.gethostname()}-{os.getpid()}-{int(time.time() * 1000)}"
        if os.path.isdir(folder):
            os.chdir(folder)
        self.log = Path(logs) / f"{self.incarnation}.log"
        _write_to(self.log)
        from lts_jax.distributed.worker import RolloutWorker

        self._worker = RolloutWorker(self.incarnation)
        self._worker.teams.owner_of = _owner_here
        self._loop = asyncio.SelectorEventLoop()
        threading.Thread(target=self._loop.run_forever, name="rollouts", daemon=True).start()

    async def about(self) -> tuple[str, str]:
        """Incarnation and path of the log."""
        return self.incarnation, str(self.log)

    async def prepare(self, assignment: Assignment, params: Any) -> None:
        """Make the parts of a run; `params` came by reference."""

        async def make() -> None:
            self._worker.prepare(replace(assignment, params=params))

        await self._in_loop(make())

    async def run(self, errand: Errand) -> Reply:
        """Run one job."""
        reply: Reply = await self._in_loop(self._worker.run(errand))
        return reply

    async def run_team(self, errand: TeamErrand) -> TeamShare:
        """Run a team of another worker's job."""
        share: TeamShare = await self._in_loop(self._worker.run_team(errand))
        return share

    async def stop_team(self, key: str, team: int) -> TeamShare | None:
        """Stop a team of another worker's job; what it did until then."""
        share: TeamShare | None = await self._in_loop(self._worker.stop_team(key, team))
        return share

    async def stop_teams(self, coordinates: Coordinates) -> None:
        """Stop all teams of a job."""
        await self._in_loop(self._worker.stop_teams(coordinates))

    async def bank(self, key: str, method: str, *arguments: Any) -> Any:
        """What the owner of a job's bank answers, while this is its home."""
        return ask_bank(self._worker.teams.banks, key, method, arguments)

    async def beat(self, terms: Terms) -> Beat:
        """A sign of life."""
        return self._worker.beat(terms)

    async def _in_loop(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))


def _owner_here(key: str) -> RayBank:
    """The bank of a job whose home this actor is, for others."""
    import ray

    return RayBank(ray.get_runtime_context().current_actor, key)


def _write_to(log: Path) -> None:
    """Let everything that this process writes go into its log, also what it writes as it dies."""
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable()
