"""Rows of a task file, one at a time and in bounded memory: JSONL, CSV, Parquet, or a data set on the hub.

Each row comes with its place, such as `qa.jsonl:3`, for messages. Lines are of UTF-8 and at most `MAX_LINE_BYTES` long.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError, show
from lts_jax.storage import parse_json

MAX_LINE_BYTES = 1 << 20
MAX_PARQUET_BYTES = 1 << 30  # unpacked
SUFFIXES = (".jsonl", ".csv", ".parquet")

Row = tuple[str, Mapping[str, Any]]
"""(place, value by column)."""


def read_rows(source: str) -> Iterator[Row]:
    """The rows of a file, or of a data set on the Hugging Face hub named as `owner/name[:config[:split]]`.

    A path that exists is a file. Of a data set, the split `train` is read if none is named.

    Raises:
        UserError: one line that names the file, and the line where there is one: no such file, an unknown suffix, a
            broken line, another encoding than UTF-8, too long a line, a hub that refuses or cannot be reached.
    """
    path = Path(source).expanduser()
    suffix = path.suffix.lower()
    if not path.exists() and suffix not in SUFFIXES and not source.startswith((".", "/", "~")):
        return _hub_rows(source)
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise UserError(f"{path}: {'is no file' if path.exists() else 'no such file'}")
    return {".jsonl": _json_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}[suffix](path)


def _lines(path: Path) -> Iterator[str]:
    number = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise UserError(f"{path}:{number}: expected lines of at most {MAX_LINE_BYTES:,} bytes")
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:{number}: expected UTF-8, got the byte {error.object[error.start]:#04x}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def _json_rows(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        row = parse_json(line, f"{path}:{number}", what="a line of JSON")
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: expected a JSON object, got {show(row)}")
        yield f"{path}:{number}", row


def _csv_rows(path: Path) -> Iterator[Row]:
    reader = csv.reader(_lines(path), strict=True)
    names: list[str] = []
    try:
        for cells in reader:
            if not cells:
                continue
            if not names:
                names = [name.strip() for name in cells]
                if len(set(names)) < len(names):
                    raise UserError(f"{path}:1: expected columns of different names, got {show(', '.join(names))}")
            elif len(cells) != len(names):
                raise UserError(f"{path}:{reader.line_num}: expected {len(names)} cells, got {len(cells)}")
            else:
                yield f"{path}:{reader.line_num}", dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not a line of CSV ({error})") from None


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            groups = range(file.metadata.num_row_groups)
            if sum(file.metadata.row_group(group).total_byte_size for group in groups) > MAX_PARQUET_BYTES:
                raise UserError(f"{path}: expected at most {MAX_PARQUET_BYTES:,} bytes when unpacked")
            number = 0
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", row
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({_first_line(error)})") from None


def _hub_rows(source: str) -> Iterator[Row]:
    import datasets

    name, _, rest = source.partition(":")
    config, _, split = rest.partition(":")
    try:
        rows = datasets.load_dataset(name, config or None, split=split or "train", streaming=True)
        for number, row in enumerate(rows, 1):
            yield f"{source}: row {number}", row
    except Exception as error:  # the hub, its file formats and the network fail as many types
        raise UserError(
            f"{source}: no such file, and no data set of that name can be read from the hub ({_first_line(error)})"
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
