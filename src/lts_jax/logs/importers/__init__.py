"""Recorded logs of agent runs, read into the project's records. Six formats; `import_recorded` tells them apart."""

from collections.abc import Callable
from pathlib import Path

from lts_jax.errors import UserError
from lts_jax.logs.importers.autogen import import_autogen
from lts_jax.logs.importers.files import (
    AUTOGEN,
    EXPECTED,
    INSPECT,
    OTEL,
    TAU_BENCH,
    VERIFIERS,
    WHO_AND_WHEN,
    find_logs,
    log_format,
)
from lts_jax.logs.importers.inspect_logs import import_inspect
from lts_jax.logs.importers.log_values import read_log
from lts_jax.logs.importers.otel import import_otel
from lts_jax.logs.importers.recorded import (
    ImportedRuns,
    Mistake,
    RecordedRun,
    RecordedStep,
    RecordedTask,
    recorded_rollout,
)
from lts_jax.logs.importers.tau_bench import import_tau_bench
from lts_jax.logs.importers.verifiers import import_verifiers
from lts_jax.logs.importers.who_and_when import import_who_and_when

__all__ = [
    "IMPORTERS",
    "ImportedRuns",
    "Mistake",
    "RecordedRun",
    "RecordedStep",
    "RecordedTask",
    "detect_format",
    "import_autogen",
    "import_inspect",
    "import_otel",
    "import_recorded",
    "import_tau_bench",
    "import_verifiers",
    "import_who_and_when",
    "recorded_rollout",
]

IMPORTERS: dict[str, Callable[..., ImportedRuns]] = {
    TAU_BENCH: import_tau_bench,
    WHO_AND_WHEN: import_who_and_when,
    VERIFIERS: import_verifiers,
    INSPECT: import_inspect,
    OTEL: import_otel,
    AUTOGEN: import_autogen,
}


def detect_format(path: Path | str) -> str:
    """Name of the importer for a log, or for a folder whose logs are all of one format.

    Raises:
        UserError: no such path, a log of no known format, or a folder that holds several.
    """
    found = {_file_format(file) for file in find_logs(path)}
    if len(found) > 1:
        raise UserError(f"{path}: holds logs of several formats ({', '.join(sorted(found))}); name one file or folder")
    return found.pop()


def import_recorded(path: Path | str, *, skip_bad: bool = False) -> ImportedRuns:
    """Read recorded runs of whichever known format.

    Raises:
        UserError: as `detect_format` and the importers do.
    """
    return IMPORTERS[detect_format(path)](path, skip_bad=skip_bad)


def _file_format(file: Path) -> str:
    name = log_format(read_log(file).value)
    if name is None:
        raise UserError(f"{file}: not a known log; expected " + ", or ".join(EXPECTED.values()))
    return name
