"""The folder of a run: what lies where, which settings it was made with, and whether it may be gone on with.

RUN/config.json      resolved settings, schema version, package versions
RUN/parts.json       the parts that made the run, by their canonical texts: credit, controller, encoder, ...
RUN/metrics.jsonl    one line per iteration (`lts_jax.learning.metrics` says what each number means)
RUN/rollouts/        training groups, one Parquet file each; in unfinished/ live rollouts of groups not yet whole
RUN/credit/          the credit of every training decision, one Parquet file per iteration
RUN/replays/         what `lts credit` replayed, a Parquet file for each rollout and kind of replay
RUN/checkpoints/     train states; the newest healthy one says how far the run is
RUN/controller.json  of a benchmark run: which trained controller decides
RUN/evaluation/      held-out groups, one folder per policy
RUN/calls/           finished calls of a model that costs something, a journal for each process that asked
RUN/workers/         of --workers: what each of them wrote; in RUN/workers.json what became of their rollouts
RUN/report.json, RUN/report.html
RUN/.lock            held by the one process that works here
"""

import fcntl
import json
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lts_jax.bounds import check_bounds
from lts_jax.errors import UserError, show
from lts_jax.plain import from_plain, to_plain
from lts_jax.records import SCHEMA_VERSION
from lts_jax.storage import is_leftover, read_json, sweep_leftovers, write_document

PACKAGES = ("lts-jax", "jax", "flax", "optax", "orbax-checkpoint", "numpy", "openai", "faiss-cpu", "faiss-gpu")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """Resolved settings and versions."""
        return self.path / "config.json"

    @property
    def parts(self) -> Path:
        """The parts that made the run."""
        return self.path / "parts.json"

    @property
    def credit(self) -> Path:
        """Credit of every training decision."""
        return self.path / "credit"

    @property
    def metrics(self) -> Path:
        """One JSON line per iteration."""
        return self.path / "metrics.jsonl"

    @property
    def rollouts(self) -> Path:
        """Training groups."""
        return self.path / "rollouts"

    @property
    def replays(self) -> Path:
        """What stored rollouts were replayed to, by line."""
        return self.path / "replays"

    @property
    def checkpoints(self) -> Path:
        """Train states."""
        return self.path / "checkpoints"

    @property
    def evaluation(self) -> Path:
        """Held-out groups by policy."""
        return self.path / "evaluation"

    @property
    def report_json(self) -> Path:
        """The comparison as data."""
        return self.path / "report.json"

    @property
    def report_html(self) -> Path:
        """The comparison as a page."""
        return self.path / "report.html"


def open_run(path: Path, settings: Any, *, name: str = "train") -> RunFolder:
    """Make the folder of a new run, or go on with one that was made with the same settings.

    Raises:
        UserError: the folder belongs to another schema version or other settings (the first difference is named), or
            holds files but no `config.json`. Nothing is touched then.
    """
    folder = RunFolder(Path(path))
    check_bounds(settings)
    wanted = to_plain(settings)
    if folder.config.exists():
        stored = _settings(folder, name)
        difference = first_difference(identity(stored), identity(wanted))
        if difference:
            raise UserError(f"{folder.path}: made with other settings ({difference}); choose another run folder")
        return folder
    if folder.path.is_file():
        raise UserError(f"{folder.path}: is a file; a run needs a folder")
    if folder.path.exists() and not all(map(is_leftover, folder.path.iterdir())):
        raise UserError(f"{folder.path}: holds files but no config.json, so it is no run folder; choose another")
    document = {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | package_versions(),
        name: wanted,
    }
    write_document(folder.config, document)
    return folder


def delete_run(path: Path) -> None:
    """Delete a run folder; what is none stays. `config.json` goes last, so that a kill leaves what can be deleted."""
    folder = RunFolder(Path(path))
    if not folder.config.exists():
        return
    for one in folder.path.iterdir():
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one)
        elif one != folder.config:
            one.unlink()
    shutil.rmtree(folder.path)


def read_settings(path: Path, record: Any, *, name: str = "train") -> Any:
    """The settings that a run was made with, as `record`.

    Raises:
        UserError: no run folder, another schema version, or fields that this program does not know.
    """
    return from_plain(record, _settings(RunFolder(Path(path)), name), name)


def read_config(path: Path, record: Any, *, name: str = "train") -> Any:
    """The settings in a run's `config.json`, or in a copy of it elsewhere; a run folder stands for its own.

    Raises:
        UserError: as `read_settings`.
    """
    path = Path(path)
    if path.is_dir():
        return read_settings(path, record, name=name)
    return from_plain(record, _settings_of(read_json(path, dict), path, name), name)


def name_parts(folder: RunFolder, names: Mapping[str, str]) -> None:
    """Write down which parts make this run.

    Raises:
        UserError: the run was begun with another one.
    """
    named = dict(sorted(names.items()))
    if not folder.parts.exists():
        write_document(folder.parts, named)
        return
    difference = first_difference(read_parts(folder), named)
    if difference:
        raise UserError(f"{folder.path}: made with other parts ({difference}); choose another run folder")


def read_parts(folder: RunFolder) -> dict[str, str]:
    """The parts that made a run, by what they are; empty where they were not written down.

    Raises:
        UserError: the file is broken, or holds something else.
    """
    named = read_json(folder.parts, dict) if folder.parts.exists() else {}
    for name, text in named.items():
        if not isinstance(text, str):
            raise UserError(f"{folder.parts}: {name}: expected a part as text, got {show(text)}")
    return named


def config_digest(settings: Any) -> str:
    """Of everything in a run's settings that its results depend on."""
    return blake2b(json.dumps(identity(to_plain(settings))).encode(), digest_size=16).hexdigest()


FREE_SETTINGS = (
    "model.budget",
    "model.max_in_flight",
    "model.max_calls_per_second",
    "collect.num_in_flight",
    "collect.on_failure",
    "mesh.stall_seconds",
)
"""Settings that change how fast or how far a run goes, never its results; they may differ when it goes on."""


def identity(settings: Any) -> Any:
    """Plain settings without the `FREE_SETTINGS`, at any depth: what makes a run this run."""
    if not isinstance(settings, dict):
        return settings
    kept = {name: identity(value) for name, value in settings.items()}
    for place in FREE_SETTINGS:
        room, name = place.split(".")
        if isinstance(kept.get(room), dict):
            kept[room] = {key: value for key, value in kept[room].items() if key != name}
    return kept


def _settings(folder: RunFolder, name: str) -> Any:
    if not folder.config.exists():
        raise UserError(f"{folder.path}: no run folder (it has no config.json)")
    return _settings_of(read_json(folder.config, dict), folder.config, name)


def _settings_of(document: dict[str, Any], path: Path, name: str) -> Any:
    found = document.get("schema_version")
    if found != SCHEMA_VERSION:
        where = path.parent if path.name == "config.json" else path
        raise UserError(f"{where}: run folder of schema version {found}, this program reads {SCHEMA_VERSION}")
    if name not in document:
        raise UserError(f"{path}: holds no {name!r} settings")
    return document[name]


@contextmanager
def working_in(folder: RunFolder, *, lock: str = ".lock", waits: bool = False) -> Iterator[None]:
    """Keep other processes out of a run while this one works there. What killed ones left half-written is swept.

    Under another `lock` others, with locks of their own, may be at work beside this one, and nothing is swept. With
    `waits` this one waits until the other has gone.

    Raises:
        UserError: another process is at work in it.
    """
    with (folder.path / lock).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError:
            raise UserError(f"{folder.path}: another process works in this run folder") from None
        if lock == ".lock":
            sweep_leftovers(folder.path)
        yield


def first_difference(stored: Any, wanted: Any, where: str = "") -> str:
    """Dotted name of the first field in which two plain documents differ, with both values; "" if none does."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for field in [*stored, *(extra for extra in wanted if extra not in stored)]:
            found = first_difference(stored.get(field), wanted.get(field), f"{where}.{field}" if where else field)
            if found:
                return found
        return ""
    return "" if stored == wanted else f"{where} was {stored!r}, now {wanted!r}"


def package_versions() -> dict[str, str]:
    """Versions of the packages that results may depend on, of those that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
