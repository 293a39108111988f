"""A pool of question-answer pairs that outlives tasks and runs (Memory Sharing, arXiv 2404.09982): append-only lines.

A stored pair holds the *bare* question. The release stores the prompt with the pairs that were put before it, so that
entries hold entries and grow with every generation; here `prompt_with` makes the prompt, and nothing of it is stored.

FILE   first line {"pool_schema": 1}, then one pair a line: question, answer, domain, score, author, time
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

from lts_jax.errors import UserError, show
from lts_jax.plain import from_plain, to_plain
from lts_jax.storage import AppendedLines, line_of, read_line, whole_lines

POOL_SCHEMA = 1
_HEAD = "pool_schema"


@dataclass(frozen=True, slots=True)
class Pair:
    """A question that was asked and the answer that was thought worth keeping."""

    question: str  # bare: without the pairs that stood before it
    answer: str
    domain: str
    score: float  # 0 to 100, of whoever judged it
    author: str  # who answered
    time: float  # of its entry, on its writer's clock; a study counts pairs

    def __post_init__(self) -> None:
        for name in ("question", "answer", "domain"):
            if not getattr(self, name).strip():
                raise UserError(f"pair.{name}: expected a text, got a blank one")
        if not 0 <= self.score <= 100:
            raise UserError(f"pair.score: expected from 0 to 100, got {self.score:g}")


@dataclass(frozen=True, slots=True)
class Read:
    """What a pool's file holds."""

    pairs: tuple[Pair, ...]
    cut_bytes: int = 0  # of a last line that a kill left half written; the next append takes them off


def read_pool(path: Path) -> Read:
    """The pairs of a file in order of entry; a file that is not there is an empty pool.

    Raises:
        UserError: one line: no pool, one of another schema, or a whole line that is not a pair; the file is named.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: is a folder; a pool is a file")
    if not path.exists():
        return Read(())
    content = path.read_bytes()
    lines = whole_lines(content, str(path))
    cut_bytes = len(content) - sum(len(line) + 1 for line in lines)
    if not lines:
        return Read((), cut_bytes)
    head = read_line(lines[0], f"{path}: line 1")
    if not isinstance(head, dict) or _HEAD not in head:
        raise UserError(f"{path}: no pool of pairs (its first line names no {_HEAD})")
    if head[_HEAD] != POOL_SCHEMA:
        raise UserError(f"{path}: pool of schema {show(head[_HEAD])}, this program reads {POOL_SCHEMA}")
    places = [f"{path}: line {number}" for number in range(2, len(lines) + 1)]
    return Read(
        tuple(from_plain(Pair, read_line(line, place), place) for line, place in zip(lines[1:], places, strict=True)),
        cut_bytes,
    )


def told_cut(path: Path, read: Read) -> str:
    """What to say of a half last line; empty where there was none."""
    if not read.cut_bytes:
        return ""
    return f"{path}: half a last line ({read.cut_bytes} bytes) was cut; {len(read.pairs)} whole pairs are read"


def append_pairs(path: Path, pairs: Iterable[Pair]) -> int:
    """Add the pairs that the file does not hold yet, in one durable write. Returns how many.

    A pair is the same where question, answer and domain are. Half a last line is cut off first.

    Raises:
        UserError: as `read_pool`; nothing is written then.
    """
    path = Path(path)
    held = {_identity(pair) for pair in read_pool(path).pairs}
    new = {_identity(pair): pair for pair in reversed(list(pairs)) if _identity(pair) not in held}
    if not new:
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(AppendedLines(path)) as file:  # cuts what a kill left, also of the first line
        is_empty = not path.exists() or path.stat().st_size == 0
        head = line_of({_HEAD: POOL_SCHEMA}) if is_empty else b""
        file.append(head + b"".join(line_of(to_plain(pair)) for pair in reversed(new.values())))
    return len(new)


def of_domain(pairs: Sequence[Pair], domain: str | None) -> list[Pair]:
    """One domain's pool out of a pool; all of it for None, the single pool."""
    return [pair for pair in pairs if domain is None or pair.domain == domain]


def prompt_with(shots: Sequence[Pair], question: str) -> str:
    """The prompt of a question with pairs before it; the best one stands last, next to the question.

    Args:
        shots: best first.
        question: bare.
    """
    told = "".join(f"Question: {shot.question}\nAnswer: {shot.answer}\n\n" for shot in reversed(shots))
    return f"{told}Question: {question}\nAnswer:"


def pair_text(pair: Pair) -> str:
    """What a stored pair is found by: question and answer."""
    return f"{pair.question} {pair.answer}"


def _identity(pair: Pair) -> tuple[str, str, str]:
    return pair.question, pair.answer, pair.domain


PAIR_FIELDS = tuple(item.name for item in fields(Pair))
"""Names of what a line holds, in order."""
