"""What a study has finished stays finished: each part is a file, so a kill costs the part under way."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from lts_jax.storage import read_json, write_document

Cell = tuple[str, str, int]
"""World (or reward, or task), row of its table, seed."""


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


def kept_cells(
    folder: Path,
    cells: Sequence[Cell],
    compute: Callable[[Cell, str], dict[str, Any]],
    say: Callable[[str], None],
    *,
    num_at_once: int,
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The parts of a study, by the first two words of their cells, each computed once and kept in a file of its name.

    Args:
        folder: of the parts.
        cells: (world, row, seed) each; the parts of a row stand in the order of its seeds here.
        compute: (cell, its name as that of a file) -> JSON values; called from several threads.
        say: told what is done.
        num_at_once: threads.
    """

    def one(cell: Cell) -> dict[str, Any]:
        name = "_".join(map(str, cell)).replace(" ", "_")
        return kept(
            folder / f"{name}.json", partial(compute, cell, name), partial(say, f"{', '.join(map(str, cell))}: done")
        )

    with ThreadPoolExecutor(num_at_once) as pool:
        made = list(pool.map(one, cells))
    parts: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (world, row, _), part in zip(cells, made, strict=True):
        parts.setdefault((world, row), []).append(part)
    return parts
