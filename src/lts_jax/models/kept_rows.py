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

CAPACITIES = (1024, 2048, 4096, 8192, 16384)  # places of a row; then whole multiples
_TAKEN_OVER = 0.5  # of an idle row's tokens must be wanted, else it is copied


@dataclass
class KeptRows:
    """All rows of a generator, at work and idle, in at most `max_places` places together."""

    settings: Qwen3Settings
    max_places: int
    busy: list[Row] = field(default_factory=list)
    idle: list[Row] = field(default_factory=list)  # the least recently used first

    def has_room(self, num_tokens: int) -> bool:
        """Whether a row for so many tokens fits beside those that are at work. One always does where none is."""
        return not self.busy or _places(self.busy) + capacity_for(num_tokens) <= self.max_places

    def take(self, tokens: Sequence[int], num_tokens: int) -> Row:
        """A row for `num_tokens` that holds as much of the beginning of `tokens` as any row does, but not all of it."""
        wanted = np.asarray(tokens[:-1], np.int64)
        lengths = {id(row): _common(row, wanted) for row in (*self.idle, *self.busy)}
        best = max((*self.idle, *self.busy), key=lambda row: lengths[id(row)], default=None)
        length = lengths[id(best)] if best is not None else 0
        capacity = capacity_for(num_tokens)
        is_idle = any(best is row for row in self.idle)
        if best is None or not length:
            self._make_room(capacity)
            row = empty_row(self.settings, capacity)
        elif is_idle and length >= _TAKEN_OVER * len(best.tokens):
            self._drop(best)
            self._make_room(max(capacity, best.capacity))
            row = best if best.capacity >= capacity else copy_row(best, length, capacity)
            del row.tokens[length:]
        else:
            self._make_room(capacity, but=best)
            row = copy_row(best, length, capacity)
        self.busy.append(row)
        return row

    def grow(self, row: Row, capacity: int) -> bool:
        """Give a row at work more places; false, and nothing done, where there is no room for it."""
        if len(self.busy) > 1 and _places(self.busy) + capacity - row.capacity > self.max_places:
            return False
        self._make_room(capacity - row.capacity)
        row.layers = copy_row(row, len(row.tokens), capacity).layers
        return True

    def release(self, row: Row) -> None:
        """A reply has ended; its row stays for those that begin alike."""
        self.busy = [one for one in self.busy if one is not row]
        self.idle.append(row)
        self._make_room(0)

    def _make_room(self, num_places: int, but: Row | None = None) -> None:
        """Let idle rows go, the least recently used first, until there is room; `but` this one, if anything else does."""
        while self.idle and _places((*self.busy, *self.idle)) + num_places > self.max_places:
            gone = next((row for row in self.idle if row is not but), self.idle[0])
            self._drop(gone)

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


def _places(rows: Sequence[Row]) -> int:
    return sum(row.capacity for row in rows)
