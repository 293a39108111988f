"""The process of a worker, as Ray starts it: a log and a journal of its own, `RolloutWorker` behind its messages."""

import faulthandler
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import ray

from lts_jax.distributed.crew import Assignment, Errand, Reply
from lts_jax.distributed.leases import Beat, Terms


class RayWorker:
    """One incarnation. Signs of life have a thread of their own, so that a compilation is not taken for death."""

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

    async def about(self) -> tuple[str, str]:
        """Incarnation and path of the log."""
        return self.incarnation, str(self.log)

    async def prepare(self, assignment: Assignment, params: Any) -> None:
        """Make the parts of a run; `params` came by reference."""
        from dataclasses import replace

        self._worker.prepare(replace(assignment, params=params))

    async def run(self, errand: Errand) -> Reply:
        """Run one job."""
        return await self._worker.run(errand)

    @ray.method(concurrency_group="beat")
    async def beat(self, terms: Terms) -> Beat:
        """A sign of life."""
        return self._worker.beat(terms)


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
