"""The JSON value of a log's file: whole, one after the other, line by line, or the rows of a Parquet table."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError, describe

_BLANK = re.compile(r"\s*")
_MAX_TOLD = 5  # lines that a note names


@dataclass(frozen=True, slots=True)
class Log:
    """One file of recorded runs. `notes` says what of it could not be read."""

    file: Path
    value: Any
    notes: tuple[str, ...] = ()


def read_log(file: Path) -> Log:
    """A log's JSON value; a file of several values, or of JSON lines, is the list of them.

    Lines may begin with what a logger writes before them. One that is cut short is left out and noted. UTF-8 with and
    without its mark is read, and UTF-16.

    Raises:
        UserError: the file is none of these.
    """
    if file.suffix == ".parquet":
        return Log(file, _table(file))
    text, notes = _decode(file)
    try:
        return Log(file, json.loads(text), notes)
    except RecursionError:
        raise UserError(f"{file}: not a log: its JSON is nested too deeply to be read") from None
    except ValueError as error:
        problem = str(error)
    values = _values_in_a_row(text)
    if not values:
        values, of_lines = _values_of_lines(text)
        notes += of_lines
    if not values:
        raise UserError(f"{file}: not a JSON file ({problem})")
    return Log(file, values, notes)


def has_columns(file: Path, *names: str) -> bool:
    """Whether a file is a Parquet table that has these columns, and so may be a log."""
    import pyarrow.parquet as pq

    try:
        found = set(pq.read_schema(file).names)
    except (OSError, ValueError):  # pyarrow's own errors are of these
        return False
    return set(names) <= found


def _table(file: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not a readable Parquet file ({describe(error)})") from None
    return rows


def _decode(file: Path) -> tuple[str, tuple[str, ...]]:
    content = file.read_bytes()
    encoding = json.detect_encoding(content)  # by its mark, or by where zeros stand
    try:
        return content.decode(encoding), ()
    except UnicodeDecodeError as error:
        if not encoding.startswith("utf-8"):
            raise UserError(f"{file}: expected UTF-8 or UTF-16, and it is neither (byte {error.start})") from None
        note = f"bytes that are no UTF-8 were replaced, the first of them byte {error.start}"
        return content.decode(encoding, "replace"), (note,)


def _values_in_a_row(text: str) -> list[Any]:
    """Objects and lists that follow each other, the lists' items in their place; none where anything else is there."""
    values: list[Any] = []
    decoder, place = json.JSONDecoder(), 0
    while (place := _end_of_blank(text, place)) < len(text):
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return []
        if not isinstance(value, dict | list):
            return []
        values += value if isinstance(value, list) else [value]
    return values


def _end_of_blank(text: str, place: int) -> int:
    found = _BLANK.match(text, place)
    return found.end() if found is not None else place


def _values_of_lines(text: str) -> tuple[list[Any], tuple[str, ...]]:
    """The objects that lines end with, and a note of the lines that look like a part of one.

    Only a line feed ends a line: texts hold U+2028 and others of the kind as they are.
    """
    values: list[Any] = []
    cut: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        value = _value_of_line(line)
        if value is not None:
            values.append(value)
        elif '{"' in line or line.rstrip().endswith("}"):
            cut.append(number)
    if not cut:
        return values, ()
    told = ", ".join(map(str, cut[:_MAX_TOLD])) + (f" and {len(cut) - _MAX_TOLD} more" if len(cut) > _MAX_TOLD else "")
    return values, (f"lines that are no whole JSON were left out: line {told}",)


def _value_of_line(line: str) -> Any:
    start = line.find("{")
    try:
        return json.loads(line[start:]) if start >= 0 else None
    except (ValueError, RecursionError):
        return None
