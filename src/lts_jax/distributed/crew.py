"""What a driver and its workers say to each other, whoever carries it: Ray, or a stand-in in a test or a model."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lts_jax.distributed.leases import Beat, Terms
from lts_jax.records import Coordinates, Rollout
from lts_jax.rollouts.executor import Job
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.orders import Order


class WorkerLost(Exception):
    """A worker is dead, does not answer, or could not be started: an event, never the end of a run."""

    def __init__(self, reason: str, last_lines: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason, self.last_lines = reason, tuple(last_lines)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the jobs of one run have in common, as it travels. Parameters go beside it, by reference."""

    version: int  # rises with every run; a worker refuses jobs of another than its newest
    order: Order | None  # None: a stand-in needs none
    settings: RolloutSettings
    num_side_by_side: int
    calls_folder: str = ""  # where finished calls are kept; empty: no call is worth keeping
    mark: str = ""  # a file in that folder: a worker that finds it writes there, another one sends its lines
    keeper: Any = field(default=None, compare=False, repr=False)  # who takes them, see `Keeper`; None: nobody need
    is_stored: bool = False  # whether the driver writes rollouts: then their rows are made here
    params: Any = field(default=None, compare=False, repr=False)  # a reference, or the parameters themselves


@dataclass(frozen=True, slots=True)
class Errand:
    """One job on its way to a worker, with the calls that an earlier try has paid for."""

    job: Job
    version: int
    recorded: tuple[bytes, ...] = ()
    peers: tuple[Any, ...] = ()  # other workers that may take teams of it, see `far_teams.Peer`


@dataclass(frozen=True, slots=True)
class Reply:
    """A rollout, or what went wrong in it: a mistake of the user's or of ours, which would be made anywhere."""

    rollout: Rollout | None
    error: str = ""
    is_users: bool = False
    is_lost: bool = False  # another worker that had a team of it is gone: it is to be run again
    row: bytes = field(default=b"", repr=False)  # of the rollout, as the store writes it


class Worker(Protocol):
    """One incarnation of a worker, as the driver sees it."""

    @property
    def incarnation(self) -> str:
        """`<host>-<pid>-<start>`: no other ever has the same; the name of its journal and its log."""
        ...

    async def prepare(self, assignment: Assignment) -> None:
        """Make the parts of a run.

        Raises:
            WorkerLost: it is gone.
            UserError: they cannot be made.
        """
        ...

    async def run(self, errand: Errand) -> Reply:
        """Run one job.

        Raises:
            WorkerLost: it is gone.
        """
        ...

    async def beat(self, terms: Terms) -> Beat:
        """Give it its terms, hear that it lives.

        Raises:
            WorkerLost: it is gone.
        """
        ...

    def peer(self) -> Any:
        """It as other workers see it, see `far_teams.Peer`."""
        ...

    async def stop_teams(self, coordinates: Coordinates) -> None:
        """Let it stop the teams that it has of a job whose home is lost; nothing where it is gone itself."""
        ...

    def stop(self) -> None:
        """End it at once, also one that does not answer."""
        ...

    def last_lines(self) -> list[str]:
        """What it wrote last, at most twenty lines."""
        ...


class Staff(Protocol):
    """Where workers can be had."""

    def places(self) -> Sequence[Hashable]:
        """Places that take one worker each, as of now: nodes of a cluster, or numbers on this machine."""
        ...

    async def hire(self, place: Hashable) -> Worker:
        """Start a new incarnation at a place.

        Raises:
            WorkerLost: it did not start, with its last lines.
        """
        ...

    def keep_calls(self, folder: str) -> Any:
        """A `Keeper` that writes into a folder of the driver's and travels; None where every worker sees the folder."""
        ...

    def hand_over(self, params: Any) -> Any:
        """Parameters as a reference that every worker can follow; they travel once to each machine."""
        ...
