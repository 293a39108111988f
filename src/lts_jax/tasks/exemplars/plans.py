"""Three kinds of plans: fitness, study, travel."""

from random import Random

from lts_jax.tasks.exemplars.subjects import Subject

FITNESS = (
    "A training plan, please",
    "Get stronger in three days",
    "Exercise with rest between",
    "Minutes of walking and stretching, day by day",
    "Build up the legs slowly",
    "A gentle way back into shape",
)
STUDY = (
    "A study plan, please",
    "What to learn on which weekday",
    "Prepare for an examination",
    "Read, take notes, test oneself",
    "Chapters shared out over the week",
    "Revise without cramming",
)
TRAVEL = (
    "A travel plan, please",
    "Hours of one day for a visitor",
    "An outing from morning to evening",
    "Where to eat, what to see, how to go back",
    "Show a guest around",
    "A day trip by train",
)

_MOVES = ("squats", "push-ups", "lunges", "stretches")
_MEALS = ("soup", "fish", "pancakes", "stew")


def fitness(subject: Subject, rng: Random) -> str:
    """Three days of amounts."""
    minutes, move = rng.choice((10, 15, 20, 25)), rng.choice(_MOVES)
    return (
        f"Day 1: {subject.name} walks {minutes} minutes to the {subject.short}. Day 2: rest. "
        f"Day 3: walk {minutes + 5} minutes, then {rng.randint(6, 14)} {move}."
    )


def study(subject: Subject, rng: Random) -> str:
    """Three weekdays of chapters."""
    chapter = rng.randint(1, 8)
    return (
        f"Monday: {subject.name} reads chapter {chapter} on the {subject.short}. Wednesday: notes on chapter "
        f"{chapter}, then chapter {chapter + 1}. Friday: a test of {rng.choice((10, 12, 20))} questions."
    )


def travel(subject: Subject, rng: Random) -> str:
    """Three hours of a day."""
    hour = rng.randint(7, 9)
    return (
        f"{hour}:00 train with {subject.name}. {hour + 2}:30 visit the {subject.short}. 13:00 {rng.choice(_MEALS)} "
        f"for lunch. {rng.randint(17, 19)}:15 train home."
    )


KINDS = {"fitness": (FITNESS, fitness), "study": (STUDY, study), "travel": (TRAVEL, travel)}
"""Wordings and the answer's grammar by kind."""
