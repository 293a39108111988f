"""Chunks of a sweep that are computed by other processes: which are whose, and one of them as a function that travels.

A chunk has a name by what is in it, and is stored as a file of its own, so whoever computes it, and how often, the
bytes are the same.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.sweeps.cells import Chunk
from lts_jax.sweeps.plan import SweepPlan

Rows = list[dict[str, Any]]
Mapper = Callable[[Sequence[Chunk]], Iterator[tuple[Chunk, Rows]]]
"""Chunks -> each with its rows, in the order in which they end."""


@dataclass(frozen=True, slots=True)
class Share:
    """One of `count` parts of a sweep's chunks, from 1; each part is a command of its own."""

    number: int = 1
    count: int = 1

    def of(self, everything: Sequence[Chunk]) -> list[Chunk]:
        """The chunks of this part: every `count`-th."""
        return list(everything[self.number - 1 :: self.count])

    @property
    def lock(self) -> str:
        """The name of the lock that this part's process holds."""
        return ".lock" if self.count == 1 else f".lock-{self.number}-of-{self.count}"


WHOLE = Share()


def read_share(text: str) -> Share:
    """A part as `3/8`; the whole where nothing is said.

    Raises:
        UserError: another text.
    """
    if not text:
        return WHOLE
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(f"part: expected NUMBER/COUNT, as 3/8, with a number from 1 to the count, got {text!r}")
    return Share(int(match[1]), int(match[2]))


def chunk_function(side: str, folder: Path, plan: SweepPlan) -> Callable[[Chunk], Rows]:
    """The rows of a chunk as a function of the chunk alone, which another process can import."""
    return partial(_rows_on, side, str(Path(folder).absolute()), plan)


def _rows_on(side_name: str, folder: str, plan: SweepPlan, chunk: Chunk) -> Rows:
    from lts_jax.sweeps.run import rows_of
    from lts_jax.sweeps.sides import side

    return rows_of(chunk, side(side_name).make_runner(Path(folder), plan))
