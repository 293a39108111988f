"""How far a sweep is and how long it still takes, from the chunks that were run so far."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True, slots=True)
class Timing:
    """One chunk that was run: its (point, seed) pairs, whether its cell had to be compiled first, and its seconds."""

    num_pairs: int
    compiled: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Ahead:
    """Work that is left: (point, seed) pairs, and cells that are not compiled yet."""

    num_pairs: int
    num_compilations: int


@dataclass(frozen=True, slots=True)
class SweepNews:
    """What a caller hears before each chunk, now and then while it runs, and once more at the end."""

    num_done: int  # chunks, with those of earlier runs
    num_chunks: int
    elapsed_seconds: float  # of this run
    seconds_left: float  # NaN until a chunk has been run
    doing: str  # values of the cell at work; "" at the end
    compiles: bool  # whether the cell at work has to be compiled
    chunk_seconds: float = 0.0  # that the chunk at work has taken so far

    @property
    def told(self) -> str:
        """What runs now, in words."""
        first = " (compiles first)" if self.compiles else ""
        since = f", {duration(self.chunk_seconds)} in this chunk" if self.chunk_seconds >= 1 else ""
        return f"{self.doing}{first}{since}".strip()


def seconds_left(timings: Sequence[Timing], ahead: Ahead) -> float:
    """Estimated seconds: pairs left * seconds per pair + compilations left * seconds of one. NaN before any timing.

    Seconds per pair come from the chunks that needed no compilation; a compilation takes what the others took beyond
    that. Without a chunk of the first kind, all seconds count as seconds per pair and compilations as free.
    """
    if not timings:
        return math.nan
    warm = [one for one in timings if not one.compiled] or list(timings)
    per_pair = sum(one.seconds for one in warm) / sum(one.num_pairs for one in warm)
    extra = [max(0.0, one.seconds - per_pair * one.num_pairs) for one in timings if one.compiled]
    return ahead.num_pairs * per_pair + ahead.num_compilations * (fmean(extra) if extra else 0.0)


def duration(seconds: float) -> str:
    """Seconds as a reader says them: `40 s`, `12 min`, `3.5 h`, or `?` where nobody knows."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
