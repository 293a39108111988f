"""Which pairs enter a pool: a model gives 0 to 100 by a rubric of the domain, and only a bare number over tau counts.

Memory Sharing (arXiv 2404.09982): store iff the score is a number of at least tau = 50. The wording of the rubrics is
ours.
"""

import re
from dataclasses import dataclass

from lts_jax.errors import UserError
from lts_jax.llm.chat import Ask
from lts_jax.records import Message

TAU = 50.0  # the paper's
_NUMBER = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s{0,3}+\.?")

RUBRICS = {
    "literature": "Judge a short piece of verse. Give up to 40 points for keeping the form that was asked for (lines, "
    "rhyme, syllables), up to 30 for saying something of the subject that was named, and up to 30 for sound "
    "language and a picture that stays.",
    "logic": "Judge an answer to a task of wit or reasoning. Give up to 50 points for being right and for fitting the "
    "kind that was asked for (a play on words, a sum that is worked out, a thing that is guessed), up to 30 for each "
    "step following from the one before, and up to 20 for being short and clear.",
    "plan": "Judge a plan. Give up to 40 points for keeping to what was asked (time, place, person), up to 30 for "
    "steps that can be taken in this order, and up to 30 for amounts that are safe and sensible.",
    "general": "Judge an answer. Give up to 50 points for being right and answering what was asked, up to 30 for "
    "being complete, and up to 20 for being clear.",
}
"""By domain; what has none of its own is judged by "general"."""

_OF_DOMAIN = {"verse": "literature", "logic": "logic", "plans": "plan"}


def rubric_prompt(domain: str, question: str, answer: str) -> str:
    """What a judge is asked about a pair."""
    rubric = RUBRICS[_OF_DOMAIN.get(domain, "general")]
    return (
        f"{rubric}\n\nQuestion: {question}\nAnswer: {answer}\n\n"
        "Reply with one whole number from 0 to 100 and nothing else."
    )


def parse_score(reply: str) -> float | None:
    """The score that a reply is, or None where it is anything else than a bare number from 0 to 100.

    A full stop after it and blanks around it are let pass; a sign, a word, a percent sign or a second number are not.
    """
    found = _NUMBER.fullmatch(reply.strip())
    if found is None or float(found[1]) > 100:
        return None
    return float(found[1])


@dataclass
class Gate:
    """Lets pairs pass by their judge's reply, and counts what it did not let pass."""

    tau: float = TAU
    num_passed: int = 0
    num_unreadable: int = 0  # replies that are no bare number from 0 to 100
    num_low: int = 0  # below tau

    def __post_init__(self) -> None:
        if not 0 <= self.tau <= 101:
            raise UserError(f"tau: expected from 0 (add all) to 101 (add none), got {self.tau:g}")

    def score(self, reply: str) -> float | None:
        """The score with which a pair enters; None where it does not.

        With tau = 0 nothing is judged: whatever the reply is the pair enters, with a score of 0 if it is unreadable.
        """
        found = parse_score(reply)
        if found is None and 0 < self.tau <= 100:
            self.num_unreadable += 1
            return None
        if (found or 0.0) < self.tau:
            self.num_low += 1
            return None
        self.num_passed += 1
        return found or 0.0


async def judge(gate: Gate, ask: Ask, domain: str, question: str, answer: str) -> float | None:
    """The score with which a model lets a pair enter; None where it does not.

    A call that fails is a reply that is no number. With tau = 0 or 101 the model is not asked.
    """
    if not 0 < gate.tau <= 100:
        return gate.score("")
    call = await ask("judge", [Message("user", rubric_prompt(domain, question, answer))])
    return gate.score("" if call.error else call.reply)
