"""What the simulated model takes out of some lines as facts: what a page states, or what a worker's report says.

On a page it sees fields, tables and sentences with a number in them; other prose states nothing to it. It overlooks,
misreads and makes things up as often as when it reads for a team. What a report states it copies, and passes over as
often as over a key.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from lts_jax.llm.simulated.chances import Chances
from lts_jax.llm.simulated.findings import results_sentence, scan
from lts_jax.llm.simulated.settings import SimulatedModelSettings
from lts_jax.llm.simulated.slips import invent, misread
from lts_jax.records import Message

_HEADING = re.compile(r"^(.+)\n<(\S+)> \| updated (\d{4}-\d\d-\d\d) \| page (\d+) of (\d+)$", re.MULTILINE)
_FIELD = re.compile(r"[A-Z][^:|]{0,40}: .+")
_SENTENCE = re.compile(r"(?<=[.!?]) +(?=[A-Z])")
_DIGIT = re.compile(r"\d")
_LINKS = ("See also: ", "Next page: ")


def extract(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """Facts as one JSON object."""
    head, _, lines = messages[-1].content.partition("\nLines:\n")
    text = lines.partition("\n")[2].rpartition("\n>>>")[0]
    if "\nRequest: " in head:
        reported = _of_report(text)
        return json.dumps({"facts": [fact for fact in reported if not chances.happens(settings.overlooks_key)]})
    facts = _of_page(text)
    first = chances.below(1 << 30)
    kept = [
        told
        for number, fact in enumerate(facts)
        if (told := _as_read(fact, text, Chances(first + number, "fact"), settings)) is not None
    ]
    if facts and chances.happens(settings.hallucinates):
        made_up = facts[chances.below(len(facts))]
        kept.append({**made_up, "text": invent(made_up["text"], chances)})
    return json.dumps({"facts": kept})


def _as_read(
    fact: dict[str, Any], text: str, chances: Chances, settings: SimulatedModelSettings
) -> dict[str, Any] | None:
    """A fact as a careless reader has it; None where it was overlooked."""
    if chances.happens(settings.overlooks_value):
        return None
    if not chances.happens(settings.misreads):
        return fact
    heading, _, statement = fact["text"].rpartition("\n")
    return {**fact, "text": f"{heading}\n{misread(statement, text, chances)}".strip()}


def _of_report(text: str) -> list[dict[str, Any]]:
    """What a worker's report found or listed; what the tool showed below it is left, and that nothing was found."""
    note = scan(text.partition("\n<")[0])
    facts = [
        {
            "text": str(finding),
            "entities": [finding.need.subject],
            "time": finding.updated,
            "topic": finding.need.attribute,
            "importance": 0.8,
        }
        for finding in note.findings
    ]
    listed = [results_sentence(search.need, list(search.pages)) for search in note.searches if search.need is not None]
    return facts + [{"text": told, "topic": "search", "importance": 0.3} for told in listed]


def _of_page(text: str) -> list[dict[str, Any]]:
    """What a page states: fields, tables with their notes, sentences with a number in them."""
    heading = _HEADING.search(text)
    if heading is None:
        return []
    title, _, updated, part, num_parts = heading.groups()
    body = text[heading.end() :].split("\n")
    first = f"{title} (page {part} of {num_parts}, updated {updated}):"
    facts = []
    for statement, importance in _statements(body, title):
        name = statement.partition(": ")[0] if _FIELD.fullmatch(statement) else "table" if "|" in statement else "text"
        facts.append(
            {
                "text": f"{first}\n{statement}",
                "entities": [title],
                "keywords": [name],
                "time": updated,
                "topic": name,
                "importance": importance,
            }
        )
    return facts


def _named(sentence: str, title: str) -> str:
    """A sentence without the pronoun that it opens with."""
    return f"{title} {sentence.removeprefix('It ')}" if sentence.startswith("It ") else sentence


def _statements(lines: list[str], title: str) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    table: list[str] = []
    for line in [*lines, ""]:
        if line.startswith("|") or (table and line.startswith("*")):
            table.append(line)
            continue
        if table:
            found.append(("\n".join(table), 0.8))
            table = []
        if not line or line.startswith(_LINKS):
            continue
        if _FIELD.fullmatch(line):
            found.append((line, 0.6 if _DIGIT.search(line) else 0.3))
        elif not line.startswith("["):
            found += [(_named(each, title), 0.6) for each in _SENTENCE.split(line) if _DIGIT.search(each)]
    return found
