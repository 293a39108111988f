"""Three kinds of verse: limerick, haiku, ballad."""

from random import Random

from lts_jax.tasks.exemplars.subjects import Subject

LIMERICK = (
    "A limerick, please",
    "Five bouncing lines that rhyme aabba",
    "Nonsense in the manner of Edward Lear",
    "Something silly that starts with there once was",
    "A cheeky five liner",
    "Comic lines for a pub, with the last word of the first line coming back",
)
HAIKU = (
    "A haiku, please",
    "Seventeen syllables",
    "A small picture in the Japanese way",
    "Three unrhymed lines, short, long, short",
    "One still moment with a season in it",
    "Five, seven, five and no more",
)
BALLAD = (
    "A ballad verse, please",
    "Four lines to be sung by sailors",
    "A quatrain in which second and fourth line rhyme",
    "The opening of an old song that tells a tale",
    "One stanza in common metre",
    "A sad story for a fiddle and a voice",
)

_RHYMES = (("tea", "sea", "key"), ("bread", "bed", "red"), ("train", "rain", "Spain"), ("shoe", "blue", "two"))
_SEASONS = ("spring", "summer", "autumn", "winter")
_LIGHTS = ("first light", "a thin moon", "late sun", "grey dusk")
_ENDS = (("night", "light"), ("shore", "more"), ("rain", "again"), ("sea", "me"))


def limerick(subject: Subject, rng: Random) -> str:
    """Five lines, aabba, the name at the first."""
    one, two, three = rng.choice(_RHYMES)
    verb, other = rng.choice((("hop", "stop"), ("sing", "ring"), ("run", "fun")))
    return (
        f"There once was {subject.name} with a {one}, / whose {subject.short} was painted {two}. / "
        f"They gave it a {verb}, / and it came to a {other}, / and so they went home with the {three}."
    )


def haiku(subject: Subject, rng: Random) -> str:
    """Three lines without a rhyme: a season, the subject, a stillness."""
    return (
        f"{rng.choice(_SEASONS)}, {rng.choice(_LIGHTS)} / on the quiet {subject.short}, / "
        f"{subject.name} waits, and then not."
    )


def ballad(subject: Subject, rng: Random) -> str:
    """Four lines, second and fourth in rhyme."""
    one, two = rng.choice(_ENDS)
    return (
        f"Oh come and hear of {subject.name}'s grief, / who sailed away that {one}, / "
        f"and left behind the {subject.short}, / and never saw {two}."
    )


KINDS = {"limerick": (LIMERICK, limerick), "haiku": (HAIKU, haiku), "ballad": (BALLAD, ballad)}
"""Wordings and the answer's grammar by kind."""
