"""The one module that writes files: temporary name, fsync, rename, fsync of the folder. No reader sees half a file."""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on leaving without error it becomes `path` in one atomic step.

    On an error the temporary file is removed and `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep_once(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


def is_leftover(path: Path) -> bool:
    """Whether a file is what a killed process left of a write: its temporary name, and no such process any more."""
    found = _TEMPORARY.fullmatch(Path(path).name)
    if found is None:
        return False
    with suppress(OSError):
        if int(found[2]) == os.getpid():  # of a killed process that had our number, or a write of ours just now
            return Path(path).stat().st_mtime < _STARTED
    return not _is_at_work(int(found[2]))


def sweep_leftovers(folder: Path) -> None:
    """Remove what killed writes have left at any depth below a folder. Other processes must not write there."""
    for path in Path(folder).rglob(".*.tmp"):
        if is_leftover(path):
            path.unlink(missing_ok=True)


_TEMPORARY = re.compile(r"\.(.+)\.(\d{1,9})\.tmp", re.DOTALL)
_STARTED = time.time()
_SWEPT: set[Path] = set()  # folders that this process has looked through
_OLD_SECONDS = 600.0  # of a leftover whose writer may have been on another machine


def _sweep_once(path: Path) -> None:
    """Remove what killed writes have left beside a file that is about to be written; once a folder and process."""
    if path.parent in _SWEPT:
        return
    _SWEPT.add(path.parent)
    for one in path.parent.glob(".*.tmp"):
        with suppress(OSError):
            if is_leftover(one) and (_is_of(one, path) or time.time() - one.stat().st_mtime > _OLD_SECONDS):
                one.unlink()


def _is_of(temporary: Path, path: Path) -> bool:
    found = _TEMPORARY.fullmatch(temporary.name)
    return found is not None and found[1] == path.name


def _is_at_work(process: int) -> bool:
    """Whether a process of this number is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is not ours
        return True
    return True


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically and durably."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file (UTF-8) atomically and durably."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write one JSON value, indented, atomically and durably. NaN is refused: it is not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or broken one is a `UserError` naming the file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a JSON file ({error})") from None


def append_json_line(path: Path, value: Any) -> None:
    """Append one record to a JSON-lines file and sync it. A line torn by an earlier kill is cut off first."""
    line = json.dumps(value, allow_nan=False).encode() + b"\n"
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(AppendedLines(path)) as file:
        file.append(line)


class AppendedLines:
    """A file that whole lines are only ever added to. What is appended is durable, or not there at all."""

    def __init__(self, path: Path) -> None:
        """Cut off what a kill left of a last line. A file that is not there is made at the first append."""
        self._path = path
        self._descriptor: int | None = None
        self._size = _cut_torn_line(path)  # bytes that are known to be durable

    def append(self, lines: bytes) -> None:
        """Write and sync.

        Raises:
            OSError: it cannot be written; the file is then as it was.
        """
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
                _sync(self._path.parent)
            left = memoryview(lines)
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except OSError:
            if self._descriptor is not None:
                with suppress(OSError):
                    os.ftruncate(self._descriptor, self._size)  # a part is no record of anything
            raise
        self._size += len(lines)

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def read_json_lines(path: Path) -> list[Any]:
    """Read a JSON-lines file, leaving out a torn last line; an absent file is empty.

    Raises:
        UserError: a whole line that is not JSON, naming it.
    """
    path = Path(path)
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            raise UserError(f"{path}: line {number} is not JSON ({error})") from None
    return records


def _cut_torn_line(path: Path) -> int:
    """Drop what a kill left of a line, so that the next line starts on its own. Returns the bytes that stay."""
    if not path.exists():
        return 0
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end > 0:  # backwards, as journals grow large and a torn line is short
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end != size:
            file.truncate(end)
            os.fsync(file.fileno())
    return end


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
