"""The one module that writes files: temporary name, fsync, rename, fsync of the folder. No reader sees half a file.

What is read back holds a digest of itself: a line of JSON in its last field, a JSON document in its last field, a
Parquet file in its metadata. A digest that is there must match, so that bits which changed on a disk are found. Files
of runs that were begun before there were digests have none and are read as they are.
"""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lts_jax.errors import UserError, show

if TYPE_CHECKING:
    import pyarrow


@contextmanager
def replacing(path: Path, *, sync_folder: bool = True) -> Iterator[Path]:
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
        if sync_folder:
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
            is_of_it = (found := _TEMPORARY.fullmatch(one.name)) is not None and found[1] == path.name
            if is_leftover(one) and (is_of_it or time.time() - one.stat().st_mtime > _OLD_SECONDS):
                one.unlink()


def _is_at_work(process: int) -> bool:
    """Whether a process of this number is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is not ours
        return True
    return True


def write_bytes(path: Path, content: bytes, *, sync_folder: bool = True) -> None:
    """Write a whole file atomically and, with its folder, durably."""
    with replacing(path, sync_folder=sync_folder) as temporary:
        temporary.write_bytes(content)


def write_together(files: Sequence[tuple[Path, bytes]]) -> None:
    """Write whole files, each atomically; all are durable at the end. A folder is synced once for all its files."""
    for path, content in files:
        write_bytes(path, content, sync_folder=False)
    for folder in dict.fromkeys(path.parent for path, _ in files):
        _sync(folder)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file (UTF-8) atomically and durably."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write one JSON value, indented, atomically and durably. NaN is refused: it is not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_document(path: Path, value: dict[str, Any]) -> None:
    """`write_json` of an object that is read back: its digest stands in its last field."""
    write_json(path, value | {DIGEST: _digest_of(value)})


def read_json(path: Path, kind: type | None = None) -> Any:
    """Read a JSON file, without the digest that `write_document` adds. `kind`: dict or list, if it must be one.

    Raises:
        UserError: a missing or broken file, another kind, or a digest that does not match; the file is named.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    value = parse_json(content, str(path), kind, what="a JSON file")
    if not isinstance(value, dict) or not value:
        return value
    name, digest = next(reversed(value.items()))
    rest = {key: item for key, item in value.items() if key != name}
    right = name == DIGEST or (isinstance(digest, str) and len(digest) == 2 * _DIGEST_BYTES)
    if right and (digest == _digest_of(rest)) is not (name == DIGEST):  # one that fits under another name: rot, too
        raise UserError(f"{path}: is not what was written (if you changed it, take its {DIGEST} out)")
    return rest if name == DIGEST else value


def parse_json(
    content: str | bytes, where: str, kind: type | None = None, *, what: str = "JSON", any_text: bool = False
) -> Any:
    """The value of a JSON text.

    Args:
        content: the text, or its UTF-8.
        where: what an error begins with.
        kind: dict or list, if the value must be one.
        what: what it should be, in words.
        any_text: let pass halves of surrogate pairs, which are in no UTF-8.

    Raises:
        UserError: one line: it is no JSON, nests more than 100 deep, has an integer of thousands of digits, holds half
            a surrogate pair, or is of another kind.
    """
    try:
        text = content if isinstance(content, str) else content.decode()
        value = json.loads(text)
        if text.count("[") + text.count("{") > _MAX_DEPTH:
            _check_depth(value)
    except RecursionError:
        raise UserError(f"{where}: not {what} that can be read (it nests more than {_MAX_DEPTH} deep)") from None
    except ValueError as error:
        raise UserError(f"{where}: not {what} ({str(error)[:200]})") from None
    if not any_text and _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UserError(f"{where}: holds half of a surrogate pair, which is no text") from None
    if kind is not None and not isinstance(value, kind):
        expected = "an object" if kind is dict else "a list" if kind is list else kind.__name__
        raise UserError(f"{where}: expected {expected}, got {show(value)}")
    return value


DIGEST = "file_digest"
_DIGEST_BYTES = 16
_MAX_DEPTH = 100
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def _digest_of(value: Any) -> str:
    content = json.dumps(value, sort_keys=True).encode()
    return blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [item for one in level if isinstance(one, (dict, list))
                 for item in (one.values() if isinstance(one, dict) else one)]  # fmt: skip
        if not level:
            return
    raise RecursionError


def line_of(record: Mapping[str, Any]) -> bytes:
    """One object as a line of a JSON-lines file, its digest in its last field."""
    body = _to_json(record).encode()[:-1] + (b", " if record else b"")
    return body + _line_end(body) + b"\n"


def read_line(line: bytes, where: str) -> Any:
    """The value of a line that `line_of` made, or of one without a digest.

    Raises:
        UserError: it is no JSON, or not what was written; the message begins with `where`.
    """
    body, end = line[:-_LINE_END], line[-_LINE_END:]
    if _looks_like_end(end):
        if end != _line_end(body):
            raise UserError(f"{where} is not what was written")
        return parse_json(body.removesuffix(b", ") + b"}", where, any_text=True)
    return parse_json(line, where, any_text=True)


_to_json = json.JSONEncoder(allow_nan=False).encode
_LINE_START = b'"line_digest": "'
_LINE_END = len(_LINE_START) + 16 + 2


def _line_end(body: bytes) -> bytes:
    return _LINE_START + blake2b(body, digest_size=8).hexdigest().encode() + b'"}'


def _looks_like_end(end: bytes) -> bool:
    """Whether this is the end of a line with a digest, but for some bits."""
    if len(end) < _LINE_END:
        return False
    frame = end[: len(_LINE_START)] + end[-2:]
    return sum(one != other for one, other in zip(frame, _LINE_START + b'"}', strict=True)) <= 3


def whole_lines(content: bytes, where: str) -> list[bytes]:
    """The lines of a JSON-lines file, without what a kill left of a last one.

    Raises:
        UserError: the last line end was lost by something else than a kill.
    """
    *lines, torn = content.split(b"\n")
    if torn[:-1] and _looks_like_end(torn[:-1][-_LINE_END:]) and torn[:-1].endswith(b"}"):
        raise UserError(f"{where}: line {len(lines) + 1} is not what was written")
    return lines


def append_json_line(path: Path, value: Mapping[str, Any]) -> None:
    """Append one record to a JSON-lines file and sync it. A line torn by an earlier kill is cut off first."""
    line = line_of(value)
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
    lines = whole_lines(path.read_bytes(), str(path))
    return [read_line(line, f"{path}: line {number}") for number, line in enumerate(lines, 1)]


def write_parquet(path: Path, table: "pyarrow.Table") -> None:
    """Write a table to a Parquet file, atomically and durably; see `parquet_bytes`."""
    write_bytes(path, parquet_bytes(table))


def parquet_bytes(table: "pyarrow.Table") -> bytes:
    """A table as the content of a Parquet file; the same table gives the same bytes.

    Its metadata hold a digest of the whole, in which the digest itself counts as zeros.
    """
    import pyarrow.parquet

    table = table.replace_schema_metadata((table.schema.metadata or {}) | {_PARQUET: _ZEROS})
    made = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, made, compression="zstd", write_page_checksum=True)
    content: bytes = made.getvalue().to_pybytes()
    before, _, behind = content.rpartition(_ZEROS)
    return before + blake2b(content, digest_size=_DIGEST_BYTES).hexdigest().encode() + behind


def read_parquet(path: Path) -> "pyarrow.Table":
    """Read a Parquet file; one that `write_parquet` wrote is checked as a whole.

    Raises:
        UserError: no such file, not a Parquet file, or not what was written.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    try:
        is_checked = _is_as_written(content)
        source = pyarrow.BufferReader(content)
        table = pyarrow.parquet.read_table(source, page_checksum_verification=True)
        if not is_checked:
            table.validate(full=True)  # texts are UTF-8
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        problem = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"{path}: not a readable Parquet file ({problem})") from None
    metadata = {name: value for name, value in (table.schema.metadata or {}).items() if name != _PARQUET}
    return table.replace_schema_metadata(metadata or None)


_PARQUET = b"lts_jax_file_digest"
_ZEROS = b"0" * (2 * _DIGEST_BYTES)


def _is_as_written(content: bytes) -> bool:
    """Whether a file has a digest that matches; false where it has none.

    Raises:
        ValueError: it has one that does not.
    """
    start = content.rfind(_PARQUET)
    if start < 0:
        return False
    found = re.compile(rb"[0-9a-f]{%d}" % len(_ZEROS)).search(content, start)
    zeroed = content[: found.start()] + _ZEROS + content[found.end() :] if found else b""
    if found is None or blake2b(zeroed, digest_size=_DIGEST_BYTES).hexdigest().encode() != found[0]:
        raise ValueError("it is not what was written")
    return True


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
