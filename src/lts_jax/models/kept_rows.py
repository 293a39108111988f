"""Rows of keys and values, kept after their reply: a prompt that begins as an earlier one did computes only the rest.

Teams' prompts begin alike: a call of a team begins as its last one, and those of all teams share their first tokens.
A row that is not at work any more is taken over where most of it is wanted, and copied from where a part of it is;
the least recently used ones go when there is no room.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lts_jax.models.decoding import Row, copy_row, empty_row
from lts_jax.models.qwen3_settings import Qwen3Settings

CAPACITIES = (256, 512, 1024, 1536, 2048, 3072, 4096, 6144, 8192)  # places of a row; then multiples of the last
_TAKEN_OVER = 0.5  # of an idle row's tokens must be wanted, else it is copied


@dataclass
class KeptRows:
    """All rows of a generator, at work and idle, in at most `max_places` places together."""

    settings: Qwen3Settings
    max_places: int
    busy: list[Row] = field(default_factory=list)
    idle: list[Row] = field(default_factory=list)  # the least recently used first

    def has_room(self, num_places: int) -> bool:
        """Whether a row that will need so many places fits beside those at work. One always does where none is."""
        return not self.busy or _reserved(self.busy) + capacity_for(num_places) <= self.max_places

    def take(self, tokens: Sequence[int], num_places: int) -> Row:
        """A row that holds as much of the beginning of `tokens` as any row does, but not all of it.

        It is to have `num_places` in the end, and grows as it is extended.
        """
        wanted = np.asarray(tokens[:-1], np.int64)
        lengths = {id(row): _common(row, wanted) for row in (*self.idle, *self.busy)}
        best = max((*self.idle, *self.busy), key=lambda row: lengths[id(row)], default=None)
        length = 0 if best is None else lengths[id(best)]
        if best is None or not length:
            row = empty_row(self.settings, CAPACITIES[0])
        elif length >= _TAKEN_OVER * len(best.tokens) and any(best is one for one in self.idle):
            row = best
            self._drop(best)
            del row.tokens[length:]
        else:
            row = copy_row(best, length, capacity_for(length))
        row.reserved = capacity_for(num_places)
        self.busy.append(row)
        self._make_room()
        return row

    def grow(self, row: Row, capacity: int) -> bool:
        """Give a row at work more places; false, and nothing done, where there is no room for it."""
        more = max(0, capacity - max(row.reserved, row.capacity))
        if len(self.busy) > 1 and _reserved(self.busy) + more > self.max_places:
            return False
        row.layers = copy_row(row, len(row.tokens), capacity).layers
        row.reserved = max(row.reserved, capacity)
        self._make_room()
        return True

    def release(self, row: Row) -> None:
        """A reply has ended; its row stays for those that begin alike."""
        self.busy = [one for one in self.busy if one is not row]
        self.idle.append(row)
        row.reserved = 0
        self._make_room()

    def _make_room(self) -> None:
        """Let idle rows go, the least recently used first, until all that is at work fits."""
        while self.idle and _reserved((*self.busy, *self.idle)) > self.max_places:
            self._drop(self.idle[0])

    def _drop(self, row: Row) -> None:
        self.idle = [one for one in self.idle if one is not row]


def capacity_for(num_tokens: int) -> int:
    """Places of a row that is to hold so many tokens."""
    found = next((capacity for capacity in CAPACITIES if capacity >= num_tokens), None)
    return found or -(-num_tokens // CAPACITIES[-1]) * CAPACITIES[-1]


def _common(row: Row, wanted: np.ndarray) -> int:
    """How many first tokens of a row are wanted."""
    length = min(len(row.tokens), len(wanted))
    differs = np.flatnonzero(np.asarray(row.tokens[:length], np.int64) != wanted[:length])
    return int(differs[0]) if len(differs) else length


def _reserved(rows: Sequence[Row]) -> int:
    return sum(max(row.capacity, row.reserved) for row in rows)
