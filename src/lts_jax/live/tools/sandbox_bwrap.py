"""The argument list of bubblewrap, which builds the walls and then starts the interpreter inside."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lts_jax.live.tools.sandbox_settings import WORK_FOLDER, SandboxSettings, View

_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_NOBODY = "65534"


@dataclass(frozen=True, slots=True)
class Bwrap:
    """Bubblewrap as it is started for one run."""

    path: str
    as_root: bool
    filter_descriptor: int  # where it reads the filter of system calls
    info_descriptor: int  # where it tells the number of its child


def bwrap_arguments(bwrap: Bwrap, settings: SandboxSettings, view: View, command: Sequence[str]) -> list[str]:
    """Bubblewrap's command line for one run. Nothing is looked up: equal arguments give an equal list.

    Started by an ordinary user it makes a user namespace. Started by root it makes none, because root inside one is
    still root for the kernel's limits: `command` then changes to a user of its own, and keeps the right to do so.
    """
    line = [bwrap.path, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if bwrap.as_root:
        line += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        line += ["--unshare-user", "--uid", _NOBODY, "--gid", _NOBODY]
    line += ["--die-with-parent", "--new-session", "--hostname", "sandbox"]
    # One file system in memory for all that is written, so that one size holds for all of it. It comes before what is
    # shown, which may lie below it: a virtual environment in /tmp, or in /dev/shm, whose link is relative for that.
    line += ["--perms", "1777", "--size", str(settings.scratch_bytes), "--tmpfs", "/tmp"]
    line += ["--perms", "1777", "--dir", "/tmp/.shm", "--perms", "1777", "--dir", WORK_FOLDER]
    line += ["--perms", "0755", "--dir", "/dev"]
    line += ["--symlink", "/proc/self/fd", "/dev/fd", "--symlink", "../tmp/.shm", "/dev/shm"]
    # Folders on the way would else be closed to all but the user who starts bubblewrap.
    for folder in _folders_above((*view.shown, *(place for _, place in view.links))):
        line += ["--perms", "0755", "--dir", folder]
    for path in view.shown:
        line += ["--ro-bind", path, path]
    for target, place in view.links:
        line += ["--symlink", target, place]
    line += ["--proc", "/proc"]
    for device in _DEVICES:
        line += ["--dev-bind", device, device]
    for path, name in view.inputs:
        line += ["--ro-bind", path, f"{WORK_FOLDER}/{name}"]
    line += ["--remount-ro", "/", "--chdir", WORK_FOLDER, "--seccomp", str(bwrap.filter_descriptor)]
    line += ["--info-fd", str(bwrap.info_descriptor)]
    return [*line, "--", *command]


def _folders_above(paths: Sequence[str]) -> list[str]:
    """Every folder above one of the paths, outermost first, the root left out."""
    above = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    return sorted(above - {"/"})
