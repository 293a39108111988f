"""Draws the initial pairs, the problems and the test items of a seed; no two share kind, name and subject."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from lts_jax.errors import UserError
from lts_jax.tasks.exemplars import logic, plans, verse
from lts_jax.tasks.exemplars.subjects import FRAMES, NAMES, SUBJECTS, Subject

Grammar = tuple[Sequence[str], Callable[[Subject, Random], str]]
GRAMMARS: Mapping[str, Mapping[str, Grammar]] = {"verse": verse.KINDS, "logic": logic.KINDS, "plans": plans.KINDS}
"""By domain, then by kind."""

DOMAINS = tuple(GRAMMARS)
KINDS = {kind: domain for domain, kinds in GRAMMARS.items() for kind in kinds}
"""The domain of each kind."""

NUM_COMBINATIONS = len(NAMES) * len(SUBJECTS)
"""Questions of a kind that differ in name or subject."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A question with a right answer, and the truth of what kind it is of, which nobody is shown."""

    question: str
    answer: str
    domain: str
    kind: str
    subject: Subject
    wording: int  # number of the way in which the kind is asked for


@dataclass(frozen=True, slots=True)
class ExemplarSet:
    """All that a run is given, in an order in which kinds take turns."""

    initial: tuple[Exemplar, ...]
    problems: tuple[Exemplar, ...]
    tests: tuple[Exemplar, ...]


def draw_exemplars(
    seed: int, *, initial_per_domain: int = 60, problems_per_domain: int = 120, tests_per_kind: int = 40
) -> ExemplarSet:
    """The exemplars of a seed; the sizes are the release's (Memory Sharing, arXiv 2404.09982).

    Raises:
        UserError: more than there are combinations of name and subject.
    """
    per_kind = (-(-initial_per_domain // 3), -(-problems_per_domain // 3), tests_per_kind)
    if sum(per_kind) > NUM_COMBINATIONS:
        raise UserError(f"exemplars: expected at most {NUM_COMBINATIONS} of a kind, got {sum(per_kind)}")
    drawn = {kind: _of_kind(seed, kind, sum(per_kind)) for kind in KINDS}

    def part(start: int, size: int) -> tuple[Exemplar, ...]:
        return tuple(drawn[kind][place] for place in range(start, start + size) for kind in KINDS)

    first, second, third = per_kind
    return ExemplarSet(part(0, first), part(first, second), part(first + second, third))


def ask(subject: Subject, kind: str, wording: int, frame: int) -> str:
    """A question for something of a kind, in one of the kind's wordings and one of the frames."""
    cue = GRAMMARS[KINDS[kind]][kind][0][wording]
    framed = FRAMES[frame].format(cue=cue, name=subject.name, long=subject.long)
    return framed[0].upper() + framed[1:]


def num_wordings(kind: str) -> int:
    """In how many ways a kind can be asked for."""
    return len(GRAMMARS[KINDS[kind]][kind][0])


def answer_as(kind: str, subject: Subject, rng: Random) -> str:
    """An answer of a kind on a subject."""
    return GRAMMARS[KINDS[kind]][kind][1](subject, rng)


def _of_kind(seed: int, kind: str, count: int) -> list[Exemplar]:
    rng = Random(f"exemplars/{seed}/{kind}")
    places = rng.sample(range(NUM_COMBINATIONS), count)
    return [_one(kind, Subject(NAMES[place % len(NAMES)], *SUBJECTS[place // len(NAMES)]), rng) for place in places]


def _one(kind: str, subject: Subject, rng: Random) -> Exemplar:
    wording, frame = rng.randrange(num_wordings(kind)), rng.randrange(len(FRAMES))
    question = ask(subject, kind, wording, frame)
    return Exemplar(question, answer_as(kind, subject, rng), KINDS[kind], kind, subject, wording)
