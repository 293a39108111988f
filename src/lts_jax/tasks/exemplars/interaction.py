"""Simulated agents that fill a pool by themselves: one writes a question for a known answer, another answers it.

An agent has habits: which wordings and frames it likes best, and a temperature that says how strictly it keeps to them.
An answer is of the kind that was asked for with a settable probability, else of another kind of the domain. The judge
knows the truth and adds noise; now and then its reply is no bare number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from lts_jax.tasks.exemplars.drawing import KINDS, Exemplar, answer_as, ask, num_wordings
from lts_jax.tasks.exemplars.subjects import FRAMES

RIGHT_SCORE, WRONG_SCORE = 80, 20  # of an answer of the kind that was asked for, and of another, before noise
TEMPERATURES = (0.3, 0.6, 1.0, 1.5)  # of agents in turn
UNREADABLE = ("eighty", "101", "-1", "I would give it an 80.")


@dataclass(frozen=True, slots=True)
class Given:
    """A question with the answer that an agent gave, what a judge replied, and the truth about the answer."""

    question: str
    answer: str
    domain: str
    author: str
    reply: str  # of the judge
    asked: str  # the kind that the question asks for
    kind: str  # of the answer


@dataclass(frozen=True, slots=True)
class Habits:
    """How agents and their judge behave; all ours."""

    right_probability: float = 0.8  # that an answer is of the kind that was asked for
    judge_noise: float = 15.0  # standard deviation of the judge's score around the truth, in points
    unreadable_probability: float = 0.03  # that a judge's reply is no bare number


def start(
    exemplars: Sequence[Exemplar], num_agents: int, habits: Habits, seed: int, *, one_writes: bool
) -> list[Given]:
    """The interactive start: of each known answer a question is written by an agent, and answered anew by the next.

    Args:
        exemplars: known answers with what they are about; their own questions are not used.
        num_agents: K; agents write in turn.
        habits: of agents and judge.
        seed: of everything drawn.
        one_writes: the first agent writes all questions, the others only answer.
    """
    found = []
    for place, exemplar in enumerate(exemplars):
        rng = Random(f"interaction/{seed}/start/{place}")
        writer = 0 if one_writes else place % num_agents
        question = _written(exemplar, writer, seed, rng)
        found.append(_given(question, exemplar, f"agent {(place + 1) % num_agents}", habits, rng))
    return found


def answer(exemplars: Sequence[Exemplar], num_agents: int, habits: Habits, seed: int) -> list[Given]:
    """Problems as they come, answered by agents in turn."""
    return [
        _given(
            exemplar.question, exemplar, f"agent {place % num_agents}", habits, Random(f"interaction/{seed}/{place}")
        )
        for place, exemplar in enumerate(exemplars)
    ]


def _given(question: str, exemplar: Exemplar, author: str, habits: Habits, rng: Random) -> Given:
    others = [kind for kind, domain in KINDS.items() if domain == exemplar.domain and kind != exemplar.kind]
    is_right = rng.random() < habits.right_probability
    kind = exemplar.kind if is_right else rng.choice(others)
    reply = str(max(0, min(100, round(rng.gauss(RIGHT_SCORE if is_right else WRONG_SCORE, habits.judge_noise)))))
    if rng.random() < habits.unreadable_probability:
        reply = rng.choice(UNREADABLE)
    return Given(question, answer_as(kind, exemplar.subject, rng), exemplar.domain, author, reply, exemplar.kind, kind)


def _written(exemplar: Exemplar, writer: int, seed: int, rng: Random) -> str:
    """A question by an agent: wording and frame drawn by its liking at its temperature."""
    temperature = TEMPERATURES[writer % len(TEMPERATURES)]
    chosen = []
    for what, count in ((exemplar.kind, num_wordings(exemplar.kind)), ("frame", len(FRAMES))):
        liking = Random(f"interaction/{seed}/habit/{writer}/{what}")
        weights = [math.exp(liking.gauss(0, 1) / temperature) for _ in range(count)]
        chosen.append(rng.choices(range(count), weights)[0])
    return ask(exemplar.subject, exemplar.kind, *chosen)
