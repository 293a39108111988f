"""What the shared memory asks: which keys to pull, and whether a step deserves a place."""

import re
from collections.abc import Sequence
from dataclasses import replace

from lts_jax.llm.simulated.chances import Chances
from lts_jax.llm.simulated.findings import read_note, stated_need
from lts_jax.llm.simulated.settings import SimulatedModelSettings
from lts_jax.llm.simulated.thread import Survey, survey_of
from lts_jax.llm.simulated.understanding import Need
from lts_jax.prompts import SELECTION_MARKER, num_teams_of
from lts_jax.records import Message

_MAX_READ = 3  # values that one program prints
_KEY_LINE = re.compile(r"\[\d+\] ")


def select(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """The numbers of the keys to pull: those that state an open need, what most teams have stored first."""
    survey = survey_of(messages[:-1], settings)
    wanted, unrelated = _choose(survey, _listed(messages[-1]), chances, settings)
    if unrelated and chances.happens(settings.pulls_useless):
        wanted.append(unrelated[chances.below(len(unrelated))])
    return f"{SELECTION_MARKER} [{', '.join(wanted)}]"


def numbers_to_read(survey: Survey, shown: Message, chances: Chances, settings: SimulatedModelSettings) -> list[str]:
    """The numbers that a team reads by a program, from the keys that stand before its ledger request.

    A program costs two turns, so none is written for keys that help no open need, and none for what was read before.
    """
    lines = [each for each in _listed(shown) if int(each[0]) not in survey.fetched]
    wanted, _ = _choose(survey, lines, chances, replace(settings, pulls_useless=0.0))
    return wanted[:_MAX_READ]


def _listed(shown: Message) -> list[tuple[str, str, str]]:
    """(number, "] ", key) of every line of a listing, what most teams have stored first."""
    lines = [line for line in shown.content.split("\n") if _KEY_LINE.match(line)]
    return [line[1:].partition("] ") for line in sorted(lines, key=num_teams_of, reverse=True)]


def _choose(
    survey: Survey, lines: list[tuple[str, str, str]], chances: Chances, settings: SimulatedModelSettings
) -> tuple[list[str], list[str]]:
    """The numbers wanted for open needs, and those of keys about nothing open."""
    overlook = min(0.9, settings.overlooks_key + settings.clutter_per_key * len(lines))
    wanted: list[str] = []
    unrelated: list[str] = []
    taken: set[Need] = set()
    for number, _, key in lines:
        statement = stated_need(key)
        if statement is None or not _is_open(survey, statement[0]):
            unrelated.append(number)
            continue
        need, offers = statement
        if offers == "nothing" or need in taken or (offers == "pages" and survey.searches.get(need)):
            if chances.happens(settings.pulls_useless):
                wanted.append(number)
        elif not chances.happens(overlook):
            wanted.append(number)
            if not survey.view.understanding.reading(need).gathered:
                taken.add(need)
    return wanted, unrelated


def _is_open(survey: Survey, need: Need) -> bool:
    if need.attribute not in survey.view.understanding.readings:
        return False
    held = survey.value_in_hand(need)
    return held is None or not held.complete


def judge(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """YES for a step that gives a value which no stored key states, else NO; now and then the other way round."""
    head, _, output = messages[-1].content.partition("\nOutput:\n")
    stored = head.partition("\nStored:\n")[2].partition("\nInstruction: ")[0]
    known = {said[0] for line in stored.split("\n") if (said := stated_need(line)) and said[1] == "value"}
    is_new = any(finding.need not in known for finding in read_note(output).findings)
    return "YES" if is_new != chances.happens(settings.misjudges_admission) else "NO"
