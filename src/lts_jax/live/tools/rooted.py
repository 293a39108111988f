"""Files below one folder and no others: names are walked part by part, and no link is followed on the way."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

_MAX_DEPTH = 16
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # a pipe must not make us wait


def read_below(root: Path, name: str, max_bytes: int) -> bytes:
    """The content of a regular file, named from `root` with slashes.

    Every part is opened from the one before and never through a link, so that nothing that is renamed meanwhile leads
    out either.

    Raises:
        ValueError: the name leads elsewhere, or there is no regular file of at most `max_bytes`; one line says which.
    """
    parts = parts_of(name)
    opened: list[int] = []
    try:
        opened.append(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for part in parts[:-1]:
            opened.append(os.open(part, _FOLDER, dir_fd=opened[-1]))
        # Looked at before it is opened: opening a device may already do something.
        _check_kind(os.stat(parts[-1], dir_fd=opened[-1], follow_symlinks=False), name, max_bytes)
        opened.append(os.open(parts[-1], _FILE, dir_fd=opened[-1]))
        _check_kind(os.fstat(opened[-1]), name, max_bytes)
        return _read(opened[-1], name, max_bytes)
    except FileNotFoundError:
        raise ValueError(f"there is no file {name!r}") from None
    except OSError as error:
        raise ValueError(f"{name!r} cannot be opened: {error.strerror}") from None
    finally:
        for descriptor in reversed(opened):
            os.close(descriptor)


def parts_of(name: str) -> list[str]:
    """The parts of a name below the root.

    Raises:
        ValueError: the name is empty, absolute, too deep, or holds "..".
    """
    if not name or name.startswith("/") or "\0" in name:
        raise ValueError(f"expected the name of a file at hand, got {name[:200]!r}")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or len(parts) > _MAX_DEPTH or any(len(os.fsencode(part)) > 255 for part in parts):
        raise ValueError(f"expected the name of a file at hand, got {name[:200]!r}")
    return parts


def files_below(root: Path) -> Iterator[tuple[str, int]]:
    """(name from the root, bytes) of regular files, by name, folder by folder; links and special files are left out.

    Raises:
        OSError: the root cannot be listed. Folders below it that cannot are left out.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from _files_in(descriptor, "", 0)
    finally:
        os.close(descriptor)


def _files_in(folder: int, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        try:
            kind = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(kind.st_mode):
                yield prefix + entry.name, kind.st_size
            elif stat.S_ISDIR(kind.st_mode) and depth < _MAX_DEPTH - 1:
                yield from _files_in_named(folder, entry.name, prefix, depth)
        except OSError:
            continue


def _files_in_named(above: int, name: str, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
    descriptor = os.open(name, _FOLDER, dir_fd=above)
    try:
        yield from _files_in(descriptor, f"{prefix}{name}/", depth + 1)
    finally:
        os.close(descriptor)


def _check_kind(found: os.stat_result, name: str, max_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{name!r} is no regular file")
    if found.st_size > max_bytes:
        raise ValueError(f"{name!r} has {found.st_size:,} bytes; files of up to {max_bytes:,} are read")


def _read(descriptor: int, name: str, max_bytes: int) -> bytes:
    content = bytearray()
    while chunk := os.read(descriptor, min(1 << 20, max_bytes + 1 - len(content))):
        content += chunk
        if len(content) > max_bytes:  # it grew while it was read
            raise ValueError(f"{name!r} has more than {max_bytes:,} bytes")
    return bytes(content)
