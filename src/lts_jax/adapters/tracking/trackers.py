"""The trackers that we know: csv, tensorboard, wandb, trackio, mlflow. Each imports its package when it is opened."""

import math
import netrc
import os
import time
from collections.abc import Mapping
from importlib.util import find_spec
from urllib.parse import urlsplit

from lts_jax.adapters.tracking.tracker import TrackedRun, Tracker, TrackerProblem
from lts_jax.errors import UserError
from lts_jax.parts import resolve
from lts_jax.storage import write_text

WRITE_SECONDS = 5.0  # between two writings of the CSV file


class CsvTracker:
    """RUN/metrics.csv: one line an update, a column a metric."""

    name = "csv"

    def __init__(self) -> None:
        self._rows: dict[int, Mapping[str, float]] = {}
        self._written = -math.inf

    def open(self, run: TrackedRun, known: str) -> str:
        """The file is written from its first line each time; nothing has to be remembered."""
        self._path = run.folder / "metrics.csv"
        return ""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Keep a line, and write the file now and then."""
        self._rows[step] = values
        if time.monotonic() - self._written > WRITE_SECONDS:
            self.close()

    def close(self) -> None:
        """Write the file whole."""
        names = dict.fromkeys(name for row in self._rows.values() for name in row)
        lines = [",".join(["iteration", *names])]
        for step, row in sorted(self._rows.items()):
            lines.append(",".join([str(step), *(repr(row[name]) if name in row else "" for name in names)]))
        write_text(self._path, "\n".join(lines) + "\n")
        self._written = time.monotonic()


class TensorboardTracker:
    """RUN/tensorboard: event files, which `tensorboard --logdir RUN` shows."""

    name = "tensorboard"

    def open(self, run: TrackedRun, known: str) -> str:
        """Go on in the same folder."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        self._writer = EventFileWriter(str(run.folder / "tensorboard"))
        return "tensorboard"

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One event with all numbers."""
        value = [self._summary.Value(tag=name, simple_value=number) for name, number in values.items()]
        self._writer.add_event(self._event(step=step, wall_time=time.time(), summary=self._summary(value=value)))

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class WandbTracker:
    """Weights & Biases. Without a network: WANDB_MODE=offline, and `wandb sync` later."""

    name = "wandb"

    def __init__(self, project: str) -> None:
        self._project = project

    def open(self, run: TrackedRun, known: str) -> str:
        """The run of this key, made or gone on with. Without a key the package would ask at the terminal."""
        if os.environ.get("WANDB_MODE", "online") == "online" and not _has_wandb_key():
            raise TrackerProblem("no key: set WANDB_API_KEY, or WANDB_MODE=offline")
        import wandb

        self._run = wandb.init(
            project=self._project, id=known or run.key, name=run.name, resume="allow", dir=str(run.folder),
            config=dict(run.settings),
        )  # fmt: skip
        return str(self._run.id)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of one step."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """End the run; it can be gone on with."""
        self._run.finish()


class TrackioTracker:
    """Trackio, which keeps its runs on this machine, or on a Space (`space=user/name`)."""

    name = "trackio"

    def __init__(self, project: str, space: str) -> None:
        self._project, self._space = project, space

    def open(self, run: TrackedRun, known: str) -> str:
        """The run of this name, made or gone on with."""
        import trackio

        name = known or f"{run.name}-{run.key}"
        space = {"space_id": self._space} if self._space else {}
        self._run = trackio.init(
            project=self._project, name=name, resume="allow", config=dict(run.settings), embed=False, **space
        )
        return name

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of one step."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


class MlflowTracker:
    """MLflow, at MLFLOW_TRACKING_URI. `mlflow-skinny` serves."""

    name = "mlflow"

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment

    def open(self, run: TrackedRun, known: str) -> str:
        """The run of this id, or a new one."""
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            raise TrackerProblem("no server: set MLFLOW_TRACKING_URI")
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient()
        if known:
            self._run_id = known
            self._client.update_run(known, status="RUNNING")
            return known
        found = self._client.get_experiment_by_name(self._experiment)
        experiment = found.experiment_id if found else self._client.create_experiment(self._experiment)
        self._run_id = self._client.create_run(experiment, run_name=run.name).info.run_id
        for name, value in flat_settings(run.settings).items():
            self._client.log_param(self._run_id, name, value[:500])
        return str(self._run_id)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of one step, in one request."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, number, now, step) for name, number in values.items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    def close(self) -> None:
        """Mark the run as finished; it can be gone on with."""
        self._client.set_terminated(self._run_id)


def csv() -> Tracker:
    """A file beside metrics.jsonl."""
    return CsvTracker()


def tensorboard() -> Tracker:
    """TensorBoard's event files in the run folder."""
    return TensorboardTracker()


def wandb(*, project: str = "lts_jax") -> Tracker:
    """Weights & Biases.

    Args:
        project: where the run goes.
    """
    return WandbTracker(project)


def trackio(*, project: str = "lts_jax", space: str = "") -> Tracker:
    """Trackio.

    Args:
        project: where the run goes.
        space: a Space of the Hugging Face hub, as user/name; on this machine if empty.
    """
    return TrackioTracker(project, space)


def mlflow(*, experiment: str = "lts_jax") -> Tracker:
    """MLflow.

    Args:
        experiment: where the run goes.
    """
    return MlflowTracker(experiment)


TRACKERS = {"csv": csv, "tensorboard": tensorboard, "wandb": wandb, "trackio": trackio, "mlflow": mlflow}
"""Our own, by the names that `--track` takes."""


def make_tracker(tracker: str | Tracker, *, where: str = "track") -> Tracker:
    """The tracker that a text such as `wandb(project=mine)` or `mine.py:tracker` names; one that is made, as it is.

    Raises:
        UserError: one line: no such tracker, a setting that it does not take, a package that is not installed.
    """
    if not isinstance(tracker, str):
        return tracker
    part = resolve(tracker, TRACKERS, where=where)
    package = part.name if TRACKERS.get(part.name) is part.function and part.name != "csv" else ""
    if package and find_spec(package) is None:
        raise UserError(f"{where}: {package} is not installed: pip install 'lts-jax[{package}]'")
    made = part()
    missing = [name for name in ("open", "log", "close") if not callable(getattr(made, name, None))]
    if missing:
        raise UserError(f"{where}: {part.text}: expected a tracker, with open, log and close; it has no {missing[0]}")
    return made


def flat_settings(settings: Mapping[str, object], start: str = "") -> dict[str, str]:
    """Settings by their dotted names, as texts."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        place = f"{start}.{name}" if start else name
        found |= flat_settings(value, place) if isinstance(value, Mapping) else {place: str(value)}
    return found


def _has_wandb_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
