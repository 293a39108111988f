"""What the shared memory asks: which keys to pull, and whether a step deserves a place."""

import re
from collections.abc import Sequence
from functools import lru_cache

from lts_jax.llm.simulated.chances import Chances
from lts_jax.llm.simulated.findings import read_note
from lts_jax.llm.simulated.settings import SimulatedModelSettings
from lts_jax.llm.simulated.thread import Survey
from lts_jax.llm.simulated.understanding import Need
from lts_jax.prompts import SELECTION_MARKER
from lts_jax.records import Message

_STATED = re.compile(r"\b(found|searched for) the ([^\n:]+?) of ([^\n:]+?)(:| and listed (\w+) fitting)")


@lru_cache(maxsize=16384)
def stated(key: str) -> tuple[Need, bool] | None:
    """The need that a memory key states, and whether it has its value (or only fitting pages); None for others."""
    found = _STATED.search(key)
    if found is None or found[5] == "no" or (found[1] == "found") != (found[4] == ":"):
        return None
    return Need(found[2], found[3]), found[1] == "found"


def select(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """The numbers of the keys to pull: those that state an open need."""
    survey = Survey(messages[:-1], settings)
    readings = survey.view.understanding.readings
    numbered = [
        (number[1:], key)
        for line in messages[-1].content.split("\n")
        if line.startswith("[")
        for number, _, key in (line.partition("] "),)
    ]
    overlook = min(0.9, settings.overlooks_key + settings.clutter_per_key * len(numbered))
    wanted: list[str] = []
    useless: list[str] = []
    taken: set[Need] = set()
    for number, key in numbered:
        statement = stated(key)
        if statement is None:
            useless.append(number)
            continue
        need, has_value = statement
        held = survey.held(need)
        is_open = need.attribute in readings and need not in taken and (held is None or not held.complete)
        if not is_open or (not has_value and survey.searches.get(need)):
            useless.append(number)
        elif not chances.happens(overlook):
            wanted.append(number)
            if not readings[need.attribute].gathered:
                taken.add(need)
    if useless and chances.happens(settings.pulls_useless):
        wanted.append(useless[chances.below(len(useless))])
    return f"{SELECTION_MARKER} [{', '.join(wanted)}]"


def judge(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """YES for a step that gives a value which no stored key states, else NO; now and then the other way round."""
    head, _, output = messages[-1].content.partition("\nOutput:\n")
    stored = head.partition("\nStored:\n")[2].partition("\nInstruction: ")[0]
    known = {statement[0] for line in stored.split("\n") if (statement := stated(line)) and statement[1]}
    is_new = any(finding.need not in known for finding in read_note(output).findings)
    return "YES" if is_new != chances.happens(settings.misjudges_admission) else "NO"
