"""The files that a program is given: which ones, and how a user without rights can read them."""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path


def inputs_of(work_folder: Path | None, num_inputs: int) -> tuple[tuple[str, str], ...]:
    """(host path, name) of regular files and folders of a work folder; what a link points to is never shown.

    Raises:
        OSError: the folder cannot be listed.
    """
    if work_folder is None:
        return ()
    kept = []
    for entry in sorted(os.scandir(work_folder), key=lambda entry: entry.name):
        kind = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISREG(kind) or stat.S_ISDIR(kind):
            kept.append((os.path.abspath(entry.path), entry.name))
    return tuple(kept[:num_inputs])


def readable_inputs(inputs: Sequence[tuple[str, str]], stack: contextlib.ExitStack) -> tuple[tuple[str, str], ...]:
    """The inputs, with copies that everybody may read in place of what our own user alone may read.

    The copies are removed with the stack.
    """
    closed = [each for each in inputs if not _is_open(each[0])]
    if not closed:
        return tuple(inputs)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="inputs-", ignore_cleanup_errors=True))
    copy_inputs(closed, folder)
    copied = {name for _, name in closed}
    return tuple((f"{folder}/{name}" if name in copied else path, name) for path, name in inputs)


def copy_inputs(inputs: Sequence[tuple[str, str]], folder: str) -> None:
    """Copy files and folders under their names, readable by everybody; links stay links, special files are left out."""
    for path, name in inputs:
        target = Path(folder) / name
        if os.path.isdir(path):
            shutil.copytree(path, target, symlinks=True, ignore=_special_files)
        else:
            shutil.copyfile(path, target, follow_symlinks=False)
        for each in (target, *target.rglob("*")):
            if not each.is_symlink():
                each.chmod(0o755 if each.is_dir() else 0o644)


def _is_open(path: str) -> bool:
    """Whether everybody may read a file, or all that lies below a folder."""
    within = [path]
    for folder, *kinds in os.walk(path):
        within += [os.path.join(folder, name) for names in kinds for name in names]
    return all(_may_be_read(os.lstat(each).st_mode) for each in within)


def _may_be_read(mode: int) -> bool:
    needed = 0o005 if stat.S_ISDIR(mode) else 0o004
    return stat.S_ISLNK(mode) or mode & needed == needed


def _special_files(folder: str, names: list[str]) -> list[str]:
    modes = {name: os.lstat(os.path.join(folder, name)).st_mode for name in names}
    kept = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
    return [name for name, mode in modes.items() if not any(is_kind(mode) for is_kind in kept)]
