"""Three kinds of wit and reasoning: pun, puzzle, riddle."""

from random import Random

from lts_jax.tasks.exemplars.subjects import Subject

PUN = (
    "A pun, please",
    "Play on a word that means two things",
    "A joke that makes people groan",
    "One line with a double meaning",
    "Say it so that the ear is fooled",
    "Humour from two words that sound alike",
)
PUZZLE = (
    "A puzzle to be worked out",
    "How many are left, with every step",
    "A small sum in words and its solution",
    "Count it through and show the working",
    "Arithmetic for a child, solved",
    "Take away and tell what remains",
)
RIDDLE = (
    "A riddle, please",
    "What am I, and why",
    "Describe without naming, then give it away",
    "Let us guess a thing by its hints",
    "An enigma in the old style with the key at its end",
    "Speak as the object itself",
)

_SOUNDS = (("sole", "soul"), ("pier", "peer"), ("tide", "tied"), ("mussel", "muscle"), ("scale", "scale"))
_HINTS = (("no feet", "travel"), ("no mouth", "speak"), ("no hands", "hold"), ("no eyes", "weep"))


def pun(subject: Subject, rng: Random) -> str:
    """One line on two words that sound alike."""
    one, two = rng.choice(_SOUNDS)
    return f"Why did {subject.name} never leave the {subject.short}? Because that {one} had found its {two}!"


def puzzle(subject: Subject, rng: Random) -> str:
    """A difference, step by step."""
    start, taken = rng.randint(11, 29), rng.randint(2, 9)
    return (
        f"Start: {subject.name} counts {start} at the {subject.short}. Take away {taken}. "
        f"{start} - {taken} = {start - taken}. Answer: {start - taken} are left."
    )


def riddle(subject: Subject, rng: Random) -> str:
    """Two hints and what it is."""
    (without, able), (other, also) = rng.sample(_HINTS, 2)
    return (
        f"I have {without}, yet I {able}. I have {other}, yet I {also}. {subject.name} passes me every day. "
        f"What am I? I am the {subject.short}."
    )


KINDS = {"pun": (PUN, pun), "puzzle": (PUZZLE, puzzle), "riddle": (RIDDLE, riddle)}
"""Wordings and the answer's grammar by kind."""
