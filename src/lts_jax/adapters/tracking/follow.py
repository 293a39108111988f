"""Trackers that follow a run's metrics.jsonl, each in a thread of its own.

What is there is read, never handed over: a tracker that hangs, or dies, holds up nothing and loses nothing, for
`catch_up` sends later what is missing. RUN/trackers.json keeps each tracker's id of the run and how far it has come.
"""

import math
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lts_jax.adapters.tracking.tracker import TrackedRun, Tracker, TrackerProblem
from lts_jax.errors import describe
from lts_jax.storage import read_json, read_json_lines, write_document

POLL_SECONDS = 1.0
REST = 200.0  # seconds that a tracker rests for each of a processor's that it took: training is not to feel it
GRACE_SECONDS = 10.0  # that trackers have, all together, when the training has ended
_PLACES = threading.Lock()  # trackers.json has several writers


@contextmanager
def following(folder: Path, trackers: Sequence[Tracker], *, grace_seconds: float | None = None) -> Iterator[None]:
    """Let trackers follow a run while what is inside trains it.

    On leaving each has what is left of `grace_seconds` to send the rest; one that has not is told of in one line and
    left behind. What a tracker raises is one warning, and the end of that tracker alone.
    """
    followers = [_Follower(folder, tracker) for tracker in trackers]
    for one in followers:
        one.thread.start()
    try:
        yield
    finally:
        ends = time.monotonic() + (GRACE_SECONDS if grace_seconds is None else grace_seconds)
        for one in followers:
            one.ending.set()
        for one in followers:
            one.thread.join(max(0.0, ends - time.monotonic()))
        for one in followers:
            if one.thread.is_alive():
                _tell(
                    f"{one.name} has not taken everything yet; `lts track {folder} --track {one.name}` sends the rest"
                )


def catch_up(folder: Path, trackers: Sequence[Tracker]) -> dict[str, int]:
    """Send each tracker what it lacks of a run, one after another; updates sent, by tracker.

    Raises:
        Whatever a tracker raises.
    """
    found = {}
    for tracker in trackers:
        follower = _Follower(folder, tracker)
        follower.ending.set()
        found[tracker.name] = follower.send_all()
    return found


def tracked_run(folder: Path) -> TrackedRun:
    """What trackers are told of a run. Its key comes from settings, place and when it was made."""
    document = read_json(folder / "config.json", dict)
    what = f"{document.get('created')} {folder.resolve()} {document.get('train')}"
    key = blake2b(what.encode(), digest_size=6).hexdigest()
    settings = {"versions": document.get("versions") or {}, **(document.get("train") or {})}
    return TrackedRun(folder, folder.resolve().name, key, settings)


class _Follower:
    """One tracker with its thread."""

    def __init__(self, folder: Path, tracker: Tracker) -> None:
        self.folder, self.tracker, self.name = folder, tracker, str(tracker.name)
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"track-{self.name}", daemon=True)

    def _run(self) -> None:
        try:
            self.send_all()
        except TrackerProblem as problem:
            _tell(f"{self.name}: {problem}; training goes on without it")
        except Exception as error:  # of somebody else's package, whatever it is
            _tell(f"{self.name}: {describe(error)}; training goes on without it")

    def send_all(self) -> int:
        """Send what is there and what comes, until the end is asked for; how many updates were sent."""
        known = _known(self.folder).get(self.name) or {}
        run_id = self.tracker.open(tracked_run(self.folder), str(known.get("id") or ""))
        sent = int(known.get("sent") or 0) if run_id else 0
        first, size, pause = sent, -1, 0.0
        try:
            while True:
                is_last = self.ending.wait(pause)
                now, started = _size(self.folder / "metrics.jsonl"), time.thread_time()
                if now != size:
                    size = now
                    sent = self._send(run_id, sent)
                pause = max(POLL_SECONDS, REST * (time.thread_time() - started))
                if is_last:
                    return sent - first
        finally:
            self.tracker.close()

    def _send(self, run_id: str, sent: int) -> int:
        for line in read_json_lines(self.folder / "metrics.jsonl"):
            step = int(line.get("iteration", -1))
            if step < sent:
                continue
            self.tracker.log(step, _numbers(line))
            sent = step + 1
        _remember(self.folder, self.name, run_id, sent)
        return sent


def _numbers(line: dict[str, Any]) -> dict[str, float]:
    """The finite numbers of a metric line."""
    return {
        name: float(value)
        for name, value in line.items()
        if name != "iteration" and isinstance(value, int | float) and math.isfinite(value)
    }


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _known(folder: Path) -> dict[str, Any]:
    path = folder / "trackers.json"
    return read_json(path, dict) if path.exists() else {}


def _remember(folder: Path, name: str, run_id: str, sent: int) -> None:
    if not run_id:
        return
    with _PLACES:
        write_document(folder / "trackers.json", _known(folder) | {name: {"id": run_id, "sent": sent}})


def _tell(said: str) -> None:
    warnings.warn(said, RuntimeWarning, stacklevel=2)
