"""What a study has finished stays finished: each part is a file, so a kill costs the part under way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lts_jax.storage import read_json, write_document


def kept(path: Path, compute: Callable[[], dict[str, Any]], tell: Callable[[], None]) -> dict[str, Any]:
    """The object of JSON values in a file; computed, written whole with its digest, and told of, if there is no file.

    Always read back, so that going on after a kill gives the same values.

    Raises:
        UserError: the file holds something else, or is not what was written.
    """
    if not path.exists():
        write_document(path, compute())
        tell()
    found: dict[str, Any] = read_json(path, dict)
    return found
