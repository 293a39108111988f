"""The one protocol behind which every tracker stands, and what it is told of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """What a tracker is told of a run."""

    folder: Path
    name: str  # of the folder
    key: str  # the same for this run whenever it is opened, and no other's
    settings: Mapping[str, Any]  # as in config.json


class TrackerProblem(Exception):
    """A tracker cannot do its work: no key, no server. The message is one line; training goes on."""


class Tracker(Protocol):
    """Where numbers go. Called from a thread of its own, so that it may be slow; whatever it raises is told once."""

    @property
    def name(self) -> str:
        """As the user named it."""
        ...

    def open(self, run: TrackedRun, known: str) -> str:
        """Begin a run of the tracker's, or go on with the one that it called `known` before; gives its id.

        Raises:
            TrackerProblem: it cannot.
        """
        ...

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of one update, by their names in metrics.jsonl."""
        ...

    def close(self) -> None:
        """All has been logged for now; a run may be opened again."""
        ...
