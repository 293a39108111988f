"""What journals of workers hold: the driver reads them, so that a job that is run again repeats no finished call."""

import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from lts_jax.llm.budget import Budget, Price
from lts_jax.llm.chat import Completion
from lts_jax.llm.recorded import calls_of
from lts_jax.storage import whole_lines

_ASKED_FOR = re.compile(rb'"asked_for": ("(?:[^"\\]|\\.)*")')


class RecordedCalls:
    """The finished calls of jobs that were never finished, by what they were asked for."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read yet."""
        self._folder = folder
        self._lines: dict[str, list[bytes]] = {}
        self._has_read: set[str] = set()

    def read_all(self, wanted: Collection[str]) -> None:
        """Read what earlier lives of the driver have left for these purposes; of each purpose once.

        Raises:
            UserError: a journal that is not what was written.
        """
        missing = [purpose for purpose in wanted if purpose not in self._has_read]
        self._has_read.update(missing)
        if missing:
            for path in sorted(self._folder.glob("*.jsonl")):
                self._read(path, set(missing))

    def read_lost(self, journal: str, wanted: Collection[str]) -> list[Completion]:
        """Read what a lost worker has left for the jobs that it held; the completions that were not known before."""
        path = self._folder / journal
        return self._read(path, set(wanted)) if path.exists() else []

    def read_again(self, wanted: Collection[str]) -> list[Completion]:
        """Read what any worker, lost or not, has left of these jobs; the completions that were not known before."""
        paths = sorted(self._folder.glob("*.jsonl"))
        return [completion for path in paths for completion in self._read(path, set(wanted))]

    def lines(self, purpose: str) -> tuple[bytes, ...]:
        """The recorded lines for a purpose."""
        return tuple(self._lines.get(purpose, ()))

    def forget(self, purpose: str) -> None:
        """Let go of the lines of a job that has ended."""
        self._lines.pop(purpose, None)

    def prepay(self, budget: Budget, price: Price, purposes: Sequence[str]) -> None:
        """Count what is recorded for these purposes, before any new call; see `Budget.prepay`."""
        for purpose in purposes:
            for completion in calls_of(self.lines(purpose)).completions.values():
                prepay(budget, price, completion)

    def _read(self, path: Path, wanted: set[str]) -> list[Completion]:
        found: list[bytes] = []
        asked = {_quoted(purpose): purpose for purpose in wanted}
        for line in whole_lines(path.read_bytes(), str(path)):
            match = _ASKED_FOR.search(line)
            purpose = asked.get(match[1]) if match else None
            if purpose is None:
                continue
            known = self._lines.setdefault(purpose, [])
            if line not in known:
                known.append(line)
                found.append(line)
        return list(calls_of(found).completions.values())


def prepay(budget: Budget, price: Price, completion: Completion) -> None:
    """Count one call that was paid for before and will be replayed."""
    usd = price.usd(completion)
    budget.prepay(completion.prompt_tokens, completion.completion_tokens, usd, completion.seconds)


def charged_in(path: Path) -> list[Completion]:
    """Every completion of a journal, each of which was paid for; none where there is no such file."""
    if not path.exists():
        return []
    return list(calls_of(whole_lines(path.read_bytes(), str(path))).completions.values())


def _quoted(text: str) -> bytes:
    return json.dumps(text).encode()
