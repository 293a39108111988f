"""Windows of a source's lines, and the gate that keeps windows with little new out (SimpleMem, arXiv 2601.02553).

score = alpha * new entities / words + (1 - alpha) * (1 - cosine to the window before); below the threshold a window is
not looked at. The paper's first version has such a gate with weights that it does not give; these are ours.
"""

from collections.abc import Collection
from dataclasses import dataclass

from lts_jax.errors import UserError
from lts_jax.memory.facts import names_in, numbers_in

NUM_HEADING = 2
"""Lines at the start of a source that say what it is; every window is read with them."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """How sources are cut into windows, and which of them are looked at."""

    window_turns: int = 40
    """Lines of a window (the paper's)."""
    overlap_turns: int = 2
    """Lines that a window has in common with the one before (the paper's)."""
    novelty_weight: float = 1.0
    """alpha, of new entities per word. Ours: on validation tasks weights on the cosine dropped needed facts."""
    threshold: float = 0.001
    """Windows of a lower score are dropped. Ours, chosen on validation tasks; 0 drops none."""

    def __post_init__(self) -> None:
        if self.window_turns < 1:
            raise UserError(f"gate.window_turns: expected at least 1, got {self.window_turns}")
        if not 0 <= self.overlap_turns < self.window_turns:
            raise UserError(
                f"gate.overlap_turns: expected from 0 to below window_turns ({self.window_turns}), "
                f"got {self.overlap_turns}"
            )
        for name in ("novelty_weight", "threshold"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UserError(f"gate.{name}: expected in [0, 1], got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Window:
    """Some lines of a source, with those that say what it is: its heading, and the header of a table begun above."""

    heading: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join((*self.heading, *self.lines))


def windows_of(text: str, settings: GateSettings) -> list[Window]:
    """The windows of a source. A turn is a line that is not empty; the last window may be short."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    heading, turns = tuple(lines[:NUM_HEADING]), lines[NUM_HEADING:]
    if not turns:
        return [Window(heading, ())] if heading else []
    stride = settings.window_turns - settings.overlap_turns
    found: list[Window] = []
    for start in range(0, len(turns), stride):
        stop = start + settings.window_turns
        found.append(Window((*heading, *_table_header(turns, start)), tuple(turns[start:stop])))
        if stop >= len(turns):
            break
    return found


def _table_header(turns: list[str], start: int) -> tuple[str, ...]:
    """The first row of the table that a window begins inside of."""
    first = start
    while first > 0 and turns[first].startswith("|") and turns[first - 1].startswith("|"):
        first -= 1
    return (turns[first],) if first < start else ()


def entities_of(window: Window) -> frozenset[str]:
    """What a window can bring that is new: names, and numbers of what its first line names.

    A number alone says nothing new; the same number under another heading does.
    """
    about = window.heading[0] if window.heading else ""
    return names_in(window.text) | {f"{about}: {number}" for number in numbers_in(window.text)}


def density(num_new: int, num_words: int, cosine: float, novelty_weight: float) -> float:
    """alpha * new / words + (1 - alpha) * (1 - cosine). 2 new of 40 words at cosine .5 and alpha .5 give .275."""
    return novelty_weight * num_new / max(1, num_words) + (1.0 - novelty_weight) * (1.0 - cosine)


def window_score(window: Window, cosine: float, known: Collection[str], settings: GateSettings) -> float:
    """The density of a window, given the entities that are known already."""
    new = sum(entity not in known for entity in entities_of(window))
    return density(new, len(window.text.split()), cosine, settings.novelty_weight)
