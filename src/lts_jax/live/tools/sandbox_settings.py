"""What a program of a team may take and see."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from lts_jax.live.tools.sandbox_inputs import inputs_of

UNSANDBOXED = "I accept that this code can do anything that I can"

WORK_FOLDER = "/tmp/work"  # in the sandbox; the names below are host folders shown read-only at the same place
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_NEVER_SHOWN = ("/", "/home", "/root", "/tmp", "/var", "/etc", "/opt", "/srv", "/run")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives", "/etc/mime.types")


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Limits of one run. All are ours; the paper names none.

    Raises:
        ValueError: a limit is out of range, or the sentence of `run_unsandboxed` is another one.
    """

    run_unsandboxed: str = ""
    """Runs programs without any walls, in their limits only, if it is the sentence `UNSANDBOXED`, word for word."""

    seconds: float = 30.0
    """Wall clock of a run."""

    cpu_seconds: int = 20
    """CPU time of one process."""

    memory_bytes: int = 1 << 30
    """Address space of one process, and resident memory of all together."""

    num_processes: int = 32
    """Processes and threads at once."""

    num_at_once: int = 0
    """Programs that run at the same time in one event loop; the others wait. 0: twice the processor cores."""

    num_files: int = 128
    """Open files of one process."""

    file_bytes: int = 32 << 20
    """The longest file that can be written."""

    scratch_bytes: int = 64 << 20
    """All files that can be written, together; they lie in memory and are gone after the run."""

    output_bytes: int = 64 << 10
    """What is kept of the output; a program that prints more is stopped."""

    num_inputs: int = 256
    """Files and folders of the work folder that a program can see."""

    bwrap: str = "bwrap"
    """Bubblewrap: a path, or a name to be found on PATH."""

    python: str = ""
    """The interpreter; empty is the one that runs this."""

    def __post_init__(self) -> None:
        if self.run_unsandboxed not in ("", UNSANDBOXED):
            raise ValueError(f"run_unsandboxed: expected nothing or the sentence {UNSANDBOXED!r}")
        if not 0 < self.seconds <= 86_400:
            raise ValueError(f"seconds: expected more than 0 and at most 86400, got {self.seconds}")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected at least {least}, got {getattr(self, name)}")


_LEAST = {
    "cpu_seconds": 1, "memory_bytes": 64 << 20, "num_processes": 1, "num_files": 16, "file_bytes": 0,
    "num_at_once": 0, "scratch_bytes": 1 << 16, "output_bytes": 1, "num_inputs": 0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """All that a sandboxed program can see of the host; nothing of it can be written."""

    shown: tuple[str, ...]
    """Host paths at their own place."""

    links: tuple[tuple[str, str], ...]
    """(target, place) of symbolic links, such as those of /bin and /lib on merged systems."""

    inputs: tuple[tuple[str, str], ...]
    """(host path, name in the work folder)."""


def view_of(python: str, work_folder: Path | None, num_inputs: int) -> View:
    """The system's folders, the interpreter with its packages, and the work folder's own files, links left out.

    Raises:
        OSError: the work folder cannot be listed.
        ValueError: the interpreter lies in a folder that holds more than an interpreter.
    """
    system = (*_SYSTEM, *_SYSTEM_FILES)
    links = [(os.readlink(path), path) for path in system if os.path.islink(path)]
    shown = [path for path in system if os.path.exists(path) and not os.path.islink(path)]
    shown += [path for path in _interpreter_folders(python) if not _below(path, shown)]
    return View(tuple(shown), tuple(links), inputs_of(work_folder, num_inputs))


def interpreter(settings: SandboxSettings) -> str:
    """The path of the Python that runs the programs."""
    return settings.python or sys.executable


def _interpreter_folders(python: str) -> list[str]:
    """The folders of an interpreter: of a virtual environment its own and those of the Python behind it."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(python)))
    folders = [os.path.dirname(os.path.dirname(os.path.realpath(python)))]
    try:
        lines = Path(own, "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    else:
        folders.insert(0, own)
    for key, _, value in (line.partition("=") for line in lines):
        if key.strip() == "home":  # one made with copies has no link that leads there
            home = os.path.dirname(value.strip())
            folders += [home, os.path.realpath(home)]
    for folder in folders:
        if folder in _NEVER_SHOWN or folder == os.path.expanduser("~"):
            raise ValueError(f"the interpreter {python} is no installation of its own: {folder} would be shown with it")
    return list(dict.fromkeys(folders))


def _below(path: str, folders: list[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)
