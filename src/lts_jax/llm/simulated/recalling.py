"""Answering from what a memory gave, and saying what it left open.

The texts are pages as a tool showed them, files, or facts under a heading "Title (page i of n, updated D):".
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lts_jax.llm.simulated.chances import Chances, digest_of, trait
from lts_jax.llm.simulated.comprehension import understand
from lts_jax.llm.simulated.pages import Document, read_document
from lts_jax.llm.simulated.settings import SimulatedModelSettings
from lts_jax.llm.simulated.slips import far_off
from lts_jax.llm.simulated.understanding import Need, Understanding, join_items
from lts_jax.prompts import ANSWER_MARKER, MEMORY_BREAK
from lts_jax.records import Message

_UNABLE = "unable to determine"
_FACT = re.compile(r"^(.+) \(page (\d+) of (\d+), updated (\d{4}-\d\d-\d\d)\):$")
_MOST = re.compile(r"at most (\d+) searches")
_CUT = re.compile(r"^\|.*\n\[\.\.\.\]|\[\.\.\.\]\n(?:.*\n)?\|", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Recalled:
    """What some texts give for a question: values by need, and what is missing, as searches."""

    values: dict[Need, str]
    missing: tuple[str, ...]


def reflect(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """The searches of the memory that would give what is still missing."""
    question, texts = _given(messages[-1].content)
    most = _MOST.search(messages[-1].content)
    missing = recalled(understand(question), texts).missing
    return json.dumps({"queries": list(missing)[: int(most[1]) if most else 8]})


def recall(messages: Sequence[Message], chances: Chances, settings: SimulatedModelSettings) -> str:
    """The answer after the marker on the last line."""
    question, texts = _given(messages[-1].content)
    understanding = understand(question)
    found = recalled(understanding, texts)
    asker = digest_of(question)
    declines = bool(found.missing) and trait(asker, "declines") < settings.declines_to_guess
    try:
        concluded = None if declines else understanding.conclude(found.values)
    except (LookupError, ValueError):
        concluded = None
    if concluded is None:
        return f"The memory does not hold what the answer needs.\n{ANSWER_MARKER} {_UNABLE}"
    slips = bool(concluded.expression) and trait(asker, "slips") < settings.slips_in_arithmetic
    return f"From the memory.\n{ANSWER_MARKER} {far_off(concluded.text, chances) if slips else concluded.text}"


def recalled(understanding: Understanding, texts: Sequence[str]) -> Recalled:
    """Values by need, of the newest page that gives each, and titles of what no text gives."""
    documents = _documents(texts)
    files = [text for text in texts if text.startswith("File: ")]
    values: dict[Need, str] = {}
    missing: dict[str, None] = {}
    needs = list(understanding.needs)
    for need in needs:
        value, absent = _value_of(understanding, need, documents, files)
        if value is not None:
            values[need] = value
        for title in absent:
            missing[title] = None
        if need == understanding.source and value is not None and not absent:
            needs += [each for each in understanding.expand(value) if each not in needs]
    return Recalled(values, tuple(missing))


def _value_of(
    understanding: Understanding, need: Need, documents: Iterable[Document], files: Sequence[str]
) -> tuple[str | None, list[str]]:
    """The value of a need, or None, and what is missing of it."""
    reading, title = understanding.reading(need), understanding.title(need)
    if reading.in_file is not None:
        value = next((found for text in files if (found := reading.value_in(text)) is not None), None)
        return value, [] if value is not None else [title]
    given = [
        (document, value)
        for document in documents
        if document.title == title and (value := reading.value_on(document)) is not None
    ]
    if not given:
        return None, [title]
    newest = max(document.updated for document, _ in given)
    parts = {document.part: value for document, value in reversed(given) if document.updated == newest}
    num_parts = max(document.num_parts for document, _ in given if document.updated == newest)
    if not reading.gathered or num_parts == 1:
        return next(value for document, value in given if document.updated == newest), []
    absent = [f"{title} (page {part} of {num_parts}" for part in range(1, num_parts + 1) if part not in parts]
    return join_items([parts[part] for part in sorted(parts) if parts[part] != "none"]), absent


def _given(text: str) -> tuple[str, tuple[str, ...]]:
    """The question, and the texts of the memory."""
    head, _, rest = text.partition("\nMemory:\n")
    question = head.partition("\nRequest: ")[2].partition("\n")[0]
    inner = rest.partition("\n")[2].rpartition("\n>>>")[0]
    return question, tuple(inner.split(MEMORY_BREAK)) if inner else ()


def _documents(texts: Iterable[str]) -> list[Document]:
    """Pages, and facts put together by page."""
    found: list[Document] = []
    lines_of: dict[tuple[str, ...], dict[str, None]] = {}
    for text in texts:
        document = read_document(text)
        if document is not None:
            found.append(replace(document, table_complete=False) if _CUT.search(text) else document)
            continue
        under: dict[str, None] = {}
        for line in text.split("\n"):
            heading = _FACT.match(line)
            if heading is not None:
                under = lines_of.setdefault(heading.groups(), {})
            else:
                under[line] = None
    for (title, part, num_parts, updated), lines in lines_of.items():
        body = "\n".join(
            [f"It {line.removeprefix(f'{title} ')}" if line.startswith(f"{title} ") else line for line in lines]
        )
        document = read_document(f"{title}\n<memory> | updated {updated} | page {part} of {num_parts}\n\n{body}\n\n")
        if document is not None:
            found.append(document)
    return found
