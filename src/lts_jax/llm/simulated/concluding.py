"""From the values in a thread to an answer, with educated guesses for what is missing."""

from lts_jax.llm.simulated.chances import Chances
from lts_jax.llm.simulated.slips import invent
from lts_jax.llm.simulated.thread import Survey
from lts_jax.llm.simulated.understanding import Conclusion, Need


def values_of(survey: Survey) -> tuple[dict[Need, str], list[Need]]:
    """The values that the team goes by, in the question's order, and the needs that lack one."""
    view = survey.view
    understanding = view.understanding
    needs = list(understanding.needs)
    source = survey.value_in_hand(understanding.source) if understanding.source is not None else None
    if source is not None:
        needs += understanding.expand(source.value)
    held = {need: survey.value_in_hand(need) for need in needs}
    values = {need: each.value for need, each in held.items() if each is not None}
    return values, [need for need in needs if need not in values]


def conclude(survey: Survey, chances: Chances, *, guessing: bool = True) -> Conclusion | None:
    """Work out the answer; a missing value is guessed from another one of its kind. None where nothing follows."""
    values, missing = values_of(survey)
    if missing and not guessing:
        return None
    for need in missing:
        alike = [value for other, value in values.items() if other.attribute == need.attribute]
        if alike:
            values[need] = invent(alike[chances.below(len(alike))], chances)
    try:
        return survey.view.understanding.conclude(values)
    except (LookupError, ValueError, ArithmeticError):
        return None
